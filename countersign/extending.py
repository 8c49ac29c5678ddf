"""Go on with a run's grant before it ends: ask in time, wait, collect, hand over; one at a time, as often as it takes.

An extension is a new request: the same fields and reason, `extends` naming the grant, and no more than that one holds.
Whatever the answer, the grant that is extended ends at its own time. What is denied or not answered is not asked again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from approvers.errors import CountersignError
from countersign.approval import key_for
from countersign.asking import Asking
from countersign.client import POLL_SECONDS, AsyncClient
from countersign.errors import BadAnswer, NotApproved, ServerTrouble, Unreachable
from countersign.lineage import Held, Lineage
from countersign.models import Ask, Request
from countersign.status import Status

SHARE = 3
"""An extension is asked for when a third of the TTL is left …"""
MOST_SECONDS = 900.0
"""… or this much of a long one; or as soon as the server warns of the end, if that is sooner."""
AGAIN_SECONDS = 5.0


class Extending:
    """Extend the newest grant of a lineage, from `start` to `stop`."""

    def __init__(
        self,
        client: AsyncClient,
        ask: Ask,
        lineage: Lineage,
        status: Status,
        *,
        key: str | None = None,
        on_new: Callable[[Held], Awaitable[None]],
    ) -> None:
        """Prepare it. `on_new` hears of each new grant, whose credential is there; `key`: the run's own, if it has one.

        With such a key a second process of the same run finds the same extension; without, each is a new request.
        """
        self._client, self._ask, self._lineage, self._status = client, ask, lineage, status
        self._key, self._on_new = key, on_new
        self._asking: Asking | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._forever(), name="extending")

    async def stop(self) -> None:
        """Stop; an extension that is not settled is withdrawn, one that was approved meanwhile is given back."""
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        if (asking := self._asking) is not None:
            self._asking = None
            if self._lineage.hold(await asking.withdraw(self._status.say)):
                await self._lineage.release()

    async def _forever(self) -> None:
        while await self._in_time():
            if not await self._extend(self._lineage.newest):
                return

    async def _in_time(self) -> bool:
        """Wait until the newest wants an extension; False: it has ended before."""
        held = self._lineage.newest
        seen = held.request
        while (left := held.left() - lead(held)) > 0 and held.grant.warned_at is None:
            if left < 1:  # a poll is held for whole seconds
                await asyncio.sleep(left)
                continue
            try:
                seen = await self._client.newer(seen, min(int(left), POLL_SECONDS))
            except CountersignError:
                await asyncio.sleep(min(left, AGAIN_SECONDS))
                continue
            if seen.grant is not None:
                held.grant = seen.grant
        return held.grant.active

    async def _extend(self, old: Held) -> bool:
        """Ask for one extension and hand it over; False: there is none, and no other is asked for."""
        label = old.request.label
        self._status.say(f"{label} ends at {old.until}: asking for an extension")
        key = key_for(self._key, old.grant.id) if self._key else None
        self._asking = Asking(self._client, extension(self._ask, old), self._show, key)
        troubled = False
        while True:
            try:
                new = await self._collected(self._asking)
            except (Unreachable, BadAnswer, ServerTrouble) as error:
                if not troubled:
                    self._status.say(f"the extension of {label} does not get through, and is tried on: {error.detail}")
                troubled = True
                await asyncio.sleep(AGAIN_SECONDS)
            except CountersignError as error:
                if isinstance(error, NotApproved):  # anything else may still be waiting, and is withdrawn in the end
                    self._asking, self._lineage.asked = None, None
                self._status.say(f"{label} is not extended and ends at {old.until}: {error.detail}")
                return False
            else:
                break
        self._status.say(f"{new.request.label} goes on until {new.until}; {label} ends by itself at {old.until}")
        await self._on_new(new)
        return True

    async def _collected(self, asking: Asking) -> Held:
        request = await asking.settled()
        if self._asking is not None:  # from here on it is given back with the others
            self._asking, self._lineage.asked = None, None
            self._lineage.hold(request)
        held = self._lineage.newest
        held.credential = await self._client.credential(request)
        return held

    def _show(self, request: Request) -> None:
        self._lineage.asked = request
        self._status.show(request)


def lead(held: Held) -> float:
    """Return how many seconds before its end an extension is asked for."""
    return min((held.grant.ttl_seconds or 0) / SHARE, MOST_SECONDS)


def extension(ask: Ask, old: Held) -> Ask:
    """Return the ask that goes on with a grant: the first one's, where nobody has made that smaller."""
    changes: dict[str, object] = {"extends": old.grant.id, "public_key": None}
    if (said := old.request.narrowed) and ask.access is not None:
        granted = said.get("granted") or {}
        changes["ttl_seconds"] = granted.get("ttl_seconds", ask.ttl_seconds)
        kept = {name: tuple(granted[name]) for name in ("actions", "resources") if granted.get(name)}
        changes["access"] = ask.access.model_copy(update=kept)
    return ask.model_copy(update=changes)
