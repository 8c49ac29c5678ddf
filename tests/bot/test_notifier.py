"""Events are told once, in order, by one leader; a listener that keeps some loses nothing and holds nothing up."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import timedelta

import pytest

from bot.notifier import LOOK_AGAIN, PAGE, Event, LogListener, Notifier
from bot.surfaces.port import Unreachable
from tests.bot.test_desk import World
from tests.worlds.samples import NOW
from workers.stores import layout
from workers.stores.memory import memory_store
from workers.stores.port import Commit, Store


class Ear:
    """Remember what was told; keep some of it, or fail, when asked to."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.asked: list[int] = []
        self.down = self.left = False
        self.keep: set[str] = set()

    async def take(self, events: Sequence[Event]) -> Collection[str]:
        self.asked.append(len(events))
        if self.down:
            raise Unreachable("down")
        told = [event for event in events if event.request not in self.keep]
        self.heard += [event.type for event in told]
        return [event.id for event in told]

    async def leave(self) -> None:
        self.left = True


@pytest.fixture
async def world() -> World:
    return await World().start()


async def say(store: Store, *requests: str, kind: str = "request.submitted") -> None:
    """Put one event for each of these into the outbox."""
    now = await store.records.now()
    await store.records.commit(Commit(at=now, events=[layout.event(kind, now, request=one) for one in requests]))


async def left(store: Store) -> int:
    return len(await store.outbox.unread(9_999))


async def test_a_decision_is_told_in_order_and_leaves_the_outbox(world: World):
    ear = Ear()
    notifier = Notifier(world.store, [ear])
    await world.click(await world.ask(), "robin")
    assert await notifier.turn() == 3
    assert ear.heard == ["request.submitted", "review.recorded", "request.approved"]
    assert await notifier.turn() == 0


async def test_what_a_listener_did_not_take_stays_and_is_told_again(world: World):
    ear = Ear()
    notifier = Notifier(world.store, [ear])
    await world.ask()
    ear.down = True
    with pytest.raises(Unreachable):
        await notifier.turn()
    ear.down = False
    assert await notifier.turn() == 1
    assert ear.heard == ["request.submitted"]


async def test_one_leads_and_the_other_takes_over_when_its_lease_ends(world: World):
    first, second = Ear(), Ear()
    leader, standby = Notifier(world.store, [first]), Notifier(world.store, [second])
    await world.ask()
    await leader.turn()
    await world.ask("k2", ttl_seconds=60)
    assert await standby.turn() == 0
    world.time += timedelta(seconds=11)
    assert await standby.turn() == 1
    assert (len(first.heard), len(second.heard)) == (1, 1)


async def test_what_is_kept_holds_nothing_else_up_however_much_there_is():
    store, ear = memory_store(lambda: NOW), Ear()
    notifier = Notifier(store, [ear])
    held = [f"req_held{n}" for n in range(3 * PAGE)]
    ear.keep = set(held)
    await say(store, *held, "req_free")
    for _ in range(4):
        await notifier.turn()
    assert (ear.heard, await left(store)) == (["request.submitted"], 3 * PAGE)
    ear.keep = set()
    while await notifier.turn():
        pass
    assert await left(store) == 0


async def test_each_listener_hears_an_event_once_though_another_keeps_it():
    store, quick, slow = memory_store(lambda: NOW), Ear(), Ear()
    notifier = Notifier(store, [quick, slow])
    slow.keep = {"req_1"}
    await say(store, "req_1", "req_2")
    assert await notifier.turn() == 1
    assert await notifier.turn() == 0
    slow.keep = set()
    assert await notifier.turn() == 1
    assert (len(quick.heard), len(slow.heard)) == (2, 2)
    assert quick.asked == [2, 0, 0]


async def test_with_nobody_to_tell_the_outbox_is_emptied():
    store = memory_store(lambda: NOW)
    await say(store, "req_1", "req_2")
    assert await Notifier(store, []).turn() == 2
    assert await left(store) == 0


async def test_the_log_listener_takes_everything():
    store, log = memory_store(lambda: NOW), LogListener()
    await say(store, "req_1", "req_2")
    assert await Notifier(store, [log]).turn() == 2


async def test_a_running_notifier_tells_at_once_outlives_failures_and_resigns_at_its_end(store: Store):
    ear, failing = Ear(), Ear()
    failing.down = True
    task = asyncio.create_task(Notifier(store, [ear, failing]).run())
    async with asyncio.timeout(30):
        await say(store, "req_1")
        await until(lambda: failing.asked)
        failing.down = False
        await until(lambda: failing.heard)
        for number in range(2, 20):
            await say(store, f"req_{number}")
            await until(lambda number=number: len(ear.heard) == number)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert ear.left and failing.left
    heir = Notifier(store, [ear])
    await say(store, "req_20")
    await until_told(heir)


async def test_what_comes_just_as_a_notifier_begins_is_heard_at_once():
    store, ear = memory_store(), Ear()
    task = asyncio.create_task(Notifier(store, [ear]).run())
    async with asyncio.timeout(LOOK_AGAIN.total_seconds() / 2):
        await say(store, "req_1")
        await until(lambda: ear.heard)
    task.cancel()


async def until(true) -> None:
    """Nobody tells us what a process does by itself: we look."""
    while not true():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


async def until_told(notifier: Notifier) -> None:
    """Take turns until one tells something: a lease that was given back ends a millisecond later."""
    async with asyncio.timeout(30):
        while not await notifier.turn():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
