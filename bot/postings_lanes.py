"""Send to one channel one thing at a time, in order, and not while the platform wants us to wait.

Each channel has its own lane, so that one that is held, slow or lost keeps no other waiting. Within a lane cards come
first: a line in a thread can wait, an old card misleads.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Protocol

from approvers.errors import CountersignError
from approvers.times import spell
from bot.postings_alarms import Alarms
from bot.postings_record import Lane as Name
from bot.postings_scenes import Scene
from bot.surfaces.port import OutcomeUnknown, Surface, Unreachable
from workers import logs
from workers.stores.port import StoreError

NAP_SECONDS = 0.2
"""How long a held lane sleeps at a time: it may have to end, and another hold may have come."""
STORE_SECONDS = 0.5
"""The wait after the store did not answer."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 60.0
"""The wait after a send that nobody answered; it doubles with each further one, up to the longest."""
SILENT_AFTER = timedelta(minutes=1)
"""On-call is told when nothing has reached a channel for so long."""
_log = logs.get_logger(__name__)


class Show(Protocol):
    """Bring one request up to date in a lane, or (`talk`) say the next line in its threads; True: there are more."""

    async def __call__(self, lane: Lane, request: str, scene: Scene | None, *, talk: bool) -> bool:
        """Do it, or raise why not."""
        ...


class NotNow(Exception):
    """This process may not act any more: it does not lead, or it ends."""


class Lane:
    """Hold the queue of one channel, and what its platform said last."""

    def __init__(
        self,
        name: Name,
        surface: Surface,
        show: Show,
        alarms: Alarms,
        silent_after: timedelta = SILENT_AFTER,
    ) -> None:
        """Start empty; `show` brings one request up to date in this lane, from a scene if there is one."""
        self.name, self.surface, self.to = name, surface, name[1]
        self._show, self._alarms, self._silent_after = show, alarms, silent_after
        self._queue: dict[str, Scene | None] = {}
        self._later: dict[str, None] = {}
        self._present: str | None = None
        self._free_at = self._quiet_until = self._may_until = float("-inf")
        self._misses = 0
        self._failing_since: float | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def where(self) -> str:
        """Return what logs and alerts call it: `slack:C01`."""
        return ":".join(self.name)

    @property
    def idle(self) -> bool:
        """Tell whether what is added now is shown at once."""
        now = time.monotonic()
        return self._present is None and not self._queue and self._free_at <= now < self._may_until

    @property
    def waiting(self) -> list[str]:
        """Return the requests that wait here to be shown."""
        return list(self._queue)

    def add(self, scene: Scene) -> None:
        """Queue a request, unless it is queued already. What is being shown just now is shown once more.

        Only what is shown at once is shown from this scene: later it would be old.
        """
        alone = self._present is None and not self._queue
        self._queue.setdefault(scene.request.id, scene if alone else None)

    def wake(self, may_until: float) -> asyncio.Task[None] | None:
        """Go on until the queue is empty, or until that moment of the monotonic clock; returns the work under way."""
        self._may_until = may_until
        if (self._queue or self._later) and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run())
        return self._task if self._task and not self._task.done() else None

    def check(self) -> None:
        """Raise NotNow unless something may be sent at this moment."""
        if time.monotonic() >= self._may_until:
            raise NotNow

    def well(self) -> None:
        """Note that the platform has answered."""
        self._misses, self._failing_since = 0, None
        self._alarms.clear("unreachable", self.where)

    async def _run(self) -> None:
        while (self._queue or self._later) and time.monotonic() < self._may_until:
            free_at = self._free_at if self._queue else max(self._free_at, self._quiet_until)
            if (wait := free_at - time.monotonic()) > 0:
                await asyncio.sleep(min(wait, NAP_SECONDS))
                continue
            if not self._queue:
                await self._talk(next(iter(self._later)))
                continue
            self._present = next(iter(self._queue))
            try:
                await self._one(self._present, self._queue.pop(self._present))
            finally:
                self._present = None

    async def _one(self, request: str, scene: Scene | None) -> None:
        """Show one request; what could not be shown now stays first in the queue."""
        done = False
        try:
            if await self._show(self, request, scene, talk=False):
                self._later.setdefault(request)
            done = True
        except Unreachable as error:
            self._wait(error.after_seconds, str(error))
        except OutcomeUnknown as error:
            self._misses += 1
            self._wait(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (self._misses - 1)), str(error))
        except (StoreError, CountersignError) as error:  # no answer, or no rules yet
            _log.warning("cards.wait_for_store", request=request, why=str(error))
            self._free_at = time.monotonic() + STORE_SECONDS
        except NotNow:
            pass
        finally:
            if not done:
                first: dict[str, Scene | None] = {request: None}
                self._queue = first | self._queue

    async def _talk(self, request: str) -> None:
        """Say one line in the threads of a request; while that has to wait, cards need not."""
        try:
            if not await self._show(self, request, None, talk=True):
                self._later.pop(request, None)
        except Unreachable as error:
            self._quiet_until = time.monotonic() + error.after_seconds
        except (OutcomeUnknown, StoreError, CountersignError) as error:
            _log.warning("cards.line_waits", request=request, why=str(error))
            self._quiet_until = time.monotonic() + STORE_SECONDS
        except NotNow:
            pass

    def _wait(self, seconds: float, why: str) -> None:
        now = time.monotonic()
        self._free_at = now + max(0.0, seconds)
        if self._failing_since is None:
            self._failing_since = now
            _log.warning("cards.held", channel=self.where, seconds=seconds, why=why)
        if now - self._failing_since >= self._silent_after.total_seconds():
            since = spell(timedelta(seconds=now - self._failing_since))
            summary = f"Nothing has reached {self.where} for {since}; what happens is not seen there: {why}"
            self._alarms.sound("unreachable", self.where, summary)
