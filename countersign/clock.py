"""Tell how far this machine's clock is from the server's, whose times the answers hold; standard library alone."""

from __future__ import annotations

import email.utils
from datetime import UTC, datetime, timedelta

SAME = timedelta(seconds=3)
"""What two clocks may differ by and count as one: the header that tells the server's has whole seconds."""


def clock_ahead(date: str | None, before: timedelta, now: datetime | None = None) -> timedelta:
    """Return by how much the server's clock is ahead of ours, from an answer's `Date`; without one, as known before."""
    try:
        theirs = email.utils.parsedate_to_datetime(date or "")
    except ValueError:
        return before
    ahead = theirs - (now or datetime.now(UTC))
    return ahead if abs(ahead) > SAME else timedelta()
