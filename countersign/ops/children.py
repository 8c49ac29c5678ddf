"""Run one process as a child: its output goes to a file, and it ends when it is told to, or with us.

It is a session of its own, so that Ctrl-C reaches us alone; on Linux it ends with us whatever happens to us.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

STOP_SECONDS = 15.0
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
