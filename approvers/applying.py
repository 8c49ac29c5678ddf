"""Have a change of the files approved like any other ask: by the quorum that the policy in force names for it.

The ask binds everything that reviewers see: the hash of each new file, the hash of what it replaces, why, and what
changes in meaning. Whoever applies approves nothing of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from approvers.action import Action, Actor
from approvers.applying_ruling import APPLY
from approvers.audit import canonical
from approvers.barring import barred_as
from approvers.errors import AlreadyDecided, CountersignError
from approvers.policy_diff import policy_changes
from approvers.policy_models import Policy
from approvers.quorum import tally
from approvers.request import Request, RequestState, told
from approvers.roster import Roster
from approvers.roster_diff import roster_changes

MOST_LINES = 100
LONGEST_LINE = 300
TTL_SECONDS = 60
"""Nothing is minted; an ask has to name a TTL that no cap refuses."""


class NeedsApproval(CountersignError):
    """The policy in force wants somebody else's yes to this change, and there is none."""

    code = "needs_approval"


def changes(old: tuple[Policy, Roster], new: tuple[Policy, Roster]) -> tuple[str, ...]:
    """Return what changes in meaning, one line each; what changes nothing in meaning (a comment) has none."""
    return tuple(map(str, (*policy_changes(old[0], new[0]), *roster_changes(old[1], new[1]))))


def bound(new: Mapping[str, str], old: Mapping[str, str], why: str, lines: Iterable[str]) -> dict[str, Any]:
    """Return what the ask binds: per file the SHA-256 of its new and its old text, why, and the changes."""
    told_lines = [line[:LONGEST_LINE] for line in lines]
    if len(told_lines) > MOST_LINES:
        told_lines = [*told_lines[:MOST_LINES], f"… and {len(told_lines) - MOST_LINES} lines more"]
    return {
        "changes": told_lines,
        "files": {name: _sha256(new[name]) for name in sorted(new)},
        "was": {name: _sha256(old[name]) for name in sorted(old)},
        "why": why,
    }


def ask(by: str, what: Mapping[str, Any]) -> Action:
    """Return the ask of `by` (`user:NAME`) for a change."""
    parameters = canonical(what).decode()
    return Action(
        action=APPLY,
        actor=Actor(id=by),
        environment="countersign",
        parameters=parameters,
        reason=str(what["why"]),
        resource=f"config:sha256:{_sha256(parameters)}",
        ttl_seconds=TTL_SECONDS,
        undo="apply the files of before again; the log has their text",
    )


def check_approval(request: Request, policy: Policy, by: str, what: Mapping[str, Any]) -> None:
    """Check that people approved exactly this change, as the policy in force wants it now.

    Raises:
        NeedsApproval: it is not approved, or was for another change, by too few, or by whoever applies.
        AlreadyDecided: the approval was used.
    """
    assert policy.apply is not None
    if request.principal != by or request.action.action != APPLY or request.action.resource != ask(by, what).resource:
        raise NeedsApproval(f"{request.handle} is about another change, or what is in force has changed since.")
    if request.state is not RequestState.APPROVED:
        raise NeedsApproval(f"{request.handle} is not approved: {told(request)}.")
    if request.consumed_at is not None:
        raise AlreadyDecided(f"{request.handle} was used already; one approval, one change.")
    seats = policy.quorums[policy.apply.quorum].seats
    counted = [one for one in request.reviews if not _barred(request, one.reviewer, one.lent_by, one.groups)]
    if not tally(seats, counted).satisfied:
        needs = " and ".join(f"{count} of {group}" for group, count in sorted(seats.items()))
        raise NeedsApproval(f"{request.handle} was not approved by {needs}, as [apply] wants it now.")


def _barred(request: Request, reviewer: str, lent_by: str | None, groups: tuple[str, ...]) -> bool:
    """Tell whether this answer is that of whoever applies, or of somebody whom four-eyes bars."""
    people, own = [who for who in (reviewer, lent_by) if who], frozenset(groups)
    return any(who == request.principal or barred_as(request.ruling, who, own) is not None for who in people)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
