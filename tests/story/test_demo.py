"""The demo as a newcomer runs it: by itself from end to end, and by hand until Ctrl-C; real processes throughout."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from countersign.verifying.core import Key
from tests.story.flipped import SECONDS, flip_some
from tests.worlds.processes import Process

SCENES = (
    "IAM enforced, PutObject outside the grant refused",
    "an agent asks: 202",
    "the human behind the agent tries to approve, and is told why not",
    "another person approves",
    "the credential is delivered, sealed",
    "the agent reads its report",
    "AWS refuses what was not granted, word for word",
    "AWS refuses PutObject",
    "revoked: AccessDenied, and proven by probes",
    "an agent's session goes astray: AWS refuses five calls of an intruder",
    "a denial is told as DENIED",
    "an expiry is told as EXPIRED, not as DENIED",
    "worker and clock are killed; a ten-second credential still ends at AWS",
    "after their restart the end is proven",
    "two grants overlap on one role: one is revoked, the other reads on",
    "a four-second credential ends by AWS's own clock",
    "an agent gets one table of PostgreSQL, reads its rows, and is refused the next",
    "revoked: its open connection is cut, its login is gone, and that is proven",
    "monitoring has seen it, ends it by itself, and proves the end",
    "each decision has its receipt, checked by the public key alone",
    "two people approve an action without a credential; its receipt is good for once",
    "the log is exported while everything runs, and is whole to a stranger",
    "what somebody typed is forgotten, and the log is as whole as before",
    "a forged copy, chained anew, is refused",
    "every audit chain is whole, and holds no secret",
    "a second start on the same state finds it",
)
OF_IAM = (
    "IAM enforced", "AWS refuses what was not granted", "AWS refuses PutObject", "revoked: AccessDenied",
    "goes astray", "worker and clock are killed", "after their restart", "two grants overlap",
    "a four-second credential", "monitoring has seen it", "a second start",
)  # fmt: skip
"""Scenes that must fail where AWS lets everything through."""
Demo = Callable[..., Process]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """Start `countersign demo …` on a state folder of this test; whatever it leaves running fails the test."""
    started: list[Process] = []
    state = tmp_path / "state"

    def start(*words: str) -> Process:
        args = [sys.executable, "-m", "countersign", "demo", "--state", str(state), *words]
        started.append(Process(args, {}, tmp_path / f"said-{len(started)}", "demo").restart())
        return started[-1]

    start.state = state  # type: ignore[attr-defined]
    yield start
    for process in started:
        if process.running:
            process.stop()
    assert left_running(state) == []


def left_running(state: Path) -> list[str]:
    """Return the processes whose arguments, folder, environment or output name the state folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        if folder.name == str(os.getpid()):
            continue
        try:
            words = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
            words += b" ".join(bytes((folder / link).readlink()) for link in ("cwd", "fd/1"))
        except OSError:
            continue
        if bytes(state) in words:
            found.append(f"{folder.name}: {words[:200]!r}")
    return found


def tokens(state: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((state / "demo.json").read_text())
    return found


def password(state: Path) -> str:
    found = urllib.parse.urlsplit(str(tokens(state)["postgres_url"])).password
    assert found
    return found


def is_ready(process: Process) -> None:
    process.wait_line(r"stop +Ctrl-C", timeout=60)


@pytest.mark.timeout(SECONDS)
def test_it_plays_every_scene_by_itself(demo: Demo, tmp_path: Path, show: Callable[[str], None]) -> None:
    began = time.monotonic()
    process = demo("--once")
    code = process.wait(120)
    told = process.output.decode()
    assert code == 0, told
    assert time.monotonic() - began < 240  # 45 s on an idle machine, 30 of them monitoring's first wait
    lines = [line for line in told.splitlines() if line.startswith(("ok ", "FAIL"))]
    assert all(line.startswith("ok ") for line in lines)
    for scene in SCENES:
        assert any(scene in line for line in lines), f"{scene} was not played:\n{told}"
    assert "not authorized to perform: s3:GetObject" in told  # AWS's own words
    assert re.search(r"the console says: refused 3 of 3 probes, \d+\.\d s after the request", told)
    assert "(ttl_denied)" in told
    assert "permission denied for table cards" in told  # PostgreSQL's own words
    assert "terminating connection due to administrator command" in told
    assert "60 points: it tried to switch off what watches" in told
    for secret in (tokens(demo.state)["api_key"], tokens(demo.state)["operator_token"], password(demo.state)):
        assert str(secret) not in told
    key = Key.parse(str(tokens(demo.state)["verify_key"]))
    flipped = flip_some(demo.state / "export", [key], tmp_path, 300)
    show(f"the demo's export: {flipped}")
    assert (flipped.unseen, flipped.elsewhere) == ([], [])


@pytest.mark.timeout(240)
def test_without_iam_the_scenes_that_rely_on_it_fail(demo: Demo) -> None:
    process = demo("--once", "--dangerously-let-aws-allow-everything")
    code = process.wait(200)
    told = process.output.decode()
    assert code == 1
    failed = [line for line in told.splitlines() if line.startswith("FAIL")]
    assert len(failed) == len(OF_IAM), told  # PostgreSQL's scenes do not rely on it
    for scene in OF_IAM:
        assert any(scene in line for line in failed), f"{scene} did not fail:\n{told}"


@pytest.mark.timeout(120)
def test_without_iam_it_does_not_begin_at_all(demo: Demo) -> None:
    process = demo("--port", "0", "--dangerously-let-aws-allow-everything")
    assert process.wait(60) == 1
    assert "IAM is not enforced" in process.output.decode()


@pytest.mark.timeout(180)
def test_ctrl_c_leaves_nothing_running_and_the_second_start_finds_its_state(demo: Demo) -> None:
    first = demo("--port", "0")
    is_ready(first)
    told = first.output.decode()
    assert told.index("store: AOF on · aws: IAM enforced, PutObject outside the grant refused") < told.index("open  ")
    kept = tokens(demo.state)
    with urllib.request.urlopen(f"{kept['base_url']}/readyz") as answer:
        assert answer.status == 200
    looked = subprocess.run(
        [sys.executable, "-m", "countersign", "doctor", "--state", str(demo.state)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert looked.returncode == 0, looked.stdout + looked.stderr
    assert "ok    aws           the local AWS enforces IAM" in looked.stdout
    assert len(left_running(demo.state)) >= 6  # so the search below would find what is left
    os.kill(first.pid, signal.SIGINT)
    assert first.wait(30) == 0
    assert left_running(demo.state) == []

    second = demo("--port", "0")
    is_ready(second)
    assert "state: found in" in second.output.decode()
    again = tokens(demo.state)
    for name in ("api_key", "reviewers", "operator_token"):
        assert again[name] == kept[name]
    assert second.stop() == 0


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("words", "moment"),
    [
        (["--port", "0"], "aws: starting"),
        (["--port", "0"], "postgres: starting"),
        (["--port", "0"], "web, worker, clock: starting"),
        (["--once"], "another person approves"),
    ],
    ids=["aws", "postgres", "processes", "scenes"],
)
def test_an_interruption_at_any_moment_leaves_nothing_running(
    demo: Demo, words: list[str], moment: str, number: signal.Signals
) -> None:
    process = demo(*words)
    process.wait_line(moment)
    os.kill(process.pid, number)
    code = process.wait(30)
    assert (code == 0) == ("--once" not in words)  # what was not played to its end was not shown
    assert "Traceback" not in process.output.decode()
    give_up = time.monotonic() + 10
    while left_running(demo.state) and time.monotonic() < give_up:
        time.sleep(0.05)  # a server that was only just starting ends with its parent, a moment later
    assert left_running(demo.state) == []


@pytest.mark.timeout(120)
def test_killed_processes_come_back_and_it_says_so(demo: Demo) -> None:
    process = demo("--port", "0")
    is_ready(process)
    pids = process.wait_line(r"kill -9 (\d+) (\d+)").groups()
    for pid in pids:
        os.kill(int(pid), signal.SIGKILL)
    for name in ("worker", "clock"):
        process.wait_line(rf"{name} \(pid \d+\) was ended by SIGKILL; starting it again")
        process.wait_line(rf"{name} runs again \(pid \d+\)")


@pytest.mark.timeout(120)
def test_the_pasted_line_runs_an_agent_that_reads_until_it_is_refused(demo: Demo, tmp_path: Path) -> None:
    process = demo("--port", "0")
    is_ready(process)
    line = next(line for line in process.lines("stdout") if line.startswith("env $(cat"))
    agent = Process(["/bin/bash", "-c", line], {"PATH": os.environ["PATH"]}, tmp_path / "agent", "agent").restart()
    with agent:
        process.wait_line(r"report-bot \(for dana\) asks: s3:GetObject")
        request = call(demo.state, "api_key", "GET", "/v1/requests?mine&state=PENDING")["requests"][0]["id"]
        call(demo.state, "robin", "POST", f"/v1/requests/{request}/reviews", {"verdict": "approve"})
        agent.wait_line(r"agent: 2026/report.csv has 3 rows")
        agent.wait_line(r"AccessDenied: User: .* is not authorized to perform: s3:GetObject because no identity-based")
        agent.wait_line(r"rows \(reading 8\)")
        grant = request.replace("req_", "grt_")
        call(demo.state, "alex", "POST", f"/v1/grants/{grant}/revoke", {"reason": "enough"})
        assert agent.wait(30) == 127  # the credential ended under it
        assert b"explicit deny" in agent.output
    process.wait_line(r"ended, and proven: refused 3 of 3 probes, \d+\.\d s after the request")


def test_a_port_in_use_is_told_with_a_remedy(demo: Demo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = demo("--port", str(taken.getsockname()[1]))
        assert process.wait(30) == 1
    told = process.output.decode()
    assert "is in use" in told
    assert "--port N" in told
    assert "Traceback" not in told


def test_a_state_folder_in_use_is_told_with_a_remedy(demo: Demo) -> None:
    first = demo("--port", "0")
    first.wait_line("store: starting")
    second = demo("--port", "0")
    assert second.wait(30) == 1
    assert "already: stop it, or give this one another --state DIR" in second.output.decode()
    assert first.running


def call(state: Path, who: str, method: str, path: str, body: object = None) -> dict[str, object]:
    found = tokens(state)
    token = found["api_key"] if who == "api_key" else found["reviewers"][who]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"{found['base_url']}{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.loads(answer.read())
