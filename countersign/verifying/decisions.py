"""Follow what the records say of each request, and know what the receipt of its decision must claim.

A request is forgotten with its receipt, so that memory holds only those that wait for one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from approvers.ids import grant_of
from countersign.verifying import canonical
from countersign.verifying.core import RECORDS, Seen
from countersign.verifying.findings import Finding

STATES = {f"request.{state.lower()}": state for state in ("APPROVED", "DENIED", "EXPIRED", "CANCELLED")}
WITHDRAWN = "withdrawn"
EXCUSED = timedelta(minutes=1)
"""Decisions of the log's last minute may have been exported before their receipts were signed."""


class Decided(NamedTuple):
    """One decision: its place in the log, when it fell, and what a receipt of it claims."""

    position: int
    line: int
    at: str
    claims: dict[str, Any]


class Decisions:
    """Hold the requests whose receipt has not come by."""

    def __init__(self) -> None:
        self._asked: dict[str, dict[str, Any]] = {}
        self._decided: dict[str, Decided] = {}
        self.count = 0

    def follow(self, seen: Seen) -> None:
        """Take the next record."""
        kind, subject, data = seen.record["type"], seen.record["subject"], seen.record["data"]
        if kind == "request.submitted":
            self._asked[subject] = _asked(data)
        elif kind in STATES:
            self.count += 1
            claims = {
                **self._asked.pop(subject, {}),
                "because": data.get("because", WITHDRAWN),
                "decision": STATES[kind],
            }
            claims.update({name: data[name] for name in ("action_digest", "policy_sha256") if name in data})
            self._decided[subject] = Decided(seen.position, seen.line, seen.record["at"], claims)
        elif kind == "grant.opened" and subject in self._decided:
            self._decided[subject].claims.update(_granted(subject, data.get("plan")))
        elif subject in self._asked:
            _followed(self._asked[subject], seen.record)

    def take(self, request: str) -> Decided | None:
        """Return the decision that waits for its receipt, and forget it."""
        return self._decided.pop(request, None)

    def end(self, last: str) -> Iterator[Finding]:
        """Find decisions that have no receipt, but for those of the last minute before `last`, the end of the log."""
        for request, one in self._decided.items():
            if _before(one.at, last):
                yield Finding(RECORDS, one.line, "no_receipt", f"the decision of {request} has no receipt")


def _asked(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is claimed of an ask; of what a record does not hold, nothing."""
    action, facts = _part(data, "action"), _part(data, "facts")
    told = {
        "action": action.get("action"),
        "action_digest": data.get("action_digest"),
        "actor": facts.get("actor"),
        "principal": facts.get("principal"),
        "resource": action.get("resource"),
        "ttl_seconds": action.get("ttl_seconds"),
        **_ruled(data),
    }
    known = {name: value for name, value in told.items() if value is not None}
    return {**known, "grant": None, "granted_digest": None, "reviewers": []}


def _followed(claims: dict[str, Any], record: Mapping[str, Any]) -> None:
    data = record["data"]
    if record["type"] == "review.recorded":
        reviewer = {"person": _part(record, "by").get("person"), "verdict": data.get("verdict")}
        claims["reviewers"].append({**reviewer, "seat_of": data.get("lent_by")})
    elif record["type"] == "request.reruled":
        claims.update(_ruled(data))


def _ruled(data: Mapping[str, Any]) -> dict[str, Any]:
    ruling = _part(data, "ruling")
    rules = [one.get("name") if isinstance(one, Mapping) else one for one in ruling.get("rules", ())]
    return {"policy_sha256": ruling.get("policy_sha256"), "rules": rules}


def _granted(request: str, plan: Any) -> dict[str, Any]:
    """Return what is claimed of a grant: its id, its TTL, and the digest of the plan as it will be minted."""
    digest = hashlib.sha256(canonical.write(plan)).hexdigest()
    ttl = plan.get("ttl_seconds") if isinstance(plan, Mapping) else None
    return {"grant": grant_of(request), "granted_digest": f"sha256:{digest}", "ttl_seconds": ttl}


def _part(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = data.get(name)
    return found if isinstance(found, Mapping) else {}


def _before(at: str, last: str) -> bool:
    """Tell whether a moment is more than a minute before another, both written as records write them."""
    try:
        return datetime.fromisoformat(last) - datetime.fromisoformat(at) > EXCUSED
    except ValueError:
        return True
