"""Hold docs/runbook.md and docs/reliability.md to the sources: each alert, command and selected test exists."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from countersign.cli import build
from tests.alert_kinds import kinds

ROOT = Path(__file__).parents[2]
RUNBOOK, RELIABILITY = ((ROOT / "docs" / name).read_text() for name in ("runbook.md", "reliability.md"))
HEADINGS = re.findall(r"^### (.*)$", RUNBOOK, re.MULTILINE)
TOLD = [kind for heading in HEADINGS for kind in re.findall(r"`([^`]+)`", heading)]
RUNS = re.findall(r"`pytest ([^`]+)`", RELIABILITY)
TYPED = sorted(set(re.findall(r"`(countersign [^`…]+)`", "".join(p.read_text() for p in ROOT.glob("docs/*.md")))))


def test_every_alert_is_in_the_runbook_once_and_nothing_else_is() -> None:
    raised = kinds()
    assert len(raised) >= 40
    assert {kind: raised[kind] for kind in set(raised) - set(TOLD)} == {}
    assert set(TOLD) - set(raised) == set(), "nobody raises these"
    assert len(TOLD) == len(set(TOLD))


def test_every_alert_says_what_to_do() -> None:
    for part in RUNBOOK.split("\n### ")[1:]:
        meaning, told, remedy = part.partition("**Do**: ")
        assert told, part
        assert len(meaning.splitlines()) >= 3, "a heading, a blank line, what it means"
        assert remedy.strip()


def test_no_other_page_explains_alerts_again() -> None:
    rows = re.findall(
        r"^\| `([a-z_.]+)`(?: \(critical\))? \|", (ROOT / "docs" / "operating.md").read_text(), re.MULTILINE
    )
    assert not set(rows) & set(TOLD)


def test_the_fault_table_selects_tests() -> None:
    """In one process for all, so that what they share is imported once."""
    assert len(RUNS) >= 12
    asked = [["--collect-only", "--quiet", "-p", "no:cacheprovider", *shlex.split(words)] for words in RUNS]
    code = "import json, sys, pytest; sys.exit([one[4:] for one in json.loads(sys.argv[1]) if pytest.main(one)] or 0)"
    ran = subprocess.run(
        [sys.executable, "-c", code, json.dumps(asked)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-500:]


def test_the_fault_tables_other_commands_exist() -> None:
    for target in set(re.findall(r"`make ([a-z]+)`", RELIABILITY)):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target
    for path in re.findall(r"`(tests/[\w/.*]+)`", RELIABILITY):
        assert list(ROOT.glob(path)), path


@pytest.mark.parametrize("typed", TYPED)
def test_a_command_that_a_page_names_has_these_options(typed: str) -> None:
    command: Any = typer.main.get_command(build(typed.split()[1]))
    words = shlex.split(typed)[1:]
    while hasattr(command, "commands") and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    if typed.split()[1:2] == ["policy"] and hasattr(command, "commands"):
        return  # `policy check, explain …`
    known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)} | {"--help"}
    assert not hasattr(command, "commands") or len(words) == 0, f"there is no {words}"
    assert {word.partition("=")[0] for word in words if word.startswith("--") and word != "--"} <= known
