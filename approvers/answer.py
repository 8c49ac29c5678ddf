"""Tell the caller how its request stands: one shape for every way of asking.

Three readers, three fields: people read `because` beside the ruling's notes, code reads `state`, `human_decision` and
`retry`, a model reads `agent_message`. A timeout is never told as a denial. Policy's near misses are not in here: to an
agent they would be a recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from approvers.consuming import usable_until
from approvers.grant import Grant, GrantState
from approvers.narrowing import parts, smaller
from approvers.request import Because, Request, RequestState
from approvers.times import stamp

SETTLED = frozenset({GrantState.ACTIVE, GrantState.REVOKING, GrantState.REVOKED, GrantState.FAILED})


def settled(request: Request, grant: Grant | None) -> bool:
    """Tell whether there is nothing left to wait for: decided, and the grant past MINTING.

    An approval without a grant is settled when its receipt is there: that is its outcome.
    """
    if request.state is RequestState.PENDING:
        return False
    if request.state is not RequestState.APPROVED:
        return True
    if request.plan is None:
        return request.receipt is not None or request.consumed_at is not None
    return grant is not None and grant.state in SETTLED


def answer(request: Request, grant: Grant | None, version: int) -> dict[str, Any]:
    """Return the JSON body that reads a request."""
    missing = waiting_for(request)
    return {
        "id": request.id,
        "handle": request.handle,
        "version": version,
        "state": request.state,
        "because": request.because,
        "human_decision": request.human_decision,
        "retry": retry(request, grant),
        "agent_message": agent_message(request, grant, missing),
        "principal": request.principal,
        "actor": request.actor,
        "action": request.action.action,
        "resource": request.action.resource,
        "waiting_for": missing,
        "nobody_reached": nobody_reached(request),
        "ruling": {
            "effect": request.ruling.effect,
            "rules": [{"name": hit.name, "effect": hit.effect, "note": hit.note} for hit in request.ruling.rules],
            "policy_sha256": request.ruling.policy_sha256,
        },
        "risk": {
            "level": request.ruling.risk.level,
            "score": request.ruling.risk.score,
            "points": [{"id": part.id, "points": part.points, "why": part.why} for part in request.ruling.risk.points],
        },
        "reviews": [
            {"reviewer": one.reviewer, "verdict": one.verdict, "reason": one.reason, "at": stamp(one.at)}
            for one in request.reviews
        ],
        "submitted_at": stamp(request.submitted_at),
        "expires_at": stamp(request.expires_at),
        "decided_at": stamp(request.decided_at) if request.decided_at else None,
        "action_digest": request.action_digest,
        "narrowed": _narrowed(request),
        "after_review": request.after_review.model_dump(mode="json") if request.after_review else None,
        "consumed_at": stamp(request.consumed_at) if request.consumed_at else None,
        "grant": grant_answer(grant) if grant else None,
        "receipt": receipt_answer(request),
    }


def receipt_answer(request: Request) -> dict[str, Any] | None:
    """Return the JSON that reads a receipt; None until the clock has signed it."""
    if (receipt := request.receipt) is None:
        return None
    return {
        "jws": receipt.jws,
        "log": {"size": receipt.size, "root": receipt.root},
        "at": stamp(receipt.at),
    }


def grant_answer(grant: Grant) -> dict[str, Any]:
    """Return the JSON that reads a grant."""
    proof = grant.proof
    return {
        "id": grant.id,
        "request_id": grant.request_id,
        "handle": grant.handle,
        "state": grant.state,
        "principal": grant.principal,
        "actor": grant.actor,
        "role": grant.plan.role,
        "account": grant.plan.account,
        "actions": list(grant.plan.actions),
        "resources": list(grant.plan.resources),
        "ttl_seconds": grant.plan.ttl_seconds,
        "extends": grant.extends,
        "extended_by": grant.extended_by,
        "heartbeat_seconds": grant.heartbeat_seconds,
        "break_glass": grant.break_glass,
        "ends_at": stamp(grant.ends_at) if grant.ends_at else None,
        "expiration": stamp(grant.expiration) if grant.expiration else None,
        "collect_by": stamp(grant.collect_by) if grant.collect_by and grant.handed_at is None else None,
        "warned_at": stamp(grant.warned_at) if grant.warned_at else None,
        "ending": grant.ending.model_dump(mode="json") if grant.ending else None,
        "trouble": grant.trouble,
        "failure": grant.failure,
        "proof": {
            "kind": proof.kind,
            "at": stamp(proof.at),
            "seconds": float(proof.seconds),
            "refused": proof.refused,
            "asked": proof.asked,
        }
        if proof
        else None,
    }


def _narrowed(request: Request) -> dict[str, Any] | None:
    """Say what a reviewer made smaller: what was asked, and what was granted instead."""
    if request.narrowed is None or request.plan is None:
        return None
    return {
        "by": request.narrowed.by,
        "at": stamp(request.narrowed.at),
        "asked": parts(request.narrowed.before),
        "granted": parts(request.plan),
    }


def nobody_reached(request: Request) -> bool:
    """Tell whether nobody was shown the request: while it waits, once the set time for that is over."""
    waits = request.state is RequestState.PENDING and not request.reviews
    return (waits and request.unreached_at is not None) or request.because is Because.NOBODY_REACHED


def waiting_for(request: Request) -> dict[str, int]:
    """Return how many people of which groups are still missing; empty unless the request waits."""
    return dict(request.tally().missing) if request.state is RequestState.PENDING else {}


def retry(request: Request, grant: Grant | None) -> str:
    """Say what to do with the same ask: wait on the `same_key`, make a `new_request`, or `no` more."""
    if request.state is RequestState.PENDING:
        return "same_key"
    if request.state is RequestState.APPROVED:
        return "new_request" if grant and (grant.state is GrantState.FAILED or _nobody_there(grant)) else "no"
    return "new_request" if request.because is Because.NOBODY_ANSWERED else "no"


def agent_message(request: Request, grant: Grant | None, missing: Mapping[str, int] | None = None) -> str:
    """Return the sentence for the model that asked; `missing`: what `waiting_for` gave, if that is known already."""
    match request.state:
        case RequestState.PENDING:
            wanted = waiting_for(request) if missing is None else missing
            groups = " and ".join(f"{count} of {group}" for group, count in sorted(wanted.items()))
            return (
                f"Not approved. Waiting for {groups} until {stamp(request.expires_at)}. Ask again with `wait`. "
                f"{_unseen(request)}Do not act, and do not look for another way."
            )
        case RequestState.APPROVED:
            return _approved(request, grant) + _taken(request)
        case RequestState.DENIED if request.because is Because.NOT_EVALUATED:
            return "Not approved: policy could not be evaluated. That is our fault, no judgement. Tell your operator."
        case RequestState.DENIED:
            return f"Denied. Do not retry it or work round it. {_what_would_help(request)}"
        case RequestState.EXPIRED if request.because is Because.NOBODY_REACHED:
            return "Expired: no reviewer was ever shown this. This is our fault, no decision. Tell your operator."
        case RequestState.EXPIRED:
            return "Expired. Nobody said no, nobody said yes; no answer is not a yes. You may ask once more."
        case RequestState.CANCELLED:
            return "Withdrawn by the asker or its owner. Stop."


def _unseen(request: Request) -> str:
    return "Nobody has been shown it yet; on-call is told if that lasts. " if nobody_reached(request) else ""


def _approved(request: Request, grant: Grant | None) -> str:
    if request.plan is None:
        if request.consumed_at:
            return "This approval has been used. Ask again for another action."
        until, digest = stamp(usable_until(request)), request.action_digest
        return f"Approved for exactly this action, once, until {until}. Consume it with digest {digest} before you act."
    match grant.state if grant else None:
        case None | GrantState.PENDING | GrantState.MINTING:
            return f"Approved; the credential is being minted.{_less(request)} Ask again with `wait`."
        case GrantState.ACTIVE:
            assert grant is not None and grant.ends_at is not None
            until, said = stamp(grant.ends_at), smaller(request)
            if said:
                return f"Approved until {until}, narrowed by a reviewer: {said}. Collect the credential."
            return f"Approved for exactly this action until {until}. Collect the credential."
        case GrantState.FAILED:
            return "Approved, but no credential could be issued. Nothing was granted. You may ask once more."
        case _:
            assert grant is not None
            return _nobody_there(grant) or "The credential has been ended. Stop."


def _nobody_there(grant: Grant) -> str:
    """Say that the grant ended because its caller was not there, which is nobody's no; empty for any other end."""
    match grant.ending.cause if grant.ending else None:
        case "never_collected":
            return "Nobody collected the credential in time, so it was ended, unused. You may ask anew, then collect."
        case "heartbeat_lost":
            return "The credential was ended, for no heartbeat came in time. If the work is not done, you may ask anew."
        case _:
            return ""


def _less(request: Request) -> str:
    said = smaller(request)
    return f" Narrowed by a reviewer: {said}." if said else ""


def _taken(request: Request) -> str:
    """Say that nobody was asked first, and what that costs."""
    if request.after_review is None or request.after_review.verdict is not None:
        return ""
    due = stamp(request.after_review.due_at)
    return f" Taken by break-glass: everybody who would have been asked is told, and somebody reviews it until {due}."


def _what_would_help(request: Request) -> str:
    notes = [hit.note for hit in request.ruling.rules if hit.note and request.because is Because.RULE]
    words = [one.reason for one in request.reviews if one.verdict == "deny" and one.reason]
    if request.action.break_glass and request.because is Because.RULE and not notes:
        words = [request.ruling.because]
    if said := " ".join(notes or words):
        return f"What was said: {said}"
    return "No reason was given; ask a person before you ask for something else."
