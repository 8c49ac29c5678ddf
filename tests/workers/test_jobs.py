"""What a job does with its items: by kind, within the lease, and around an account that does not answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from approvers.grant import Plan
from tests.bot.test_desk import person
from tests.workers.test_leasing import Shop
from tests.worlds import samples
from tests.worlds.cloud import Cloud
from tests.worlds.trail import Trail
from workers import jobs
from workers.carrying import Background, Carrier
from workers.lanes import TRIPS, Lane, Lanes
from workers.providers.port import Events, Handle, Minted, NotSent
from workers.stores import layout
from workers.stores.port import Attempt, Commit
from workers.watching import FIRST_AFTER, look

SECOND = """
[account.reports]
id          = "111111111111"
environment = "prod"

[role.reports]
account = "reports"
arn     = "arn:aws:iam::111111111111:role/countersign-base-reports"
ceiling = ["s3:GetObject*"]
"""
BROKEN = "111111111111"


@dataclass
class Clouds(Cloud):
    """A cloud with accounts: one of them can be throttled, or hang until it is let go."""

    throttled: set[str] = field(default_factory=set)
    hanging: set[str] = field(default_factory=set)
    let_go: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)

    def _arrive(self, plan: Plan) -> None:
        self.asked.append(plan.account_id)
        if plan.account_id in self.throttled:
            raise NotSent("AWS said Throttling: Rate exceeded")
        if plan.account_id in self.hanging:
            assert self.let_go.wait(30)

    def mint(self, grant_id: str, plan: Plan, not_after: datetime | None = None) -> Minted:
        self._arrive(plan)
        return super().mint(grant_id, plan, not_after)

    def revoke(self, handle: Handle) -> None:
        self._arrive(handle.plan)
        super().revoke(handle)


@dataclass
class Logs(Trail):
    """A log of calls that hangs for one account until it is let go; `all_read` once others were read `wanted` times."""

    let_go: threading.Event = field(default_factory=threading.Event)
    wanted: int = 20
    all_read: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def events(self, plan: Plan, **asked) -> Events:
        if plan.account_id == BROKEN:
            assert self.let_go.wait(30)
        with self.lock:
            self.wanted -= 1
            if self.wanted == 0:
                self.all_read.set()
        return super().events(plan, **asked)


class TwoAccounts(Shop):
    """A shop whose worker speaks to two accounts; the lanes' clock is the store's."""

    def __init__(self) -> None:
        super().__init__()
        self.cloud = Clouds(lambda: self.time)
        self.number = 0
        lanes = Lanes(lambda name: Lane(name, clock=lambda: self.time.timestamp(), jitter=lambda least, _most: least))
        self.tools = replace(self.tools, providers={"aws": self.cloud}, lanes=lanes)

    async def grants(self, role: str, count: int, **changes: object) -> list[str]:
        made = []
        for _ in range(count):
            self.number += 1
            access = {**samples.BODY["access"], "role": role}
            view = await self.ask(f"key-{self.number}", access=access, parameters={"n": self.number}, **changes)
            made.append((await self.click(view, "robin")).grant.id)
        return made

    async def work(self) -> list[str]:
        """Do everything that is due now, as jobs do."""
        words = []
        while item := await self.item():
            words.append(await jobs.carry(self.tools, item))
        return words

    async def states(self, *grants: str) -> list[str]:
        return [(await self.grant(one)).state for one in grants]


@pytest.fixture
async def shop() -> AsyncIterator[TwoAccounts]:
    shop = TwoAccounts()
    await shop.start(roster=samples.ROSTER_TEXT + SECOND)
    yield shop
    shop.cloud.let_go.set()
    await shop.tools.lanes.settle()


async def trip(shop: TwoAccounts) -> list[str]:
    """Let the second account be throttled until it counts as troubled."""
    shop.cloud.throttled = {BROKEN}
    tried = await shop.grants("reports", TRIPS)
    assert await shop.work() == ["MINTING → PENDING"] * TRIPS
    return tried


async def test_what_a_troubled_account_has_to_do_is_put_off_without_a_trace(shop: TwoAccounts):
    await trip(shop)
    [waits] = await shop.grants("reports", 1)
    before = await shop.grant(waits)
    records, asked = await shop.types(before.request_id), len(shop.cloud.asked)
    assert await shop.work() == ["postponed"]
    assert await shop.grant(waits) == before, "state and attempts are as they were"
    assert await shop.types(before.request_id) == records
    assert len(shop.cloud.asked) == asked


async def test_one_tries_for_all_and_when_it_is_answered_all_go_on(shop: TwoAccounts):
    tried = await trip(shop)
    waiting = await shop.grants("reports", 5)
    assert await shop.work() == ["postponed"] * 5
    asked = len(shop.cloud.asked)
    words = await shop.later(seconds=2)
    assert len(shop.cloud.asked) == asked + 1, "of all that are due, one"
    assert sorted(words) == ["MINTING → PENDING", *["postponed"] * 7]
    shop.cloud.throttled = set()
    for _ in range(8):
        await shop.later(seconds=2)
    assert await shop.states(*tried, *waiting) == ["ACTIVE"] * 8


async def test_on_call_hears_once_that_an_account_is_in_trouble_and_that_it_is_well(shop: TwoAccounts):
    await trip(shop)
    shop.cloud.throttled = set()
    await shop.later(seconds=10)
    await shop.tools.lanes.settle()
    told = [(alert.key, alert.severity, alert.cleared) for alert in shop.pager.alerts]
    assert told == [("account.troubled:reports", "warning", False), ("account.troubled:reports", "warning", True)]
    assert "reports is throttled" in shop.pager.alerts[0].summary


async def test_a_mint_is_put_off_no_longer_than_its_deadline(shop: TwoAccounts):
    await trip(shop)
    [waits] = await shop.grants("reports", 1)
    assert await shop.work() == ["postponed"]
    asked, shop.time = len(shop.cloud.asked), (await shop.grant(waits)).mint_by
    assert await shop.work() == ["overtaken"] * (TRIPS + 1), "none is put off again, and nobody is asked"
    failed = await shop.grant(waits)
    assert (failed.state, failed.failure) == ("FAILED", "nobody could mint it in time")
    assert len(shop.cloud.asked) == asked


async def test_a_revoke_is_put_off_and_done_when_the_account_is_well(shop: TwoAccounts):
    [live] = await shop.grants("reports", 1)
    await shop.work()
    await trip(shop)
    await shop.custody.revoke(person("kim"), live, "x")
    assert await shop.work() == ["postponed"]
    assert (await shop.grant(live)).attempts == 0
    shop.cloud.throttled = set()
    for _ in range(3):
        await shop.later(seconds=2)
    assert await shop.states(live) == ["REVOKED"]


async def test_an_account_that_hangs_holds_up_no_other(shop: TwoAccounts):
    shop.cloud.hanging = {BROKEN}
    await shop.grants("reports", 40)
    healthy = await shop.grants("analytics", 40)

    async def one(attempt: Attempt) -> str:
        return await jobs.carry(shop.tools, attempt)

    carrier = Carrier(one, patience_seconds=30.0)
    handout = await shop.store.due.claim("worker", most=80, lease=shop.tools.lease)
    job = asyncio.create_task(carrier.take(handout.items))
    while await shop.states(*healthy) != ["ACTIVE"] * 40:
        await asyncio.sleep(0)
        assert not job.done()
    assert shop.cloud.asked.count(BROKEN) == 16, "the turns of one account, and no answer yet"
    shop.cloud.let_go.set()
    await job
    await carrier.settle(timedelta(seconds=5))


async def test_an_account_whose_log_hangs_holds_up_no_look_at_another(shop: TwoAccounts):
    log = Logs(lambda: shop.time, let_go=shop.cloud.let_go)
    shop.tools = replace(shop.tools, watched=log)
    await shop.grants("reports", 40)
    await shop.grants("analytics", 20)
    await shop.work()
    shop.time += FIRST_AFTER

    async def one(attempt: Attempt) -> str:
        return await jobs.carry(shop.tools, attempt)

    carrier = Carrier(one, patience_seconds=30.0)
    handout = await shop.store.due.claim("worker", most=80, lease=shop.tools.lease)
    job = asyncio.create_task(carrier.take(handout.items))
    assert await asyncio.to_thread(log.all_read.wait, 5), "every look at the other account"
    assert not job.done()
    shop.cloud.let_go.set()
    await job
    await carrier.settle(timedelta(seconds=5))


@pytest.mark.parametrize("member", [layout.SWEEP, layout.SESSION_SWEEP, layout.TAG_SWEEP])
async def test_a_sweep_that_was_handed_out_again_is_not_begun(shop: TwoAccounts, member: str):
    await shop.store.records.commit(Commit(at=shop.time, due={member: shop.time}))
    old = await shop.item()
    shop.time += shop.tools.lease
    new = await shop.item()
    asked = len(shop.cloud.calls)
    assert await jobs.carry(shop.tools, old) == "fenced"
    assert len(shop.cloud.calls) == asked
    shop.time += shop.tools.lease / 2
    assert await jobs.carry(shop.tools, new) != "fenced"


async def test_a_sweep_that_is_made_due_while_it_runs_is_dropped_without_a_fault(shop: TwoAccounts):
    """As every start of a clock does."""

    class Restarting(Clouds):
        def look(self, plan: Plan, texts):
            asyncio.run_coroutine_threadsafe(again(), loop).result(5)
            return super().look(plan, texts)

    async def again() -> None:
        await shop.store.records.commit(Commit(at=shop.time, due={layout.SWEEP: shop.time}))

    loop = asyncio.get_running_loop()
    shop.tools = replace(shop.tools, providers={"aws": Restarting(lambda: shop.time)})
    await again()
    assert await jobs.carry(shop.tools, await shop.item()) == "fenced"


async def test_an_attempt_that_takes_too_long_is_given_up_and_its_lease_brings_it_back(shop: TwoAccounts):
    shop.cloud.hanging = {BROKEN}
    [stuck] = await shop.grants("reports", 1)
    quick = replace(shop.tools, lease=timedelta(seconds=0.2))
    assert await jobs.carry(quick, await shop.item()) == "given up: TimeoutError"
    assert await shop.states(stuck) == ["MINTING"]


async def test_what_was_handed_out_again_is_not_put_off_by_the_one_before(shop: TwoAccounts):
    await trip(shop)
    await shop.grants("reports", 1)
    old = await shop.item()
    shop.time += shop.tools.lease
    new = next(one for one in [await shop.item() for _ in range(TRIPS + 1)] if one.member == old.member)
    shop.time -= shop.tools.lease  # only so that nobody tries the account
    assert [await jobs.carry(shop.tools, one) for one in (old, new)] == ["fenced", "postponed"]


async def test_an_end_by_time_that_cannot_be_shown_yet_is_ended_now_and_shown_later(shop: TwoAccounts):
    [live] = await shop.grants("reports", 1, ttl_seconds=60)
    await shop.work()
    await trip(shop)
    shop.time = (await shop.grant(live)).ends_at
    assert "postponed" in await shop.work()
    assert await shop.states(live) == ["REVOKING"]
    shop.cloud.throttled = set()
    for _ in range(3):
        await shop.later(seconds=2)
    ended = await shop.grant(live)
    assert (ended.state, ended.proof.kind) == ("REVOKED", "ttl_denied")


async def test_an_end_by_time_whose_proof_fails_keeps_its_backoff(shop: TwoAccounts):
    await shop.grants("analytics", 1, ttl_seconds=60)
    await shop.work()
    shop.cloud.broken = "AccessDenied"
    assert await shop.later(seconds=60) == ["ACTIVE → REVOKING, REVOKING → REVOKING"]
    assert await shop.work() == []
    shop.cloud.broken = ""
    assert await shop.later(seconds=2) == ["REVOKING → REVOKED"]


@pytest.mark.parametrize("member", ["request:req_1", "sweep:all", ""])
async def test_an_item_of_no_known_kind_is_refused(shop: TwoAccounts, member: str):
    with pytest.raises(ValueError, match="nobody does items"):
        await jobs.carry(shop.tools, Attempt(member, 1))


async def test_a_session_is_looked_at_by_its_own_doer(shop: TwoAccounts):
    assert jobs._doer("activity:grt_1") is look


def test_a_job_runs_in_the_loop_it_was_installed_with_and_says_that_it_lives():
    async def open_shop() -> tuple[TwoAccounts, Attempt]:
        shop = TwoAccounts()
        await shop.start()
        await shop.grants("analytics", 1)
        return shop, await shop.item()

    with Background() as loop:
        shop, item = loop.wait(open_shop())
        carrier = jobs.install(loop, shop.tools)
        assert jobs.run([(item.member, item.fence)]) == "MINTING → ACTIVE"
        assert loop.wait(shop.store.signals.beats()) == {"worker": shop.time}
        with pytest.raises(ValueError, match="at most 100"):
            jobs.run([("grant:x", 1)] * 101)
        loop.wait(carrier.settle(shop.tools.lease))
