"""Fold the records of one request into what an access report says of it. Pure; moments stay as records spell them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Data = Mapping[str, Any]
ASKED = "request.submitted"
STATES: Mapping[str, str] = {
    "request.approved": "APPROVED",
    "request.denied": "DENIED",
    "request.expired": "EXPIRED",
    "request.cancelled": "CANCELLED",
}
"""Record → the state that it brings a request to."""


@dataclass(slots=True)
class Case:
    """One request and its grant, as far as its records have been read: up to number `n`."""

    request: str
    n: int
    asked_at: str
    handle: str
    principal: str
    actor: str
    person: str
    action: str
    resource: str
    environment: str
    role: str
    account: str
    ttl_asked: int
    state: str = "PENDING"
    because: str = "waiting"
    decided_at: str = ""
    decided_by: tuple[str, ...] = ()
    consumed_at: str = ""
    grant: str = ""
    actions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    ttl_granted: int = 0
    opened_at: str = ""
    minted_at: str = ""
    ends_at: str = ""
    collected: bool = False
    cause: str = ""
    ended_by: str = ""
    ended_at: str = ""
    proof: str = ""
    proof_seconds: str = ""
    used: tuple[str, ...] | None = None
    flag_points: int = 0
    break_glass: bool = False
    review_due_at: str = ""
    after_review: str = ""
    after_review_by: str = ""
    extends: str = ""
    extended_by: str = ""

    @property
    def over(self) -> bool:
        """Tell whether its records have reached an end: nothing waits, lives or is owed any more."""
        if self.state == "PENDING" or (self.break_glass and not self.after_review):
            return False
        return not self.grant or bool(self.ended_at)

    def feed(self, record: Data) -> None:
        """Take the next record of this request's chain; one that was taken already changes nothing."""
        if record["n"] <= self.n:
            return
        self.n = record["n"]
        if taker := _TAKERS.get(record["type"]):
            taker(self, record, record["data"])


def asked(record: Data) -> Case:
    """Return the case that a `request.submitted` record opens."""
    data, by = record["data"], record["by"]
    action, plan = data["action"], data.get("plan") or {}
    actor = action["actor"]
    return Case(
        request=record["subject"],
        n=record["n"],
        asked_at=record["at"],
        handle=data.get("handle") or "",
        principal=sys.intern(by["person"] or by["sub"]),
        actor=sys.intern(actor["id"]),
        person=sys.intern(actor.get("on_behalf_of") or ""),
        action=sys.intern(action["action"]),
        resource=sys.intern(action["resource"]),
        environment=sys.intern(plan.get("environment") or action["environment"]),
        role=sys.intern(plan.get("role") or ""),
        account=sys.intern(plan.get("account") or ""),
        ttl_asked=plan.get("ttl_seconds") or action.get("ttl_seconds") or 0,
        extends=action.get("extends") or "",
    )


@lru_cache(maxsize=4_096)
def _same(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names; equal ones are held once, for a period has many grants and few kinds of them."""
    return names


def _reviewed(case: Case, record: Data, data: Data) -> None:
    if data["verdict"] == "deny":
        case.decided_by = _same((record["by"]["person"],))
    else:
        case.decided_by = _same((*case.decided_by, record["by"]["person"]))


def _decided(case: Case, record: Data, data: Data) -> None:
    case.state, case.decided_at = STATES[record["type"]], record["at"]
    case.because = sys.intern(data.get("because") or ("withdrawn" if case.state == "CANCELLED" else ""))
    if case.state == "CANCELLED":
        case.decided_by = (record["by"]["person"] or "",)
    elif case.because not in ("quorum", "reviewer"):
        case.decided_by = ()


def _consumed(case: Case, record: Data, _data: Data) -> None:
    case.consumed_at = record["at"]


def _opened(case: Case, record: Data, data: Data) -> None:
    plan = data["plan"]
    case.grant, case.opened_at = data["grant"], record["at"]
    case.actions, case.resources = _same(tuple(plan["actions"])), _same(tuple(plan["resources"]))
    case.ttl_granted = plan["ttl_seconds"]


def _minted(case: Case, record: Data, data: Data) -> None:
    case.minted_at, case.ends_at = record["at"], data.get("ends_at") or ""


def _collected(case: Case, _record: Data, _data: Data) -> None:
    case.collected = True


def _failed(case: Case, record: Data, _data: Data) -> None:
    case.ended_at, case.cause, case.proof = record["at"], "not_issued", "never_issued"


def _revoked(case: Case, _record: Data, data: Data) -> None:
    proof, ending = data["proof"], data.get("ending") or {}
    case.ended_at, case.proof, case.proof_seconds = proof["at"], sys.intern(proof["kind"]), proof.get("seconds", "")
    case.cause, case.ended_by = sys.intern(ending.get("cause", "")), sys.intern(ending.get("by", ""))


def _flagged(case: Case, _record: Data, data: Data) -> None:
    case.flag_points = max(case.flag_points, data.get("points", 0))


def _reported(case: Case, record: Data, data: Data) -> None:
    _flagged(case, record, data)
    case.used = _same(tuple(data["used"]))


def _broken(case: Case, _record: Data, data: Data) -> None:
    case.break_glass, case.review_due_at = True, data.get("due_at") or ""


def _after(case: Case, record: Data, data: Data) -> None:
    case.after_review, case.after_review_by = data["verdict"], record["by"]["person"] or ""


def _extended(case: Case, _record: Data, data: Data) -> None:
    case.extended_by = data.get("extended_by") or ""


_TAKERS: Mapping[str, Callable[[Case, Data, Data], None]] = {
    "review.recorded": _reviewed,
    **dict.fromkeys(STATES, _decided),
    "request.consumed": _consumed,
    "grant.opened": _opened,
    "grant.minted": _minted,
    "credential.collected": _collected,
    "grant.refused": _failed,
    "grant.overtaken": _failed,
    "grant.revoked": _revoked,
    "grant.flagged": _flagged,
    "grant.kill_requested": _flagged,
    "grant.reported": _reported,
    "grant.extended": _extended,
    "break_glass.used": _broken,
    "break_glass.reviewed": _after,
}
