"""Say in the background that the caller lives, as often as its grant wants to hear it.

A grant that was asked for with `heartbeat_seconds` ends early when its caller falls silent: a dead agent's credential
does not live on to its TTL. A beat that fails is tried again; it never ends the work that it is for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Protocol, Self

from approvers.errors import CountersignError
from countersign.errors import BadSetting, Conflict, Unreachable
from countersign.models import Grant, Request

BEATS = 3
"""How many beats fit into the time that a grant waits for one: one or two may be lost."""
AGAIN = 4
"""How much sooner than the next beat a failed one is tried again."""


class Beat(Protocol):
    """Make one beat: `AsyncClient.heartbeat`."""

    def __call__(self, grant: Grant, *, patience_seconds: float) -> Awaitable[Grant]:
        """Return the grant as it stands."""


class Beating:
    """Beat while an `async with` block lasts. `grant` is the newest answer; `ended`: it is not ACTIVE any more."""

    def __init__(
        self,
        beat: Beat,
        grant: Grant | Request,
        *,
        on_answer: Callable[[Grant], None] | None = None,
        on_end: Callable[[Grant], None] | None = None,
        on_trouble: Callable[[CountersignError], None] | None = None,
    ) -> None:
        """Check that this grant waits for beats.

        Args:
            beat: what makes one beat.
            grant: an active grant, or its request.
            on_answer: hears of each answer, such as that the grant's end was warned of.
            on_end: hears once that the grant has ended.
            on_trouble: hears of the first of some beats that fail in a row.
        """
        found = grant.grant if isinstance(grant, Request) else grant
        if found is None or not found.heartbeat_seconds:
            raise BadSetting(
                f"{grant.id} waits for no heartbeat: ask with `heartbeat_seconds`, or do without beating",
                field="heartbeat_seconds",
            )
        self.grant, self.ended = found, False
        self._every = found.heartbeat_seconds / BEATS
        self._beat, self._on_answer, self._on_end, self._on_trouble = beat, on_answer, on_end, on_trouble
        self._troubled = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._go_on(), name=f"heartbeat of {self.grant.id}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; the beat that is under way is given up."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _go_on(self) -> None:
        while not self.ended:
            taken = await self._once()
            await asyncio.sleep(self._every if taken else self._every / AGAIN)

    async def _once(self) -> bool:
        """Beat once, within the time until the next is due; tell whether it was taken."""
        try:
            async with asyncio.timeout(self._every):
                self._take(await self._beat(self.grant, patience_seconds=self._every / 2))
        except Conflict as error:
            if error.code != "grant_ended":
                return self._fail(error)
            self._end()
        except CountersignError as error:
            return self._fail(error)
        except TimeoutError:
            return self._fail(Unreachable("The server did not answer a heartbeat in time."))
        return True

    def _take(self, grant: Grant) -> None:
        self.grant, self._troubled = grant, False
        if self._on_answer:
            self._on_answer(grant)
        if not grant.active:
            self._end()

    def _end(self) -> None:
        self.ended = True
        if self._on_end:
            self._on_end(self.grant)

    def _fail(self, error: CountersignError) -> bool:
        if self._on_trouble and not self._troubled:
            self._on_trouble(error)
        self._troubled = True
        return False
