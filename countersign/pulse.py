"""Beat for each live grant of a run, and say once what the answers tell: an end to come, an end that was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from approvers.errors import CountersignError
from approvers.times import spell
from countersign.beating import Beating
from countersign.client import AsyncClient
from countersign.lineage import Held, Lineage
from countersign.models import Grant


class Pulse:
    """The heartbeats of a run. An older grant is beaten for until it ends: COMMAND may still use it."""

    def __init__(
        self, client: AsyncClient, lineage: Lineage, say: Callable[[str], None], command: str, *, warns: bool
    ) -> None:
        """Prepare it. `warns`: say that the end is near; not where it is extended."""
        self._client, self._lineage, self._say, self._command, self._warns = client, lineage, say, command, warns
        self._stack = AsyncExitStack()
        self._looks: set[asyncio.Task[None]] = set()
        self._warned: set[str] = set()
        self._stopped = False

    async def begin(self, held: Held) -> None:
        """Beat for one more grant, if it waits for beats."""
        if held.grant.heartbeat_seconds and not self._stopped:
            beating = Beating(
                self._client.heartbeat,
                held.grant,
                on_answer=self._answered,
                on_end=lambda grant: self._ended(held),
                on_trouble=lambda error: self._troubled(held, error),
            )
            await self._stack.enter_async_context(beating)

    async def stop(self) -> None:
        """Stop all, for good; a second time does nothing."""
        self._stopped = True
        for look in self._looks:
            look.cancel()
        await asyncio.gather(*self._looks, return_exceptions=True)
        await self._stack.aclose()

    def _answered(self, grant: Grant) -> None:
        self._lineage.note(grant)
        held = self._lineage.newest
        if self._warns and held.grant.warned_at and held.grant.id not in self._warned:
            self._warned.add(held.grant.id)
            self._say(f"{held.request.label} ends at {held.until}, in {spell(held.time_left)}, and {self._command} "
                      "loses its credential; `run --extend` asks for more in time")  # fmt: skip

    def _ended(self, held: Held) -> None:
        task = asyncio.create_task(self._tell_end(held))
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)

    async def _tell_end(self, held: Held) -> None:
        await self._lineage.look(held)
        if held is self._lineage.newest:
            self._lineage.tell_end(held, f"the credential ended while {self._command} ran")
        else:
            newest = self._lineage.newest
            self._lineage.tell_end(held, f"{held.request.label} has ended; {newest.request.label} goes on")

    def _troubled(self, held: Held, error: CountersignError) -> None:
        self._say(f"a heartbeat of {held.request.label} does not get through, and is tried on; after "
                  f"{held.grant.heartbeat_seconds} s of silence the credential ends: {error.detail}")  # fmt: skip
