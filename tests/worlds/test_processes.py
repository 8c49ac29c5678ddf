"""The helper starts, watches and ends real processes, and leaves none behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.worlds.processes import LAUNCHER, Process, start
from tests.worlds.valkey import free_port

SAYS = "import sys, time; print('hello', flush=True); print('again', file=sys.stderr, flush=True); time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"


def python(code: str, folder: Path, **env: str) -> Process:
    return Process([sys.executable, "-c", code], env, folder, "program").restart()


def test_output_is_kept_over_restarts_and_each_start_is_looked_at_alone(tmp_path: Path) -> None:
    with python(SAYS, tmp_path) as process:
        process.wait_line("again")
        first = process.pid
        process.kill()
        assert not process.running
        process.restart().wait_line("again")
        assert process.pid != first
        assert (process.output, process.starts) == (b"hello\nhello\nagain\nagain\n", 2)
        assert process.lines("stdout") == ["hello", "hello"]
    assert not process.running


def test_ready_is_an_answer_over_http(tmp_path: Path) -> None:
    port = free_port()
    with start("http.server", {}, tmp_path, str(port), "--bind", "127.0.0.1") as process:
        process.wait_ready(f"http://127.0.0.1:{port}/", timeout=20)


def test_a_process_that_ends_early_is_told_with_what_it_said(tmp_path: Path) -> None:
    with python("raise SystemExit('no store')", tmp_path) as process:
        with pytest.raises(AssertionError, match=r"(?s)ended with 1 before .*no store"):
            process.wait_line("ready", timeout=20)
        with pytest.raises(AssertionError, match="ended with 1"):
            process.wait_ready("http://127.0.0.1:9/", timeout=20)


def test_one_that_never_says_it_is_told_too(tmp_path: Path) -> None:
    with python(SAYS, tmp_path) as process, pytest.raises(AssertionError, match="waited"):
        process.wait_line("never", timeout=0.2)


def test_stop_is_the_soft_way_and_insists(tmp_path: Path) -> None:
    with python(SAYS, tmp_path) as process:
        process.wait_line("hello")
        assert process.stop() == -signal.SIGTERM
    with python(DEAF, tmp_path / "deaf") as process:
        process.wait_line("on")
        with pytest.raises(AssertionError, match="ignored SIGTERM"):
            process.stop(timeout=0.2)
        assert not process.running


def test_it_inherits_no_setting_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_PORT", "1")
    monkeypatch.setenv("AWS_PROFILE", "real-account")
    with python("import os; print(sorted(os.environ))", tmp_path, COUNTERSIGN_HOST="::1") as process:
        assert process.wait() == 0
    assert b"COUNTERSIGN_HOST" in process.output
    assert b"COUNTERSIGN_PORT" not in process.output
    assert b"AWS_PROFILE" not in process.output


def test_a_paused_process_does_nothing_and_can_be_killed(tmp_path: Path) -> None:
    ticks = "import itertools, time\nfor n in itertools.count():\n  print(n, flush=True); time.sleep(0.01)"
    with python(ticks, tmp_path) as process:
        process.wait_line("3")
        process.pause()
        time.sleep(0.05)  # what was under way ends
        before = process.output
        time.sleep(0.1)
        assert process.output == before
        process.resume()
        process.wait_line(str(len(before.split()) + 2))
        process.pause()
        process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_it_dies_with_the_test_run(tmp_path: Path) -> None:
    """A stand-in for a killed pytest: a parent that starts a child our way and is killed."""
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, subprocess, sys, time\n"
            "child = subprocess.Popen([sys.executable, '-c', sys.argv[1], str(os.getpid()), sys.executable,"
            " '-c', 'import os, time; print(os.getpid(), flush=True); time.sleep(60)'])\n"
            "time.sleep(60)",
            LAUNCHER,
        ],
        stdout=subprocess.PIPE,
    )
    assert parent.stdout
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    give_up = time.monotonic() + 5
    while _alive(child):
        assert time.monotonic() < give_up, "the child outlived its parent"
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
