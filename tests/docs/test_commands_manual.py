"""Hold docs/commands.md to the code: its roster, its messages, its limits and the words of the cards."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from approvers import environment
from approvers.card_caps import NOT_EARLY, length
from approvers.grant import ProofKind
from approvers.roster import parse_roster
from countersign.cli import main
from countersign.ops.postgres import SAMPLE
from tests.approvers.rules_world import ROSTER
from tests.approvers.test_roster_providers import PROVIDER
from tests.worlds import samples
from tests.worlds.commands import Box
from tests.worlds.ministack import QUICK
from workers.data.levels import load_levels
from workers.providers.command import CALL_SECONDS, NOT_SENT, REFUSED, VERIFY_SECONDS, CommandProvider, _asked
from workers.providers.command_files import NEEDED, OPTIONAL
from workers.providers.command_process import ENVIRONMENT, MOST_BYTES
from workers.providers.plans import plan
from workers.providers.port import Handle, ProofOutcome

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "commands.md").read_text()
GRANT = "grt_01KFX0000000000000000000AA"
ENDS = datetime(2026, 11, 20, 10, 15, tzinfo=UTC)


def example(name: str) -> str:
    found = re.search(rf"<!-- example: {name} -->\n```[a-z]+\n(.*?)```", PAGE, re.DOTALL)
    assert found, name
    return found[1]


def planned():
    access = {"provider": "orders-db", "role": "orders-reader", "actions": ["db:select"],
              "resources": ["orders/public.customers"]}  # fmt: skip
    ask = samples.action(action="db:select", resource="orders/public.customers", access=access)
    return plan(ask, parse_roster(samples.AWS_ALONE + example("roster")), 900, load_levels())


def test_the_roster_is_one_and_the_tests_declare_the_same():
    shown, tested = (parse_roster(ROSTER + text) for text in (example("roster"), PROVIDER))
    assert shown.roles["orders-reader"] == tested.roles["orders-reader"]
    changed = {"lag": shown.providers["orders-db"].lag, "levels": {"db:select": "Read"}}
    assert shown.providers["orders-db"] == tested.providers["orders-db"].model_copy(update=changed)


def test_what_an_executable_is_asked_is_what_stands_there():
    asked = _asked("verify", Handle(GRANT, planned(), ENDS), ProofKind.PROBE_DENIED)
    assert json.loads(asked) == json.loads(example("asked"))


def test_the_answers_are_understood(tmp_path: Path):
    box = Box.made(tmp_path / "commands", "orders-db")
    box.says("mint", f"echo '{example('mint').strip()}'")
    box.says("verify", f"echo '{example('verify').strip()}'")
    then = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
    minted = CommandProvider(box.folder, now=lambda: then).mint(GRANT, planned())
    assert (minted.secret.access_key_id, minted.ends_at) == ("cs_01kfx0000000000000000000aa", ENDS)
    reading = CommandProvider(box.folder, pace=QUICK).verify(Handle(GRANT, planned(), ENDS), ProofKind.PROBE_DENIED)
    assert reading.outcome is ProofOutcome.PROVEN


def test_the_limits_are_those_of_the_code():
    for words in (
        f"It has {CALL_SECONDS:.0f} seconds, {VERIFY_SECONDS:.0f} for all readings",
        f"More than {MOST_BYTES // 1024} KiB",
        f"| {REFUSED} | refused for good",
        f"| {NOT_SENT} | not done, try later",
        f"`{ENVIRONMENT['PATH']}`",
        f"1 to {environment.MOST} variables",
    ):
        assert words in PAGE
    for call in (*NEEDED, *(f"{one}` (optional)" for one in OPTIONAL)):
        assert f"| `{call}" in PAGE


def test_the_cards_words_are_those_of_the_code():
    assert f'"{NOT_EARLY}"' in PAGE
    assert f'"{length(planned())}"' in PAGE


def test_the_command_has_these_options(capsys: pytest.CaptureFixture[str]):
    said = re.search(r"countersign run (.*?) -- psql", PAGE, re.DOTALL)
    assert said
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    shown = capsys.readouterr().out
    for option in re.findall(r"--[a-z-]+", said[1]):
        assert option in shown


def test_every_file_that_is_named_is_there():
    for name in ("mint", "revoke", "verify", "settings.example", "setup.sql"):
        assert (SAMPLE / name).exists()
    for name in re.findall(r"`(tests/[a-z_/]+\.py)`", PAGE):
        assert (DOCS.parent / name).exists()
