"""Make time pass: hand due grants to the workers by RQ, and close requests that nobody answered.

Any number of clocks may run; claims are atomic, so nobody has to lead. A clock that dies with items in hand costs at
most their lease. The clock decides no time itself: what is due is due by the store's clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from approvers import request as requests
from approvers.audit import By, Draft
from approvers.request import Request, RequestState
from approvers.upgrades import read
from workers import logs
from workers.queue import Queue
from workers.stores import layout
from workers.stores.port import Attempt, Commit, Fenced, Handout, Snapshot, Store, Unavailable, transact

AT_ONCE = 32
BEAT_EVERY = timedelta(seconds=1)
LOOK_AGAIN = timedelta(seconds=1)
FULL_PAUSE_SECONDS = 0.02
"""How soon to look again while RQ's queue is full: about the time that a few jobs take."""
RECOVERY_SECONDS = 0.2
CLOCK = By(None, "countersign", "clock")
_log = logs.get_logger(__name__)


class Clock:
    """Dispatch what is due until cancelled."""

    def __init__(self, store: Store, queue: Queue, lease: timedelta) -> None:
        self._store, self._queue, self._lease = store, queue, lease

    async def run(self) -> None:
        """Run every loop; each survives the store's absence."""
        await self._start_sweeping()
        async with asyncio.TaskGroup() as group:
            for loop in (self.dispatch, self.attend, self.beat):
                group.create_task(_for_ever(loop))

    async def dispatch(self) -> None:
        """Hand due worker items to RQ, as many as fit; the rest stays in the due set, where nothing is lost."""
        room = min(await self._queue.room(), AT_ONCE)
        if not room:
            await asyncio.sleep(FULL_PAUSE_SECONDS)
            return
        handout = await self._hand_on(room)
        if not handout.items:
            await self._store.due.wait("worker", min(LOOK_AGAIN, handout.next_in))
            await self._hand_on(room)  # nothing was pushed since: the room is still there, and who waits need not ask

    async def attend(self) -> None:
        """Carry out the clock's own due items."""
        handout = await self._store.due.claim("clock", most=AT_ONCE, lease=self._lease)
        await asyncio.gather(*(expire(self._store, item) for item in handout.items))
        if not handout.items:
            await self._store.due.wait("clock", min(LOOK_AGAIN, handout.next_in))

    async def beat(self) -> None:
        """Tell that a clock lives; the web process alerts when none does."""
        await self._store.signals.beat("clock")
        await asyncio.sleep(BEAT_EVERY.total_seconds())

    async def _hand_on(self, most: int) -> Handout:
        handout = await self._store.due.claim("worker", most=most, lease=self._lease)
        await self._queue.push(handout.items)
        return handout

    async def _start_sweeping(self) -> None:
        """Make the reconciler due; from then on each sweep makes the next one due."""
        now = await self._store.records.now()
        await self._store.records.commit(Commit(at=now, due={layout.SWEEP: now}))


async def expire(store: Store, attempt: Attempt) -> str:
    """Close the request that this due item names, if it still waits and its time is over."""
    key = attempt.member
    request_id = key.partition(":")[2]

    def step(seen: Snapshot) -> tuple[Commit | None, str]:
        before = read(Request, seen.records[key].json)
        if before.state is not RequestState.PENDING:
            return Commit(at=seen.now, attempt=attempt), "decided"
        if seen.now < before.expires_at:
            return Commit(at=seen.now, attempt=attempt, due={key: before.expires_at}), "early"
        after = requests.expire(before, seen.now)
        told = {"state": after.state, "because": after.because, "seats": dict(before.ruling.seats)}
        return layout.commit(
            seen.now,
            layout.request_changed(seen.records[key], after, at=seen.now, closed=True),
            attempt=attempt,
            drafts=[Draft(request_id, "request.expired", CLOCK, "clock", told)],
            events=[layout.event("request.expired", seen.now, request=request_id)],
            heads=seen.heads,
        ), "expired"

    try:
        return await transact(store.records, [key], step, chains=[request_id])
    except Fenced:
        return "fenced"


async def _for_ever(turn: Callable[[], Awaitable[None]]) -> None:
    """Repeat one turn of a loop; the store's absence is waited out, and told once at its start and end."""
    lost = False
    while True:
        try:
            await turn()
            if lost:
                _log.info("store.found", loop=turn.__name__)
            lost = False
        except Unavailable as error:
            if not lost:
                _log.error("store.lost", loop=turn.__name__, why=str(error))
            lost = True
            await asyncio.sleep(RECOVERY_SECONDS)
