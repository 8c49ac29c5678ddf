"""Keep processes running: start them, start them again when they die, ever more slowly, and stop them in order."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable

from countersign.ops.children import Child

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
SETTLED_SECONDS = 5.0
"""Who ran this long starts again without a pause to speak of."""


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
        await child.launch()  # interrupted in here, asyncio itself ends the new process
        self.children[child.name] = child
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
