"""Read the moments and periods that people type for searches and reports: days, moments, or how long ago. UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from approvers.errors import Malformed
from approvers.times import parse_duration

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""No record lies outside; what is typed beyond means all there is, and has room for a little more or less."""
REMEDY = "write a day or moment such as 2026-10-01 or 2026-10-01T08:30, or how long ago, such as 90d"


def moment(text: str, now: datetime) -> datetime:
    """Read `90d` (before now), or a day or moment such as `2026-10-01`; without a zone it is UTC. Raises ValueError."""
    try:
        return max(EARLIEST, now - parse_duration(text))
    except (ValueError, OverflowError):
        pass
    try:
        found = datetime.fromisoformat(text)
        return min(max(EARLIEST, found if found.tzinfo else found.replace(tzinfo=UTC)), LATEST).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text[:64]!r} is no time: {REMEDY}") from error


def asked_moment(field: str, text: str, now: datetime) -> datetime:
    """Read a moment that a caller sent. Raises Malformed, naming the field."""
    try:
        return moment(text, now)
    except ValueError as error:
        raise Malformed(str(error), field=field) from error


def period(since: str, until: str, now: datetime) -> tuple[datetime, datetime]:
    """Read `from` and `to` (excluded; left out: now). Raises Malformed, naming the field and the remedy."""
    if not since:
        raise Malformed(f"from is missing: {REMEDY}", field="from")
    first = asked_moment("from", since, now)
    last = asked_moment("to", until, now) if until else now
    if first >= last:
        raise Malformed("the period is empty: `to` is not later than `from`; `to` itself is not part of it", field="to")
    return first, last
