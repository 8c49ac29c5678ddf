"""Reading a stretch of the log: by time, in pages, and while the first records are taken out of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from approvers.audit import By, Draft
from approvers.taken_out import TakenOut
from tests.worlds.samples import NOW
from tests.worlds.shortened import shorten
from workers.stores.memory import memory_store
from workers.stores.port import Commit, Log, Store
from workers.stores.window import Page, backwards, forwards, onwards, position_at, taken_out

BY = By("user:robin", "test", "robin")
MINUTE = timedelta(minutes=1)
TOLD = {"body_sha256": "0" * 64, "sealed_to": "caller"}


async def filled(count: int) -> Store:
    """Return a store with one record a minute from NOW on, each of a chain of its own."""
    time = NOW
    store = memory_store(lambda: time)
    for number in range(1, count + 1):
        time = NOW + number * MINUTE
        draft = Draft(f"req_{number:026}", "request.folded", BY, "api", TOLD)
        await store.records.commit(Commit(at=time, drafts=[draft]))
    return store


class Shrinking:
    """A log of which records are taken out right before the reading that a test names."""

    def __init__(self, store: Store, *, before_reading: int, size: int) -> None:
        self._store, self._left, self._size = store, before_reading, size

    async def tail(self, after: int, limit: int = 500) -> list[bytes]:
        self._left -= 1
        if self._left == 0:
            await shorten(self._store, self._size)
        return await self._store.log.tail(after, limit)

    def __getattr__(self, name: str) -> object:
        return getattr(self._store.log, name)


def numbers(*pages: Page) -> list[tuple[int, list[int]]]:
    return [(page.first, [int(json.loads(body)["subject"][4:]) for body in page.bodies]) for page in pages]


def log_of(store: Store, before_reading: int, size: int) -> Log:
    return Shrinking(store, before_reading=before_reading, size=size)  # type: ignore[return-value]


async def test_pages_in_both_directions() -> None:
    log = (await filled(7)).log
    assert numbers(*[one async for one in forwards(log, 1, 6, 2)]) == [(2, [2, 3]), (4, [4, 5]), (6, [6])]
    assert numbers(*[one async for one in backwards(log, 1, 6, 2)]) == [(5, [5, 6]), (3, [3, 4]), (2, [2])]
    assert [one async for one in forwards(log, 3, 3)] == [one async for one in backwards(log, 3, 3)] == []


@pytest.mark.parametrize("size", [1, 4, 7])
async def test_reading_goes_on_with_the_first_that_is_left(size: int) -> None:
    left = list(range(size + 1, 9))
    read = [one async for one in forwards(log_of(await filled(8), 1, size), 0, 8, 3)]
    assert [number for _, some in numbers(*read) for number in some] == left
    assert all(first == some[0] for first, some in numbers(*read))
    read = [one async for one in backwards(log_of(await filled(8), 2, size), 0, 8, 3)]
    assert sorted(number for _, some in numbers(*read) for number in some) == sorted({*left, 6, 7, 8})
    assert all(first == some[0] for first, some in numbers(*read))


async def test_a_stretch_that_is_gone_is_empty_and_its_end_is_kept() -> None:
    store = await filled(8)
    await shorten(store, 5)
    assert [one async for one in forwards(store.log, 1, 4)] == [one async for one in backwards(store.log, 1, 4)] == []
    assert numbers(*[one async for one in forwards(store.log, 2, 7)]) == [(6, [6, 7])]
    assert numbers(await onwards(store.log, 0, 2)) == [(6, [6, 7])]
    assert numbers(await onwards(store.log, 8)) == [(9, [])]


@pytest.mark.parametrize("gone", range(8))
async def test_a_moment_is_found_while_records_are_taken_out(gone: int) -> None:
    for reading in (1, 2, 3):
        for minutes in range(10):
            store = await filled(8)
            log = log_of(store, reading, gone) if gone else store.log
            found = await position_at(log, NOW + minutes * MINUTE, 8)
            at_least = (await store.log.base()).size
            assert max(found, at_least) == max(min(max(minutes - 1, 0), 8), at_least)


async def test_what_was_taken_out_is_told_by_the_first_that_is_left() -> None:
    store = await filled(8)
    assert await taken_out(store.log) is None
    await shorten(store, 3)
    assert await taken_out(store.log) == TakenOut(3, NOW + 4 * MINUTE)
    assert await taken_out(log_of(store, 1, 5)) == TakenOut(5, NOW + 6 * MINUTE)


def test_it_is_said_in_words() -> None:
    gone = TakenOut(1_234, datetime(2026, 8, 22, 10, 4, tzinfo=UTC))
    held = "the first 1,234 records were taken out of the log; an export holds them."
    assert gone.from_search() == f"What was asked before 2026-08-22 10:04 UTC is not found here: {held}"
    assert gone.from_report() == f"What was recorded before 2026-08-22 10:04 UTC is not in this report: {held}"
    many = gone.from_report([f"req_{number}" for number in range(7)])
    assert many.endswith("count for nothing: req_0, req_1, req_2, req_3, req_4 and 2 more.")
    assert "the first record was taken out of the log; an export holds it." in TakenOut(1, gone.before).from_reading()
    assert [gone.hides(one) for one in (None, gone.before - MINUTE, gone.before)] == [True, True, False]
