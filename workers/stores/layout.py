"""Say what each change of a request or grant touches in the store: keys, due times, indexes, names, counters.

One place, because the web process, the clock and the workers all commit such changes. Every function returns a `Part`:
the fields of a `Commit` by name; `commit` joins parts into one Commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from approvers.grant import LIVE, Grant, GrantState, backoff, collect_at
from approvers.lifetime import Beat, Hearing, next_look
from approvers.proving import prove_at
from approvers.request import Because, Request, RequestState
from approvers.times import to_ms
from workers.stores.port import Commit, Versioned

Part = Mapping[str, Any]
IDEMPOTENCY_KEPT = timedelta(hours=24)
"""How long after its end an Idempotency-Key still finds its request (callers.md 1)."""
BUCKETS_MS = (50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000)
"""Upper bounds of the timing histograms in /metrics; slower ones count in `+Inf` only."""

POLICY, ROSTER, FREEZE, AWAY = "config:policy", "config:roster", "config:freeze", "config:away"
WAITING, LIVE_INDEX, DENIES = "waiting", "live", "denies"
SWEEP, TAG_SWEEP, SESSION_SWEEP = "sweep:aws", "sweep:tags", "sweep:sessions"
ROOMS, SESSIONS, TROUBLES = "rooms:aws", "sessions:aws", "troubles"
"""The records of what the last sweep saw on each base role (see `workers.stores.rooms`), of who took them, and of
accounts in trouble."""
HISTORY, KNOWN, BEAT = "history:", "known:", "beat:"
"""What keys of counters and heartbeats begin with; nobody waits for a change of them."""
HEARING = f"{BEAT}web"
"""The record of since when web processes are there to hear callers (see `approvers.lifetime.Hearing`)."""
OWING, RECEIPT = "owing", "receipt"
NOTARY, ROLLBACK, CHECKPOINTS = "notary:log", "notary:rollback", "checkpoints"
"""The records of what is signed and of a log that is another one, and the index of checkpoints by size."""


def request_key(request: str) -> str:
    """Return the record key, and due member, of a request."""
    return f"request:{request}"


def grant_key(grant: str) -> str:
    """Return the record key, and due member, of a grant."""
    return f"grant:{grant}"


def cards_key(request: str) -> str:
    """Return the record key of a request's cards: where they were posted, and what they last showed."""
    return f"cards:{request}"


def history_key(principal: str) -> str:
    """Return the record key of a principal's asks, as counted."""
    return f"{HISTORY}{principal}"


def known_key(principal: str) -> str:
    """Return the record key of what a principal was approved for."""
    return f"{KNOWN}{principal}"


def decided_key(principal: str) -> str:
    """Return the record key of what a person answered lately."""
    return f"decided:{principal}"


def tags_key(account: str) -> str:
    """Return the record key of an account's tags, as last read."""
    return f"tags:{account}"


def owed_key(principal: str) -> str:
    """Return the record key of the after-reviews that a person owes."""
    return f"owed:{principal}"


def activity_key(grant: str) -> str:
    """Return the record key, and due member, of what a grant's session was seen doing."""
    return f"activity:{grant}"


def beat_key(grant: str) -> str:
    """Return the record key of the last heartbeat that a grant's caller gave."""
    return f"{BEAT}{grant}"


def room_of(role_arn: str) -> str:
    """Return the index of the grants that hold a Deny on this base role, or may come to need one."""
    return f"room:{role_arn}"


def owing_key(request: str) -> str:
    """Return the due member under which the clock looks after a use of break-glass until it is reviewed."""
    return f"{OWING}:{request}"


def checkpoint_key(size: int) -> str:
    """Return the record key of the signed checkpoint at that size."""
    return f"checkpoint:{size}"


def receipt_key(request: str) -> str:
    """Return the due member under which the clock signs the receipt of a decided request."""
    return f"{RECEIPT}:{request}"


def waiting_of(principal: str) -> str:
    """Return the index of what this principal waits for."""
    return f"{WAITING}:{principal}"


def idem_name(principal: str, key: str) -> str:
    """Return the unique name of an Idempotency-Key."""
    return f"idem:{principal}:{key}"


def fold_name(principal: str, digest: str) -> str:
    """Return the unique name under which identical pending asks find each other."""
    return f"fold:{principal}:{digest}"


def handle_name(handle: str) -> str:
    """Return the unique name of a short handle while it is open."""
    return f"handle:{handle}"


def commit(at: datetime, *parts: Part, **fields: Any) -> Commit:
    """Join parts (mappings are merged, sequences appended) and further fields into one Commit."""
    joined: dict[str, Any] = {"at": at}
    for name, value in [pair for part in (*parts, fields) for pair in part.items()]:
        if name not in joined:
            joined[name] = value
        elif isinstance(value, dict):
            joined[name] = {**joined[name], **value}
        else:
            joined[name] = [*joined[name], *value]
    return Commit(**joined)


def timing(name: str, took: timedelta) -> dict[str, int]:
    """Return the counters that one observation adds to the histogram `name`."""
    took_ms = max(0, int(took.total_seconds() * 1000))
    bucket = next((str(bound) for bound in BUCKETS_MS if took_ms <= bound), "inf")
    return {f"{name}:sum_ms": took_ms, f"{name}:le:{bucket}": 1}


def put(key: str, version: int, json: str) -> dict[str, Any]:
    """Return the part that writes a record whose version was seen."""
    return {"expects": {key: version}, "puts": {key: json}}


def request_opened(request: Request, look_at: datetime | None = None) -> Part:
    """Return what a new request touches, decided or not. The idempotency name is the caller's part.

    `look_at`: when the clock looks at it first; None: when its time is over.
    """
    waits = request.state is RequestState.PENDING
    key = request_key(request.id)
    part: dict[str, Any] = {
        **put(key, 0, request.model_dump_json()),
        "counts": {f"requests:{request.state}": 1},
    }
    if waits:
        moment = {request.id: request.submitted_at}
        part["due"] = {key: look_at or request.expires_at}
        part["enter"] = {WAITING: moment, waiting_of(request.principal): moment}
        part["unique"] = {fold_name(request.principal, request.action_digest): request.id}
    else:
        part["counts"] |= timing("decision_seconds", timedelta())
        part["due"] = {receipt_key(request.id): request.submitted_at}
        if not opens_grant(request):
            part["forget"] = _names_forgotten(request, request.submitted_at)
    return part


def folds(request: Request) -> Part:
    """Return the part that has a commit refused as Taken where an identical ask waits, and else changes nothing."""
    name = fold_name(request.principal, request.action_digest)
    return {"unique": {name: request.id}, "forget": {name: None}}


def request_changed(
    seen: Versioned, request: Request, *, at: datetime, closed: bool, cool_down: timedelta | None = None
) -> Part:  # fmt: skip
    """Return what a review, an end, or a consumption of a request touches.

    Args:
        seen: the record as read.
        request: the request after the change.
        at: the store's time.
        closed: whether this change decided it.
        cool_down: how long an identical ask is answered by this request, if a person denied it.
    """
    key = request_key(request.id)
    part: dict[str, Any] = put(key, seen.version, request.model_dump_json())
    if not closed:
        return part
    fold_until = at + cool_down if cool_down and request.because is Because.REVIEWER else None
    forget: dict[str, datetime | None] = {fold_name(request.principal, request.action_digest): fold_until}
    if not opens_grant(request):
        forget |= {handle_name(request.handle): None, **_names_forgotten(request, at)}
    alarmed = bool(request.unreached_at or request.alerted_at or request.empty)
    last_look = {key: at} if alarmed else {}  # the clock ends its alarms
    return part | {
        "due": {receipt_key(request.id): at, **last_look},
        **({} if alarmed else {"undue": [key]}),
        "leave": {WAITING: [request.id], waiting_of(request.principal): [request.id]},
        "forget": forget,
        "counts": {f"requests:{request.state}": 1, **timing("decision_seconds", at - request.submitted_at)},
    }


def receipted(seen: Versioned, request: Request, *, at: datetime) -> Part:
    """Return what the receipt of a decided request touches: its record, whose readers are woken, and who is told."""
    took = at - (request.decided_at or request.submitted_at)
    return {
        **put(request_key(request.id), seen.version, request.model_dump_json()),
        "events": [event("request.receipted", at, request=request.id)],
        "counts": timing("receipt_seconds", took),
    }


def opens_grant(request: Request) -> bool:
    """Tell whether this request's approval is a grant."""
    return request.state is RequestState.APPROVED and request.plan is not None


def grant_opened(grant: Grant) -> Part:
    """Return what a new grant touches: it is due for minting at once."""
    key = grant_key(grant.id)
    return {
        **put(key, 0, grant.model_dump_json()),
        "due": {key: grant.opened_at},
        "enter": {LIVE_INDEX: {grant.id: grant.opened_at}},
        "counts": {"grants:opened": 1},
    }


def grant_changed(seen: Versioned, grant: Grant, *, at: datetime, request: Request | None = None) -> Part:
    """Return what a move of a grant touches: record, due time by its new state, sealed credential, indexes.

    `request` is needed where the grant ends, so that its names are forgotten.
    """
    key = grant_key(grant.id)
    part: dict[str, Any] = put(key, seen.version, grant.model_dump_json())
    if grant.state is not GrantState.ACTIVE:
        part["sealed"] = {grant.id: None}  # a credential is there only while the grant is ACTIVE
    part |= {"due": {key: when}} if (when := _due_at(grant, at)) else {"undue": [key]}
    leave: dict[str, list[str]] = {}
    if grant.collected_at:
        leave[DENIES] = [grant.id]
    elif grant.deny_written:
        part["enter"] = {DENIES: {grant.id: at}}
    if _needs_no_room(grant):
        leave[room_of(grant.plan.role_arn)] = [grant.id]
    if grant.state not in LIVE and grant.collected_at is None:
        leave[LIVE_INDEX] = [grant.id]
        part["counts"] = {f"grants:{grant.state}": 1}
        part["forget"] = {handle_name(grant.handle): None, **(_names_forgotten(request, at) if request else {})}
    return {**part, "leave": leave} if leave else part


def _due_at(grant: Grant, at: datetime) -> datetime | None:
    """Return when there is something to do for a grant that changed at `at`; None: never again."""
    match grant.state:
        case GrantState.PENDING:
            return at + backoff(grant.attempts)
        case GrantState.ACTIVE:
            return next_look(grant)
        case GrantState.REVOKING:
            return prove_at(grant, at)
        case GrantState.REVOKED if grant.deny_written and grant.collected_at is None:
            return max(at, collect_at(grant))
        case _:
            return None


def needs_room(grant: Grant) -> bool:
    """Tell whether the grant's base role holds a Deny for it, or may come to need one; a dry run writes none."""
    return grant.plan.ends_early and grant.plan.provider == "aws" and not _needs_no_room(grant)


def _needs_no_room(grant: Grant) -> bool:
    """Tell whether the grant's role holds no Deny for it and need not hold one (before its claim, or after its end)."""
    if grant.state in LIVE:
        return grant.state is GrantState.PENDING
    return grant.collected_at is not None or not grant.deny_written


def beat_in(seen: Versioned) -> datetime | None:
    """Return the last heartbeat that a record holds; None where none was ever given."""
    return Beat.model_validate_json(seen.json).at if seen.version else None


def beat_given(key: str, seen: Versioned, at: datetime) -> Part:
    """Return the part that notes a heartbeat."""
    return put(key, seen.version, Beat(at=at).model_dump_json())


def hearing_in(seen: Versioned) -> Hearing | None:
    """Return since when web processes are there, as a record holds it; None where none ever noted itself."""
    return Hearing.model_validate_json(seen.json) if seen.version else None


def grant_noted(seen: Versioned, grant: Grant) -> Part:
    """Return what a note in a grant's record touches that moves nothing: the record alone."""
    return put(grant_key(grant.id), seen.version, grant.model_dump_json())


def watched(seen: Versioned, request: Request, *, look_at: datetime) -> Part:
    """Return what a look at a waiting request touches: the record, and when it is looked at next."""
    key = request_key(request.id)
    return {**put(key, seen.version, request.model_dump_json()), "due": {key: look_at}}


def event(kind: str, at: datetime, *, request: str, grant: str | None = None) -> str:
    """Return one line for the outbox: what happened to whom; whoever tells it renders the record as it then is."""
    middle = f',"grant":"{grant}"' if grant else ""
    return f'{{"type":"{kind}","at_ms":{to_ms(at)},"request":"{request}"{middle}}}'


def _names_forgotten(request: Request, at: datetime) -> dict[str, datetime | None]:
    return dict.fromkeys(request.names, at + IDEMPOTENCY_KEPT)
