"""A web process notes that it is there to hear callers: once a second, together with others, and after a gap anew."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from approvers.lifetime import Hearing
from bot.hearing import note
from tests.worlds.web import Web
from workers.stores import layout
from workers.stores.memory import memory_store
from workers.stores.port import Store, Versioned

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


async def noted(store: Store) -> Versioned:
    return (await store.records.read([layout.HEARING])).records[layout.HEARING]


async def test_several_processes_note_it_once_and_a_gap_begins_anew():
    time = [START]
    store = memory_store(lambda: time[0])
    for after in (0.0, 0.2, 1.0, 1.0, 60.0):
        time[0] += timedelta(seconds=after)
        await note(store.records)
    record = await noted(store)
    assert record.version == 4, "the one a moment later changed nothing"
    assert layout.hearing_in(record) == Hearing(since=time[0], until=time[0])


async def test_the_application_notes_it_while_it_runs():
    store = memory_store()
    async with Web.over(store), asyncio.timeout(30):
        while not (await noted(store)).version:  # noqa: ASYNC110 a note wakes nobody who could be asked for an event
            await asyncio.sleep(0)
