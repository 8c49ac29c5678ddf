"""Keep background work of the web process going, for as long as it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from workers import logs

AGAIN_SECONDS = 1.0
_log = logs.get_logger(__name__)


@asynccontextmanager
async def kept_up(works: Mapping[str, Callable[[], Awaitable[None]]]) -> AsyncIterator[None]:
    """Run every work, by its name in the log, until the block ends."""
    tasks = [asyncio.create_task(_for_ever(name, run)) for name, run in works.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _for_ever(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run it again whenever it ends; whatever ended it is logged."""
    while True:
        try:
            await run()
        except Exception as error:  # a task that dies unseen would leave this process half deaf
            _log.error("task.failed", task=name, exc_info=error)
        await asyncio.sleep(AGAIN_SECONDS)
