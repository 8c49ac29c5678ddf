"""Find a stretch of the log by time and read it in pages, forwards or backwards; positions count from 1.

The first records may be taken out of the log at any moment, while somebody reads, too: reading goes on with the first
that is left, and whoever answers says so (`taken_out`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import NamedTuple

from approvers.cases import decoded
from approvers.taken_out import TakenOut
from approvers.times import stamp
from workers.stores.port import Log, Truncated

PAGE = 500


class Page(NamedTuple):
    """Some records in a row: the position of the first, and their bytes."""

    first: int
    bodies: list[bytes]


async def position_at(log: Log, moment: datetime, end: int) -> int:
    """Return how many of the first `end` records are older than a moment, by halving; those taken out count as older.

    The store's time can have gone back: who needs every record of a moment begins a little earlier.
    """
    wanted, low, high = stamp(moment), min(end, (await log.base()).size), end
    while low < high:
        middle = (low + high) // 2
        try:
            (body,) = await log.tail(middle, 1)
        except Truncated as gone:
            low = min(high, gone.size)
            continue
        if decoded(body)["at"] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


async def onwards(log: Log, after: int, limit: int = PAGE) -> Page:
    """Return up to `limit` records behind a position, or from the first that is left where those were taken out."""
    while True:
        try:
            return Page(after + 1, await log.tail(after, limit))
        except Truncated as gone:
            after = gone.size


async def taken_out(log: Log) -> TakenOut | None:
    """Return what was taken out of the log, if anything ever was."""
    base = (await log.base()).size
    if not base:
        return None
    first, bodies = await onwards(log, base, 1)
    before = datetime.fromisoformat(decoded(bodies[0])["at"]) if bodies else datetime.max.replace(tzinfo=UTC)
    return TakenOut(first - 1, before)


async def forwards(log: Log, after: int, end: int, page: int = PAGE) -> AsyncIterator[Page]:
    """Yield the records behind position `after`, up to and with `end`, oldest first."""
    while after < end:
        first, bodies = await onwards(log, after, min(page, end - after))
        if not bodies or first > end:
            return
        yield Page(first, bodies[: end + 1 - first])
        after = first - 1 + len(bodies)


async def backwards(log: Log, after: int, end: int, page: int = PAGE) -> AsyncIterator[Page]:
    """Yield the same stretch, the newest page first; within a page the oldest record comes first."""
    while after < end:
        first = max(after, end - page)
        try:
            bodies = await log.tail(first, end - first)
        except Truncated as gone:
            after = gone.size
            continue
        if not bodies:
            return
        yield Page(first + 1, bodies)
        end = first
