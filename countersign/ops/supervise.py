"""Keep processes running: start them, start them again when they die, stop them in order.

Their output goes to files. They are sessions of their own, so that Ctrl-C reaches us alone; on Linux they end with us
whatever happens to us.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

STOP_SECONDS = 15.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
SETTLED_SECONDS = 5.0
"""Who ran this long starts again without a pause to speak of."""
TAIL_LINES = 12
# Run in the child before it becomes the program: no code of ours runs between fork and exec in a process with threads.
_LAUNCHER = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass
class Child:
    """One process to keep running.

    Attributes:
        name: what people call it.
        args: the program and its arguments; its file name is a path.
        env: its whole environment.
        log: where its output goes; begun anew by `Supervisor.start`.
    """

    name: str
    args: Sequence[str]
    env: Mapping[str, str]
    log: Path
    process: asyncio.subprocess.Process | None = field(default=None, init=False)
    starts: int = field(default=0, init=False)

    @property
    def pid(self) -> int:
        """Return the id of its process; 0 while there is none."""
        return self.process.pid if self.running and self.process else 0

    @property
    def running(self) -> bool:
        """Tell whether it runs."""
        return self.process is not None and self.process.returncode is None

    def tail(self) -> str:
        """Return the last lines that it said."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-TAIL_LINES:]) or "(it said nothing)"

    async def launch(self) -> None:
        """Start the process."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *self.args),
                env=dict(self.env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.starts += 1

    async def stop(self, patience_seconds: float = STOP_SECONDS) -> None:
        """End it: politely, and when patience is over surely."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(patience_seconds):
                await self.process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()


class Supervisor:
    """Keep some children running until they are stopped."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """Take where to tell of deaths and new starts, in a sentence each."""
        self._say = say
        self._watches: dict[str, asyncio.Task[None]] = {}
        self.children: dict[str, Child] = {}
        self.may_restart = asyncio.Event()
        """While it is cleared, who dies stays dead."""
        self.may_restart.set()

    async def start(self, child: Child) -> None:
        """Start a child with an empty log, and keep it running."""
        child.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        child.log.write_bytes(b"")
        self.children[child.name] = child
        await child.launch()
        self._watches[child.name] = asyncio.create_task(self._keep(child))

    async def stop(self) -> None:
        """Stop all, the last started first: who makes work before who does it."""
        for name in reversed(self.children):
            self._watches[name].cancel()
            await asyncio.wait([self._watches[name]])
            await self.children[name].stop()
        self.children.clear()
        self._watches.clear()

    async def _keep(self, child: Child) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            assert child.process is not None
            began, pid = time.monotonic(), child.process.pid
            code = await child.process.wait()
            pause = FIRST_PAUSE_SECONDS if time.monotonic() - began > SETTLED_SECONDS else _longer(pause)
            self._say(f"{child.name} (pid {pid}) {how_it_ended(code)}; starting it again")
            await asyncio.sleep(pause)
            await self.may_restart.wait()
            await child.launch()
            self._say(f"{child.name} runs again (pid {child.pid})")


def how_it_ended(code: int) -> str:
    """Say a return code in words."""
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _longer(pause: float) -> float:
    return min(LONGEST_PAUSE_SECONDS, pause * 2)
