"""Make what docs/policy.md shows: its tables from the models, and what the commands print for its own example."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import re
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

import rfc8785
from rich.console import Console

from approvers.action import parse_action
from approvers.activity_flags import WEIGHTS
from approvers.condition_models import CLAIMS, NEVER_ALLOW, ONLY_ALLOW, When
from approvers.explain import explain, lines
from approvers.facts import Facts, RiskList
from approvers.history import facts_of, read_known, read_past
from approvers.limits import check_limits
from approvers.policy import Policy, parse_policy
from approvers.policy_diff import policy_changes
from approvers.risk_table import RiskTable
from approvers.roster import Roster, parse_roster
from approvers.ruling import gather, rule
from countersign.commands.common import Ended
from countersign.ops.policy_files import Checked, Source, check
from countersign.ops.simreport import WIDE, print_report
from countersign.ops.simulate import FailOn, Wanted, _gate, over_store
from countersign.ops.suggest import suggest, tell
from tests.docs.policy_words import CONDITIONS, FLAGS, MISTAKES, POINTS
from tests.worlds.web import Web
from workers.data.levels import load_levels
from workers.policies import apply
from workers.providers.plans import plan
from workers.stores import layout
from workers.stores.memory import memory_store

PAGE = Path(__file__).parents[2] / "docs" / "policy.md"
FRIDAY = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
CALLER = "caller:report-bot"
LISTED: tuple[str, ...] = get_args(RiskList)
LOGS = "arn:aws:logs:eu-central-1:123456789012:log-group:reports:*"
TABLE = "arn:aws:s3:::reports/2026"


def blocks(kind: str) -> list[str]:
    """Return the page's blocks of one language."""
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def first() -> tuple[str, str]:
    """Return the example's `countersign.toml` and `policy.toml`: the first two blocks."""
    roster, policy, *_ = blocks("toml")
    return roster, policy


def ask() -> str:
    """Return the example's `ask.json`."""
    return next(block for block in blocks("json") if '"actor"' in block)


def replaced(text: str, *changes: tuple[str, str]) -> str:
    """Return the text with each piece, which has to stand in it once, replaced."""
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def changed() -> str:
    """Return the policy with the change that the page makes to it."""
    [added] = [block for block in blocks("toml") if block.startswith("[rule.deny-unexplained]")]
    return replaced(first()[1], ('ttl_at_most = "15m"', 'ttl_at_most = "30m"'),
                    ("seats = { security = 1, sre = 1 }", "seats = { sre = 1 }"),
                    ('ttl_max = { default = "1h"', 'ttl_max = { default = "45m"')) + added  # fmt: skip


def checked(roster: str, policy: str) -> Checked:
    """Check two files as `policy check` does, on a fixed day."""
    sources = {layout.ROSTER: Source(layout.ROSTER, "countersign.toml", roster),
               layout.POLICY: Source(layout.POLICY, "policy.toml", policy)}  # fmt: skip
    return check(sources, FRIDAY)


@lru_cache(maxsize=8)
def _parsed(policy: str) -> tuple[Policy, Roster, str]:
    return parse_policy(policy), parse_roster(first()[0]), hashlib.sha256(policy.encode()).hexdigest()


def facts(body: str, policy: str, **gathered: Any) -> Facts:
    """Return the facts of an ask under the example, of the report bot for the first time unless said otherwise."""
    rules, roster, _ = _parsed(policy)
    action = parse_action(body.encode(), rfc8785.dumps)
    planned = plan(action, roster, action.ttl_seconds or 900, load_levels())
    before = facts_of(read_past(""), read_known(""), action, planned, FRIDAY)
    known = {"principal": CALLER, "caller": roster.caller(CALLER), "history": before, **gathered}
    found = gather(action, plan=planned, policy=rules, levels=load_levels(), at=FRIDAY, **known)
    check_limits(rules, found)
    return found


def conditions() -> str:
    """Return the table of conditions; a new one without words is a KeyError."""
    rows = []
    for name in When.model_fields:
        said = CONDITIONS[name]
        assert (said.source == "claim") == (name in CLAIMS), name
        effects = "allow" if name in ONLY_ALLOW else "deny, review" if name in NEVER_ALLOW else "all"
        rows.append((f"`{name}`", said.reads, said.source, effects, f"`{said.example}`"))
    return _table(("Condition", "Reads", "From", "Loads in", "Example"), rows)


def points() -> str:
    """Return the table of risk points with the values they have unless `[risk]` says otherwise."""
    table = RiskTable().model_dump(by_alias=True)
    rows = [(f"`risk.{kind}`", ", ".join(f"{name} {value}" for name, value in table[kind].items()), POINTS[kind])
            for kind in ("access", "environment")]  # fmt: skip
    rows += [("`risk.action`", ", ".join(f"{name} {table['action'].pop(name)}" for name in LISTED), POINTS["lists"])]
    for kind in ("action", "context"):
        rows += [(f"`risk.{kind}.{name}`", str(value), POINTS[name]) for name, value in table[kind].items()]
    return _table(("Key", "Points", "Counts where"), rows)


def flags() -> str:
    """Return the table of what raises a flag, with the points of a call that went through and of a refused one."""
    rows = [(f"`{kind}`", str(through), str(refused), FLAGS[kind]) for kind, (through, refused) in WEIGHTS.items()]
    return _table(("Flag", "Went through", "Refused", "Raised by"), rows)


def mistakes() -> str:
    """Return the table of mistakes with what `policy check` really says."""
    roster, policy = first()
    rows = []
    for old, new, words in MISTAKES:
        found = [one for one in checked(roster, replaced(policy, (old, new))).errors if one.file == "policy.toml"]
        assert found, words
        rows.append((words, f"`{found[0].field}: {found[0].detail}; {found[0].remedy}`"))
    return _table(("Written", "Told, behind `policy.toml:LINE:`"), rows)


def explained() -> str:
    """Return what `policy explain ask.json` prints of the page's ask."""
    policy, roster, sha256 = _parsed(first()[1])
    body = ask()
    found = facts(body, first()[1])
    planned = plan(parse_action(body.encode(), rfc8785.dumps), roster, found.ttl_seconds, load_levels())
    told = explain(rule(policy, found, sha256=sha256), found, policy=policy, plan=planned)
    return _text("\n".join(lines(told, None)))


def applied() -> str:
    """Return what `apply` says of the page's change."""
    return _text("\n".join(map(str, policy_changes(_parsed(first()[1])[0], _parsed(changed())[0]))))


def simulated() -> str:
    """Return what `policy simulate` prints of the page's change over a month: the head, and the gate's words."""
    page = "\n".join(line.rstrip() for line in asyncio.run(_month())[0].splitlines())
    head, _, rest = page.partition("\n\nreview→allow\n")
    return _text(f"{head}\n…\n{rest.splitlines()[-1]}")


def suggested() -> str:
    """Return the rule that `policy suggest` finds in the same month."""
    return f"```toml\n{asyncio.run(_month())[1].strip()}\n```\n"


async def _month() -> tuple[str, str]:
    """Play the month; return what both commands print, which is the same at every run up to where ids are named."""
    time = [FRIDAY - timedelta(days=30)]
    store = memory_store(lambda: time[0])
    roster, policy = first()
    await apply(store.records, policy=policy, roster=roster, by="user:dana", why="first")
    async with Web.over(store, policy="") as web:
        for number in range(14):
            time[0] += timedelta(days=2)
            await _asked(web, number, "s3:ListBucket", TABLE, time, ("robin", "alex")[number % 2])
        await _asked(web, 20, "logs:GetLogEvents", LOGS, time, "robin", ttl_seconds=1800)
        await _asked(web, 21, "logs:FilterLogEvents", LOGS, time, "alex", "deny", ttl_seconds=1800)
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder) / "policy.toml"
        new.write_text(changed())
        told = await over_store(Wanted(new, None, "90d", None, "recorded", None), store)
    page, words = io.StringIO(), io.StringIO()
    print_report(told, Console(file=page, width=WIDE, highlight=False))
    with contextlib.redirect_stderr(page), contextlib.suppress(Ended):
        _gate(told.report, FailOn.ALLOW)
    with contextlib.redirect_stdout(words):
        tell(await suggest(store, "90d"), json_=False)
    return page.getvalue().replace(str(new), "policy.toml"), words.getvalue()


async def _asked(
    web: Web, number: int, action: str, resource: str, time: list[datetime], person: str, verdict: str = "approve",
    **more: Any,
) -> None:  # fmt: skip
    access: Mapping[str, Any] = {"role": "analytics", "actions": [action], "resources": [resource]}
    got = await web.ask(f"k{number}", action=action, resource=resource, access=access, data_classes=None,
                        actor={"id": "agent:report-7"}, ticket=f"OPS-{number}", **more)  # fmt: skip
    assert got.status == 202, got.body
    time[0] += timedelta(seconds=40)
    answered = await web.review(got.json["id"], person, verdict)
    assert answered.status == 200, answered.body


def _text(words: str) -> str:
    return f"```text\n{words.strip()}\n```\n"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    cells = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (head, *rows)]
    return "\n".join([cells[0], "|" + "---|" * len(head), *cells[1:]]) + "\n"


PAGES = {
    "policy-conditions": conditions,
    "policy-risk": points,
    "policy-flags": flags,
    "policy-mistakes": mistakes,
    "policy-explain": explained,
    "policy-apply": applied,
    "policy-simulate": simulated,
    "policy-suggest": suggested,
}
"""Name of a table of the page → what fills it."""
