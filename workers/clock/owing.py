"""Look after a use of break-glass until somebody has reviewed it: alert on-call at once, and again once it is late.

On-call is told before anything is committed, and the first look is due with the use itself: a clock that dies in
between is followed by one that tells it again. Who takes alerts in knows them by their keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta

from approvers.after_review import is_owed, late
from approvers.audit import By, Draft
from approvers.card_words import title
from approvers.errors import CountersignError
from approvers.request import AfterReview, Request
from approvers.times import stamp
from approvers.upgrades import read
from workers import logs
from workers.alerts import QUIET_FOR, Alert, Alerts
from workers.stores import layout
from workers.stores.port import Attempt, Commit, Fenced, Snapshot, Store, StoreError, transact

CLOCK = By(None, "countersign", "clock")
USED, OVERDUE = "break_glass.used", "break_glass.overdue"
"""Kinds of alerts; the request's id follows behind a colon. Both stand until the use is reviewed."""
TOLD_AGAIN_FOR = timedelta(hours=1)
"""How long a use is told again at every quiet time: the first alert may have met an address that was down."""
_log = logs.get_logger(__name__)


class Owing:
    """Carry out the due items of uses, `owing:req_…`."""

    def __init__(self, store: Store, alerts: Alerts) -> None:
        self._records, self._alerts = store.records, alerts
        self._looks: set[asyncio.Task[str]] = set()

    def begin(self, attempt: Attempt) -> None:
        """Look after it beside everything else: on-call's address may be slow."""
        task = asyncio.create_task(self.look_after(attempt))
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)

    async def settle(self) -> None:
        """Wait until what was begun has ended: an alert never takes longer than its own timeout."""
        await asyncio.gather(*self._looks)

    async def look_after(self, attempt: Attempt) -> str:
        """Tell on-call what stands, note a review that is late, and say when to look next. Returns a word for it."""
        request_id = attempt.member.partition(":")[2]
        key = layout.request_key(request_id)
        try:
            seen = await self._records.read([key])
            for alert in alerts_of(read(Request, seen.records[key].json), seen.now):
                await self._alerts.send(alert)

            def step(now: Snapshot) -> tuple[Commit | None, str]:
                return _looked(read(Request, now.records[key].json), now, attempt)

            return await transact(self._records, [key], step, chains=[request_id])
        except Fenced:
            return "fenced"
        except CountersignError as error:  # one record that cannot be read holds up no other; it is tried again
            _log.error("clock.not_read", request=request_id, why=error.detail)
            return "unread"
        except StoreError as error:  # it stays due, and is claimed again when its lease is over
            _log.error("clock.not_looked_after", request=request_id, why=str(error))
            return "lost"


def alerts_of(request: Request, now: datetime) -> Iterator[Alert]:
    """Yield what on-call has to hear of a use as it stands."""
    owed = request.after_review
    if owed is None:
        return
    name = request.principal.removeprefix("user:")
    took = f"{title(request)}, taken by {name} at {request.submitted_at:%H:%M} UTC, is reviewed by nobody"
    details = {"request": request.id}
    over = not is_owed(request)
    said = f"{request.handle} is reviewed: {owed.verdict}." if over else f"{took} ({request.handle})."
    yield Alert(f"{USED}:{request.id}", "critical", said, now, details, cleared=over)
    if now >= owed.due_at and not over:
        said = f"{took} ({request.handle}), and that was due at {stamp(owed.due_at)}. Have somebody review it."
        yield Alert(f"{OVERDUE}:{request.id}", "critical", said, now, details)
    elif over and _was_late(owed):
        yield Alert(f"{OVERDUE}:{request.id}", "critical", said, now, details, cleared=True)


def next_look(request: Request, now: datetime) -> datetime:
    """Return when to look again at a use that is still owed its review: soon at first, then when that is due."""
    assert request.after_review is not None
    due_at, soon = request.after_review.due_at, now + QUIET_FOR
    if now >= due_at:
        return soon
    return min(soon, due_at) if now < request.submitted_at + TOLD_AGAIN_FOR else due_at


def _looked(request: Request, seen: Snapshot, attempt: Attempt) -> tuple[Commit, str]:
    """Return the commit that ends a look: over, late from now on, or to be looked at again."""
    if not is_owed(request):
        return Commit(at=seen.now, attempt=attempt), "reviewed"
    owed = request.after_review
    assert owed is not None
    again = {attempt.member: next_look(request, seen.now)}
    if owed.overdue_at or seen.now < owed.due_at:
        return Commit(at=seen.now, attempt=attempt, due=again), "told"
    key, told = layout.request_key(request.id), {"due_at": stamp(owed.due_at), "used_by": request.principal}
    part = layout.put(key, seen.records[key].version, late(request, seen.now).model_dump_json())
    return layout.commit(
        seen.now,
        part,
        attempt=attempt,
        due=again,
        drafts=[Draft(request.id, OVERDUE, CLOCK, "clock", told)],
        events=[layout.event(OVERDUE, seen.now, request=request.id)],
        counts={f"alerts:{OVERDUE}": 1},
        heads=seen.heads,
    ), "overdue"


def _was_late(owed: AfterReview) -> bool:
    return owed.overdue_at is not None or (owed.at is not None and owed.at >= owed.due_at)
