"""Every decision gets exactly one receipt, over a log that holds it: whatever dies, races or changes meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from approvers import request as requests
from approvers.request import Request
from approvers.tree import leaf_hash, tree_root
from bot.commits import Click
from bot.deps import make_desk
from bot.directory import Directory
from bot.reading import Reader, View
from countersign.receipts import ReceiptClaims, verify_receipt
from tests.bot.postings_town import Sink
from tests.bot.test_desk import caller, person
from tests.worlds import samples
from tests.worlds.fixtures import empty_valkey, redis_store, store, valkey
from tests.worlds.ledger import KEY, Ledger
from tests.worlds.receipts import ORIGIN, ROTATED, Key
from tests.worlds.stopwatch import own_time
from workers.clock.notary import Notary
from workers.clock.receipting import AT_ONCE, LATE, LATE_AFTER, PAUSE_SECONDS, Receipting
from workers.clock.waiting import Waiting
from workers.policies import Policies, apply
from workers.signing import Signers, SigningKey
from workers.stores import layout
from workers.stores.memory import memory_store
from workers.stores.port import Attempt, Commit, Conflict, Store, Unavailable

__all__ = ["empty_valkey", "redis_store", "store", "valkey"]
LEASE = timedelta(seconds=20)
ACTION = {"access": None}


class Town:
    """A desk, and clocks that look after what is due in the lane `clock`."""

    def __init__(self, store: Store) -> None:
        self.store, self.alerts = store, Sink()
        self.policies = Policies(store.records, store.signals)
        self.reader = Reader(store)
        self.desk = make_desk(store, self.policies, self.reader, Directory(self.policies))
        self.waiting = Waiting(store, self.policies, self.alerts)
        self.ledger = Ledger(store)
        self.asked = 0

    async def start(self) -> Town:
        await apply(
            self.store.records, policy=samples.POLICY_TEXT, roster=samples.ROSTER_TEXT, by="user:dana", why="test"
        )
        await self.policies.refresh()
        return self

    async def ask(self, **changes: Any) -> View:
        self.asked += 1
        ask = samples.action(**{"ttl_seconds": 60 + self.asked, **changes})
        return await self.desk.submit(caller(), ask, f"k{self.asked}")

    async def click(self, view: View, name: str, verdict: str = "approve") -> View:
        return await self.desk.review(Click(person(name), view.request.id, verdict))

    async def approve(self, view: View) -> View:
        names = iter(("robin", "alex"))
        while view.request.state == "PENDING":
            view = await self.click(view, next(names))
        return view

    def receipting(self, ledger: Ledger | None = None) -> Receipting:
        return Receipting(self.store, ledger or self.ledger, self.alerts)

    async def due(self, most: int = 99) -> list[Attempt]:
        """Claim what is due; what is about requests themselves is looked after at once."""
        items = (await self.store.due.claim("clock", most=most, lease=LEASE)).items
        for item in items:
            if item.member.startswith("request:"):
                await self.waiting.look_after(item)
        return [item for item in items if item.member.startswith("receipt:")]

    async def sign(self) -> int:
        """Sign what is due; returns how many items that were."""
        receipting, items = self.receipting(), await self.due()
        receipting.begin(items)
        if items:
            await receipting.turn()
        return len(items)

    async def now(self, view: View) -> Request:
        return (await self.reader.look(view.request.id)).request

    async def events(self) -> list[str]:
        return [json.loads(line)["type"] for _, line in await self.store.outbox.unread(1_000)]

    async def proven(self, view: View, decision: str = "APPROVED") -> ReceiptClaims:
        """Return what a request's receipt says, checked; so is its log, which must hold the decision."""
        receipt = (await self.now(view)).receipt
        assert receipt is not None
        at = await self.store.records.now()
        said = verify_receipt(receipt.jws, key=KEY.verifier, request=view.request.id, decision=decision, at=at)
        assert (said.log.size, said.log.root, KEY.id) == (receipt.size, receipt.root, receipt.key)
        bodies = await self.store.log.tail(0, said.log.size)
        assert tree_root([leaf_hash(body) for body in bodies]).hex() == said.log.root
        kinds = {json.loads(body)["type"] for body in bodies if json.loads(body)["subject"] == view.request.id}
        assert f"request.{decision.lower()}" in kinds
        return said


@pytest.fixture
async def town(store: Store) -> Town:
    return await Town(store).start()


@pytest.fixture
async def small() -> Town:
    return await Town(memory_store(lambda: datetime.now(UTC))).start()


async def test_every_way_to_be_decided_ends_in_one_receipt(town: Town):
    granted = await town.approve(await town.ask())
    acted = await town.approve(await town.ask(**ACTION))
    denied = await town.click(await town.ask(), "robin", "deny")
    ruled = await town.ask(action="s3:DeleteObject", access=None)
    withdrawn = await town.ask()
    withdrawn = await town.desk.cancel(caller(), withdrawn.request.id)
    waiting = await town.ask()
    assert ruled.request.state == "DENIED"
    size = await town.store.log.size()
    assert await town.sign() == 5
    for view, decision in ((granted, "APPROVED"), (acted, "APPROVED"), (denied, "DENIED"), (ruled, "DENIED"),
                           (withdrawn, "CANCELLED")):  # fmt: skip
        said = await town.proven(view, decision)
        assert said.action_digest == view.request.action_digest
    assert (await town.proven(granted)).grant == granted.grant.id
    assert (await town.now(waiting)).receipt is None
    assert await town.store.log.size() == size, "a receipt is no record"
    assert (await town.events()).count("request.receipted") == 5
    assert await town.sign() == 0, "and it is not due again"


async def test_what_expires_unanswered_has_one_too():
    moment = [samples.NOW]
    town = await Town(memory_store(lambda: moment[0])).start()
    view = await town.ask()
    moment[0] = view.request.expires_at
    assert await town.due() == []
    assert await town.sign() == 1
    assert (await town.proven(view, "EXPIRED")).because == "nobody_answered"


async def test_a_waiter_for_an_approved_action_is_answered_with_the_receipt(town: Town):
    view = await town.ask(**ACTION)
    waiting = asyncio.create_task(
        town.reader.wait(view.request.id, after=None, timeout=timedelta(seconds=10))
    )  # fmt: skip
    decided = await town.approve(view)
    assert not decided.settled
    await asyncio.sleep(0)
    assert not waiting.done()
    await town.sign()
    found = await waiting
    assert (found.settled, found.version) == (True, decided.version + 1)
    assert found.request.receipt is not None


async def test_two_clocks_with_the_same_items_sign_each_decision_once(town: Town):
    views = [await town.approve(await town.ask(**ACTION)) for _ in range(6)]
    first, second = town.receipting(), town.receipting(Ledger(town.store))
    items = await town.due()
    first.begin(items)
    second.begin(items)  # as after a lease that ended while the first was still at it
    await asyncio.gather(first.turn(), second.turn())
    for view in views:
        await town.proven(view)
    assert (await town.events()).count("request.receipted") == 6


async def test_an_attempt_that_was_handed_out_again_is_dropped(small: Town):
    view = await small.approve(await small.ask(**ACTION))
    (old,) = await small.due()
    late = small.receipting()
    await small.store.records.commit(
        Commit(at=await small.store.records.now(), due={old.member: view.request.submitted_at})
    )
    (new,) = await small.due()
    assert new.fence != old.fence
    late.begin([old])
    await late.turn()
    assert (await small.now(view)).receipt is None
    late.begin([new])
    await late.turn()
    await small.proven(view)


async def test_an_item_that_is_handed_out_again_while_it_is_signed_is_not_forgotten(small: Town):
    view = await small.approve(await small.ask(**ACTION))
    (old,) = await small.due()
    receipting, fresh = small.receipting(), []

    async def overtake() -> None:
        small.ledger.before = None
        now = await small.store.records.now()
        await small.store.records.commit(Commit(at=now, due={old.member: view.request.submitted_at}))
        fresh.extend(await small.due())
        receipting.begin(fresh)

    small.ledger.before = overtake
    receipting.begin([old])
    await receipting.turn()
    assert (await small.now(view)).receipt is None
    await receipting.turn()
    await small.proven(view)


async def test_what_died_in_between_is_signed_by_the_next(small: Town):
    """The checkpoint is there and the receipt is not: the lease ends, and another clock signs over a later log."""
    view = await small.approve(await small.ask(**ACTION))
    (item,) = await small.due()
    dying = small.receipting()
    dying.begin([item])
    small.ledger.before = lambda: asyncio.get_running_loop().create_future()  # it hangs, and is killed
    turn = asyncio.create_task(dying.turn())
    await small.ledger.asked.wait()
    turn.cancel()
    with suppress(asyncio.CancelledError):
        await turn
    assert (await small.now(view)).receipt is None
    later = await small.ask()
    await small.store.records.commit(
        Commit(at=await small.store.records.now(), due={item.member: later.request.submitted_at})
    )  # its lease has ended
    small.ledger.before = None
    assert await small.sign() == 1
    assert (await small.proven(view)).log.size == await small.store.log.size()


async def test_one_that_cannot_be_stored_is_tried_again_behind_the_others(small: Town):
    views = [await small.approve(await small.ask(**ACTION)) for _ in range(2)]
    lost = [Unavailable("away")]

    async def once() -> None:
        raise lost.pop()

    between = Between(small.store.records, once)
    receipting = Receipting(replace(small.store, records=between), small.ledger, small.alerts, pause_seconds=0)
    receipting.begin(await small.due())
    await receipting.turn()
    assert [bool((await small.now(view)).receipt) for view in views] == [False, True]
    await receipting.turn()
    for view in views:
        await small.proven(view)


async def test_what_happens_to_the_request_meanwhile_stays(town: Town):
    """It is consumed between the reading and the commit: the receipt comes on top, and nothing of it is lost."""
    view = await town.approve(await town.ask(**ACTION))

    async def consume() -> None:
        await town.desk.consume(caller(), view.request.id, view.request.action_digest)

    between = Between(town.store.records, consume)
    receipting = Receipting(replace(town.store, records=between), town.ledger, town.alerts)
    receipting.begin(await town.due())
    await receipting.turn()
    assert between.conflicts == 1
    after = await town.now(view)
    assert after.consumed_at is not None
    await town.proven(view)


class Between:
    """Records on which somebody else is quicker, once, between a reading and its commit."""

    def __init__(self, records: Any, act: Any) -> None:
        self._records, self._act, self.conflicts = records, act, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    async def commit(self, commit: Commit) -> None:
        if self._act is not None:
            act, self._act = self._act, None
            await act()
        try:
            await self._records.commit(commit)
        except Conflict:
            self.conflicts += 1
            raise


async def test_what_cannot_be_signed_stays_due_is_told_late_and_is_signed_in_the_end(small: Town):
    view = await small.approve(await small.ask(**ACTION))
    now = [100.0]
    receipting = Receipting(small.store, small.ledger, small.alerts, clock=lambda: now[0], pause_seconds=0)

    async def refuse() -> None:
        raise Unavailable("the disk with the witness file is full")

    small.ledger.before = refuse
    receipting.begin(await small.due())
    await receipting.turn()
    now[0] += LATE_AFTER.total_seconds() - 1
    await receipting.turn()
    assert small.alerts.keys == []
    now[0] += 1
    await receipting.turn()
    assert small.alerts.keys == [LATE]
    assert "the disk with the witness file is full" in small.alerts.sent[0].summary
    small.ledger.before = None
    await receipting.turn()
    assert small.alerts.keys == [LATE, f"-{LATE}"]
    await small.proven(view)


SPOILS = {
    "newer": lambda text: text.replace('{"v":2', '{"v":99', 1),
    "wrong": lambda text: text.replace('"state":"APPROVED"', '"state":"PERHAPS"', 1),
    "torn": lambda text: text[: len(text) // 2],
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
async def test_one_request_that_cannot_be_read_holds_up_no_other(small: Town, spoil: Callable[[str], str]):
    views = [await small.approve(await small.ask(**ACTION)) for _ in range(3)]
    key = layout.request_key(views[1].request.id)
    record = (await small.store.records.read([key])).records[key]
    await small.store.records.commit(
        Commit(at=await small.store.records.now(), expects={key: record.version}, puts={key: spoil(record.json)})
    )
    assert await small.sign() == 3
    await small.proven(views[0])
    await small.proven(views[2])


async def test_a_due_item_without_a_decision_is_dropped(small: Town):
    waiting = await small.ask()
    members = [layout.receipt_key(waiting.request.id), layout.receipt_key("req_gone")]
    now = await small.store.records.now()
    await small.store.records.commit(Commit(at=now, due=dict.fromkeys(members, now)))
    assert await small.sign() == 2
    assert (await small.now(waiting)).receipt is None
    assert await small.due() == []


async def test_what_has_a_receipt_keeps_it(small: Town):
    view = await small.approve(await small.ask(**ACTION))
    await small.sign()
    first, now = (await small.now(view)).receipt, await small.store.records.now()
    await small.store.records.commit(Commit(at=now, due={layout.receipt_key(view.request.id): now}))
    await small.ask()
    assert await small.sign() == 1
    assert (await small.now(view)).receipt == first
    assert (await small.events()).count("request.receipted") == 1
    assert await small.due() == []


async def test_a_batch_takes_one_checkpoint_however_many_there_are(small: Town):
    for _ in range(AT_ONCE + 3):
        await small.ask(action="s3:DeleteObject", access=None)
    receipting = small.receipting()
    receipting.begin(await small.due())
    await receipting.turn()
    assert (small.ledger.covered, (await small.events()).count("request.receipted")) == (1, AT_ONCE)
    await receipting.turn()
    assert (small.ledger.covered, (await small.events()).count("request.receipted")) == (2, AT_ONCE + 3)


async def test_what_it_says_does_not_depend_on_when_it_is_signed(small: Town):
    view = await small.approve(await small.ask())
    before = requests.Request.model_validate(view.request)
    await small.ask()
    await small.sign()
    said = await small.proven(view)
    assert said.exp == before.decided_at.replace(microsecond=0) + timedelta(minutes=10, seconds=before.plan.ttl_seconds)


@asynccontextmanager
async def running(town: Town, *keys: Key) -> AsyncIterator[None]:
    """Let one clock's lane run, with a notary of its own: claim, hand over, sign, wait."""
    signers = Signers(*(SigningKey(key.name, key.private) for key in keys or (KEY,)))
    receipting = Receipting(town.store, Notary(town.store, signers, town.alerts), town.alerts)

    async def attend() -> None:
        while True:
            items = await town.due()
            receipting.begin(items)
            if not items:
                await town.store.due.wait("clock", timedelta(seconds=1))

    async def sign() -> None:
        while True:
            await receipting.turn()

    tasks = [asyncio.create_task(attend()), asyncio.create_task(sign())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_decision_has_its_receipt_within_a_third_of_a_second(town: Town):
    async with running(town):
        view, took = await town.ask(**ACTION), []
        for _ in range(5):
            view = await town.ask(**ACTION)
            await town.approve(view)
            began = own_time()
            found = await town.reader.wait(view.request.id, after=None, timeout=timedelta(seconds=10))
            took.append(own_time() - began)
            assert found.request.receipt is not None
    assert sorted(took)[2] < 0.3


async def test_after_a_rotation_the_new_key_signs_and_the_log_keeps_its_name(small: Town):
    views = []
    for keys in ((KEY,), (ROTATED, KEY), (ROTATED,)):
        async with running(small, *keys):
            views.append(await small.approve(await small.ask(**ACTION)))
            await small.reader.wait(views[-1].request.id, after=None, timeout=timedelta(seconds=10))
    receipts = [(await small.now(view)).receipt for view in views]
    assert [one.key for one in receipts] == [KEY.id, ROTATED.id, ROTATED.id]
    for one in receipts:
        assert verify_receipt(one.jws, key=[KEY.verifier, ROTATED.verifier]).iss == ORIGIN


def test_a_retry_comes_well_before_it_is_late():
    assert timedelta(seconds=PAUSE_SECONDS) < LATE_AFTER / 60
