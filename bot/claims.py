"""Take each call of a chat platform once, whichever process it reaches: its name stays while it could come again."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from workers.stores.port import Commit, Conflict, Records, Taken

KEPT = timedelta(seconds=660)
"""Both platforms' proofs hold from 300 s before to 300 s after their time; the rest is for clocks that differ."""
TRIES = 3


class Claims:
    """Claim names of one platform, atomically over all processes."""

    def __init__(self, records: Records, platform: str = "slack", kept: timedelta = KEPT) -> None:
        """Claim in these records; a name may be claimed again after `kept`."""
        self._records, self._platform, self._kept = records, platform, kept

    async def take(self, kind: str, name: str) -> bool:
        """Claim it; False where somebody has. Raises StoreError where nobody can tell."""
        key = self._key(kind, name)
        for attempt in range(TRIES):
            now = await self._records.now()
            try:
                await self._records.commit(Commit(at=now, unique={key: "1"}, forget={key: now + self._kept}))
                return True
            except Taken:
                return False
            except Conflict:  # of the time alone: the estimate of the store's clock was wrong, and is corrected by now
                if attempt == TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    async def release(self, kind: str, name: str) -> None:
        """Give it back, so that the same call may come again."""
        key = self._key(kind, name)
        await self._records.commit(Commit(at=await self._records.now(), forget={key: None}))

    def _key(self, kind: str, name: str) -> str:
        return f"{self._platform}:{kind}:{hashlib.sha256(name.encode()).hexdigest()}"
