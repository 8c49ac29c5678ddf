"""Cover a log with checkpoints as the notary does, and stand in its way where a test wants that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from approvers.checkpoint import Checkpoint
from approvers.tree import leaf_hash, tree_root
from tests.worlds.receipts import KEY, ORIGIN
from workers.stores.port import Store

__all__ = ["KEY", "Ledger"]


class Ledger:
    """A checkpoint has exactly the size that was asked for; `before` is awaited first, and may hang or raise."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.signer = KEY
        self.before: Callable[[], Awaitable[object]] | None = None
        self.asked = asyncio.Event()
        self.covered = 0

    async def cover(self, size: int) -> Checkpoint:
        self.asked.set()
        if self.before:
            await self.before()
        bodies = await self._store.log.tail(0, size)
        assert len(bodies) == size
        self.covered += 1
        return Checkpoint(ORIGIN, size, tree_root([leaf_hash(body) for body in bodies]))
