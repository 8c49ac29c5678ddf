"""Find a stretch of the log by time and read it in pages, forwards or backwards; positions count from 1."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple

from approvers.cases import decoded
from approvers.times import stamp
from workers.stores.port import Log

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
        (body,) = await log.tail(middle, 1)
        if decoded(body)["at"] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


async def forwards(log: Log, after: int, end: int, page: int = PAGE) -> AsyncIterator[Page]:
    """Yield the records behind position `after`, up to and with `end`, oldest first."""
    while after < end:
        bodies = await log.tail(after, min(page, end - after))
        if not bodies:
            return
        yield Page(after + 1, bodies)
        after += len(bodies)


async def backwards(log: Log, after: int, end: int, page: int = PAGE) -> AsyncIterator[Page]:
    """Yield the same stretch, the newest page first; within a page the oldest record comes first."""
    while after < end:
        first = max(after, end - page)
        bodies = await log.tail(first, end - first)
        if not bodies:
            return
        yield Page(first + 1, bodies)
        end = first
