"""Make time pass: hand due grants to the workers by RQ, and look after requests that wait.

Any number of clocks may run; claims are atomic, so nobody has to lead. A clock that dies with items in hand costs at
most their lease. The clock decides no time itself: what is due is due by the store's clock.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from approvers.errors import CountersignError
from approvers.times import gone_back
from workers import logs
from workers.alerts import Alerts
from workers.clock.notary import Notary
from workers.clock.owing import Owing
from workers.clock.receipting import Receipting
from workers.clock.streaming import Streaming
from workers.clock.waiting import Waiting
from workers.policies import Policies
from workers.queue import MOST_AT_ONCE, Queue
from workers.stores import layout
from workers.stores.port import Attempt, Commit, Handout, Store, Unavailable

AT_ONCE = 32
BEAT_EVERY = timedelta(seconds=1)
LOOK_AGAIN = timedelta(seconds=1)
FULL_PAUSE_SECONDS = 0.02
"""How soon to look again while RQ's queue is full: about the time that a few jobs take."""
RECOVERY_SECONDS = 0.2
FOLLOW_EVERY = timedelta(seconds=5)
RULES = (layout.POLICY, layout.ROSTER)
PAGE = 200
MOST_RECALLED = 10_000
"""How many requests that wait, or grants, are made due at once, after a change of the rules or a step of the clock."""
_log = logs.get_logger(__name__)


class Clock:
    """Dispatch what is due until cancelled."""

    def __init__(
        self, store: Store, queue: Queue, lease: timedelta, alerts: Alerts,
        *, notary: Notary | None = None, receipting: Receipting | None = None, streaming: Streaming | None = None,
    ) -> None:  # fmt: skip
        """Without `notary` and `receipting` nothing is signed: receipts stay due for a clock that has a key.

        Without `streaming` no record goes to a SIEM.
        """
        self._store, self._queue, self._lease = store, queue, lease
        self._notary, self._receipting, self._streaming = notary, receipting, streaming
        self._policies = Policies(store.records, store.signals)
        self._waiting = Waiting(store, self._policies, alerts)
        self._owing = Owing(store, alerts)
        self._rules: tuple[int, ...] | None = None
        self._latest: datetime | None = None

    async def run(self) -> None:
        """Run every loop; each survives the store's absence."""
        await self._start_sweeping()
        async with asyncio.TaskGroup() as group:
            more = [one.turn for one in (self._notary, self._receipting, self._streaming) if one]
            for loop in (self.dispatch, self.attend, self.follow, self.beat, *more):
                group.create_task(_for_ever(loop))

    async def leave(self) -> None:
        """Wait until on-call has been told what is under way."""
        await self._waiting.settle()
        await self._owing.settle()

    async def dispatch(self) -> None:
        """Hand due worker items to RQ, as many as fit; the rest stays in the due set, where nothing is lost."""
        if not await self._queue.room():
            await asyncio.sleep(FULL_PAUSE_SECONDS)
            return
        handout = await self._hand_on()
        if not handout.items:
            await self._store.due.wait("worker", min(LOOK_AGAIN, handout.next_in))
            await self._hand_on()  # nothing was pushed since: the room is still there, and who waits need not ask

    async def attend(self) -> None:
        """Carry out the clock's own due items."""
        if self._policies.roster is None:
            await self._refresh()
        handout = await self._store.due.claim("clock", most=AT_ONCE, lease=self._lease)
        kinds: defaultdict[str, list[Attempt]] = defaultdict(list)
        for item in handout.items:
            kinds[item.member.partition(":")[0]].append(item)
        if self._receipting:
            self._receipting.begin(kinds.pop(layout.RECEIPT, ()))
        for item in kinds.pop(layout.OWING, ()):
            self._owing.begin(item)
        await asyncio.gather(*(self._waiting.look_after(item) for item in kinds["request"]))
        if not handout.items:
            await self._store.due.wait("clock", min(LOOK_AGAIN, handout.next_in))

    async def follow(self) -> None:
        """Keep the rules fresh; when they have changed (and once at the start), look at everything that waits."""
        await self._refresh()
        rules = tuple(self._policies.current.versions[key] for key in RULES) if self._policies.roster else None
        if rules != self._rules:
            await self.recall(layout.WAITING, layout.request_key)
            self._rules = rules
        await self._store.signals.changed(layout.ROSTER, FOLLOW_EVERY)

    async def _refresh(self) -> None:
        try:
            await self._policies.refresh()
        except CountersignError as error:  # as a newer Countersign applied them: time goes on without ladders
            _log.error("clock.no_rules", why=error.detail)

    async def recall(self, index: str, key: Callable[[str], str]) -> None:
        """Make all of an index due at once; who came too early makes itself due again.

        After a change of the rules nobody may be left who could answer what waits, or its ladder is another.
        """
        after: str | None = None
        seen = 0
        while seen < MOST_RECALLED:
            page = await self._store.records.members(index, limit=PAGE, after=after)
            if not page:
                return
            now = await self._store.records.now()
            await self._store.records.commit(Commit(at=now, due={key(one): now for one in page}))
            after, seen = page[-1], seen + len(page)

    async def beat(self) -> None:
        """Tell that a clock lives; the web process alerts when none does. Look whether the store's time went back."""
        await self._store.signals.beat("clock")
        await self.see_time()
        await asyncio.sleep(BEAT_EVERY.total_seconds())

    async def see_time(self) -> None:
        """Make due at once what was to be done so and so long after a time that turns out to lie ahead.

        Else sweeps and ends under way would stand still for as long as the store's clock was put back.
        """
        now, before = await self._store.records.now(), self._latest
        self._latest = now
        if before is not None and gone_back(before, now):
            _log.error("time.went_back", seconds=round((before - now).total_seconds(), 1))
            await self._start_sweeping()
            await self.recall(layout.LIVE_INDEX, layout.grant_key)
            await self.recall(layout.WAITING, layout.request_key)

    async def _hand_on(self) -> Handout:
        handout = await self._store.due.claim("worker", most=MOST_AT_ONCE, lease=self._lease)
        await self._queue.push(handout.items)
        return handout

    async def _start_sweeping(self) -> None:
        """Make the reconciler and the reading of tags due; from then on each makes its next turn due."""
        now = await self._store.records.now()
        sweeps = (layout.SWEEP, layout.TAG_SWEEP, layout.SESSION_SWEEP)
        await self._store.records.commit(Commit(at=now, due=dict.fromkeys(sweeps, now)))


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
