"""The log, the outbox and the signals, over both siblings."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.workers.stores.saying import MS, SECOND, draft, get, put, say, until
from workers.stores.port import Store

PATIENCE = timedelta(seconds=3)


async def seconds_until_changed(
    store: Store, key: str, timeout: timedelta = PATIENCE, seen: int | None = None
) -> float:
    begun = asyncio.get_running_loop().time()
    await store.signals.changed(key, timeout, seen=seen)
    return asyncio.get_running_loop().time() - begun


async def settled(store: Store) -> None:
    """Let a first subscription come to stand; it wakes whoever began to wait before it stood."""
    await put(store, "config:settled", "{}")
    version = (await get(store, "config:settled")).version
    listener = asyncio.create_task(store.signals.changed("config:settled", PATIENCE))
    while not listener.done():
        await put(store, "config:settled", "{}", version)
        version += 1
        await asyncio.sleep(0.005)


async def test_the_log_keeps_the_order_of_the_commits_over_all_subjects(store: Store) -> None:
    for n in range(4):
        heads = (await store.records.read([], ["a", "b c"])).heads
        await say(store, drafts=[draft("a", n=n), draft("b c", n=n)], heads=heads)
    chain_a, chain_b = await store.log.chain("a"), await store.log.chain("b c")
    whole = [body for pair in zip(chain_a, chain_b, strict=True) for body in pair]
    assert await store.log.size() == 8
    assert await store.log.tail(0) == whole
    assert await store.log.tail(3, 2) == whole[3:5]
    assert await store.log.tail(8) == []
    assert await store.log.tail(99) == []


async def test_events_are_read_in_order_until_they_are_told(store: Store) -> None:
    await say(store, events=["1", "2"])
    await say(store, events=["ü3"])
    unread = await store.outbox.unread()
    assert [event for _, event in unread] == ["1", "2", "ü3"]
    assert [event for _, event in await store.outbox.unread(2)] == ["1", "2"]
    await store.outbox.told([unread[0][0], unread[2][0]])
    assert await store.outbox.unread() == [unread[1]]
    await store.outbox.told([unread[0][0]])  # told twice
    await store.outbox.told([])
    await say(store, events=["4"])
    assert [event for _, event in await store.outbox.unread()] == ["2", "4"]


async def test_one_reader_leads_until_its_lease_ends(store: Store) -> None:
    assert await store.outbox.lead("one", 200 * MS)
    assert not await store.outbox.lead("two", SECOND)
    assert await store.outbox.lead("one", 200 * MS), "and may stay"

    async def two_leads() -> bool:
        return await store.outbox.lead("two", SECOND)

    begun = asyncio.get_running_loop().time()
    await until(two_leads)
    assert asyncio.get_running_loop().time() - begun > 0.15
    assert not await store.outbox.lead("one", SECOND)


async def test_of_many_readers_one_leads(store: Store) -> None:
    assert sum(await asyncio.gather(*(store.outbox.lead(f"reader {n}", SECOND) for n in range(20)))) == 1


async def test_a_commit_wakes_those_who_wait_for_its_record_and_nobody_else(store: Store) -> None:
    await settled(store)
    await put(store, "request:a", "{}")
    waits = [asyncio.create_task(seconds_until_changed(store, "request:a")) for _ in range(3)]
    other = asyncio.create_task(seconds_until_changed(store, "request:b", 300 * MS))
    await asyncio.sleep(0.05)
    await put(store, "request:a", "{}", 1)
    assert max(await asyncio.gather(*waits)) < 1
    assert await other > 0.25


async def test_a_new_record_in_the_commit_of_an_old_one_wakes_too(store: Store) -> None:
    await settled(store)
    await put(store, "request:a", "{}")
    wait = asyncio.create_task(seconds_until_changed(store, "grant:a"))
    await asyncio.sleep(0.05)
    await say(store, expects={"request:a": 1, "grant:a": 0}, puts={"request:a": "{}", "grant:a": "{}"})
    assert await wait < 1


async def test_what_was_put_between_a_read_and_the_wait_is_not_missed(store: Store) -> None:
    await settled(store)
    await put(store, "request:a", "{}")
    seen = (await get(store, "request:a")).version
    await put(store, "request:a", "{}", 1)
    assert await seconds_until_changed(store, "request:a", seen=seen) < 1
    assert await seconds_until_changed(store, "request:a", 100 * MS, seen=2) > 0.08


async def test_an_event_in_an_empty_outbox_wakes_its_reader(store: Store) -> None:
    await settled(store)
    wait = asyncio.create_task(seconds_until_changed(store, "outbox"))
    await asyncio.sleep(0.05)
    await say(store, events=["1"])
    assert await wait < 1


async def test_beats_are_at_the_stores_time(store: Store) -> None:
    assert await store.signals.beats() == {}
    await store.signals.beat("clock")
    first = (await store.signals.beats())["clock"]
    await store.signals.beat("worker")

    async def newer() -> bool:
        await store.signals.beat("clock")
        return (await store.signals.beats())["clock"] > first

    await until(newer)
    assert set(await store.signals.beats()) == {"clock", "worker"}
    assert abs((await store.records.now()) - (await store.signals.beats())["clock"]) < SECOND


async def test_counts_grow_and_sizes_are_of_the_two_indexes(store: Store) -> None:
    assert await store.signals.counts() == {"size:waiting": 0, "size:live": 0}
    now = await store.records.now()
    await say(store, counts={"requests:PENDING": 2}, enter={"waiting": {"a": now, "b": now}, "recent": {"a": now}})
    await say(store, counts={"requests:PENDING": 1, "requests:DENIED": 1}, leave={"waiting": ["a"]})
    expected = {"requests:PENDING": 3, "requests:DENIED": 1, "size:waiting": 1, "size:live": 0}
    assert await store.signals.counts() == expected
