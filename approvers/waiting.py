"""Say what a waiting request needs as time passes: the next level of its ladder, a reminder, or on-call.

Three things move it. The ladder's times; that nobody was shown it within a set time; and that nobody is left who could
fill a seat. The functions are pure: what is known of its cards, and `now`, are passed in.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Literal

from approvers.escalation import alerts, fill_in, level_at
from approvers.policy import Ladder
from approvers.request import Request, RequestState, escalate

REACH_WITHIN = timedelta(minutes=2)
"""How long a level has to show a request to anybody; a quarter of the time to answer, where that is shorter."""
REMIND_BEFORE = timedelta(minutes=5)
"""How long before its end a request reminds; a quarter of the time to answer, where that is shorter."""
LEAST = timedelta(seconds=30)
"""Neither is ever shorter: who lets requests live for seconds is watching, and would only be disturbed."""
LOOK_AGAIN = timedelta(minutes=1)
"""How often a request that reaches nobody is looked at again."""
Why = Literal["", "time", "unreached", "empty"]


@dataclass(frozen=True)
class Watch:
    """What one look at a waiting request came to.

    Attributes:
        request: as it is from now on.
        why: what raised its level; empty where nothing did.
        unreached: nobody was shown it in time, and there is no further level: on-call has to be told.
        next_at: when to look again.
    """

    request: Request
    why: Why
    unreached: bool
    next_at: datetime


def reached(cards: str, request: Request) -> bool | None:
    """Tell whether anybody was shown the request; None where it was never to be posted (there is no chat).

    `cards` is the JSON of its record `cards:req_…`, empty where there is none. Who has answered has seen it.
    """
    if request.reviews:
        return True
    if not cards:
        return None
    record = json.loads(cards)
    return bool(record.get("seen_at")) or any(copy.get("message") for copy in record.get("copies", ()))


def reach_by(request: Request) -> datetime:
    """Return until when the present level has to have shown the request to somebody."""
    return (request.level_since or request.submitted_at) + _share(request, REACH_WITHIN)


def remind_at(request: Request) -> datetime | None:
    """Return when to remind; None for a request that lives too shortly."""
    lead = _share(request, REMIND_BEFORE)
    return request.expires_at - lead if 4 * lead <= request.expires_at - request.submitted_at else None


def first_look(request: Request, ladder: Ladder | None, empty: Sequence[str]) -> datetime:
    """Return when a new request is first looked at: at once if nobody can fill a seat."""
    return request.submitted_at if empty else _next_at(request, ladder, None, request.submitted_at)


def look(
    before: Request, ladder: Ladder | None, now: datetime, *, reached: bool | None, empty: Sequence[str]
) -> Watch:  # fmt: skip
    """Look at a waiting request whose time is not over.

    Args:
        before: the request.
        ladder: its ladder by today's rules; None where they have dropped it.
        now: the store's time.
        reached: what `reached` said.
        empty: groups of which too few people are left.
    """
    assert before.state is RequestState.PENDING
    late = reached is False and now >= reach_by(before)
    level, why = _level(before, ladder, now, late=late, emptied=not set(empty) <= set(before.empty))
    changes: dict[str, object] = {"empty": tuple(empty)}
    if reached is not False:
        changes["unreached_at"] = None
    elif late and before.unreached_at is None:
        changes["unreached_at"] = now
    if (remind := remind_at(before)) and now >= remind and before.reminded_at is None:
        changes["reminded_at"] = now
    opened = fill_in(ladder, level, before.ruling.seats) if ladder else ()
    after = escalate(before, level, now, opened) if why else before
    if before.alerted_at is None and ladder and alerts(ladder, level):
        changes["alerted_at"] = now
    after = after.model_copy(update=changes)
    return Watch(after, why, late and not why, _next_at(after, ladder, reached, now))


def left_at_reminder(request: Request) -> timedelta:
    """Return how much time a reminder speaks of: less than this is left. Whole half minutes."""
    assert request.reminded_at is not None
    half = timedelta(seconds=30)
    return half * max(1, ceil((request.expires_at - request.reminded_at) / half))


def _level(before: Request, ladder: Ladder | None, now: datetime, *, late: bool, emptied: bool) -> tuple[int, Why]:
    """Return the level that the request should be on, and why if that is a higher one."""
    if ladder is None or before.level >= (last := len(ladder.levels) - 1):
        return before.level, ""
    if (due := min(last, level_at(ladder, before.submitted_at, now))) > before.level:
        return due, "time"
    if late or emptied:
        return before.level + 1, "unreached" if late else "empty"
    return before.level, ""


def _next_at(request: Request, ladder: Ladder | None, reached: bool | None, now: datetime) -> datetime:
    moments = [request.expires_at]
    if (remind := remind_at(request)) and request.reminded_at is None:
        moments.append(remind)
    if ladder and request.level < len(ladder.levels) - 1:
        moments.append(request.submitted_at + ladder.levels[request.level + 1].after)
    if not reached and now < reach_by(request):
        moments.append(reach_by(request))
    elif reached is False:
        moments.append(now + LOOK_AGAIN)
    if request.empty:
        moments.append(now + LOOK_AGAIN)
    return min(moments)


def _share(request: Request, most: timedelta) -> timedelta:
    return max(LEAST, min(most, (request.expires_at - request.submitted_at) / 4))
