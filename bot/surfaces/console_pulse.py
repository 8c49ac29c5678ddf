"""Notice that something visible may have changed, once per process, for all who look.

No state changes without an audit record, so the length of the log says it all: one number, read when a hint comes and
twice a second anyway. A lost hint costs half a second, never a change. Only a receipt is no record: it comes moments
after its decision, and so readers look once more when the log has come to rest.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

from workers.stores.port import Store, StoreError

LOOK_AGAIN = timedelta(seconds=0.5)
REST_SECONDS = 0.2
"""Between two wakings: under load, readers render five times a second and no more."""


class Pulse:
    """Follow the length of the log."""

    def __init__(self, store: Store, closing: asyncio.Event) -> None:
        self._store, self._closing = store, closing
        self._moved = asyncio.Event()
        self.beat = 0
        """Grows whenever readers should look again."""

    async def follow(self) -> None:
        """Watch until cancelled. While the store does not answer, readers look too, and so learn of it."""
        size, moved = -1, False
        while True:
            with contextlib.suppress(StoreError):
                before, size = size, await self._store.log.size()
                if size == before:
                    await self._store.signals.changed("outbox", LOOK_AGAIN)
                    if not moved:
                        continue
                moved = size != before
            self._wake()
            await asyncio.sleep(REST_SECONDS)

    async def wait(self, beat: int, timeout: float) -> None:
        """Return once the beat is another one than `beat`, when the process stops, or after so many seconds."""
        if self.beat != beat or self._closing.is_set():
            return
        waits = [asyncio.ensure_future(event.wait()) for event in (self._moved, self._closing)]
        try:
            await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()

    def _wake(self) -> None:
        self.beat += 1
        self._moved.set()
        self._moved = asyncio.Event()
