"""Remember a reading of the provider's clock for a second, so that expiries of one moment are shown by one reading.

A clock that was past an expiry when it was read shows that expiry; so a reading is used again only for expiries that
lie before it, and never for long: a clock that was read wrong once must not speak for what comes later.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime

KEPT_SECONDS = 1.0
TURN_SECONDS = 1.0
"""How long to wait for somebody else's reading before asking too: one that hangs must not hold up the others."""


class Readings:
    """Share readings of one clock among threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, turn_seconds: float = TURN_SECONDS) -> None:
        """Take what tells the age of a reading, in seconds."""
        self._clock, self._turn, self._turn_seconds = clock, threading.Lock(), turn_seconds
        self._kept: tuple[float, datetime] | None = None

    def past(self, moment: datetime, ask: Callable[[], datetime]) -> datetime:
        """Return a reading: a fresh one, or one of the last second that is past the moment. Raises what `ask` does."""
        mine = self._turn.acquire(timeout=self._turn_seconds)
        try:
            kept = self._kept
            if kept and kept[1] > moment and self._clock() - kept[0] < KEPT_SECONDS:
                return kept[1]
            asked_at = self._clock()
            there = ask()
            self._kept = (asked_at, there)
            return there
        finally:
            if mine:
                self._turn.release()
