"""Look at a waiting request under the rules as applied: its ladder, and who is left to fill its seats."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from approvers import waiting
from approvers.escalation import alerts, fill_in, ladder_for
from approvers.filling import unfillable
from approvers.policy import Ladder, Policy
from approvers.request import Request, RequestState
from approvers.roster import Roster


def ladder_of(policy: Policy, request: Request) -> Ladder | None:
    """Return the ladder that asks for this request; None where the policy has dropped it since."""
    try:
        return ladder_for(policy, request.ruling)
    except (KeyError, ValueError):
        return None


def begun(policy: Policy, request: Request) -> Request:
    """Return a new request with what the first level of its ladder lets its groups do."""
    if request.state is not RequestState.PENDING or (ladder := ladder_of(policy, request)) is None:
        return request
    opened = fill_in(ladder, 0, request.ruling.seats)
    return request.model_copy(update={"fill_in": opened}) if opened else request


def may_fill(policy: Policy, request: Request) -> tuple[tuple[str, str], ...]:
    """Return which groups may take the seats of which others: as recorded, and as today's ladder still has it."""
    if not request.fill_in or (ladder := ladder_of(policy, request)) is None:
        return ()
    today = fill_in(ladder, request.level, request.ruling.seats)
    return tuple(pair for pair in request.fill_in if pair in today)


def first_look(policy: Policy, roster: Roster, request: Request) -> datetime:
    """Return when the clock looks at a new request first: at once where its first level is told to on-call."""
    ladder = ladder_of(policy, request)
    at = waiting.first_look(request, ladder, unfillable(request, roster))
    return request.submitted_at if ladder and alerts(ladder, 0) else at


def look(rules: tuple[Policy, Roster] | None, request: Request, cards: str, now: datetime) -> waiting.Watch:
    """Look at a waiting request; `cards` is the JSON of its cards' record. Without rules only time passes."""
    seen = waiting.reached(cards, request)
    if rules is None:
        return waiting.look(request, None, now, reached=seen, empty=())
    policy, roster = rules
    ladder = ladder_of(policy, request)
    watch = waiting.look(request, ladder, now, reached=seen, empty=unfillable(request, roster))
    if watch.why and watch.request.empty:  # who fills in from this level on may be enough
        left = watch.request.model_copy(update={"empty": unfillable(watch.request, roster)})
        watch = replace(watch, request=left)
    return watch
