"""Tell the time by a clock that nobody sets: two readings are as far apart as the moments were, whatever was set."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class Steady:
    """Count on from the moment at which it was made, UTC as this process then had it."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        """Take what counts the seconds; where it began does not matter."""
        self._seconds, self._began, self._at = seconds, seconds(), datetime.now(UTC)

    def __call__(self) -> datetime:
        """Return the moment that it is."""
        return self._at + timedelta(seconds=self._seconds() - self._began)
