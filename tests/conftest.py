"""Set up every run: hypothesis profiles, the account of what was skipped, and which files begin."""

from __future__ import annotations

import gc
import os
import signal

import pytest
import structlog
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.skips", "tests.shown", "tests.recorded", "tests.loops", "tests.bot.surfaces.matrix"]

# Deterministic on purpose: a red run must be red again. A slow machine is no failure, so there is no deadline.
_COMMON = {"deadline": None, "derandomize": True, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("dev", max_examples=50, **_COMMON)
settings.register_profile("ci", max_examples=200, print_blob=True, **_COMMON)
settings.register_profile("hunt", max_examples=5000, deadline=None)  # by hand: HYPOTHESIS_PROFILE=hunt, random
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") == "true" else "dev"))

# A shell has Ctrl-C ignored in what it starts in the background, and so has every process that a test then starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Where rich is installed, structlog draws what an error held as tables: up to two seconds for each that is logged.
_PLAIN = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], _PLAIN])

LONGEST_FIRST = (
    "tests/story/test_kills.py",
    "tests/story/test_removed.py",
    "tests/story/test_demo.py",
    "tests/story/test_evidence_kills.py",
    "tests/faults/test_faults.py",
    "tests/oracle/test_planted.py",
    "tests/approvers/test_grant_model.py",
    "tests/oracle/test_machine.py",
    "tests/countersign/test_run.py",
    "tests/countersign/verifying/test_flips.py",
    "tests/test_bench.py",
    "tests/bot/console/test_browser.py",
    "tests/test_imports.py",
    "tests/countersign/ops/test_direct.py",
    "tests/bot/test_app.py",
    "tests/bot/console/test_browser_looks.py",
    "tests/workers/providers/test_local_aws.py",
    "tests/countersign/ops/test_doctor_aws.py",
    "tests/countersign/verifying/test_replay.py",
    "tests/workers/providers/test_aws_faults.py",
    "tests/bot/surfaces/test_contract.py",
    "tests/approvers/test_ruling_properties.py",
    "tests/docs/test_runbook.py",
    "tests/countersign/verifying/test_wheel.py",
    "tests/workers/test_worker_process.py",
    "tests/test_style.py",
)
"""Files that take many seconds. Several processes share the files: for one begun last the others would wait."""
_RANKS = {file: rank for rank, file in enumerate(LONGEST_FIRST)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files; the Makefile has xdist keep this order, not its own by number of tests."""
    items.sort(key=lambda item: _RANKS.get(item.nodeid.partition("::")[0], len(LONGEST_FIRST)))


def pytest_collection_finish() -> None:
    """Have every later collection of garbage pass over what stays to the end: modules and thousands of tests."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)  # `-p no:xdist` knows it not
def pytest_xdist_auto_num_workers() -> int:
    """Return one process more than there are cores: a third of the time is spent waiting for other processes."""
    return (os.cpu_count() or 1) + 1
