"""Tell over HTTP and on pages what a grant's session did: one shape for both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from approvers.activity import Activity, Used
from approvers.activity_report import report, summary
from approvers.activity_words import NAMES, spoken
from approvers.grant import Grant
from approvers.times import stamp


def activity_answer(grant: Grant, activity: Activity | None) -> dict[str, Any]:
    """Return the JSON body that reads what a grant's session did; without a record, nobody has looked."""
    seen = activity or Activity(grant_id=grant.id)
    found = report(grant.plan, seen)
    return {
        "grant": grant.id,
        "watched": activity is not None,
        "looked_at": stamp(seen.looked_at) if seen.looked_at else None,
        "unread_since": stamp(seen.unread_since) if seen.unread_since else None,
        "complete": seen.complete,
        "points": seen.points,
        "flags": [
            {
                "kind": flag.kind,
                "said": NAMES[flag.kind][0 if flag.through else 1],
                "points": flag.points,
                "through": flag.through,
                "calls": [spoken(one) for one in flag.evidence],
            }
            for flag in seen.flags
        ],
        "calls": seen.calls,
        "refusals": seen.refusals,
        "used": _counts(seen.used),
        "resources": _counts(seen.touched),
        "writes": [spoken(one) for one in seen.writes],
        "write_calls": seen.write_calls,
        "never_used": list(found.never),
        "unseen": list(found.unseen),
        "untouched": list(found.untouched),
        "proposal": _proposal(grant, seen),
        "killed_at": stamp(seen.killed_at) if seen.killed_at else None,
        "reported_at": stamp(seen.reported_at) if seen.reported_at else None,
        "summary": summary(grant.plan, seen) if activity else "Nobody has looked at what it does.",
    }


def _counts(names: Iterable[Used]) -> list[dict[str, Any]]:
    return [one.model_dump() for one in names]


def _proposal(grant: Grant, seen: Activity) -> dict[str, list[str]] | None:
    found = report(grant.plan, seen).proposal
    return {"actions": list(found.actions), "resources": list(found.resources)} if found else None
