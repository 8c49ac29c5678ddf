"""Settle an approved action once, in time, by the digest of what is about to be done."""

from __future__ import annotations

from datetime import datetime, timedelta

from approvers.errors import AlreadyDecided, Expired, Forbidden, NotEvaluated
from approvers.request import Request, RequestState
from approvers.times import gone_back, stamp

USE_WITHIN = timedelta(hours=1)
"""The longest that an approved action waits to be done; an ask whose TTL is shorter has its TTL, from the decision."""


class TooOld(Expired):
    """It was approved, and the time to do it is over; nobody has said no."""

    code = "expired_approval"


def usable_until(request: Request) -> datetime:
    """Return until when an approved action may be done: for its TTL from the decision, at most for `USE_WITHIN`."""
    ttl = request.action.ttl_seconds
    within = USE_WITHIN if ttl is None else min(USE_WITHIN, timedelta(seconds=ttl))
    return (request.decided_at or request.submitted_at) + within


def check_in_time(request: Request, now: datetime) -> None:
    """Raise TooOld unless an approved action may still be done; NotEvaluated where the time cannot be trusted."""
    decided_at = request.decided_at or request.submitted_at
    if gone_back(decided_at, now):
        raise NotEvaluated(
            f"{request.handle} was decided at {stamp(decided_at)}, and the store's time is {stamp(now)}: it has gone "
            "backwards, and nobody can say whether the approval still stands. Do not act until it is right."
        )
    if now >= (until := usable_until(request)):
        raise TooOld(
            f"{request.handle} was approved, to be done until {stamp(until)}: do not act. Ask again; what people "
            "agreed to then may no longer be so."
        )


def consume(request: Request, now: datetime, by: str, digest: str) -> Request:
    """Settle an approved action once: the executor names the digest of what it is about to do.

    Raises:
        Forbidden: somebody else's, `has_grant`, `not_approved` or `other_action`.
        AlreadyDecided: it was consumed.
        TooOld: it was approved too long ago.
        NotEvaluated: the store's time has gone backwards.
    """
    if by != request.principal:
        raise Forbidden("Only the caller that asked can consume this approval.")
    if request.plan is not None:
        raise Forbidden("This approval opened a grant; its credential is the outcome.", code="has_grant")
    if request.state is not RequestState.APPROVED:
        raise Forbidden(f"{request.handle} is {request.state}, not APPROVED: do not act.", code="not_approved")
    if request.consumed_at is not None:
        raise AlreadyDecided(
            f"{request.handle} was consumed at {stamp(request.consumed_at)}; one approval, one action."
        )
    if digest != request.action_digest:
        raise Forbidden(
            f"The digest is not that of what was approved ({request.action_digest}): do not act.",
            code="other_action",
            field="action_digest",
        )
    check_in_time(request, now)
    return request.model_copy(update={"consumed_at": now})
