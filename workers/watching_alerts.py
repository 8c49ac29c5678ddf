"""Tell on-call what sessions did: that monitoring ended one, that somebody has to look, that nothing can be read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from approvers import activity_words as words
from approvers.activity import Activity
from approvers.card_text import one_line
from approvers.grant import Grant
from approvers.request import Request
from workers.alerts import Alert, Severity
from workers.stores import layout
from workers.stores.port import Commit, Conflict
from workers.tools import Tools


@dataclass(frozen=True)
class Subject:
    """What an alert speaks of; `closing`: nothing more is to come of this grant."""

    grant: Grant
    request: Request
    activity: Activity
    closing: bool = False


async def tell(tools: Tools, subject: Subject) -> None:
    """Tell what is owed, and note that it was told: after a crash in between it is told once more.

    What asks to look is over with the session, or with its end by monitoring. What monitoring ended, and an incident,
    are a person's to close: somebody has to undo, or to find out.
    """
    now, grant, activity = await tools.store.records.now(), subject.grant, subject.activity
    for kind in activity.owes:
        await tools.alerts.send(_alert(kind, subject, now))
    closed = subject.closing and activity.told_points and activity.killed_at is None
    if closed or (activity.asked_at and "killed" in activity.owes):
        await tools.alerts.send(_alert("ask", subject, now).clear(now))
    if not activity.owes:
        return
    key = layout.activity_key(grant.id)
    record = (await tools.store.records.read([key])).records[key]
    settled = Activity.model_validate_json(record.json).model_copy(update={"owes": ()})
    counts = {f"alerts:activity.{kind}": 1 for kind in activity.owes}
    try:
        await tools.store.records.commit(
            layout.commit(now, layout.put(key, record.version, settled.model_dump_json()), counts=counts)
        )
    except Conflict:  # another look came in between; it tells again
        return


def _alert(kind: str, subject: Subject, at: datetime) -> Alert:
    grant, activity = subject.grant, subject.activity
    undo = one_line(subject.request.action.undo or "none was given")
    who = f"{grant.handle} ({grant.actor}, role {grant.plan.role})"
    saw = words.flagged(activity)
    severity: Severity = "warning" if kind == "ask" else "critical"
    summary = {
        "killed": f"Monitoring ended {who}: {saw} Done in the window: {words.writes_done(activity)}. Undo: {undo}",
        "ask": f"Look at {who}, it is still live: {saw} Revoke it if that is not meant.",
        "incident": f"INCIDENT: calls of {who} went through after its end: {saw}",
    }[kind]
    details = {
        "grant": grant.id,
        "role": grant.plan.role,
        "actor": grant.actor,
        "flags": words.said(activity),
        "writes": words.writes_done(activity),
        "undo": undo,
    }
    return Alert(f"activity.{kind}:{grant.id}", severity, summary, at, details)


async def unreadable(tools: Tools, grant: Grant, why: str) -> None:
    """Tell that nobody can see what sessions of an account do."""
    at = await tools.store.records.now()
    await tools.alerts.send(_not_read(grant, f"What sessions do in {grant.plan.account} cannot be read: {why}", at))
    await tools.store.records.commit(Commit(at=at, counts={"alerts:activity.unreadable": 1}))


async def readable(tools: Tools, grant: Grant, how: str = "can be read again") -> None:
    """Tell that nothing is amiss any more: it can be read again, or it is no longer asked for."""
    at = await tools.store.records.now()
    await tools.alerts.send(_not_read(grant, f"What sessions do in {grant.plan.account} {how}.", at).clear(at))


def _not_read(grant: Grant, summary: str, at: datetime) -> Alert:
    details = {"account": grant.plan.account, "account_id": grant.plan.account_id}
    return Alert(f"activity.unreadable:{grant.plan.account}", "warning", summary, at, details)
