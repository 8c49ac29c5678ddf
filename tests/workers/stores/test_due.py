"""What is due is handed out once at a time and leaves only with its outcome, over both siblings."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.workers.stores.saying import MS, SECOND, draft, later, say, until
from workers.stores.port import Attempt, Commit, Fenced, Handout, Lane, Store

LEASE = timedelta(seconds=30)
GRANT = "grant:grt_1"


async def claim(store: Store, lane: Lane = "worker", most: int = 10, lease: timedelta = LEASE) -> Handout:
    return await store.due.claim(lane, most=most, lease=lease)


async def one(store: Store, lease: timedelta = LEASE) -> Attempt:
    (item,) = (await claim(store, lease=lease)).items
    return item


async def test_only_what_is_due_is_handed_out_oldest_first_and_no_more_than_asked(store: Store) -> None:
    now = await store.records.now()
    await say(store, due={f"grant:{n}": now - n * MS for n in range(5)} | {"grant:later": later(now, 20)})
    assert [item.member for item in (await claim(store, most=3)).items] == ["grant:4", "grant:3", "grant:2"]
    assert [item.member for item in (await claim(store)).items] == ["grant:1", "grant:0"]
    rest = await claim(store)
    assert not rest.items
    assert timedelta(seconds=15) < rest.next_in <= timedelta(seconds=20)
    assert not (await claim(store, most=0)).items


async def test_next_in_is_zero_while_something_is_left_over_and_long_when_nothing_is_there(store: Store) -> None:
    assert (await claim(store)).next_in > SECOND
    now = await store.records.now()
    await say(store, due={"grant:a": now, "grant:b": now})
    assert (await claim(store, most=1)).next_in == timedelta(0)


async def test_lanes_are_apart(store: Store) -> None:
    now = await store.records.now()
    await say(store, due={GRANT: now, "sweep:aws": now, "request:req_1": now, "checkpoint:log": now})
    assert {item.member for item in (await claim(store, "worker")).items} == {GRANT, "sweep:aws"}
    assert {item.member for item in (await claim(store, "clock")).items} == {"request:req_1", "checkpoint:log"}


async def test_every_hand_out_has_a_new_fence_also_after_the_item_was_done(store: Store) -> None:
    fences = []
    for _ in range(3):
        await say(store, due={GRANT: await store.records.now(), "sweep:aws": await store.records.now()})
        items = (await claim(store)).items
        fences += [item.fence for item in items]
        for item in items:
            await say(store, attempt=item)
    assert len(set(fences)) == 6
    assert fences == sorted(fences)


async def test_an_attempt_that_never_ends_comes_back_when_its_lease_does(store: Store) -> None:
    await say(store, due={GRANT: await store.records.now()})
    lost = await one(store, lease=100 * MS)
    assert not (await claim(store)).items
    found: list[Attempt] = []

    async def again() -> bool:
        found.extend((await claim(store)).items)
        return bool(found)

    await until(again)
    assert [item.member for item in found] == [GRANT]
    assert found[0].fence > lost.fence
    assert not await store.due.hold(lost, LEASE), "the first hand-out is fenced off"
    with pytest.raises(Fenced):
        await say(store, attempt=lost, drafts=[draft("req_1")])
    assert await store.log.size() == 0
    await say(store, attempt=found[0], drafts=[draft("req_1")])
    assert await store.log.size() == 1


async def test_hold_counts_the_lease_from_now(store: Store) -> None:
    await say(store, due={GRANT: await store.records.now()})
    attempt = await one(store, lease=50 * MS)
    assert await store.due.hold(attempt, LEASE)
    assert (await claim(store)).next_in > timedelta(seconds=20)
    assert not await store.due.hold(Attempt(GRANT, attempt.fence + 1), LEASE)
    assert not await store.due.hold(Attempt("grant:other", attempt.fence), LEASE)


async def test_a_re_armed_item_fences_off_the_attempt_under_way(store: Store) -> None:
    await say(store, due={GRANT: await store.records.now()})
    attempt = await one(store)
    await say(store, due={GRANT: await store.records.now()})  # an early revoke
    assert not await store.due.hold(attempt, LEASE)
    with pytest.raises(Fenced):
        await say(store, attempt=attempt)
    assert (await one(store)).member == GRANT, "and the item is still due"


async def test_undue_takes_the_item_and_fences_off_the_attempt(store: Store) -> None:
    now = await store.records.now()
    await say(store, due={GRANT: now, "request:req_1": now})
    attempt = await one(store)
    await say(store, undue=[GRANT, "request:req_1", "request:unknown"])
    assert not await store.due.hold(attempt, LEASE)
    assert not (await claim(store, "clock")).items
    assert (await claim(store)).next_in > LEASE, "nothing is left"


async def test_a_commit_with_lease_until_keeps_the_attempt_and_moves_its_time(store: Store) -> None:
    now = await store.records.now()
    await say(store, due={GRANT: now})
    attempt = await one(store, lease=SECOND)
    await say(store, attempt=attempt, lease_until=later(now, 50))
    assert (await claim(store)).next_in > timedelta(seconds=40)
    assert await store.due.hold(attempt, LEASE)


async def test_an_attempt_may_put_its_own_next_time(store: Store) -> None:
    now = await store.records.now()
    await say(store, due={GRANT: now})
    attempt = await one(store)
    await say(store, attempt=attempt, due={GRANT: later(now, 50), "request:req_1": now})
    assert timedelta(seconds=40) < (await claim(store)).next_in < timedelta(seconds=51)
    assert not await store.due.hold(attempt, LEASE), "this attempt is over"


async def test_many_claimers_never_share_an_item(store: Store) -> None:
    now = await store.records.now()
    await say(store, due={f"grant:{n}": now for n in range(60)})
    handouts = await asyncio.gather(*(claim(store, most=4) for _ in range(20)))
    members = [item.member for handout in handouts for item in handout.items]
    assert sorted(members) == sorted(f"grant:{n}" for n in range(60))


async def test_the_late_outcome_of_one_and_the_early_revoke_of_another_race_to_one_winner(store: Store) -> None:
    now = await store.records.now()
    for n in range(20):
        member = f"grant:{n}"
        await say(store, due={member: now}, expects={member: 0}, puts={member: "ACTIVE"})
        attempt = await one(store)
        done = Commit(at=now, attempt=attempt, expects={member: 1}, puts={member: "REVOKED"})
        revoke = Commit(at=now, due={member: now}, expects={member: 1}, puts={member: "REVOKING"})
        answers = await asyncio.gather(store.records.commit(done), store.records.commit(revoke), return_exceptions=True)
        assert sum(answer is None for answer in answers) == 1
        left = (await claim(store)).items
        assert bool(left) == (answers[1] is None), "the item is due exactly if the revoke won"
        for item in left:
            await say(store, attempt=item)


async def test_wait_ends_when_something_becomes_due_and_for_nothing_else(store: Store) -> None:
    async def seconds(lane: Lane, timeout: timedelta = SECOND) -> float:
        begun = asyncio.get_running_loop().time()
        await store.due.wait(lane, timeout)
        return asyncio.get_running_loop().time() - begun

    worker, clock = asyncio.create_task(seconds("worker")), asyncio.create_task(seconds("clock"))
    await asyncio.sleep(0.1)
    now = await store.records.now()
    await say(store, due={GRANT: now, "request:req_1": later(now, 600)})
    assert 0.05 < await worker < 0.6
    assert await clock > 0.9, "what is due in ten minutes wakes nobody"
    await say(store, due={GRANT: now})
    assert await seconds("worker") < 0.5, "what came while nobody waited is not lost"
    assert 0.08 < await seconds("worker", 100 * MS) < 0.6
    assert await seconds("worker", timedelta(minutes=1)) < 1.6, "nobody waits over a second"


async def test_lag_is_the_age_of_the_oldest_overdue_item_of_each_lane(store: Store) -> None:
    assert await store.due.lag() == {"worker": timedelta(0), "clock": timedelta(0)}
    now = await store.records.now()
    await say(store, due={GRANT: later(now, -5), "sweep:aws": later(now, -1), "request:req_1": later(now, 60)})
    lag = await store.due.lag()
    assert timedelta(seconds=4.9) < lag["worker"] < timedelta(seconds=7)
    assert lag["clock"] == timedelta(0)
    await claim(store)
    assert (await store.due.lag())["worker"] == timedelta(0), "what is leased is not overdue"
