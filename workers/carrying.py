"""Carry out due items in one event loop that lives in a thread of its own, many at a time.

RQ's worker hands over a job's items and goes on to its next job once they are done, or soon; what is slow goes on in
the loop, guarded by its own lease and fence. When too many are in hand, the job waits: its items stay in the due set.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Self, TypeVar

from workers import logs
from workers.stores.port import Attempt

T = TypeVar("T")
MOST_IN_HAND = 1_000
"""Items at a time in one process: most of them wait for a provider, and no account gets more than its turns."""
PATIENCE_SECONDS = 0.5
"""How long a job waits for its items: long enough that most are done, short enough that no mint waits behind them."""
THREADS = 32
"""For what is not an account's own turn: sweeps, and what libraries do in threads."""
_log = logs.get_logger(__name__)


class Background:
    """Run one event loop in a thread. A context manager: at its end nothing of the loop is left."""

    def __init__(self) -> None:
        self._started, self._thread = threading.Event(), threading.Thread(target=self._live, name="loop", daemon=True)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something in the loop and return what it gives; it is cancelled if this thread is interrupted."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def _live(self) -> None:
        with asyncio.Runner() as runner:
            self._loop, self._over = runner.get_loop(), asyncio.Event()
            self._loop.set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="call"))
            self._started.set()
            runner.run(self._over.wait())


class Carrier:
    """Carry items, so many at a time. Belongs to one event loop."""

    def __init__(
        self,
        carry: Callable[[Attempt], Awaitable[str]],
        *,
        most: int = MOST_IN_HAND,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """`carry` does one item; it limits its own time."""
        self._carry, self._patience = carry, patience_seconds
        self._room = asyncio.Semaphore(most)
        self._in_hand: set[asyncio.Task[str]] = set()

    async def take(self, items: Sequence[Attempt]) -> str:
        """Begin every item, and return one line once all are done or patience is over. Raises what broke first."""
        tasks = [await self._begin(item) for item in items]
        done, slow = await asyncio.wait(tasks, timeout=self._patience) if tasks else (set(), set())
        words = Counter(task.result() for task in tasks if task in done)
        if slow:
            words["still under way"] = len(slow)
        return ", ".join(word if count == 1 else f"{count} × {word}" for word, count in words.items())

    async def settle(self, patience: timedelta) -> None:
        """Wait for what is in hand, then give up the rest: its leases bring it back."""
        if self._in_hand:
            _, slow = await asyncio.wait(self._in_hand, timeout=patience.total_seconds())
            for task in slow:
                task.cancel()
            await asyncio.gather(*slow, return_exceptions=True)

    async def _begin(self, item: Attempt) -> asyncio.Task[str]:
        await self._room.acquire()
        task = asyncio.ensure_future(self._one(item))
        self._in_hand.add(task)
        task.add_done_callback(self._ended)
        return task

    async def _one(self, item: Attempt) -> str:
        return await self._carry(item)

    def _ended(self, task: asyncio.Task[str]) -> None:
        self._in_hand.discard(task)
        self._room.release()
        if not task.cancelled() and (error := task.exception()):
            _log.error("item.broke", exc_info=error)
