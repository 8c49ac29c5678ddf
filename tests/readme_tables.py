"""Make the tables of README.md and docs/ from the code. `python -m tests.readme_tables` writes them in.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; a JSON document of docs/aws.md is a table, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from approvers.grant import GRANT_EVENTS, GRANT_TABLE
from approvers.machine import Table
from approvers.request import REQUEST_EVENTS, REQUEST_TABLE, SUBMIT
from bot.commands import Command, Commands
from bot.deps import make_deps
from bot.metrics import COUNTERS, HISTOGRAMS, ROOMS
from countersign.ops.manifest import COMMAND, EVENTS, MATCH_EMAIL, SCOPES
from countersign.ops.teamsapp import PERMISSIONS
from tests.docs.evidence_pages import EVIDENCE
from tests.docs.policy_pages import PAGES
from workers.alerts import LogAlerts
from workers.config import describe, load
from workers.providers import documents
from workers.stores.memory import memory_store

ROOT = Path(__file__).parents[1]
FILES = ("README.md", "docs/aws.md", "docs/callers.md", "docs/commands.md", "docs/direct.md", "docs/evidence.md",
         "docs/operating.md", "docs/policy.md", "docs/reliability.md", "docs/runbook.md", "docs/siem.md",
         "docs/slack.md", "docs/teams.md")  # fmt: skip
ACCOUNT = "123456789012"
MINTER = f"arn:aws:iam::{ACCOUNT}:role/countersign-minter"
WORKER_REVOKER = "arn:aws:iam::999999999999:role/countersign-worker-revoker"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/countersign-boundary"
_BLOCK = re.compile(r"(<!-- table: ([a-z-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def requests() -> str:
    rows = [("(new)", "submit", " or ".join(SUBMIT), REQUEST_EVENTS["submit"])]
    return _states([*rows, *_moves(REQUEST_TABLE, REQUEST_EVENTS)])


def grants() -> str:
    return _states(_moves(GRANT_TABLE, GRANT_EVENTS))


def settings() -> str:
    rows = [(f"`{row.name}`", row.default, row.meaning, row.used_by) for row in describe()]
    return _table(("Name", "Default", "Meaning", "Read by"), rows)


def figures() -> str:
    rows = [(f"`countersign_{name}_total{{{label}}}`", meaning) for name, (label, meaning) in COUNTERS.items()]
    rows += [(f"`countersign_{name}`", meaning) for name, meaning in HISTOGRAMS.items()]
    rows += [(f"`countersign_{name}{{role, arn}}`", meaning) for name, meaning in ROOMS.items()]
    return _table(("Metric", "Meaning"), rows)


def chat_commands() -> Mapping[str, Command]:
    """Return the table of commands in chat, as the product has it."""
    return Commands(make_deps(load({"COUNTERSIGN_REDIS_URL": "redis://localhost"}), memory_store(), LogAlerts()))._table


def commands() -> str:
    rows = [(f"`{COMMAND} {f'{name} {one.usage}'.strip()}`", one.about) for name, one in chat_commands().items()]
    return _table(("Write", "For"), rows)


def scopes() -> str:
    rows = [(f"`{name}`", f"{why}") for name, why in SCOPES.items()]
    return _table(("Scope", "For"), [*rows, (f"`{MATCH_EMAIL}`", "only with `--match-email`: know people by address")])


def events() -> str:
    return _table(("Event", "For"), [(f"`{name}`", why) for name, (_, why) in EVENTS.items()])


def permissions() -> str:
    return _table(("Permission", "For"), [(f"`{name}`", why) for name, why in PERMISSIONS.items()])


def boundary() -> str:
    return _json(documents.boundary_policy(["s3:*"]))


def trust() -> str:
    return _json(documents.trust_policy(MINTER))


def minter() -> str:
    return _json(documents.minter_policy())


def revoker() -> str:
    return _json(documents.revoker_policy(ACCOUNT, BOUNDARY))


def revoker_trust() -> str:
    return _json(documents.revoker_trust_policy(WORKER_REVOKER))


def revoker_caller() -> str:
    return _json(documents.revoker_caller_policy())


def tags_role() -> str:
    return _json(documents.tags_policy())


def tags_trust() -> str:
    return _json(documents.tags_trust_policy(MINTER))


def tags_minter() -> str:
    return _json(documents.tags_minter_policy())


def revocation() -> str:
    return _json(documents.revoke_policy("grt_01K9V0000000000000000000ZZ"))


TABLES: Mapping[str, Callable[[], str]] = {
    "requests": requests,
    "grants": grants,
    "settings": settings,
    "figures": figures,
    "commands": commands,
    "scopes": scopes,
    "events": events,
    "permissions": permissions,
    "boundary": boundary,
    "trust": trust,
    "minter": minter,
    "revoker": revoker,
    "revoker-trust": revoker_trust,
    "revoker-caller": revoker_caller,
    "revocation": revocation,
    "tags-role": tags_role,
    "tags-trust": tags_trust,
    "tags-minter": tags_minter,
    **EVIDENCE,
    **PAGES,
}


def found(text: str) -> dict[str, str]:
    """Return what stands between the marks, by name."""
    return {name: body for _, name, body, _ in _BLOCK.findall(text)}


def filled(text: str) -> str:
    """Return the text with every table as the code says it."""
    return _BLOCK.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}{match[4]}", text)


def _moves(table: Table, events: Mapping[str, str]) -> list[tuple[str, str, str, str]]:
    rows = []
    for state, moves in table.items():
        rows += [(str(state), event, " or ".join(targets), events[event]) for event, targets in moves.items()]
        rows += [] if moves else [(str(state), "", "(terminal)", "")]
    return rows


def _states(rows: list[tuple[str, str, str, str]]) -> str:
    return _table(("State", "Event", "Leads to", "Caused by"), rows)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]]) + "\n"


def _json(document: str) -> str:
    statements = [json.dumps(one) for one in json.loads(document)["Statement"]]
    body = ",\n  ".join(statements)
    return f'```json\n{{"Version": "2012-10-17", "Statement": [\n  {body}\n]}}\n```\n'


if __name__ == "__main__":
    for name in FILES:
        path = ROOT / name
        path.write_text(filled(path.read_text()))
