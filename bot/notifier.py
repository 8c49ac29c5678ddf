"""Tell what happened: take events from the outbox, in order, and hand each to every listener.

Any number of web processes run a notifier; one leads by lease, so that posts keep their order and rates are counted
once. An event leaves the outbox when every listener has taken it; a listener that fails keeps it there, and what comes
after it waits. Chat surfaces listen here from the next feature on; the console reads state by itself.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from approvers.times import from_ms
from bot.surfaces.port import SurfaceError
from workers import logs
from workers.stores.port import Store, Unavailable

LEASE = timedelta(seconds=10)
LOOK_AGAIN = timedelta(seconds=1)
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
    """Take events, one at a time and in order. Taking one twice must be harmless."""

    async def take(self, event: Event) -> None:
        """Tell it, or raise SurfaceError to be asked again."""
        ...


class LogListener:
    """Write each event to the log, where nobody else listens."""

    async def take(self, event: Event) -> None:
        """Log it."""
        _log.info(event.type, request=event.request, grant=event.grant or "")


class Notifier:
    """Lead when nobody else does, and keep the outbox empty."""

    def __init__(self, store: Store, listeners: Sequence[Listener]) -> None:
        self._store, self._listeners = store, listeners
        self._name = secrets.token_hex(8)

    async def run(self) -> None:
        """Tell until cancelled; the store's absence is waited out."""
        while True:
            try:
                if not await self.turn():
                    await self._store.signals.changed("outbox", LOOK_AGAIN)
            except (Unavailable, SurfaceError) as error:
                _log.warning("notifier.waits", why=str(error))
                await asyncio.sleep(LOOK_AGAIN.total_seconds())

    async def turn(self) -> int:
        """Tell what is there, if this notifier leads; returns how many events were told."""
        if not await self._store.outbox.lead(self._name, LEASE):
            return 0
        events = [_event(number, line) for number, line in await self._store.outbox.unread()]
        taken: list[str] = []
        try:
            for event in events:
                for listener in self._listeners:
                    await listener.take(event)
                taken.append(event.id)
        finally:  # one round trip for all of them: taking an event twice is harmless, falling behind is not
            await self._store.outbox.told(taken)
        return len(events)


def _event(number: str, line: str) -> Event:
    raw = json.loads(line)
    return Event(number, raw["type"], from_ms(raw["at_ms"]), raw["request"], raw.get("grant"))
