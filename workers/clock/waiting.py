"""Look after what waits: raise its level, remind, tell on-call of what nobody sees or can answer, close it in time.

What is told to on-call follows the commit, and is told again at every look for as long as it holds: an alert that got
lost comes again within a minute, and whoever takes it in knows its key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from approvers import request as requests
from approvers import waiting, watching
from approvers.audit import By, Draft
from approvers.card_words import title
from approvers.errors import CountersignError
from approvers.policy import Policy
from approvers.request import Request, RequestState
from approvers.roster import Roster
from approvers.times import stamp
from approvers.upgrades import read
from workers import logs
from workers.alerts import Alert, Alerts
from workers.policies import Policies
from workers.stores import layout
from workers.stores.port import Attempt, Commit, Fenced, Snapshot, Store, transact

CLOCK = By(None, "countersign", "clock")
_log = logs.get_logger(__name__)
UNREACHED, EMPTY, ESCALATED = "request.unreached", "group.empty", "request.escalated"
"""Kinds of alerts; the request's id or the group's name follows behind a colon."""


@dataclass(frozen=True)
class Look:
    """What one look came to: a word for it, and what on-call is told."""

    word: str
    alerts: tuple[Alert, ...] = ()


@dataclass(frozen=True)
class _Told:
    """What a look adds to its commit."""

    drafts: list[Draft] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


class Waiting:
    """Carry out the due items of requests, `request:req_…`."""

    def __init__(self, store: Store, policies: Policies, alerts: Alerts) -> None:
        self._records, self._policies, self._alerts = store.records, policies, alerts
        self._telling: set[asyncio.Task[None]] = set()

    async def settle(self) -> None:
        """Wait until on-call has been told: an alert never takes longer than its own timeout."""
        await asyncio.gather(*self._telling)

    async def look_after(self, attempt: Attempt) -> str:
        """Do what the request that this item names needs now, and say when to look next. Returns a word for it."""
        key = attempt.member
        request_id = key.partition(":")[2]

        def step(seen: Snapshot) -> tuple[Commit | None, Look]:
            before = read(Request, seen.records[key].json)
            if before.state is not RequestState.PENDING:
                return Commit(at=seen.now, attempt=attempt), Look("decided", tuple(_over(before, None, seen.now)))
            cards = seen.records[layout.cards_key(request_id)].json
            if seen.now >= before.expires_at:
                return _expired(before, cards, seen, attempt)
            return _watched(before, watching.look(self._rules(), before, cards, seen.now), seen, attempt)

        try:
            found = await transact(self._records, [key, layout.cards_key(request_id)], step, chains=[request_id])
        except Fenced:
            return "fenced"
        except CountersignError as error:  # one record that cannot be read holds up no other; it is tried again
            _log.error("clock.not_read", request=request_id, why=error.detail)
            return "unread"
        for alert in found.alerts:  # beside the looking: on-call's address may be slow
            task = asyncio.create_task(self._alerts.send(alert))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)
        return found.word

    def _rules(self) -> tuple[Policy, Roster] | None:
        if self._policies.roster is None:  # none are applied yet, or none that can be read
            return None
        return self._policies.current.policy, self._policies.roster


def _expired(before: Request, cards: str, seen: Snapshot, attempt: Attempt) -> tuple[Commit, Look]:
    after = requests.expire(before, seen.now, reached=waiting.reached(cards, before) is not False)
    told = {"state": after.state, "because": after.because, "seats": dict(before.ruling.seats),
            "expires_at": stamp(before.expires_at)}  # fmt: skip
    # What nobody was shown until its end stays told: somebody has to find out why.
    alerts = tuple(alert for alert in _over(before, None, seen.now) if not alert.key.startswith(UNREACHED))
    return layout.commit(
        seen.now,
        layout.request_changed(
            seen.records[attempt.member],
            after.model_copy(update={"unreached_at": None, "alerted_at": None, "empty": ()}),
            at=seen.now, closed=True,
        ),
        attempt=attempt,
        drafts=[Draft(before.id, "request.expired", CLOCK, "clock", told)],
        events=[layout.event("request.expired", seen.now, request=before.id)],
        heads=seen.heads,
    ), Look("expired", alerts)  # fmt: skip


def _watched(before: Request, watch: waiting.Watch, seen: Snapshot, attempt: Attempt) -> tuple[Commit, Look]:
    after = watch.request
    alerts = (*_alarms(watch, seen.now), *_over(before, after, seen.now))
    if after == before:
        due = {attempt.member: watch.next_at}
        return Commit(at=seen.now, attempt=attempt, due=due), Look("early", alerts)
    told = _told(before, watch, seen.now)
    return layout.commit(
        seen.now,
        layout.watched(seen.records[attempt.member], after, look_at=watch.next_at),
        attempt=attempt,
        drafts=told.drafts,
        events=told.events,
        heads=seen.heads,
        counts=told.counts,
    ), Look("escalated" if watch.why else "noted", alerts)


def _told(before: Request, watch: waiting.Watch, now: datetime) -> _Told:
    """Return what a look that changed something adds to the audit log, the outbox and the counters."""
    after, told = watch.request, _Told()
    if new := [group for group in after.empty if group not in before.empty]:
        told.drafts.append(Draft(after.id, "request.unfillable", CLOCK, "clock", {"groups": new}))
        told.counts[f"alerts:{EMPTY}"] = len(new)
    if after.unreached_at and not before.unreached_at:
        said: dict[str, object] = {"since": stamp(before.level_since or before.submitted_at), "level": before.level + 1}
        told.drafts.append(Draft(after.id, "request.unreached", CLOCK, "clock", said))
        told.counts[f"alerts:{UNREACHED}"] = 1
    if watch.why:
        said = {"level": after.level + 1, "why": watch.why}
        if new_seats := [f"{group} for {seat}" for group, seat in after.fill_in if (group, seat) not in before.fill_in]:
            said["may_fill"] = new_seats
        told.drafts.append(Draft(after.id, "request.escalated", CLOCK, "clock", said))
        told.events.append(layout.event("request.escalated", now, request=after.id))
    if after.alerted_at and not before.alerted_at:
        told.counts[f"alerts:{ESCALATED}"] = 1
    if after.reminded_at and not before.reminded_at:
        told.events.append(layout.event("request.reminded", now, request=after.id))
    return told


def _alarms(watch: waiting.Watch, now: datetime) -> Iterator[Alert]:
    """Yield what on-call has to hear of a request as it stands."""
    request = watch.request
    if watch.unreached:
        summary = (
            f"Nobody has been shown {request.handle}: {title(request)}, asked at {request.submitted_at:%H:%M} UTC. "
            f"No place that its ladder asks could be reached. It expires at {request.expires_at:%H:%M} UTC; "
            "answer it in the console."
        )
        yield Alert(f"{UNREACHED}:{request.id}", "critical", summary, now, {"request": request.id})
    if request.alerted_at:
        summary = (
            f"{request.handle} is on level {request.level + 1} of its ladder and still waits: {title(request)}, asked "
            f"at {request.submitted_at:%H:%M} UTC. It expires at {request.expires_at:%H:%M} UTC; have it answered."
        )
        yield Alert(f"{ESCALATED}:{request.id}", "warning", summary, now, {"request": request.id})
    for group in request.empty:
        summary = (
            f"Too few people are left in {group} to answer {request.handle}: {title(request)}. It waits until "
            f"{request.expires_at:%H:%M} UTC and then expires; add people to the group, or have it asked anew."
        )
        yield Alert(f"{EMPTY}:{group}", "critical", summary, now, {"request": request.id})


def _over(before: Request, after: Request | None, now: datetime) -> Iterator[Alert]:
    """Yield that what was told of a request is over; `after` None: the request is."""
    told = before.unreached_at is not None and now > waiting.reach_by(before)  # earlier, the next level was asked
    if told and not (after and after.unreached_at):
        yield Alert(f"{UNREACHED}:{before.id}", "critical", f"{before.handle} was seen.", now, cleared=True)
    if before.alerted_at and after is None:
        yield Alert(f"{ESCALATED}:{before.id}", "warning", f"{before.handle} waits no more.", now, cleared=True)
    for group in before.empty:
        if after is None or group not in after.empty:
            yield Alert(f"{EMPTY}:{group}", "critical", f"{before.handle} hangs on {group} no more.", now, cleared=True)
