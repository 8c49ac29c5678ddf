"""Counters over the desk: every ask counted once, strictly, over several processes, and nobody woken by it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from approvers.facts import WINDOWS
from approvers.history import read_past
from bot.deps import make_desk
from bot.desk import Desk
from bot.directory import Directory
from bot.histories import MOST_PRINCIPALS, Histories
from bot.reading import Reader
from tests.bot.test_desk import World, caller, person
from tests.worlds import samples
from workers.policies import Policies, apply
from workers.stores import layout
from workers.stores.encoding import wakes
from workers.stores.port import Commit, Store
from workers.stores.redis import connect

WHO = samples.CALLER


def rated(text: str, *, effect: str = "deny") -> str:
    """Return the demo's policy with one more rule, on the rate of asks."""
    quorum = 'quorum = "two"\n' if effect == "review" else ""
    return (
        f'{samples.POLICY_TEXT}\n[rule.rate]\neffect = "{effect}"\nowner = "sre"\nnote = "Too fast."\n'
        f'{quorum}when = {{ rate_over = "{text}" }}\n'
    )


@pytest.fixture
async def world() -> World:
    return await World().start()


@pytest.fixture
async def limited() -> World:
    """A world where more than three asks in an hour are denied."""
    return await World().start(policy=rated("3/1h"))


async def another(world: World) -> Desk:
    """Return the desk of one more process on the same store."""
    return await desk_on(world.store)


async def desk_on(store: Store) -> Desk:
    """Return the desk of a process that reaches its store like this."""
    policies = Policies(store.records, store.signals)
    await policies.refresh()
    return make_desk(store, policies, Reader(store), Directory(policies))


def hour(view) -> int:
    return view.request.facts.history.asked[WINDOWS.index("1h")]


async def past(world: World, principal: str = WHO):
    key = layout.history_key(principal)
    return read_past((await world.store.records.read([key])).records[key].json)


def reads(world: World) -> list[tuple[str, ...]]:
    """Return a list that grows with every read of the store from here on."""
    seen, read = [], world.store.records.read

    async def told(keys, chains=()):
        seen.append(tuple(keys))
        return await read(keys, chains)

    world.store.records.read = told
    return seen


def commits(world: World) -> list[Commit]:
    """Return a list that grows with every commit from here on."""
    seen, commit = [], world.store.records.commit

    async def told(one: Commit) -> None:
        seen.append(one)
        await commit(one)

    world.store.records.commit = told
    return seen


async def test_each_ask_counts_itself_and_all_before_it(world: World):
    counts = [hour(await world.ask(f"k{n}", parameters={"n": n})) for n in range(3)]
    assert counts == [1, 2, 3]
    assert sum((await past(world)).hours) == 3


async def test_a_replay_and_a_fold_count_nothing(world: World):
    await world.ask("k1")
    await world.ask("k1")
    await world.ask("k2")
    assert hour(await world.ask("k3", parameters={"n": 3})) == 2


async def test_a_replay_and_a_fold_are_not_refused_for_their_rate(limited: World):
    first = await limited.ask("k0")
    for number in (1, 2):
        await limited.ask(f"k{number}", parameters={"n": number})
    assert (await limited.ask("k4", parameters={"n": 4})).request.state == "DENIED"
    assert (await limited.ask("k0")).request.id == first.request.id
    assert (await limited.ask("k5")).request.id == first.request.id
    assert (await limited.ask("k5")).request.id == first.request.id
    assert (await limited.ask("k6", parameters={"n": 6})).request.state == "DENIED"


async def test_a_denial_for_the_rate_leaves_no_fold_behind(limited: World):
    for number in range(4):
        await limited.ask(f"k{number}", parameters={"n": number})
    limited.time += timedelta(hours=2)
    assert (await limited.ask("k9", parameters={"n": 3})).request.state == "PENDING"


async def test_an_ask_that_a_rule_denies_anyway_does_not_fold(world: World):
    """What policy denies by now is told so, though the same ask still waits from before."""
    waiting = await world.ask("k1")
    deny = '[rule.none]\neffect = "deny"\nowner = "sre"\nnote = "No."\nwhen = { action = ["s3:Get*"] }\n'
    await world.start(policy=f"{samples.POLICY_TEXT}\n{deny}")
    again = await world.ask("k2")
    assert again.request.id != waiting.request.id
    assert again.request.state == "DENIED"


async def test_what_cannot_be_asked_counts_nothing(world: World):
    with pytest.raises(Exception, match="role"):
        await world.ask("k1", access={**samples.BODY["access"], "role": "nosuch"})
    assert hour(await world.ask("k2")) == 1


async def test_asks_at_once_of_one_principal_are_each_counted_and_none_is_turned_away(world: World):
    views = await asyncio.gather(*(world.ask(f"k{n}", parameters={"n": n}) for n in range(60)))
    assert sorted(map(hour, views)) == list(range(1, 61))


async def test_a_rate_is_strict_over_several_processes():
    """Three desks on one store; of forty asks at once exactly as many pass as the rule lets."""
    world = await World().start(policy=rated("5/1h"))
    desks = [await another(world) for _ in range(3)]
    asked = [samples.action(parameters={"n": n}) for n in range(40)]
    views = await asyncio.gather(*(desks[n % 3].submit(caller(), one, f"k{n}") for n, one in enumerate(asked)))
    assert [view.request.state for view in views].count("PENDING") == 5
    assert sorted(map(hour, views)) == list(range(1, 41))


async def test_asks_at_once_over_three_connections_are_all_stored_and_counted(empty_valkey, redis_store):
    """None is refused because the others kept changing the counters that it was ruled on by."""
    stores = [redis_store, *[await connect(empty_valkey.url) for _ in range(2)]]
    await apply(redis_store.records, policy=samples.POLICY_TEXT, roster=samples.ROSTER_TEXT, by="user:dana", why="test")
    desks = [await desk_on(store) for store in stores]
    asked = [samples.action(parameters={"n": n}) for n in range(30)]
    views = await asyncio.gather(*(desks[n % 3].submit(caller(), one, f"k{n}") for n, one in enumerate(asked)))
    keys = [layout.history_key(WHO), *[layout.request_key(view.request.id) for view in views]]
    found = (await redis_store.records.read(keys)).records
    assert sorted(map(hour, views)) == list(range(1, 31))
    assert len(found) == 31
    assert all(record.version == 1 for key, record in found.items() if key != keys[0])
    counted = read_past(found[keys[0]].json)
    assert (sum(counted.hours), sum(count for _, count in counted.buckets)) == (30, 30)
    for store in stores[1:]:
        await store.aclose()


async def test_a_store_whose_time_goes_back_lets_no_more_pass(limited: World):
    """Three within the hour; those that came while it was two hours behind count when it is right again."""
    states = []
    for number, minutes in enumerate((0, -120, -119, 1)):
        limited.time = samples.NOW + timedelta(minutes=minutes)
        states.append((await limited.ask(f"k{number}", parameters={"n": number})).request.state)
    assert states == ["PENDING", "PENDING", "PENDING", "DENIED"]


async def test_an_ask_costs_no_read_once_its_principal_was_seen(world: World):
    await world.ask("k0")
    seen = reads(world)
    for number in range(1, 4):
        await world.ask(f"k{number}", parameters={"n": number})
    assert seen == []


async def test_wiped_counters_start_anew(world: World):
    await world.ask("k0")
    world.store.records._state.records.pop(layout.history_key(WHO))
    assert hour(await world.ask("k1", parameters={"n": 1})) == 1


async def test_a_person_who_asks_has_a_history_too(world: World):
    action = samples.action(access=None, actor={"id": "user:robin"})
    view = await world.desk.submit(person("robin"), action, "k1")
    assert hour(view) == 1
    assert sum((await past(world, "user:robin")).hours) == 1
    assert hour(await world.ask("k1")) == 1


# ---- what is kept in the process


async def test_only_so_many_principals_are_kept(world: World):
    histories = Histories(world.store.records)
    seen = reads(world)
    for number in range(MOST_PRINCIPALS + 1):
        await histories.of(f"caller:c{number}", samples.action(), None, samples.NOW)
    await histories.of("caller:c1", samples.action(), None, samples.NOW)
    assert len(seen) == MOST_PRINCIPALS + 1
    await histories.of("caller:c0", samples.action(), None, samples.NOW)
    assert len(seen) == MOST_PRINCIPALS + 2


async def test_turns_that_nobody_holds_are_not_kept(world: World):
    histories = Histories(world.store.records)
    async with histories.turn("caller:a"):
        assert histories._turns["caller:a"].locked()
    assert len(histories._turns) == 0


async def test_who_waits_too_long_for_its_turn_goes_on(world: World):
    histories = Histories(world.store.records)
    async with histories.turn("caller:a"), asyncio.timeout(5), histories.turn("caller:a"):
        assert histories._turns["caller:a"].locked()
    async with asyncio.timeout(0.1), histories.turn("caller:a"):  # and gives back only what it held
        pass


async def test_nobody_is_woken_by_a_counter(world: World):
    """Who waits for a counter hears nothing of asks and answers, which put it; who waits for the request does."""
    view = await world.ask("k0")
    keys = layout.history_key(WHO), layout.known_key(WHO), layout.request_key(view.request.id)
    waiting = [asyncio.create_task(world.store.signals.changed(key, timedelta(seconds=20))) for key in keys]
    await asyncio.sleep(0)
    for number in (1, 2):
        more = await world.ask(f"k{number}", parameters={"n": number})
        await world.click(more, "robin")
    await world.click(view, "robin")
    await waiting[2]
    assert [one.done() for one in waiting] == [False, False, True]
    for one in waiting[:2]:
        one.cancel()


async def test_an_ask_wakes_nobody_at_all(world: World):
    """Its request is new, so nobody waits for it; the counters that it puts are not."""
    seen = commits(world)
    for number in range(2):
        await world.ask(f"k{number}", parameters={"n": number})
    assert layout.history_key(WHO) in seen[1].puts
    assert [wakes(one) for one in seen] == [[], []]
