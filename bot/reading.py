"""Read requests and grants: one, one until it changes, or all that waits or lives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from approvers.answer import settled
from approvers.errors import CountersignError
from approvers.grant import Grant
from approvers.ids import grant_of, request_of
from approvers.request import Request, RequestState
from approvers.upgrades import read
from workers.stores import layout
from workers.stores.port import Snapshot, Store
from workers.stores.window import taken_out

LOOK_AGAIN = timedelta(seconds=5)
"""A lost hint may cost this much time, never an answer."""
PAGE = 200
MOST = 2_000
"""The longest list; more than that nobody looks through, and reading it would hold up everybody else."""


class NotFound(CountersignError):
    """There is no such record."""

    code = "not_found"


@dataclass(frozen=True)
class View:
    """A request as it stands, and the grant it opened."""

    request: Request
    grant: Grant | None
    request_version: int
    grant_version: int = 0

    @property
    def version(self) -> int:
        """Return the number that grows with every change of either."""
        return self.request_version + self.grant_version

    @property
    def settled(self) -> bool:
        """Tell whether there is nothing left to wait for."""
        return settled(self.request, self.grant)


class Reader:
    """Read state; nothing here changes it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.closing = asyncio.Event()
        """Set when the process stops: every wait returns at once with what there is."""

    def parse(self, seen: Snapshot, request: str) -> Request:
        """Return the request in a snapshot. Raises NotFound."""
        record = seen.records[layout.request_key(request)]
        if not record.version:
            raise NotFound(f"There is no request {request}.")
        return read(Request, record.json)

    def parse_grant(self, seen: Snapshot, grant: str) -> Grant:
        """Return the grant in a snapshot. Raises NotFound."""
        record = seen.records[layout.grant_key(grant)]
        if not record.version:
            raise NotFound(f"There is no grant {grant}.")
        return read(Grant, record.json)

    async def look(self, request: str) -> View:
        """Return a request as it stands. Raises NotFound."""
        grant_id = grant_of(request)
        seen = await self._store.records.read([layout.request_key(request), layout.grant_key(grant_id)])
        record = seen.records[layout.grant_key(grant_id)]
        grant = read(Grant, record.json) if record.version else None
        try:
            found = self.parse(seen, request)
        except NotFound as error:
            gone = await taken_out(self._store.log)
            raise NotFound(f"{error.detail}{gone.from_store(request) if gone else ''}") from None
        return View(found, grant, seen.records[layout.request_key(request)].version, record.version)

    async def wait(self, request: str, *, after: int | None, timeout: timedelta) -> View:
        """Return once the version is above `after` (None: once the request is settled), or after the timeout."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout.total_seconds()
        while True:
            view = await self.look(request)
            done = view.settled if after is None else view.version > after
            left = deadline - loop.time()
            if done or left <= 0 or self.closing.is_set():
                return view
            await self._hint(view, min(LOOK_AGAIN, timedelta(seconds=left)))

    async def _hint(self, view: View, timeout: timedelta) -> None:
        """Return when either record changes after what was seen, when the process stops, or after the timeout."""
        changed = self._store.signals.changed
        keys = {layout.request_key(view.request.id): view.request_version}
        keys[layout.grant_key(grant_of(view.request.id))] = view.grant_version
        waits = [asyncio.ensure_future(changed(key, timeout, seen=version)) for key, version in keys.items()]
        stop = asyncio.ensure_future(self.closing.wait())
        try:
            await asyncio.wait([*waits, stop], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*waits, stop):
                task.cancel()

    async def by_handle(self, text: str) -> str:
        """Return the request id for an id of either kind, or a short handle of something open. Raises NotFound."""
        if text.startswith("req_"):
            return text
        if text.startswith("grt_"):
            return request_of(text)
        found = await self._store.records.find(layout.handle_name(text.upper()))
        if found is None:
            raise NotFound(f"Nothing open has the handle {text}; what is over is found by its id, req_… or grt_….")
        return found

    async def waiting(self, principal: str | None = None) -> list[View]:
        """Return what waits, oldest first: of one principal, or of all."""
        index = layout.waiting_of(principal) if principal else layout.WAITING
        members = await self._store.records.members(index, limit=MOST)
        return [view for view in await self.views(members) if view.request.state is RequestState.PENDING]

    async def live(self) -> list[View]:
        """Return every request whose grant has not ended, oldest first."""
        members = await self._store.records.members(layout.LIVE_INDEX, limit=MOST)
        return [view for view in await self.views([request_of(one) for one in members]) if view.grant is not None]

    async def decided(self, principal: str) -> list[View]:
        """Return what a person answered lately, newest first."""
        key = layout.decided_key(principal)
        record = (await self._store.records.read([key])).records[key]
        return await self.views(json.loads(record.json)["requests"]) if record.version else []

    async def views(self, requests: Iterable[str]) -> list[View]:
        """Return many requests as they stand; each once, read in batches that hold the store for a moment only.

        One that is no longer there is left out: it was taken out of the log, and out of the store with it.
        """
        wanted, views = list(dict.fromkeys(requests)), list[View]()
        for start in range(0, len(wanted), PAGE):
            views += await self._page(wanted[start : start + PAGE])
        return views

    async def _page(self, requests: list[str]) -> list[View]:
        keys = [key for one in requests for key in (layout.request_key(one), layout.grant_key(grant_of(one)))]
        seen = await self._store.records.read(keys)
        views = []
        for one in requests:
            record, other = seen.records[layout.request_key(one)], seen.records[layout.grant_key(grant_of(one))]
            if not record.version:
                continue
            grant = read(Grant, other.json) if other.version else None
            views.append(View(read(Request, record.json), grant, record.version, other.version))
        return views
