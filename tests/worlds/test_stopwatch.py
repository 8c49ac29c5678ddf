"""The stopwatch counts what is waited for, and not what others take."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.worlds.stopwatch import own_time


@pytest.fixture
def crowded() -> Iterator[None]:
    """Share one core with a process that never rests."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    busy = "print(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", busy], stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline()
        yield
        process.kill()
    os.sched_setaffinity(0, cores)


def test_what_is_waited_for_counts() -> None:
    before = own_time()
    time.sleep(0.05)
    assert own_time() - before > 0.04


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_what_others_take_does_not(crowded: None) -> None:
    before, began, until = own_time(), time.monotonic(), time.process_time() + 0.1
    while time.process_time() < until:
        pass
    assert own_time() - before < 0.75 * (time.monotonic() - began)
