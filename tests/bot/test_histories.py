"""Counters over the desk: every ask counted once, strictly, over several processes; approvals noted in their commit."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from approvers.facts import WINDOWS
from approvers.history import read_known, read_past
from bot.deps import make_desk
from bot.desk import Desk
from bot.directory import Directory
from bot.histories import MOST_PRINCIPALS, Histories
from bot.reading import Reader
from tests.approvers.rules_world import edited
from tests.bot.test_desk import World, caller, person
from tests.worlds import samples
from workers.policies import Policies
from workers.stores import layout
from workers.stores.port import Commit

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
    policies = Policies(world.store.records, world.store.signals)
    await policies.refresh()
    return make_desk(world.store, policies, Reader(world.store), Directory(policies))


def hour(view) -> int:
    return view.request.facts.history.asked[WINDOWS.index("1h")]


async def past(world: World, principal: str = WHO):
    key = layout.history_key(principal)
    return read_past((await world.store.records.read([key])).records[key].json)


async def known(world: World, principal: str = WHO):
    key = layout.known_key(principal)
    found = read_known((await world.store.records.read([key])).records[key].json)
    return {name: times.people for name, times in found.items()}


def reads(world: World) -> list[tuple[str, ...]]:
    """Return a list that grows with every read of the store from here on."""
    seen, read = [], world.store.records.read

    async def told(keys, chains=()):
        seen.append(tuple(keys))
        return await read(keys, chains)

    world.store.records.read = told
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


# ---- approvals


async def test_asking_makes_nobody_known_and_peoples_approval_does():
    world = await World().start(policy=edited(samples.POLICY_TEXT, "first_seen = 0", "first_seen = 10"))
    first = await world.ask("k0")
    again = await world.ask("k1", parameters={"n": 1})
    assert again.request.facts.history.new == ("s3:GetObject",)
    await world.click(first, "robin")
    assert list((await known(world)).values()) == [1]
    view = await world.ask("k2", parameters={"n": 2})
    assert (view.request.facts.history.known, view.request.facts.history.new) == (1, ())
    assert "first_seen" in {point.id for point in again.request.ruling.risk.points}
    assert "first_seen" not in {point.id for point in view.request.ruling.risk.points}


async def test_a_denial_makes_nothing_known(world: World):
    await world.click(await world.ask("k0"), "robin", "deny", reason="no")
    assert await known(world) == {}


async def test_what_a_rule_allows_is_new_no_more_but_no_credit(world: World):
    names = {"action": "s3:ListAllMyBuckets", "resource": "arn:aws:s3:::all", "access": None, "data_classes": None}
    first, second = [await world.ask(f"k{n}", parameters={"n": n}, **names) for n in range(2)]
    assert {first.request.because, second.request.because} == {"rule"}
    assert first.request.facts.history.new == ("s3:ListAllMyBuckets",)
    assert (second.request.facts.history.new, second.request.facts.history.known) == ((), 0)
    assert await known(world) == {"environment:prod s3:listallmybuckets": 0}


async def test_approvals_of_one_principal_at_once_are_all_decided(world: World):
    views = [await world.ask(f"k{n}", parameters={"n": n}) for n in range(20)]
    done = await asyncio.gather(*(world.click(view, "robin") for view in views))
    assert {view.request.state for view in done} == {"APPROVED"}
    assert 1 <= next(iter((await known(world)).values())) <= 20


async def test_a_flood_of_asks_holds_up_no_answer(world: World):
    """An answer does not name what asks write: one try is enough."""
    view = await world.ask("k0")
    commits, commit = [], world.store.records.commit

    async def told(one: Commit) -> None:
        if layout.known_key(WHO) in one.puts:
            commits.append(one)
            for number in range(5):
                await commit(submitted_by_another(number))
        await commit(one)

    def submitted_by_another(number: int) -> Commit:
        key = layout.history_key(WHO)
        version = world.store.records._state.records[key].version
        return Commit(at=world.time, expects={key: version}, puts={key: '{"v":1,"asks":[],"hours":[0]}'})

    world.store.records.commit = told
    await world.click(view, "robin")
    assert len(commits) == 1


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
        assert histories.turn("caller:a").locked()
    assert len(histories._turns) == 0


async def test_nobody_is_woken_by_a_counter(world: World):
    await world.ask("k0")
    woken = asyncio.create_task(world.store.signals.changed(layout.history_key(WHO), timedelta(milliseconds=50)))
    await asyncio.sleep(0)
    await world.ask("k1", parameters={"n": 1})
    assert not woken.done()
    await woken
