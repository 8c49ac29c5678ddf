"""Name every skipped test at the end of a run, and fail under `CI=true` if there was one.

A skip is an absence of evidence. On a laptop without Chromium it is fine and must be seen; in CI it is a failure.
"""

from __future__ import annotations

import os

import pytest

_skipped = pytest.StashKey[dict[str, str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_skipped] = {}
    config.pluginmanager.register(_Watch(config.stash[_skipped]), "skips")


class _Watch:
    def __init__(self, skipped: dict[str, str]) -> None:
        self._skipped = skipped

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self._skipped[report.nodeid] = _reason(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._skipped[report.nodeid] = _reason(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._skipped and in_ci() and session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._skipped:
            terminalreporter.write_line("0 tests skipped")
            return
        verdict = "which fails in CI" if in_ci() else "each would fail in CI"
        terminalreporter.section(f"{len(self._skipped)} skipped, {verdict}", red=in_ci(), yellow=not in_ci())
        for name, reason in self._skipped.items():
            terminalreporter.write_line(f"{name}: {reason}")


def in_ci() -> bool:
    return os.environ.get("CI") == "true"


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    told = report.longrepr
    return str(told[2] if isinstance(told, tuple) else told)
