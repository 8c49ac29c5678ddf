"""Run what goes on after an answer was given: told, not awaited, and ended with the process."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from workers import logs

LAST_SECONDS = 5.0
"""How long work may go on when the process stops."""
_log = logs.get_logger(__name__)


class Tasks:
    """Run what goes on after an answer, and end it with the process."""

    def __init__(self) -> None:
        """Start with nothing to do."""
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, object]) -> None:
        """Begin it now; whatever it raises is logged."""
        task = asyncio.create_task(_quietly(work))
        self._tasks.add(task)  # the loop itself keeps tasks by weak references only
        task.add_done_callback(self._tasks.discard)

    async def aclose(self, seconds: float = LAST_SECONDS) -> None:
        """Wait for what is under way, then cancel the rest."""
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


async def _quietly(work: Coroutine[Any, Any, object]) -> None:
    try:
        await work
    except Exception as error:  # nobody awaits it: what is not logged here is lost
        _log.error("task.failed", exc_info=error)
