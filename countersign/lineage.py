"""Hold the grants of one run, each the extension of the one before, and give every one of them back, once.

Their ends stay apart: an older grant ends at its own time, and the newest that is live is what COMMAND gets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from approvers.errors import CountersignError
from countersign import helper
from countersign.asking import GOODBYE_SECONDS
from countersign.client import AsyncClient
from countersign.errors import Conflict
from countersign.models import Credential, Grant, Request
from countersign.status import standing

AT_ITS_END_SECONDS = 3
"""How far the worker may be behind the clock in ending a grant."""


@dataclass
class Held:
    """One grant that this run holds. `ends` is in seconds of the event loop's clock; `done`: nothing to give back."""

    request: Request
    grant: Grant
    ends: float
    credential: Credential | None = None
    done: bool = False
    told: bool = False

    def left(self) -> float:
        """Return the seconds until its end."""
        return self.ends - asyncio.get_running_loop().time()

    @property
    def time_left(self) -> timedelta:
        """Return the time until its end; never less than nothing."""
        return timedelta(seconds=max(0, round(self.left())))

    @property
    def until(self) -> str:
        """Spell its end for people."""
        return f"{self.grant.ends_at.astimezone(UTC):%H:%M:%S} UTC" if self.grant.ends_at else "its TTL"


class Lineage:
    """The grants of one run, oldest first. `asked`: an extension that is not settled yet."""

    def __init__(self, client: AsyncClient, say: Callable[[str], None]) -> None:
        """Begin with none."""
        self._client, self._say = client, say
        self._held: list[Held] = []
        self.asked: Request | None = None

    @property
    def newest(self) -> Held:
        """Return the newest; there must be one."""
        return self._held[-1]

    @property
    def holds(self) -> bool:
        """Tell whether there is one."""
        return bool(self._held)

    def hold(self, request: Request | None) -> Held | None:
        """Take a request's grant into hand, to be given back with the others; without a grant there is nothing."""
        if request is None or request.grant is None:
            return None
        ends_at = request.grant.ends_at or self._client.now() + timedelta(seconds=request.grant.ttl_seconds or 0)
        left = (ends_at - self._client.now()).total_seconds()
        held = Held(request, request.grant, asyncio.get_running_loop().time() + left, done=request.grant.over)
        self._held.append(held)
        return held

    def note(self, grant: Grant) -> None:
        """Keep what an answer says of one of them."""
        for held in self._held:
            if held.grant.id == grant.id:
                held.grant = grant

    def handed(self) -> dict[str, Any] | str:
        """Return what an SDK reads of the newest that is live, or why there is none."""
        for held in reversed(self._held):
            if held.credential and held.grant.active and not held.done and held.left() > 0:
                now, ttl = datetime.now(UTC), timedelta(seconds=held.grant.ttl_seconds or 0)
                keys = {name: getattr(held.credential, name) for name in helper.KEYS}
                return helper.shape(keys, helper.ask_again_at(now + timedelta(seconds=held.left()), ttl, now))
        if not self._held:
            return "There is no credential yet."
        waiting = f"; {standing(self.asked)}" if self.asked and not self.asked.settled else ""
        return f"{self.newest.request.label} has ended, and no credential is left{waiting}."

    async def over(self, command: str) -> bool:
        """Tell whether none is live any more, and if so, say why the newest ended."""
        await asyncio.gather(*(self.look(held) for held in self._held))
        if any(held.grant.active for held in self._held):
            return False
        self.tell_end(self.newest, f"the credential ended while {command} ran")
        return True

    async def look(self, held: Held) -> None:
        """Read how one stands; at its very end, wait a moment for the worker to end it."""
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                now = await self._client.get(held.request)
                if now.grant and now.grant.active and held.left() < AT_ITS_END_SECONDS:
                    now = await self._client.get(now, wait=AT_ITS_END_SECONDS, after=now.version)
        except (CountersignError, TimeoutError):
            return
        if now.grant is not None:
            held.grant = now.grant
            held.done = held.done or not now.grant.active

    def tell_end(self, held: Held, words: str) -> None:
        """Say once why one has ended."""
        if held.told:
            return
        held.told = True
        ending = held.grant.ending or {}
        by = ": ".join(str(ending[name]) for name in ("by", "reason") if ending.get(name))
        self._say(f"{words} ({ending.get('cause', held.grant.state)}{f' by {by}' if by else ''})")

    async def release(self) -> None:
        """Give back what is left, all at once; where that fails, say when it ends by itself."""
        await asyncio.gather(*(self._release(held) for held in self._held))

    async def _release(self, held: Held) -> None:
        if held.done:
            return
        held.done, label = True, held.request.label
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                ended = await self._client.release(held.request)
            cause = (ended.ending or {}).get("cause", "release")
            self._say(f"{label} is released" if cause == "release" else f"{label} has ended already ({cause})")
        except Conflict:
            pass  # it has ended already, which is what was wanted
        except (CountersignError, TimeoutError) as error:
            self._say(
                f"could not release {label} ({error or 'timeout'}); the credential ends by itself at {held.until}"
            )
