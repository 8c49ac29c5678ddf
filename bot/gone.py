"""Tell on-call of groups whose people have all left the chat, though their requests were shown there and wait.

The roster still names them, so nothing else notices. Looks run beside the notifier, soon after a card was delivered and
then once a minute; each person is asked about at most once a minute, and nobody beyond those who are needed.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime

from approvers.card_words import title
from approvers.errors import CountersignError
from approvers.filling import unfillable
from approvers.request import Request, RequestState
from approvers.roster import Person, Roster
from approvers.ruling import barred_as
from approvers.upgrades import read
from approvers.waiting import reached
from bot.behind import by_policy
from bot.notifier import Event
from bot.postings_routes import account
from bot.reading import MOST
from bot.surfaces.port import Judges, Surface, SurfaceError
from workers import logs
from workers.alerts import Alert, Alerts
from workers.policies import Policies, Rulebook
from workers.stores import layout
from workers.stores.port import Store, StoreError

KEY = "group.gone"
"""The kind of the alert; the group's name follows behind a colon."""
SOON, EVERY = 1.0, 60.0
"""Seconds from news to a look at it, and between two looks at all that waits."""
ASK_SECONDS = 3.0
BATCH = 200
_log = logs.get_logger(__name__)


class Gone:
    """Be a listener of the notifier that keeps no event; `surfaces` may be filled after this was made."""

    def __init__(
        self,
        store: Store,
        policies: Policies,
        surfaces: Mapping[str, Surface],
        alerts: Alerts,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start with nothing known: the first look is at all that waits."""
        self._records, self._policies, self._surfaces, self._alerts = store.records, policies, surfaces, alerts
        self._clock = clock
        self._fresh: dict[str, float] = {}
        self._able: dict[str, bool] = {}
        self._raised: dict[str, Alert] = {}
        self._hanging: set[str] = set()
        self._again = False
        self._next = self._all_at = float("-inf")
        self._task: asyncio.Task[None] | None = None

    async def take(self, events: Sequence[Event]) -> Collection[str]:
        """Note what is new, begin to look if it is time, and wait for nothing."""
        now, quick = self._clock(), by_policy(events)
        for event in events:
            if event.type == "request.submitted" and event.id not in quick and len(self._fresh) < BATCH:
                self._fresh.setdefault(event.request, now)
        self._again |= any(event.request in self._hanging for event in events)
        if self._fresh or self._again:
            self._next = min(self._next, now + SOON)
        if now >= self._next and (self._task is None or self._task.done()):
            self._next = now + EVERY
            self._task = asyncio.create_task(self._look(now))
        return [event.id for event in events]

    async def leave(self) -> None:
        """End the look that is under way."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look(self, now: float) -> None:
        try:
            if self._policies.roster is None:
                return
            whole = self._again or now >= self._all_at
            self._again = False
            if now >= self._all_at:
                self._able, self._all_at = {}, now + EVERY
            await self._look_at(self._policies.current, now, whole=whole)
        except (StoreError, CountersignError) as error:
            _log.warning("gone.not_looked", why=str(error))
        except Exception as error:  # a fault of ours must not end the looking
            _log.error("gone.failed", exc_info=error)
        finally:
            self._next = min(self._next, self._all_at)

    async def _look_at(self, book: Rulebook, now: float, *, whole: bool) -> None:
        fresh, at = dict(self._fresh), await self._records.now()
        names = await self._records.members(layout.WAITING, limit=MOST) if whole else list(fresh)
        lost: defaultdict[str, list[Request]] = defaultdict(list)
        unseen: set[str] = set()
        async for request, shown in self._waiting(names):
            if not shown:
                unseen.add(request.id)
                continue
            for group in await self._lost(request, book, at):
                lost[group].append(request)
        for name, since in fresh.items():
            if name not in unseen or now - since >= EVERY:
                self._fresh.pop(name, None)
        await self._tell(lost, at, whole=whole)

    async def _waiting(self, names: Sequence[str]) -> AsyncIterator[tuple[Request, bool]]:
        """Yield what still waits of these, and whether it was shown to anybody; what cannot be read is logged."""
        for start in range(0, len(names), BATCH):
            page = names[start : start + BATCH]
            keys = [key for one in page for key in (layout.request_key(one), layout.cards_key(one))]
            seen = await self._records.read(keys)
            for one in page:
                try:
                    request = read(Request, seen.records[layout.request_key(one)].json)
                    if request.state is RequestState.PENDING:
                        yield request, reached(seen.records[layout.cards_key(one)].json, request) is True
                except CountersignError as error:
                    _log.error("gone.not_read", request=one, why=error.detail)
            await asyncio.sleep(0)  # a long list holds nobody up

    async def _lost(self, request: Request, book: Rulebook, at: datetime) -> tuple[str, ...]:
        """Return the groups in which too few can act; asks about people until enough are known to be able.

        What the roster itself leaves empty is told by the clock.
        """
        roster = book.roster
        if unfillable(request, roster):
            return ()
        while missing := unfillable(request, self._present(request, roster)):
            name = self._unasked(request, roster, missing)
            if name is None:
                return missing
            self._able[name] = await self._any_can_act(name, book, at)
        return ()

    def _present(self, request: Request, roster: Roster) -> Roster:
        """Return the roster with those people alone, in the groups of the seats, who are known to be able."""
        groups = dict(roster.groups)
        for name in request.ruling.seats:
            if name in groups:
                left = tuple(one for one in groups[name].people if self._able.get(one))
                groups[name] = groups[name].model_copy(update={"people": left})
        return roster.model_copy(update={"groups": groups})

    def _unasked(self, request: Request, roster: Roster, missing: Sequence[str]) -> str | None:
        for group in (*missing, *request.ruling.seats):
            for name in roster.groups[group].people if group in roster.groups else ():
                barred = barred_as(request.ruling, f"user:{name}", roster.groups_of(name))
                if name not in self._able and barred is None:
                    return name
        return None

    async def _any_can_act(self, name: str, book: Rulebook, at: datetime) -> bool:
        """Tell whether they can act, or somebody to whom they have lent their seats."""
        takers = [lent.taker for lent in book.delegations if lent.giver == name and at <= lent.until]
        people = [book.roster.persons[one] for one in (name, *takers) if one in book.roster.persons]
        for person in people:
            if await self._can_act(person):
                return True
        return False

    async def _can_act(self, person: Person) -> bool:
        """Tell whether a platform lets them act, or does not say; whoever is on none has the console."""
        on = [(surface, found) for surface in self._surfaces.values() if (found := account(person, surface.name))]
        for surface, name in on:
            try:
                async with asyncio.timeout(ASK_SECONDS):
                    if not isinstance(surface, Judges) or not await surface.gone(name):
                        return True
            except (SurfaceError, StoreError, CountersignError, TimeoutError) as error:
                _log.warning("gone.not_asked", person=person.name, surface=surface.name, why=str(error))
                return True
        return not on

    async def _tell(self, lost: Mapping[str, Sequence[Request]], now: datetime, *, whole: bool) -> None:
        """Raise what holds, again at every look; clear what a look at everything has not found any more."""
        hanging = {request.id for requests in lost.values() for request in requests}
        self._hanging = hanging if whole else self._hanging | hanging
        for group, requests in lost.items():
            first = requests[0]
            summary = (
                f"Too few people of {group} can still act in chat to answer {first.handle}: {title(first)}. The "
                "accounts of the others are deactivated there, or outside. It waits until "
                f"{first.expires_at:%H:%M} UTC and then expires: have somebody of {group} answer in the console, or "
                "change the group or the accounts in countersign.toml and apply."
            )
            self._raised[group] = Alert(f"{KEY}:{group}", "critical", summary, now, {"request": first.id})
            await self._alerts.send(self._raised[group])
        for group in [group for group in self._raised if whole and group not in lost]:
            await self._alerts.send(self._raised.pop(group).clear(now))
