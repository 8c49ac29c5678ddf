"""Give each test its own small Countersign, and a way to run the real command against it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from countersign import AsyncClient, Client
from countersign.cli import main
from tests.worlds.intake import API_KEY, IntakeWorld, intake_world

ASK = {
    "action": "s3:GetObject",
    "resource": "arn:aws:s3:::customer-exports/2026/*",
    "environment": "prod",
    "reason": "Rebuild the weekly report",
    "ttl_seconds": 900,
    "actor": {"id": "agent:report-bot", "on_behalf_of": "user:dana"},
}
ACCESS = {
    "role": "analytics",
    "actions": ["s3:GetObject"],
    "resources": ["arn:aws:s3:::customer-exports/2026/*"],
}
OPTIONS = [
    *("--action", "s3:GetObject", "--resource", "arn:aws:s3:::customer-exports/2026/*", "--environment", "prod"),
    *("--reason", "Rebuild the weekly report", "--actor", "agent:report-bot", "--on-behalf-of", "user:dana"),
]
GRANTED = [*OPTIONS, "--role", "analytics", "--ttl", "15m"]


@pytest.fixture
def world() -> Iterator[IntakeWorld]:
    with intake_world() as world:
        yield world


@pytest.fixture
async def client(world: IntakeWorld):
    async with AsyncClient(world.url, API_KEY, patience_seconds=10) as client:
        yield client


@pytest.fixture
def blocking(world: IntakeWorld) -> Iterator[Client]:
    with Client(world.url, API_KEY, patience_seconds=10) as client:
        yield client


Spawn = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def spawn(world: IntakeWorld) -> Iterator[Spawn]:
    """Start `countersign ARGUMENTS…` as a process of its own; what the test leaves behind is killed."""
    started = []

    def start(*arguments: str, nohup: bool = False, **environ: str) -> subprocess.Popen[str]:
        def as_from_a_terminal() -> None:  # whatever started pytest: a background job has SIGINT ignored
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_IGN if nohup else signal.SIG_DFL)

        process = subprocess.Popen(
            [sys.executable, "-m", "countersign", *arguments],
            env={**clean_environ(), **world.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=as_from_a_terminal,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):  # COMMAND too, which may have outlived its parent
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(world: IntakeWorld, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run `countersign ARGUMENTS…` in this process, for what needs no signal and nobody else at work."""

    def run(*arguments: str, **environ: str) -> tuple[int, str, str]:
        for name, value in {**world.environ, **environ}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        return ended.value.code, *capfd.readouterr()

    return run


def clean_environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("COUNTERSIGN_", "AWS_", "CI"))}


def finish(process: subprocess.Popen[str], timeout: float = 30) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err
