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
from approvers.card_shown import text_of
from approvers.errors import CountersignError
from approvers.facts import Facts
from approvers.history import decided, read_known, write_known
from approvers.narrowing import Narrow, parts
from approvers.request import Request, RequestState
from approvers.ruling import Ruling
from approvers.seating import Standing
from approvers.times import stamp
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

    `whole` says that the person had all of the request before them, not a card that may have had to leave things out;
    `narrow` what they made smaller in approving.
    """

    who: Identity
    request: str
    verdict: str
    reason: str = ""
    shown: str | None = None
    whole: bool = True
    narrow: Narrow | None = None


@dataclass(frozen=True)
class Reruled:
    """A request under a stricter ruling than the one that was pinned, and the facts of now that it was ruled on by."""

    request: Request
    pinned: Ruling
    facts: Facts


@dataclass(frozen=True)
class Stood:
    """What an answer that counts was given on: the request before it, with its card's digest, and who the person was.

    `groups` are the person's own, as looked up; `standing` says for whom else they could answer.
    """

    before: Request
    card: str
    groups: tuple[str, ...]
    standing: Standing


@dataclass(frozen=True)
class Answered:
    """What an answer came to: the request after it, and what it was given on, where it counts.

    `reruled`: policy asks for more than when it was pinned. With an `error` that alone is stored, and the answer does
    not count.
    """

    after: Request
    reruled: Reruled | None = None
    error: CountersignError | None = None
    stood: Stood | None = None


def submitted(
    book: Rulebook,
    who: Identity,
    request: Request,
    key: str,
    body: str,
    *more: layout.Part,
    seen_in: Mapping[str, Any] = NOTHING,
) -> Commit:
    """Return the commit that stores an ask with policy's answer to it: request, records, events, due times, names.

    `more` are parts of those who were asked about the ask, such as its principal's history; `seen_in` the outside
    groups that were looked at for the asker.
    """
    at = request.submitted_at
    asked = {
        "action": request.action,
        "action_digest": request.action_digest,
        "body_sha256": body,
        "facts": request.facts,
        "handle": request.handle,
        "plan": request.plan,
        "roster_sha256": book.roster_sha256,
        "ruling": request.ruling,
        **({"proof": dict(who.claims)} if who.claims else {}),
        **({"seen_in": dict(seen_in)} if seen_in else {}),
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
        {"drafts": drafts, "events": events},
        *parts,
        *more,
        expects={**book.versions, **who.proof},
        limits={layout.waiting_of(who.principal): MAX_WAITING} if waits else {},
    )


def reviewed(
    book: Rulebook, click: Click, seen: Snapshot, answered: Answered, *, seen_in: Mapping[str, Any], note: bool
) -> Commit:
    """Return the commit of one counted review, and of the decision and the grant that it may bring.

    Args:
        book: the rules that it was taken under.
        click: the answer as it came.
        seen: what was read.
        answered: the request with the review in it.
        seen_in: the outside groups that were looked at, as recorded.
        note: whether the request is put on top of what this person answered lately, and what it came to is remembered
            of its asker.
    """
    after = answered.after
    closed = after.state is not RequestState.PENDING
    cool_down = book.policy.limits.denied_cool_down
    record = seen.records[layout.request_key(after.id)]
    last = after.reviews[-1]
    told = {"verdict": last.verdict, "reason": last.reason, "groups": list(last.groups), "shown": click.shown,
            "lent_by": last.lent_by, "seen_in": dict(seen_in), "policy_sha256": book.policy_sha256,
            "roster_sha256": book.roster_sha256}  # fmt: skip
    told |= {"raised": list(last.raised)} if last.raised else {}
    told |= {"proof": dict(click.who.claims)} if click.who.claims else {}
    told |= _stood(answered.stood) if answered.stood else {}
    smaller = _smaller(after)
    drafts = [Draft(after.id, "review.recorded", click.who.by, click.who.via, told | smaller)]
    if smaller:
        drafts.append(Draft(after.id, "request.narrowed", click.who.by, click.who.via, smaller["narrowed"]))
    events = [layout.event("review.recorded", seen.now, request=after.id)]
    parts = [layout.request_changed(record, after, at=seen.now, closed=closed, cool_down=cool_down)]
    before = (_reruled(book, answered.reruled, seen, waits=not closed),) if answered.reruled else ()
    if closed:
        kind = f"request.{after.state.lower()}"
        drafts.append(Draft(after.id, kind, click.who.by, click.who.via, decision(after)))
        events.append(layout.event(kind, seen.now, request=after.id))
    if layout.opens_grant(after):
        parts.append(granted(after, seen.now, click.who.by))
    return layout.commit(
        seen.now,
        *before,
        {"drafts": drafts, "events": events},
        *parts,
        *((_noted(seen, after), _remembered(seen, after)) if note else ()),
        heads=seen.heads,
        expects={**book.versions, **click.who.proof},
        before=after.expires_at,
    )


def overruled(book: Rulebook, click: Click, seen: Snapshot, answered: Answered, seen_in: Mapping[str, Any]) -> Commit:
    """Return the commit of a stricter ruling found at an approval, which therefore did not count."""
    new, error, after = answered.reruled, answered.error, answered.after
    assert new is not None
    assert error is not None
    record, closed = seen.records[layout.request_key(after.id)], after.state is not RequestState.PENDING
    changed = (
        layout.request_changed(record, after, at=seen.now, closed=True)
        if closed
        else layout.watched(record, after, look_at=seen.now)
    )
    parts = [_reruled(book, new, seen, waits=not closed), changed]
    if closed:
        drafts = [Draft(after.id, "request.denied", POLICY, "policy", decision(after))]
        parts.append({"drafts": drafts, "events": [layout.event("request.denied", seen.now, request=after.id)]})
    return layout.commit(seen.now, *parts, _turned_away(click, error, seen_in), heads=seen.heads,
                         expects={**book.versions, **click.who.proof})  # fmt: skip


def _reruled(book: Rulebook, new: Reruled, seen: Snapshot, *, waits: bool) -> layout.Part:
    """Return the part that records a stricter ruling: what was pinned, what policy says, and on which facts.

    While it waits the clock looks at it again, for its ladder and its end may be others.
    """
    after = new.request
    was = {"effect": new.pinned.effect, "policy_sha256": new.pinned.policy_sha256, "seats": dict(new.pinned.seats)}
    told = {"was": was, "ruling": after.ruling, "facts": new.facts, "roster_sha256": book.roster_sha256,
            "expires_at": stamp(after.expires_at)}  # fmt: skip
    return {
        "drafts": [Draft(after.id, "request.reruled", POLICY, "policy", told)],
        "events": [layout.event("request.reruled", seen.now, request=after.id)],
        **({"due": {layout.request_key(after.id): seen.now}} if waits else {}),
    }


def _stood(stood: Stood) -> dict[str, Any]:
    """Return what the record of an answer says of what it was given on: the card, its text once, who the person was."""
    text = {} if stood.before.card == stood.card else {"text": text_of(stood.before)}
    return {
        "card": {"digest": stood.card, **text},
        "own_groups": list(stood.groups),
        "lenders": {name: sorted(groups) for name, groups in sorted(stood.standing.lenders.items())},
        "fill_in": [list(pair) for pair in stood.standing.fill_in],
    }


def _smaller(after: Request) -> dict[str, Any]:
    """Return what the last review made smaller, as its record says it; nothing where it took the plan as it was."""
    made, plan, last = after.narrowed, after.plan, after.reviews[-1]
    if made is None or plan is None or (made.by, made.at) != (last.reviewer, last.at):
        return {}
    return {"narrowed": {"asked": parts(made.before), "granted": parts(plan)}}


def _noted(seen: Snapshot, after: Request) -> layout.Part:
    """Return the part that puts the last answer on top of what this person answered."""
    key = layout.decided_key(after.reviews[-1].reviewer)
    record = seen.records[key]
    noted = reviewers.with_last(reviewers.read(record), after, MAX_DECIDED)
    return layout.put(key, record.version, noted.model_dump_json())


def _remembered(seen: Snapshot, after: Request) -> layout.Part:
    """Return the part that adds an approval to what its asker is known for, or takes the credit that a denial ends."""
    key = layout.known_key(after.principal)
    record = seen.records.get(key)
    if record is None or after.state is RequestState.PENDING:
        return {}
    before = read_known(record.json)
    known = decided(before, after, seen.now)
    if known is before:  # what was seen may be old: a denial must not miss what another process has counted since
        return {"expects": {key: record.version}}
    return layout.put(key, record.version, write_known(known))


def refused(seen: Snapshot, click: Click, error: CountersignError, seen_in: Mapping[str, Any] = NOTHING) -> Commit:
    """Return the commit that records a review which did not count, and why."""
    return layout.commit(seen.now, _turned_away(click, error, seen_in), heads=seen.heads)


def refusal(seen: Snapshot, error: CountersignError, draft: Draft) -> Commit:
    """Return the commit that records an answer which does not count; `draft` says who gave it, where and to what."""
    return layout.commit(seen.now, _not_counted(error, draft), heads=seen.heads)


def _turned_away(click: Click, error: CountersignError, seen_in: Mapping[str, Any]) -> layout.Part:
    told = {"verdict": click.verdict, "shown": click.shown} | ({"seen_in": dict(seen_in)} if seen_in else {})
    return _not_counted(error, Draft(click.request, "review.refused", click.who.by, click.who.via, told))


def _not_counted(error: CountersignError, draft: Draft) -> layout.Part:
    draft = replace(draft, data={**draft.data, "code": error.code, "detail": error.detail})
    return {"drafts": [draft], "counts": {f"reviews_refused:{error.code}": 1}}


def granted(request: Request, at: datetime, by: By) -> layout.Part:
    """Return the part of a commit that opens the grant of an approved request."""
    grant = requests.open_grant(request, at)
    told = {"grant": grant.id, "plan": grant.plan, "approved_by": list(grant.approved_by),
            "mint_by": stamp(grant.mint_by)}  # fmt: skip
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
