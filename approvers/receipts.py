"""Say what the receipt of a decision claims: who decided what, under which rules, in a log of which size and root.

A receipt is a signed token (JWS) that whoever acts can check without asking anybody. It is no record: what it says
follows from records, and the log that it names includes them.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

from approvers.audit import canonical_fields
from approvers.consuming import usable_until
from approvers.grant import Plan
from approvers.ids import grant_of
from approvers.quorum import Review
from approvers.request import MINT_WITHIN, Request, RequestState

TYPE = "countersign-receipt+jwt"
"""The `typ` of a receipt, so that no other token signed with the same key passes for one."""
NO_LONGER_THAN = timedelta(hours=24)
"""For how long the receipt of what was not approved says that it stands; the log says it for ever."""


def claims(request: Request, *, origin: str, size: int, root: str, now: datetime) -> dict[str, Any]:
    """Return what the receipt of a decided request claims.

    Args:
        request: as decided; what happens to it afterwards changes no claim.
        origin: the log's name.
        size: of a log that holds the decision.
        root: of the log at that size, in hex.
        now: when it is signed.
    """
    granted = request.plan if request.state is RequestState.APPROVED else None
    return {
        "iss": origin,
        "sub": request.id,
        "iat": int(now.timestamp()),
        "exp": int(valid_until(request).timestamp()),
        "decision": str(request.state),
        "because": str(request.because),
        "action": request.action.action,
        "resource": request.action.resource,
        "action_digest": request.action_digest,
        "granted_digest": plan_digest(granted) if granted else None,
        "policy_sha256": request.ruling.policy_sha256,
        "rules": [hit.name for hit in request.ruling.rules],
        "reviewers": [_reviewer(one) for one in request.reviews],
        "principal": request.principal,
        "actor": request.actor,
        "grant": grant_of(request.id) if granted else None,
        "ttl_seconds": granted.ttl_seconds if granted else request.action.ttl_seconds,
        "log": {"size": size, "root": root},
    }


def valid_until(request: Request) -> datetime:
    """Return until when a decided request's receipt may be acted upon.

    An approved action: until it may be consumed. A grant: until its end at the latest. Anything else: for a day.
    """
    decided_at = request.decided_at or request.submitted_at
    if request.state is not RequestState.APPROVED:
        return decided_at + NO_LONGER_THAN
    if request.plan is None:
        return usable_until(request)
    return decided_at + MINT_WITHIN + timedelta(seconds=request.plan.ttl_seconds)


def plan_digest(plan: Plan) -> str:
    """Return the digest of what a grant gives: over the canonical bytes of its plan, as the log's records hold it."""
    return "sha256:" + hashlib.sha256(canonical_fields(plan.model_dump(mode="json"))).hexdigest()


def _reviewer(one: Review) -> dict[str, Any]:
    told: dict[str, Any] = {"person": one.reviewer, "verdict": one.verdict}
    return {**told, "seat_of": one.lent_by} if one.lent_by else told
