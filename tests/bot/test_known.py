"""What a principal is known for, over the desk: approvals and denials are noted in their commit, and none is missed."""

from __future__ import annotations

import asyncio

import pytest

from approvers.history import read_known
from bot.commits import Click
from tests.approvers.rules_world import edited
from tests.bot.test_desk import World, person
from tests.bot.test_histories import WHO, another, commits
from tests.worlds import samples
from workers.stores import layout
from workers.stores.port import Commit


@pytest.fixture
async def world() -> World:
    return await World().start()


async def known(world: World, principal: str = WHO):
    key = layout.known_key(principal)
    found = read_known((await world.store.records.read([key])).records[key].json)
    return {name: times.people for name, times in found.items()}


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


async def test_a_denial_takes_the_credit_in_its_own_commit_and_makes_nothing_new(world: World):
    views = [await world.ask(f"k{n}", parameters={"n": n}) for n in range(4)]
    for view in views[:3]:
        await world.click(view, "robin")
    assert list((await known(world)).values()) == [3]
    seen = commits(world)
    await world.click(views[3], "robin", "deny", reason="no")
    assert [layout.known_key(WHO) in one.puts for one in seen] == [True]
    view = await world.ask("k9", parameters={"n": 9})
    assert (view.request.facts.history.known, view.request.facts.history.new) == (0, ())


async def test_credit_comes_with_the_twentieth_approval_and_goes_with_a_denial(world: World):
    async def earned(number: int) -> bool:
        view = await world.ask(f"k{number}", parameters={"n": number})
        await world.click(view, "robin", "deny" if number == 21 else "approve", reason="seen")
        return "well_known" in {point.id for point in view.request.ruling.risk.points}

    assert [await earned(number) for number in range(23)] == [False] * 20 + [True, True, False]


@pytest.mark.parametrize(("verdict", "count"), [("approve", 2), ("deny", 0)])
async def test_an_ask_is_ruled_on_by_what_another_process_was_told_last(world: World, verdict, count):
    """What is kept here is old by then: the commit of an ask names the version of what it was ruled on by."""
    views = [await world.ask(f"k{n}", parameters={"n": n}) for n in range(2)]
    await world.click(views[0], "robin")
    await world.ask("k2", parameters={"n": 2})
    other = await another(world)
    await other.review(Click(person("robin"), views[1].request.id, verdict, reason="seen"))
    view = await world.ask("k3", parameters={"n": 3})
    assert view.request.facts.history.known == count


async def test_a_denial_misses_nothing_that_another_process_has_counted(world: World):
    views = [await world.ask(f"k{n}", parameters={"n": n}) for n in range(2)]
    other = await another(world)
    await other.review(Click(person("robin"), views[0].request.id, "approve"))
    await world.click(views[1], "robin", "deny", reason="no")
    assert list((await known(world)).values()) == [0]


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
    tries, commit = [], world.store.records.commit

    async def told(one: Commit) -> None:
        if layout.known_key(WHO) in one.puts:
            tries.append(one)
            for number in range(5):
                await commit(submitted_by_another(number))
        await commit(one)

    def submitted_by_another(number: int) -> Commit:
        key = layout.history_key(WHO)
        version = world.store.records._state.records[key].version
        return Commit(at=world.time, expects={key: version}, puts={key: '{"v":1,"asks":[],"hours":[0]}'})

    world.store.records.commit = told
    await world.click(view, "robin")
    assert len(tries) == 1
