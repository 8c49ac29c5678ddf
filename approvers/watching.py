"""Look at a waiting request under the rules as applied: its ladder, and who is left to fill its seats."""

from __future__ import annotations

from datetime import datetime

from approvers import waiting
from approvers.escalation import ladder_for
from approvers.filling import unfillable
from approvers.policy import Ladder, Policy
from approvers.request import Request
from approvers.roster import Roster


def ladder_of(policy: Policy, request: Request) -> Ladder | None:
    """Return the ladder that asks for this request; None where the policy has dropped it since."""
    try:
        return ladder_for(policy, request.ruling)
    except (KeyError, ValueError):
        return None


def first_look(policy: Policy, roster: Roster, request: Request) -> datetime:
    """Return when the clock looks at a new request first."""
    return waiting.first_look(request, ladder_of(policy, request), unfillable(request, roster))


def look(rules: tuple[Policy, Roster] | None, request: Request, cards: str, now: datetime) -> waiting.Watch:
    """Look at a waiting request; `cards` is the JSON of its cards' record. Without rules only time passes."""
    seen = waiting.reached(cards, request)
    if rules is None:
        return waiting.look(request, None, now, reached=seen, empty=())
    policy, roster = rules
    return waiting.look(request, ladder_of(policy, request), now, reached=seen, empty=unfillable(request, roster))
