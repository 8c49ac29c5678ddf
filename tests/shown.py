"""Print at the end of a run what tests have to show, whichever process they ran in: kills met, missing checks found."""

from __future__ import annotations

from collections.abc import Callable

import pytest

SHOWN = "shown"


@pytest.fixture
def show(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Return a function that takes one line for the end of the run."""
    return lambda line: record_property(SHOWN, line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write every line, by file."""
    by_file: dict[str, list[str]] = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, line in getattr(report, "user_properties", ()):
                if name == SHOWN:
                    by_file.setdefault(report.nodeid.partition("::")[0], []).append(str(line))
    for file, lines in sorted(by_file.items()):
        terminalreporter.section(f"shown by {file}")
        for line in lines:
            terminalreporter.line(line)
