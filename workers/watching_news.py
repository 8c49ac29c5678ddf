"""Decide what follows from what a session did: end it, ask people, report; as parts of one commit. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from approvers import activity_report as reports
from approvers import activity_words as words
from approvers import grant as grants
from approvers.activity import Activity
from approvers.activity_flags import verdict
from approvers.audit import Draft
from approvers.grant import LIVE, Grant, GrantState, facts
from approvers.policy_models import Monitoring
from approvers.request import Request
from workers.stores import layout
from workers.stores.port import Snapshot
from workers.tools import WORKER

MONITORING = "monitoring"
KILLED, ASK, AFTER_END = "killed", "ask", "incident"
"""What on-call may have to hear of; kinds of alerts behind `activity.`."""


@dataclass(frozen=True)
class News:
    """What follows from a look: the parts of its commit, how grant and record then stand, a word for the log."""

    parts: tuple[layout.Part, ...]
    grant: Grant
    activity: Activity
    word: str


def news(seen: Snapshot, grant: Grant, request: Request, activity: Activity, rules: Monitoring) -> News:
    """Return what follows while the grant is looked at: nothing, a flag to tell, or its end."""
    found, after_end = verdict(activity, rules), outlived(activity)
    if after_end and activity.incident_at is None:
        activity = _owing(activity, AFTER_END, incident_at=seen.now)
    if found == "kill" and grant.state is GrantState.ACTIVE:
        return _killed(seen, grant, request, _owing(activity, KILLED, killed_at=seen.now))
    worth_telling = (found and grant.state in LIVE) or after_end
    if worth_telling and activity.asking > activity.told_points:
        owing = _owing(activity, ASK, asked_at=seen.now) if grant.state is GrantState.ACTIVE else activity
        return _flagged(seen, grant, owing)
    return News((_kept(seen, activity),), grant, activity, f"{activity.points} points, {activity.calls} calls")


def reported(seen: Snapshot, grant: Grant, activity: Activity) -> News:
    """Return the last word about what the session did."""
    if outlived(activity) and activity.incident_at is None:
        activity = _owing(activity, AFTER_END, incident_at=seen.now)
    text = reports.summary(grant.plan, activity)
    last = activity.model_copy(update={"reported_at": seen.now, "seen": ()})
    after = grant.model_copy(update={"report": text})
    if outlived(last) and last.asking > last.told_points:
        after = after.model_copy(update={"flagged": words.flagged(last), "flag_points": last.points})
    parts = (
        layout.grant_noted(seen.records[layout.grant_key(grant.id)], after),
        _kept(seen, last),
        _told(seen, grant, "grant.reported", _report_data(grant, last, text)),
    )
    return News(parts, after, last, "reported")


def outlived(activity: Activity) -> bool:
    """Tell whether a call went through after the end: what must never be."""
    return any(flag.kind == "after_end" and flag.through for flag in activity.flags)


def _killed(seen: Snapshot, grant: Grant, request: Request, activity: Activity) -> News:
    """End the grant, as a revocation does; the proof comes by its own due member."""
    activity = activity.model_copy(update={"told_points": activity.asking})
    reason = words.kill_reason(activity)
    ended = grants.end(grant, "kill", seen.now, by=MONITORING, reason=reason)
    after = ended.model_copy(update={"flagged": words.flagged(activity), "flag_points": activity.points})
    changed = layout.grant_changed(seen.records[layout.grant_key(grant.id)], after, at=seen.now, request=request)
    data = {**facts(after), **_flag_data(activity), "writes": words.writes_done(activity)}
    parts = (changed, _kept(seen, activity), _told(seen, grant, "grant.kill_requested", data))
    return News(parts, after, activity, f"killed: {reason}")


def _flagged(seen: Snapshot, grant: Grant, activity: Activity) -> News:
    """Tell people what was seen; the grant lives on."""
    activity = activity.model_copy(update={"told_points": activity.asking})
    after = grant.model_copy(update={"flagged": words.flagged(activity), "flag_points": activity.points})
    parts = (
        layout.grant_noted(seen.records[layout.grant_key(grant.id)], after),
        _kept(seen, activity),
        _told(seen, grant, "grant.flagged", {"grant": grant.id, **_flag_data(activity)}),
    )
    return News(parts, after, activity, f"flagged: {activity.points} points")


def _owing(activity: Activity, what: str, **changes: Any) -> Activity:
    owes = tuple(dict.fromkeys((*activity.owes, what)))
    return activity.model_copy(update={"owes": owes, **changes})


def _kept(seen: Snapshot, activity: Activity) -> layout.Part:
    key = layout.activity_key(activity.grant_id)
    return layout.put(key, seen.records[key].version, activity.model_dump_json())


def _told(seen: Snapshot, grant: Grant, kind: str, data: dict[str, Any]) -> layout.Part:
    return {
        "drafts": [Draft(grant.request_id, kind, WORKER, "worker", data)],
        "events": [layout.event(kind, seen.now, request=grant.request_id, grant=grant.id)],
    }


def _flag_data(activity: Activity) -> dict[str, Any]:
    flags = [
        {
            "kind": flag.kind,
            "points": flag.points,
            "through": flag.through,
            "calls": [words.spoken(one) for one in flag.evidence],
        }
        for flag in activity.flags
    ]
    return {"points": activity.points, "flags": flags, "said": words.said(activity)}


def _report_data(grant: Grant, activity: Activity, text: str) -> dict[str, Any]:
    found = reports.report(grant.plan, activity)
    narrower = found.proposal
    return {
        "grant": grant.id,
        **_flag_data(activity),
        "calls": activity.calls,
        "refusals": activity.refusals,
        "writes": activity.write_calls,
        "used": [one.name for one in found.used],
        "never": list(found.never),
        "unseen": list(found.unseen),
        "proposal": {"actions": list(narrower.actions), "resources": list(narrower.resources)} if narrower else None,
        "text": text,
    }
