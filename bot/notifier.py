"""Tell what happened: take events from the outbox, in order, and hand them to every listener.

Any number of web processes run a notifier; one leads by lease, so that posts keep their order and rates are counted
once. An event leaves the outbox when every listener has told it; what a listener keeps stays there, and holds nothing
else up: the next turn looks as much further as there is kept. A turn is short, and listeners may act only for `ACT`
after it began, which the lease outlives: whoever has lost the lead falls silent by itself.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from approvers.errors import CountersignError
from approvers.times import from_ms
from bot.surfaces.port import SurfaceError
from workers import logs
from workers.stores.port import Store, StoreError, Unavailable

LEASE = timedelta(seconds=10)
ACT = timedelta(seconds=4)
"""How long after the beginning of `Listener.take` a listener may begin to act; less than half the lease."""
LOOK_AGAIN = timedelta(seconds=1)
PAGE = 100
SOON, LATER = 0.05, 0.25
"""Seconds until the next look while something is kept: at first, and at most for a short list."""
READ_PER_SECOND = 4_000
"""How many kept events are read again per second, at most: a long outage must not keep this process busy."""
_log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Event:
    """One thing that happened to a request or its grant; what it looks like now is read when it is told."""

    id: str
    type: str
    at: datetime
    request: str
    grant: str | None


class Listener(Protocol):
    """Take events, in order. Taking one twice must be harmless."""

    async def take(self, events: Sequence[Event]) -> Collection[str]:
        """Return the ids that are told; of those it has not returned it is asked again. Returns within moments."""
        ...

    async def leave(self) -> None:
        """End what is under way: this process ends, or starts its notifier anew."""
        ...


class LogListener:
    """Write each event to the log, where nobody else listens."""

    async def take(self, events: Sequence[Event]) -> Collection[str]:
        """Log them."""
        for event in events:
            _log.info(event.type, request=event.request, grant=event.grant or "")
        return [event.id for event in events]

    async def leave(self) -> None:
        """Do nothing: nothing is ever under way."""


class Notifier:
    """Lead when nobody else does, and keep the outbox empty."""

    def __init__(self, store: Store, listeners: Sequence[Listener]) -> None:
        self._store, self._listeners = store, listeners
        self._name = secrets.token_hex(8)
        self._leads_until = float("-inf")
        self._kept: dict[str, Event] = {}
        self._done: list[set[str]] = [set() for _ in listeners]
        self._ring: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Tell until cancelled; the store's absence is waited out."""
        pause = SOON
        try:
            while True:
                try:
                    told = await self._turn_or_ring(pause)
                except (Unavailable, SurfaceError, CountersignError) as error:
                    _log.warning("notifier.waits", why=str(error))
                    await asyncio.sleep(LOOK_AGAIN.total_seconds())
                    continue
                most = LATER + len(self._kept) / READ_PER_SECOND
                pause = SOON if told or not self._kept else min(2 * pause, most)
        finally:
            await self._resign()

    async def turn(self) -> int:
        """Tell what is there, if this notifier leads; returns how many events left the outbox."""
        if not await self._lead():
            return 0
        lines = await self._store.outbox.unread(PAGE + len(self._kept))
        if self._leads_until - time.monotonic() < ACT.total_seconds():
            return 0  # reading took so long that somebody else may lead before the listeners are done
        events = [self._kept.get(number) or _event(number, line) for number, line in lines]
        self._kept = {event.id: event for event in events}
        told: set[str] = set()
        try:
            told = await self._tell(events)
        finally:  # one round trip for all of them: taking an event twice is harmless, falling behind is not
            await self._store.outbox.told([event.id for event in events if event.id in told])
            self._kept = {event.id: event for event in events if event.id not in told}
        return len(told)

    async def _turn_or_ring(self, pause: float) -> int:
        """Take a turn; if nothing came of it, wait for the outbox to fill, having listened since before the turn."""
        if self._ring is None or self._ring.done():
            self._ring = asyncio.ensure_future(self._store.signals.changed("outbox", LOOK_AGAIN))
            await asyncio.sleep(0)  # it has to listen before we look
        told = await self.turn()
        if not told:
            await self._rest(pause)
        return told

    async def _rest(self, pause: float) -> None:
        if time.monotonic() < self._leads_until and self._ring:
            await asyncio.wait([self._ring], timeout=pause if self._kept else None)  # it ends by itself
        else:  # somebody else leads, and hears the same ring
            await asyncio.sleep(LOOK_AGAIN.total_seconds())

    async def _tell(self, events: Sequence[Event]) -> set[str]:
        """Hand each listener what it has not told yet; returns what all of them have."""
        for listener, done in zip(self._listeners, self._done, strict=True):
            done.intersection_update(self._kept)
            done.update(await listener.take([event for event in events if event.id not in done]))
        return {event.id for event in events}.intersection(*self._done)

    async def _lead(self) -> bool:
        """Become or stay the leader; asks only when less than two thirds of the lease are left."""
        asked = time.monotonic()
        if self._leads_until - asked < LEASE.total_seconds() * 2 / 3:
            leads = await self._store.outbox.lead(self._name, LEASE)
            self._leads_until = asked + LEASE.total_seconds() if leads else float("-inf")
        return asked < self._leads_until

    async def _resign(self) -> None:
        """End what listeners have under way, and let the lease end with it."""
        for listener in self._listeners:
            await listener.leave()
        if time.monotonic() < self._leads_until:
            with suppress(StoreError):
                await self._store.outbox.lead(self._name, timedelta(milliseconds=1))
        self._leads_until = float("-inf")
        if self._ring:
            self._ring.cancel()


def _event(number: str, line: str) -> Event:
    raw = json.loads(line)
    return Event(number, raw["type"], from_ms(raw["at_ms"]), raw["request"], raw.get("grant"))
