"""Keep the cards in chat true: post each request where people look, and edit every copy at every change.

Only requests that wait for people are posted. Everything is rendered from present state: of many events about one
request, the oldest stays in the outbox until every copy shows what stands, and the later ones are told at once. So a
process that takes over finds what is owed, and reads the rest in the records.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from approvers.request import Because, RequestState
from approvers.waiting import reach_by
from bot.digests import CARDS_PER_MINUTE, Digests
from bot.notifier import ACT, Event
from bot.postings_alarms import Alarms
from bot.postings_delivery import Delivery
from bot.postings_lanes import SILENT_AFTER, Lane, NotNow
from bot.postings_record import MOST_ASKED, MOST_COPIES, Cards, Copy, change
from bot.postings_record import Lane as Name
from bot.postings_routes import asked, lanes_for, stand_ins
from bot.postings_scenes import Scene, Scenes
from bot.reading import Reader
from bot.surfaces.port import MessageRef, Surface, SurfaceError
from workers import logs
from workers.alerts import Alerts
from workers.policies import Policies
from workers.stores.port import Store, StoreError

BATCH = 20
"""How many requests are read in one round trip: a record may be large."""
PATIENCE = 0.05
"""Seconds that a turn waits for what it has begun; the rest is told in a later turn."""
LAST_SECONDS = 3.0
"""How long what is being sent may take to end when the process stops."""
ESCALATED = "request.escalated"
ROUTED_BY = frozenset({"request.submitted", "break_glass.used", ESCALATED})
"""Events that have a request posted which has no copies yet."""
WHOLE = frozenset({"request.reruled", ESCALATED})
"""Events after which everybody whom the levels ask is looked up anew; of the others, those who stand in only."""
CALLED_BY = frozenset({"card.refresh", *WHOLE})
"""Events that may have more people asked than before."""
_log = logs.get_logger(__name__)


@dataclass
class Debt:
    """What is owed for one request.

    Attributes:
        mark: its oldest event, which stays in the outbox until nothing is owed.
        begin: the copies that are to be, for as long as no record has them.
        lanes: where something is still to be shown, and the number under which that was asked last: what was begun
            under an earlier one does not settle it.
    """

    mark: str
    begin: Cards
    lanes: dict[Name, int] = field(default_factory=dict)


class Postings:
    """Be the notifier's listener for every chat surface; `surfaces` may be filled after this was made."""

    def __init__(
        self,
        store: Store,
        policies: Policies,
        reader: Reader,
        surfaces: Mapping[str, Surface],
        alerts: Alerts,
        *,
        silent_after: timedelta = SILENT_AFTER,
        cards_per_minute: int = CARDS_PER_MINUTE,
    ) -> None:
        """Start with nothing owed. On-call is told when nothing has reached a channel for `silent_after`."""
        self._records, self._policies, self._surfaces = store.records, policies, surfaces
        self._silent_after = silent_after
        self._alarms = Alarms(store.records, alerts)
        self._scenes = Scenes(store.records, policies, reader)
        digests = Digests(store.records, self._scenes, cards_per_minute)
        self._delivery = Delivery(store.records, self._alarms, digests)
        self._lanes: dict[Name, Lane] = {}
        self._debts: dict[str, Debt] = {}
        self._told: set[str] = set()
        self._number = 0

    async def take(self, events: Sequence[Event]) -> Collection[str]:
        """Begin what these events ask for, and return the ids of those that every copy shows by now."""
        may_until = time.monotonic() + ACT.total_seconds()
        self._forget({event.id for event in events})
        new: defaultdict[str, list[Event]] = defaultdict(list)
        known = {debt.mark for debt in self._debts.values()} | self._told
        for event in events:
            if event.id not in known:
                new[event.request].append(event)
        requests = list(new)
        for start in range(0, len(requests), BATCH):
            page = requests[start : start + BATCH]
            scenes = await self._scenes.read(page)
            for request in page:
                self._owe(new[request], await self._called(new[request], scenes.get(request)))
            self._wake(may_until)
        if under_way := self._wake(may_until):
            await asyncio.wait(under_way, timeout=PATIENCE)
        told, self._told = self._told, set()
        return told

    async def leave(self) -> None:
        """Begin nothing more; what is being sent may end, so that its outcome is known."""
        if under_way := self._wake(float("-inf")):
            _, late = await asyncio.wait(under_way, timeout=LAST_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._alarms.settle()

    async def adopt(self, request: str, ref: MessageRef) -> None:
        """Take in the message that a click came from, and have every copy shown anew.

        Nothing happens for a request of which no card was ever to be posted.
        """
        scene = (await self._scenes.read([request])).get(request)
        if scene is not None:
            await change(self._records, request, lambda cards: cards.adopted(ref, scene.said), event="card.refresh")

    async def acted(self, request: str, ref: MessageRef, by: str) -> None:
        """Note in the ledger who (`user:NAME`) acted on which copy; one that nobody knows is left out."""
        now = await self._records.now()
        await change(self._records, request, lambda cards: cards.acted(ref, by, now))

    async def refresh(self, request: str) -> None:
        """Have every copy of a card shown anew, also where the platform refused it before."""
        await change(self._records, request, Cards.anew, event="card.refresh")

    def _owe(self, events: Sequence[Event], scene: Scene | None) -> None:
        """Note which lanes have something to do since these events of one request; those not needed are told."""
        request, ids = events[0].request, [event.id for event in events]
        lanes = [lane for lane in self._lanes_of(scene) if scene.needs_in(lane.name)] if scene else []
        if scene is None or not lanes:
            self._told.update(ids)
            return
        debt = self._debts.setdefault(request, Debt(ids[0], scene.cards))
        if len(scene.cards.copies) > len(debt.begin.copies):
            debt.begin = scene.cards
        self._told.update(one for one in ids if one != debt.mark)
        for lane in lanes:
            self._number += 1
            debt.lanes[lane.name] = self._number
            lane.add(scene)

    async def _called(self, events: Sequence[Event], scene: Scene | None) -> Scene | None:
        """Return the scene with the copies that these events ask for: the first ones, a later level's, a stand-in's."""
        kinds = {event.type for event in events}
        if scene is None:
            return None
        if not scene.recorded and kinds & ROUTED_BY:
            return await self._begun(self._routed(scene))
        waits = scene.recorded and scene.request.state is RequestState.PENDING
        if not waits or not kinds & CALLED_BY:
            return scene
        whole = bool(kinds & WHOLE)
        find = lanes_for if whole else stand_ins
        lanes = find(self._policies.current, scene.request, self._surfaces.keys(), scene.seen.now)
        if {copy.lane for copy in scene.cards.copies}.issuperset(lanes):
            return scene
        most = MOST_ASKED if whole else MOST_COPIES
        await change(self._records, scene.request.id, lambda cards: cards.also(lanes, most))
        return (await self._scenes.read([scene.request.id])).get(scene.request.id)

    async def _begun(self, scene: Scene) -> Scene:
        """Record at once where a request is to be shown, unless it is about to be: who looks meanwhile finds it owed.

        Where that is nowhere, or a channel is held up, the clock has to know it, so that it asks the next level.
        """
        request, lanes = scene.request, self._lanes_of(scene)
        at_once = lanes and all(lane.idle for lane in lanes)
        if request.ruling.effect == "review" and request.state is RequestState.PENDING and not at_once:
            late = scene.seen.now if scene.seen.now >= reach_by(request) else None
            await change(
                self._records,
                request.id,
                lambda cards: cards,
                begin=scene.cards,
                keep=True,
                first=scene.seen,
                look_at=late,
            )
        return scene

    def _routed(self, scene: Scene) -> Scene:
        """Return the scene with the copies that are to be; on-call is told where there is nobody to show them to."""
        book, request = self._policies.current, scene.request
        if request.ruling.effect != "review" and request.because is not Because.BREAK_GLASS:
            return scene
        names = lanes_for(book, request, self._surfaces.keys(), scene.seen.now)
        if not names:
            who = ", ".join(asked(book, request))
            self._alarms.sound("nowhere", who[:200], f"No chat reaches {who}; their requests are in the console only.")
        return replace(scene, cards=Cards(copies=tuple(Copy(surface=name, to=to) for name, to in names)))

    def _lanes_of(self, scene: Scene) -> list[Lane]:
        """Return the lanes of a scene's copies, on surfaces that this process has."""
        names = [name for name in dict.fromkeys(copy.lane for copy in scene.cards.copies) if name[0] in self._surfaces]
        for name in names:
            if name not in self._lanes:
                self._lanes[name] = Lane(name, self._surfaces[name[0]], self._show, self._alarms, self._silent_after)
        return [self._lanes[name] for name in names]

    async def _show(self, lane: Lane, request: str, scene: Scene | None, *, talk: bool) -> bool:
        """Serve one lane, and settle what was owed to it when that began; returns whether lines are still to be said.

        `talk`: say the next line of a thread; otherwise, post and edit.
        """
        debt = self._debts.get(request)
        number = debt.lanes.get(lane.name) if debt else None
        if scene is None or not scene.fresh:
            scene = (await self._scenes.read([request])).get(request)
        if scene and debt and not scene.cards.copies:
            scene = replace(scene, cards=debt.begin)
        more = False
        try:
            if scene:
                more = await (self._delivery.say if talk else self._delivery.show)(lane, scene)
        except (SurfaceError, StoreError, NotNow):
            raise
        except Exception as error:  # a fault of ours: it must neither block the lane nor be tried for ever
            _log.error("cards.failed", request=request, channel=lane.to, exc_info=error)
            self._alarms.once("failed", request, f"The card of {request} could not be shown in {lane.to}.")
        if not more:
            self._settle(request, lane.name, number)
        return more

    def _settle(self, request: str, name: Name, number: int | None) -> None:
        debt = self._debts.get(request)
        if debt and debt.lanes.get(name) == number:
            debt.lanes.pop(name, None)
            if not debt.lanes:
                del self._debts[request]
                self._told.add(debt.mark)

    def _forget(self, ids: set[str]) -> None:
        """Drop what somebody else has told while they led."""
        for request in [request for request, debt in self._debts.items() if debt.mark not in ids]:
            del self._debts[request]

    def _wake(self, may_until: float) -> list[asyncio.Task[None]]:
        tasks = [lane.wake(may_until) for lane in self._lanes.values()]
        return [task for task in tasks if task]
