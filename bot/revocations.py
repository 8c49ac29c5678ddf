"""Take away many grants at once: see what is hit, mark each to be ended, follow until each end is proven.

A grant that is opened after the look is not hit, which is why a freeze belongs before a wide revocation. What is being
ended already counts as hit: it lives until there is proof.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from approvers.audit import SYSTEM, Draft
from approvers.errors import CountersignError
from approvers.grant import LIVE
from approvers.ids import grant_of, request_of
from approvers.targets import Target
from bot.custody import Custody
from bot.duty import check_on_call, check_reviewer
from bot.identity import Identity
from bot.reading import NotFound, Reader, View
from workers import logs
from workers.stores import layout
from workers.stores.port import Commit, Conflict, Snapshot, Store, StoreError, Unavailable, transact

if TYPE_CHECKING:
    from bot.directory import Directory

__all__ = ["Revocations", "Target", "Unfinished", "ended"]

AT_ONCE = 8
"""Grants marked at the same time: the rest of the process goes on beside five hundred of them."""
PORTION = 25
EVERY = 100_000
"""More live grants than there can be: `all` leaves none out."""
LOOK_AGAIN = timedelta(seconds=1)
_log = logs.get_logger(__name__)


class Unfinished(CountersignError):
    """Some grants could not be marked; asking again goes on with what is left."""

    code = "unfinished"


class Revocations:
    """Take away what a target names."""

    def __init__(self, store: Store, reader: Reader, custody: Custody, directory: Directory) -> None:
        self._records, self._reader = store.records, reader
        self._custody, self._directory = custody, directory

    async def select(self, target: Target) -> list[View]:
        """Return the live grants that it hits, oldest first. Raises NotFound: no grant has this id or handle."""
        if target.kind == "grant":
            view = await self._reader.look(await self._reader.by_handle(target.name))
            if view.grant is None:
                raise NotFound(f"{target.name} has opened no grant; nothing is live under it.")
            return [] if ended(view) else [view]
        members = await self._records.members(layout.LIVE_INDEX, limit=EVERY)
        views = await self._views([request_of(one) for one in members])
        return [view for view in views if view.grant and not ended(view) and target.hits(view.grant)]

    async def check(self, who: Identity, target: Target) -> None:
        """Raise Forbidden unless they may: `not_a_reviewer`, or for all `not_on_call`."""
        if target.kind == "all":
            await check_on_call(who, self._directory, "revoke all")
        else:
            await check_reviewer(who, self._directory, "revoke")

    async def revoke(self, who: Identity, target: Target, reason: str) -> list[View]:
        """Mark everything that is hit to be ended, and return it as it then stands; proof comes later.

        Raises:
            Forbidden, NotFound: as `check` and `select` do.
            Unfinished: some could not be marked; the others are.
        """
        await self.check(who, target)
        found = await self.select(target)
        await self._record(who, target, reason, [grant_of(view.request.id) for view in found])
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(view: View) -> View:
            async with turns:
                return await self._custody.revoke(who, grant_of(view.request.id), reason)

        done = await asyncio.gather(*(one(view) for view in found), return_exceptions=True)
        _check_done(who, done)
        return [view for view in done if isinstance(view, View)]

    async def _record(self, who: Identity, target: Target, reason: str, grants: Sequence[str]) -> None:
        """Write down who pulled which cord, before anything is ended by it."""
        data = {"kind": target.kind, "name": target.name, "grants": list(grants), "reason": reason}
        draft = Draft(SYSTEM, "revocation.requested", who.by, who.via, data)

        def step(seen: Snapshot) -> tuple[Commit | None, None]:
            return layout.commit(seen.now, drafts=[draft], heads=seen.heads, expects=dict(who.proof)), None

        await transact(self._records, [], step, chains=[SYSTEM])

    async def _views(self, requests: Sequence[str]) -> list[View]:
        """Read many in small portions: parsing a large one would hold up everybody else."""
        portions = [requests[start : start + PORTION] for start in range(0, len(requests), PORTION)]
        return [view for portion in portions for view in await self._reader.views(portion)]

    async def follow(self, requests: Sequence[str], timeout: timedelta) -> AsyncIterator[list[View]]:
        """Yield all of them, in the order given, whenever one more has ended; and at last when the time is over.

        One wait at a time: the oldest that lives is waited for, the others are looked at every second. A store that
        is away is waited for, too; raises Unavailable only if it is still away when the time is over.
        """
        loop = asyncio.get_running_loop()
        deadline, over = loop.time() + timeout.total_seconds(), 0
        while True:
            views = await self._look(requests, deadline)
            open_ = [view for view in views if not ended(view)]
            left = deadline - loop.time()
            last = not open_ or left <= 0 or self._reader.closing.is_set()
            if last or len(views) - len(open_) > over:
                over = len(views) - len(open_)
                yield views
            if last:
                return
            pause = min(LOOK_AGAIN, timedelta(seconds=left))
            with contextlib.suppress(Unavailable):
                await self._reader.wait(open_[0].request.id, after=open_[0].version, timeout=pause)

    async def _look(self, requests: Sequence[str], deadline: float) -> list[View]:
        """Read all of them; while the store is away, once a second until the loop's time reaches the deadline."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return await self._views(requests)
            except Unavailable:
                if (left := deadline - loop.time()) <= 0:
                    raise
                await asyncio.sleep(min(LOOK_AGAIN.total_seconds(), left))


def _check_done(who: Identity, done: Sequence[View | BaseException]) -> None:
    """Raise what went wrong with any of them; whoever lost the right to ask in the middle hears that."""
    failed = [error for error in done if isinstance(error, BaseException)]
    for error in failed:
        if not isinstance(error, StoreError) or (isinstance(error, Conflict) and error.key in who.proof):
            raise error
    if failed:
        _log.warning("revocation.unfinished", left=len(failed), of=len(done), why=str(failed[0]))
        raise Unfinished(
            f"{len(failed)} of {len(done)} grants could not be marked, for the store did not do it; the others are "
            "being ended. Do the same again: it goes on with what is left."
        )


def ended(view: View) -> bool:
    """Tell whether nothing of it can live any more: proven ended, or never issued."""
    return view.grant is None or view.grant.state not in LIVE
