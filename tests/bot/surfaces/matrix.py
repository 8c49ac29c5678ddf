"""Print at the end of a run which story held on which surface."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

STORY = re.compile(r"surfaces/test_contract\.py::test_story\[(?P<scenario>.+)-(?P<surface>[a-z]+)\]$")
MARKS = {"passed": "ok", "failed": "FAILED", "error": "ERROR", "skipped": "skipped"}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the matrix of scenarios and surfaces, of those that were run."""
    held = dict(_held(terminalreporter))
    if not held:
        return
    scenarios, surfaces = (list(dict.fromkeys(key[part] for key in held)) for part in (0, 1))
    width = max(map(len, scenarios))
    terminalreporter.section("surface contract")
    terminalreporter.line(" ".join([" " * width, *(f"{name:>8}" for name in surfaces)]))
    for scenario in scenarios:
        cells = (f"{held.get((scenario, surface), 'MISSING'):>8}" for surface in surfaces)
        terminalreporter.line(" ".join([f"{scenario.replace('_', ' '):{width}}", *cells]))


def _held(terminalreporter: pytest.TerminalReporter) -> Iterator[tuple[tuple[str, str], str]]:
    for outcome, mark in MARKS.items():
        for report in terminalreporter.stats.get(outcome, []):
            if found := STORY.search(getattr(report, "nodeid", "")):
                yield (found["scenario"], found["surface"]), mark
