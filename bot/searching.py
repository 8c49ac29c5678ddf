"""Search requests through the log, newest first, in steps of bounded work: each answer says how far it has come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from approvers.cases import SUBMITTED, decoded, tag_of
from approvers.request import Request
from approvers.taken_out import TakenOut
from approvers.times import stamp
from bot.deps import Deps
from bot.identity import Identity
from bot.intake import OVERSEERS, may_read
from bot.reading import View
from bot.searching_query import Query
from bot.standing import groups_of
from workers.stores.window import PAGE, backwards, position_at, taken_out

MOST_RECORDS = 20_000
"""Records that one step looks at: about half a second's work."""
MOST_FOUND = 100
MOST_SECONDS = 2.0
"""For how long one step compares, beside the event loop: long patterns of an ask can make that slow."""
AT_ONCE = 2
"""Searches of one process at the same time; further ones wait their turn."""
SLACK = timedelta(hours=1)
"""By how much the store's time may have gone back between two records, so that none is missed."""


@dataclass(frozen=True)
class Hit:
    """One request that was found, and where in the log it was asked."""

    position: int
    view: View


@dataclass(frozen=True)
class Found:
    """What one step found, newest first.

    Attributes:
        go_on: where the next step goes on; None: all has been searched.
        back_to: the oldest moment that has been looked at.
        looked_at: how many records that took.
        taken_out: what the search cannot find, as it was taken out of the log.
    """

    hits: Sequence[Hit]
    go_on: int | None
    back_to: datetime | None
    looked_at: int
    taken_out: TakenOut | None = None


class Searching:
    """Search for whoever may read."""

    def __init__(self, deps: Deps, *, seconds: float = MOST_SECONDS) -> None:
        self._deps, self._log, self._seconds = deps, deps.store.log, seconds
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def search(
        self, who: Identity, query: Query, *, before: int | None = None, limit: int = MOST_FOUND,
        most: int = MOST_RECORDS,
    ) -> Found:  # fmt: skip
        """Return what the reader may see of it; `before`: the position at which the last step stopped."""
        async with self._turns:
            size = await self._log.size()
            end = min(size, before - 1) if before is not None else size
            if query.until is not None:
                end = min(end, await position_at(self._log, query.until + SLACK, size))
            gone = await taken_out(self._log)
            first = gone.records if gone else 0
            if query.since is not None:
                first = max(first, await position_at(self._log, query.since - SLACK, size))
            stretch = range(max(first, end - most), end)
            found = await self._back(who, query, stretch, limit=limit, first=first)
            return replace(found, taken_out=gone) if gone and gone.hides(query.since) else found

    async def _back(self, who: Identity, query: Query, stretch: range, *, limit: int, first: int) -> Found:
        """Search a stretch of the log, the newest first; `first`: how far back all of the search goes."""
        hits: list[Hit] = []
        end, back_to, reached = stretch.stop, None, stretch.stop
        give_up = time.monotonic() + self._seconds
        async for page in backwards(self._log, stretch.start, end, PAGE):
            asked = {subject: position for position, subject in _asked(page.first, page.bodies)}
            views = await self._deps.reader.views(asked)
            readable = sorted(await self._readable(who, views), key=lambda one: -asked[one.request.id])
            compared = await asyncio.to_thread(_compared, query, readable, give_up)
            for view, holds in compared:
                position = asked[view.request.id]
                hits += [Hit(position, view)] if holds else []
                if len(hits) == limit:
                    return Found(hits, position, view.request.submitted_at, end - position + 1)
            if len(compared) < len(readable):
                return Found(hits, position, view.request.submitted_at, end - position + 1)
            reached, back_to = page.first - 1, datetime.fromisoformat(decoded(page.bodies[0])["at"])
            if time.monotonic() >= give_up:
                break
        return Found(hits, reached + 1 if reached > first else None, back_to, end - reached)

    async def _readable(self, who: Identity, views: Sequence[View]) -> Sequence[View]:
        """Return those that the reader may see: all for those who oversee, else their own and their callers'."""
        if who.scopes & OVERSEERS:
            return views
        owners = {one.removeprefix("group:") for view in views for one in view.request.facts.owners if ":" in one}
        found = await self._deps.directory.membership(who.principal, sorted(owners))
        groups = frozenset(groups_of(self._deps.policies.current, who.principal, found))
        return [view for view in views if may_read(who, view.request, groups)]


def _compared(query: Query, views: Sequence[View], give_up: float) -> list[tuple[View, bool]]:
    """Return which of these are what is searched for: all, or as many as there is time for, one at least."""
    compared = list[tuple[View, bool]]()
    for view in views:
        compared.append((view, query.holds(view)))
        if time.monotonic() >= give_up:
            break
    return compared


def _asked(first: int, bodies: Iterable[bytes]) -> Iterable[tuple[int, str]]:
    for position, body in enumerate(bodies, first):
        subject, kind = tag_of(body)
        if kind == SUBMITTED:
            yield position, subject


def found_answer(found: Found) -> dict[str, Any]:
    """Return the JSON that reads what was found."""
    return {
        "found": [hit_answer(hit) for hit in found.hits],
        "next": None if found.go_on is None else str(found.go_on),
        "back_to": stamp(found.back_to) if found.back_to else None,
        "records_looked_at": found.looked_at,
        "taken_out": found.taken_out.as_json() if found.taken_out else None,
    }


def hit_answer(hit: Hit) -> dict[str, Any]:
    """Return the JSON of one request that was found: who, what, and how it ended. Its story is at `/v1/audit/ID`."""
    request, grant = hit.view.request, hit.view.grant
    plan = request.plan
    return {
        "request": request.id,
        "handle": request.handle,
        "position": hit.position,
        "asked_at": stamp(request.submitted_at),
        "principal": request.principal,
        "actor": request.actor,
        "on_behalf_of": request.action.actor.on_behalf_of,
        "action": request.action.action,
        "resource": request.action.resource,
        "environment": plan.environment if plan else request.action.environment,
        "role": plan.role if plan else None,
        "account": plan.account if plan else None,
        "state": request.state,
        "because": request.because,
        "decided_at": stamp(request.decided_at) if request.decided_at else None,
        "decided_by": _deciders(request),
        "break_glass": request.after_review is not None,
        "after_review": request.after_review.verdict if request.after_review else None,
        "grant": {
            "id": grant.id,
            "state": grant.state,
            "ended_by": grant.ending.by if grant.ending else None,
            "proof": grant.proof.kind if grant.proof else None,
            "flagged": grant.flagged,
        }
        if grant
        else None,
    }


def _deciders(request: Request) -> list[str]:
    if request.human_decision:
        wanted = "deny" if request.state == "DENIED" else "approve"
        return [one.reviewer for one in request.reviews if one.verdict == wanted]
    return [request.decided_by] if request.decided_by else []
