import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from countersign.ops.children import Child
from countersign.ops.supervise import Supervisor, how_it_ended

PATIENT = "import time\nprint('up', flush=True)\ntime.sleep(60)"
STUBBORN = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(60)"


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    said: list[str] = []
    supervisor = Supervisor(said.append)
    supervisor.said = said
    yield supervisor
    await supervisor.stop()


def child(tmp_path: Path, program: str = PATIENT, name: str = "web") -> Child:
    return Child(name, [sys.executable, "-c", program], {"PATH": os.environ["PATH"]}, tmp_path / "logs" / f"{name}.log")


async def until(condition, seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 other processes: there is no event
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_killed_child_is_told_of_and_started_again(supervisor: Supervisor, tmp_path: Path) -> None:
    one = child(tmp_path)
    await supervisor.start(one)
    pid = one.pid
    os.kill(pid, signal.SIGKILL)
    await until(lambda: one.running and one.pid != pid)
    await until(lambda: len(supervisor.said) == 2)
    assert supervisor.said == [
        f"web (pid {pid}) was ended by SIGKILL; starting it again",
        f"web runs again (pid {one.pid})",
    ]
    assert one.starts == 2


async def test_who_may_not_restart_stays_dead_until_then(supervisor: Supervisor, tmp_path: Path) -> None:
    one = child(tmp_path)
    await supervisor.start(one)
    supervisor.may_restart.clear()
    os.kill(one.pid, signal.SIGKILL)
    await until(lambda: supervisor.said)
    await asyncio.sleep(0.6)  # longer than the pause before a new start
    assert not one.running
    assert one.pid == 0
    supervisor.may_restart.set()
    await until(lambda: one.running)


async def test_who_dies_again_and_again_is_started_ever_more_slowly(supervisor: Supervisor, tmp_path: Path) -> None:
    one = child(tmp_path, "import sys\nprint('no luck')\nsys.exit(3)")
    loop = asyncio.get_running_loop()
    began = loop.time()
    await supervisor.start(one)
    await until(lambda: one.starts == 3)
    assert loop.time() - began > 1.0  # 0.4 s and 0.8 s
    assert "web (pid" in supervisor.said[0]
    assert "ended with exit code 3" in supervisor.said[0]
    assert "no luck" in one.tail()


async def test_stopping_takes_the_last_started_first_and_leaves_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(said.append)
    order: list[str] = []
    children = [child(tmp_path, name=name) for name in ("web", "worker", "clock")]
    for one in children:
        await supervisor.start(one)
    pids = [one.pid for one in children]
    watches = [asyncio.create_task(_note(one, order)) for one in children]
    await supervisor.stop()
    await asyncio.gather(*watches)
    assert order == ["clock", "worker", "web"]
    assert not any(alive(pid) for pid in pids)
    assert said == []


async def _note(one: Child, order: list[str]) -> None:
    assert one.process
    await one.process.wait()
    order.append(one.name)


async def test_who_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    one = child(tmp_path, STUBBORN)
    one.log.parent.mkdir()
    await one.launch()
    await until(lambda: one.log.read_text().startswith("up"))
    pid = one.pid
    await one.stop(patience_seconds=0.3)
    assert not alive(pid)


async def test_a_log_begins_anew_with_each_start(supervisor: Supervisor, tmp_path: Path) -> None:
    one = child(tmp_path)
    one.log.parent.mkdir()
    one.log.write_text("from the last run")
    await supervisor.start(one)
    await until(lambda: "up" in one.log.read_text())
    assert "last run" not in one.log.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="children are told of their parent's death on Linux only")
async def test_children_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    parent = f"""
import asyncio, os, signal, sys
from pathlib import Path
from countersign.ops.children import Child
from countersign.ops.supervise import Supervisor
async def main():
    one = Child("web", [sys.executable, "-c", {PATIENT!r}], dict(os.environ), Path({str(tmp_path)!r}) / "web.log")
    await Supervisor(print).start(one)
    while not one.log.read_text().startswith("up"):
        await asyncio.sleep(0.02)
    print(one.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    told = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", parent], capture_output=True, text=True, check=False
    )
    assert told.returncode == -signal.SIGKILL
    await until(lambda: not alive(int(told.stdout)))


@pytest.mark.parametrize(("code", "words"), [(-9, "was ended by SIGKILL"), (1, "ended with exit code 1")])
def test_an_end_is_told_in_words(code: int, words: str) -> None:
    assert how_it_ended(code) == words
