"""Read how long a platform asks to wait, and keep messages at its pace."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from bot.surfaces.port import Unreachable

WAIT_SECONDS = 5.0
"""How long to wait where the platform does not say."""
SHORTEST_SECONDS, LONGEST_SECONDS = 1.0, 300.0
PATIENCE_SECONDS = 1.0
MOST = 1_000


def wait_seconds(retry_after: str | None, now: datetime | None = None) -> float:
    """Return how long a `Retry-After` asks to wait: whole or broken seconds, or a date; 1 to 300 s whatever it says."""
    return min(max(_seconds(retry_after or "", now or datetime.now(UTC)), SHORTEST_SECONDS), LONGEST_SECONDS)


def _seconds(text: str, now: datetime) -> float:
    try:
        seconds = float(text)
        return seconds if math.isfinite(seconds) else WAIT_SECONDS
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return WAIT_SECONDS
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()


class Pace:
    """Keep each channel's posts at the platform's rate: one per `seconds`, and `burst` at once."""

    def __init__(self, seconds: float = 1.0, burst: int = 3, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with every channel free."""
        self._seconds, self._burst, self._clock = seconds, burst, clock
        self._next: dict[str, float] = {}

    async def turn(self, channel: str, patience: float = PATIENCE_SECONDS) -> None:
        """Return when it is this post's turn. Raises Unreachable, with the time to wait, if that is over `patience`."""
        now = self._clock()
        due = max(now, self._next.get(channel, now))
        wait = due - (self._burst - 1) * self._seconds - now
        if wait > patience:
            raise Unreachable(f"channel {channel} has its messages for now", after_seconds=wait)
        if len(self._next) >= MOST:
            self._next = {name: moment for name, moment in self._next.items() if moment > now}
        self._next[channel] = due + self._seconds
        if wait > 0:
            await asyncio.sleep(wait)
