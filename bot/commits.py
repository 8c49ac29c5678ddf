"""Build the commits of the desk: what each answer writes, besides the record itself.

Pure functions from what was read to one `Commit`; no IO.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from approvers import request as requests
from approvers import watching
from approvers.audit import By, Draft
from approvers.errors import CountersignError
from approvers.request import Request, RequestState
from bot import reviewers
from bot.identity import Identity
from workers.policies import Rulebook
from workers.stores import layout
from workers.stores.port import Commit, Snapshot

MAX_WAITING = 100
"""How many requests one principal may have waiting (callers.md 1)."""
MAX_DECIDED = 20
"""How many of a person's answers are kept at hand, newest first; the log has all."""
NOTHING: Mapping[str, Any] = {}
POLICY = By(None, "countersign", "policy")


@dataclass(frozen=True)
class Click:
    """One person's answer, as a surface proved it: who, where, which verdict, and the digest of what was shown.

    `whole` says that the person had all of the request before them, not a card that may have had to leave things out.
    """

    who: Identity
    request: str
    verdict: str
    reason: str = ""
    shown: str | None = None
    whole: bool = True


def submitted(book: Rulebook, who: Identity, request: Request, key: str, body: str) -> Commit:
    """Return the commit that stores an ask with policy's answer to it: request, records, events, due times, names."""
    at = request.submitted_at
    asked = {
        "action": request.action,
        "action_digest": request.action_digest,
        "body_sha256": body,
        "facts": request.facts,
        "plan": request.plan,
        "roster_sha256": book.roster_sha256,
        "ruling": request.ruling,
    }
    drafts = [Draft(request.id, "request.submitted", who.by, who.via, asked)]
    events = [layout.event("request.submitted", at, request=request.id)]
    waits = request.state is RequestState.PENDING
    parts = [layout.request_opened(request, watching.first_look(book.policy, book.roster, request) if waits else None)]
    if not waits:
        kind = f"request.{request.state.lower()}"
        drafts.append(Draft(request.id, kind, POLICY, "policy", decision(request)))
        events.append(layout.event(kind, at, request=request.id))
    if layout.opens_grant(request):
        parts.append(granted(request, at, POLICY))
    unique = {layout.idem_name(who.principal, key): f"{request.id} {body}"}
    if waits or layout.opens_grant(request):
        unique[layout.handle_name(request.handle)] = request.id
    return layout.commit(
        at,
        {"unique": unique},  # first, so that a retry is told of its own request and not of a fold
        *parts,
        {"drafts": drafts, "events": events},
        expects={**book.versions, **who.proof},
        limits={layout.waiting_of(who.principal): MAX_WAITING} if waits else {},
    )


def reviewed(
    book: Rulebook, click: Click, seen: Snapshot, after: Request, *, seen_in: Mapping[str, Any], note: bool
) -> Commit:
    """Return the commit of one counted review, and of the decision and the grant that it may bring.

    Args:
        book: the rules that it was taken under.
        click: the answer as it came.
        seen: what was read.
        after: the request with the review in it.
        seen_in: the outside groups that were looked at, as recorded.
        note: whether the request is put on top of what this person answered lately.
    """
    closed = after.state is not RequestState.PENDING
    cool_down = book.policy.limits.denied_cool_down
    record = seen.records[layout.request_key(after.id)]
    last = after.reviews[-1]
    told = {"verdict": last.verdict, "reason": last.reason, "groups": list(last.groups), "shown": click.shown,
            "lent_by": last.lent_by, "seen_in": dict(seen_in)}  # fmt: skip
    drafts = [Draft(after.id, "review.recorded", click.who.by, click.who.via, told)]
    events = [layout.event("review.recorded", seen.now, request=after.id)]
    parts = [layout.request_changed(record, after, at=seen.now, closed=closed, cool_down=cool_down)]
    if closed:
        kind = f"request.{after.state.lower()}"
        drafts.append(Draft(after.id, kind, click.who.by, click.who.via, decision(after)))
        events.append(layout.event(kind, seen.now, request=after.id))
    if layout.opens_grant(after):
        parts.append(granted(after, seen.now, click.who.by))
    return layout.commit(
        seen.now,
        {"drafts": drafts, "events": events},
        *parts,
        _noted(seen, after) if note else {},
        heads=seen.heads,
        expects={**book.versions, **click.who.proof},
        before=after.expires_at,
    )


def _noted(seen: Snapshot, after: Request) -> layout.Part:
    """Return the part that puts the last answer on top of what this person answered."""
    key = layout.decided_key(after.reviews[-1].reviewer)
    record = seen.records[key]
    noted = reviewers.with_last(reviewers.read(record), after, MAX_DECIDED)
    return layout.put(key, record.version, noted.model_dump_json())


def refused(seen: Snapshot, click: Click, error: CountersignError, seen_in: Mapping[str, Any] = NOTHING) -> Commit:
    """Return the commit that records a review which did not count, and why."""
    told = {"verdict": click.verdict, "shown": click.shown} | ({"seen_in": dict(seen_in)} if seen_in else {})
    return refusal(seen, error, Draft(click.request, "review.refused", click.who.by, click.who.via, told))


def refusal(seen: Snapshot, error: CountersignError, draft: Draft) -> Commit:
    """Return the commit that records an answer which does not count; `draft` says who gave it, where and to what."""
    draft = replace(draft, data={**draft.data, "code": error.code, "detail": error.detail})
    return layout.commit(seen.now, drafts=[draft], heads=seen.heads, counts={f"reviews_refused:{error.code}": 1})


def granted(request: Request, at: datetime, by: By) -> layout.Part:
    """Return the part of a commit that opens the grant of an approved request."""
    grant = requests.open_grant(request, at)
    told = {"grant": grant.id, "plan": grant.plan.model_dump(mode="json"), "approved_by": list(grant.approved_by)}
    draft = Draft(request.id, "grant.opened", by, "desk", told)
    return {**layout.grant_opened(grant), "drafts": [draft]}


def decision(request: Request) -> dict[str, Any]:
    """Return what the record of a decision says: state, why, by whom, under which policy, with which seats filled."""
    told = {
        "state": request.state,
        "because": request.because,
        "decided_by": request.decided_by,
        "action_digest": request.action_digest,
        "policy_sha256": request.ruling.policy_sha256,
        "seats": dict(request.ruling.seats),
        "filled": {group: list(people) for group, people in request.tally().filled.items()},
    }
    lent = {one.reviewer: one.lent_by for one in request.reviews if one.lent_by}
    return {**told, "lent": lent} if lent else told
