"""Tell the person behind an agent, privately and once, what came of what it asked: decided, live, ended.

Each person is told one message at a time; what else comes to something meanwhile goes into the next one. The oldest
event of each request stays in the outbox until its person was told, as it does for the cards.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from approvers.errors import CountersignError
from bot import behind_record, behind_words
from bot.behind_record import Told
from bot.behind_stories import Stories, Story
from bot.notifier import ACT, Event
from bot.postings_delivery import AGAIN_SECONDS, RECORD_TRIES
from bot.postings_lanes import FIRST_PAUSE, LONGEST_PAUSE, NAP_SECONDS, STORE_SECONDS, NotNow
from bot.reading import Reader
from bot.surfaces.port import OutcomeUnknown, Refused, Surface, Unreachable
from workers import logs
from workers.policies import Policies
from workers.stores.port import Store, StoreError, Unavailable

BATCH = 20
"""How many requests are read in one round trip, and told in one message, at most."""
LAST_SECONDS = 3.0
"""How long what is being told may take to end when the process stops."""
NO_NEWS = frozenset({"request.submitted", "request.escalated", "request.reminded", "request.consumed",
                     "request.receipted", "request.reruled", "review.recorded", "card.refresh",
                     "grant.claimed", "grant.collected", "grant.ending_soon", "grant.extended"})  # fmt: skip
"""Events after which there is nothing new to tell; many of them need not be read for that."""
_log = logs.get_logger(__name__)


@dataclass
class Ear:
    """What one person is owed: requests, each with the number under which that was asked last."""

    person: str
    owed: dict[str, int] = field(default_factory=dict)
    free_at: float = float("-inf")
    misses: int = 0
    task: asyncio.Task[None] | None = None


class Behind:
    """Be the notifier's listener for the people behind requests; `surfaces` may be filled after this was made."""

    def __init__(self, store: Store, policies: Policies, reader: Reader, surfaces: Mapping[str, Surface]) -> None:
        """Start with nobody to tell."""
        self._records, self._stories = store.records, Stories(store.records, policies, reader, surfaces)
        self._ears: dict[str, Ear] = {}
        self._marks: dict[str, str] = {}
        self._told: set[str] = set()
        self._number = 0
        self._may_until = float("-inf")

    async def take(self, events: Sequence[Event]) -> Collection[str]:
        """Begin to tell what these events brought, and return the ids of those that are told by now."""
        may_until = time.monotonic() + ACT.total_seconds()
        self._forget({event.id for event in events})
        known = {*self._marks.values(), *self._told}
        new: defaultdict[str, list[str]] = defaultdict(list)
        quick = by_policy(events)
        for event in events:
            if event.type in NO_NEWS or event.id in quick:
                self._told.add(event.id)
            elif event.id not in known:
                new[event.request].append(event.id)
        requests = list(new)
        for start in range(0, len(requests), BATCH):
            page = requests[start : start + BATCH]
            stories = await self._stories.read(page)
            for request in page:
                self._owe(request, new[request], stories.get(request))
        self._wake(may_until)  # nothing waits for it here: cards come first
        told, self._told = self._told, set()
        return told

    async def leave(self) -> None:
        """Begin nothing more; what is being told may end, so that its outcome is known."""
        if under_way := self._wake(float("-inf")):
            _, late = await asyncio.wait(under_way, timeout=LAST_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _owe(self, request: str, ids: Sequence[str], story: Story | None) -> None:
        if story is None:
            self._told.update(ids)
            return
        mark = self._marks.setdefault(request, ids[0])
        self._told.update(one for one in ids if one != mark)
        self._number += 1
        self._ears.setdefault(story.person, Ear(story.person)).owed[request] = self._number

    def _forget(self, ids: set[str]) -> None:
        """Drop what somebody else has told while they led, and who is owed nothing."""
        for request in [request for request, mark in self._marks.items() if mark not in ids]:
            del self._marks[request]
            for ear in self._ears.values():
                ear.owed.pop(request, None)
        for person in [ear.person for ear in self._ears.values() if not ear.owed and (not ear.task or ear.task.done())]:
            del self._ears[person]

    def _wake(self, may_until: float) -> list[asyncio.Task[None]]:
        self._may_until = may_until
        for ear in self._ears.values():
            if ear.owed and (ear.task is None or ear.task.done()):
                ear.task = asyncio.create_task(self._run(ear))
        return [ear.task for ear in self._ears.values() if ear.task and not ear.task.done()]

    async def _run(self, ear: Ear) -> None:
        while ear.owed and time.monotonic() < self._may_until:
            if (wait := ear.free_at - time.monotonic()) > 0:
                await asyncio.sleep(min(wait, NAP_SECONDS))
                continue
            batch = dict(list(ear.owed.items())[:BATCH])
            try:
                await self._tell(ear, list(batch))
            except NotNow:
                return
            except Unreachable as error:
                ear.free_at = time.monotonic() + error.after_seconds
                continue
            except OutcomeUnknown:
                ear.misses += 1
                ear.free_at = time.monotonic() + min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (ear.misses - 1))
                continue
            except (StoreError, CountersignError) as error:
                _log.warning("behind.wait_for_store", why=str(error))
                ear.free_at = time.monotonic() + STORE_SECONDS
                continue
            except Exception as error:  # a fault of ours: it must neither silence the rest nor be tried for ever
                _log.error("behind.failed", requests=list(batch), exc_info=error)
            self._settle(ear, batch)

    def _settle(self, ear: Ear, batch: Mapping[str, int]) -> None:
        """Let go of what was told, unless more has come of it meanwhile."""
        for request, number in batch.items():
            if ear.owed.get(request) == number:
                del ear.owed[request]
                if mark := self._marks.pop(request, None):
                    self._told.add(mark)

    async def _tell(self, ear: Ear, requests: Sequence[str]) -> None:
        """Tell one person in one message what came of these requests. Intent before effect."""
        found = (await self._stories.read(requests)).values()
        stories = {one.request.id: one for one in found if one.owed and one.person == ear.person}
        if not stories:
            return
        self._check()
        kinds = {name: [kind for kind, _ in story.owed] for name, story in stories.items()}
        begun = await behind_record.change(self._records, kinds, Told.begun)
        kinds = {name: list(begun[name].owed(meant)) for name, meant in kinds.items() if begun[name].owed(meant)}
        told = [(stories[name].request, [note for note in stories[name].owed if note[0] in meant])
                for name, meant in kinds.items()]  # fmt: skip
        if not told:
            return
        try:
            self._check()
            await self._send(ear, behind_words.message(told))
        except (Unreachable, NotNow):
            await self._note(kinds, Told.unsaid)
            raise
        ear.misses = 0
        await self._note(kinds, Told.done)

    async def _note(self, kinds: Mapping[str, Sequence[str]], step: Callable[[Told, Sequence[str]], Told]) -> None:
        """Note what was done; the store's absence is waited out, for forgotten it would be told again."""
        for _ in range(RECORD_TRIES - 1):
            try:
                await behind_record.change(self._records, kinds, step)
                return
            except Unavailable as error:
                _log.warning("behind.not_noted", why=str(error))
            await asyncio.sleep(AGAIN_SECONDS)
        await behind_record.change(self._records, kinds, step)

    async def _send(self, ear: Ear, text: str) -> None:
        """Tell it where this person is known: on the first platform that does not refuse it."""
        for surface, account in self._stories.accounts(ear.person):
            try:
                await surface.tell(account, text)
                return
            except Refused as error:
                _log.warning("behind.refused", person=ear.person, surface=surface.name, why=str(error))

    def _check(self) -> None:
        if time.monotonic() >= self._may_until:
            raise NotNow


def by_policy(events: Sequence[Event]) -> set[str]:
    """Return the ids of events by which policy answered: they follow their request's submission, and no review.

    That spares reading each ask that concerns no human.
    """
    last: dict[str, str] = {}
    found: set[str] = set()
    for event in events:
        if last.get(event.request) == "request.submitted" and event.type in ("request.approved", "request.denied"):
            found.add(event.id)
        last[event.request] = event.type
    return found
