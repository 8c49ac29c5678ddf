"""Count what goes wrong between a chat platform and here, for /metrics: in the store, a few times a minute at most."""

from __future__ import annotations

import asyncio
from collections import Counter

from workers.stores.port import Commit, Records, StoreError

EVERY_SECONDS = 5.0


class Tally:
    """Gather counts, and add them to the store's."""

    def __init__(self, records: Records, platform: str = "slack") -> None:
        """Count for this platform; `bot.metrics` knows its counter."""
        self._records, self._platform, self._counts = records, platform, Counter[str]()

    def note(self, word: str) -> None:
        """Count one: a word of ours, never of a caller's."""
        self._counts[f"{self._platform}_errors:{word}"] += 1

    async def run(self) -> None:
        """Write them down every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write down what was gathered; what the store does not take is kept for the next time."""
        counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            await self._records.commit(Commit(at=await self._records.now(), counts=dict(counts)))
        except StoreError:
            self._counts.update(counts)
