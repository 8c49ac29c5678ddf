"""Render a request as one neutral card: the same facts for Slack, Teams and the console.

A card is made from current state, never read back. It says what will really be minted, and flags a headline that says
less. Text that somebody typed is made harmless and visible here (control, bidirectional and invisible characters are
spelled out, overlong text is cut with a note); each renderer then escapes it for its own markup.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator
from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from approvers.audit import canonical
from approvers.grant import LIVE, Grant, GrantState, ProofKind
from approvers.request import Request, RequestState, told
from approvers.times import Moment, spell

MAX_TEXT = 1_200
MAX_LINE = 300
MAX_MARKS = 3
"""Combining marks in a row: enough for every written language, too few to paint over other lines."""
VERBS = {"List": "LIST", "Read": "READ", "Write": "WRITE", "Tagging": "TAG", "Permissions management": "PERMISSIONS"}
LEVEL_ORDER = ("List", "Read", "Tagging", "Write", "Permissions management")


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class CardFact(_Value):
    """One labelled fact; `cut` says that the whole text is in the record only."""

    label: str
    text: str
    cut: bool = False


class Button(_Value):
    """One thing that a reviewer can do from the card, with the words that it shows."""

    verb: Literal["approve", "deny", "revoke"]
    label: str


class Card(_Value):
    """What every surface shows of one request. `shown` is the digest that travels with a click."""

    request_id: str
    grant_id: str | None
    handle: str
    state: str
    grant_state: str | None
    headline: str
    push: str
    status: str
    risk_level: str
    risk_score: int
    risk_points: tuple[str, ...]
    warnings: tuple[str, ...]
    facts: tuple[CardFact, ...]
    asked: str
    quorum: str
    buttons: tuple[Button, ...]
    expires_at: Moment
    ends_at: Moment | None
    shown: str


def render(request: Request, grant: Grant | None) -> Card:
    """Return the card of a request (and of the grant it opened) as they stand."""
    action = request.action
    return Card(
        request_id=request.id,
        grant_id=grant.id if grant else None,
        handle=request.handle,
        state=request.state,
        grant_state=grant.state if grant else None,
        headline=f"{visible(action.actor.id, MAX_LINE)} wants {visible(action.action, MAX_LINE)}",
        push=push(request),
        status=status(request, grant),
        risk_level=request.ruling.risk.level,
        risk_score=request.ruling.risk.score,
        risk_points=tuple(f"{part.points:+d} {part.why}" for part in request.ruling.risk.points),
        warnings=tuple(warnings(request)),
        facts=tuple(_facts(request)),
        asked=_asked(request),
        quorum=progress(request),
        buttons=tuple(_buttons(request, grant)),
        expires_at=request.expires_at,
        ends_at=grant.ends_at if grant else None,
        shown=shown_digest(request),
    )


def shown_digest(request: Request) -> str:
    """Return the digest of what an approval would approve: action, plan, rules, seats. Votes do not change it."""
    bound = {
        "v": 1,
        "digest": request.action_digest,
        "plan": request.plan.model_dump(mode="json") if request.plan else None,
        "policy": request.ruling.policy_sha256,
        "seats": dict(request.ruling.seats),
        "expires_at": request.model_dump(mode="json", include={"expires_at"})["expires_at"],
    }
    return hashlib.sha256(canonical(bound)).hexdigest()[:32]


def visible(text: str, limit: int = MAX_TEXT) -> str:
    """Return text in which nothing hides: controls and invisible characters spelled out, cut at `limit` with a note."""
    shown: list[str] = []
    marks = 0
    for char in text[:limit]:
        marks = marks + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        shown.append(char if char in "\n " or (char.isprintable() and marks <= MAX_MARKS) else f"⟨U+{ord(char):04X}⟩")
    if len(text) > limit:
        shown.append(f"… [cut: {len(text):,} characters in all, whole in the record]")
    return "".join(shown)


def push(request: Request) -> str:
    """Return one line that stands alone: who → what, where, how long · risk · seats · until when."""
    where = f" in {request.plan.account}" if request.plan else ""
    length = f", {spell(timedelta(seconds=request.plan.ttl_seconds))}" if request.plan else ""
    actor = request.action.actor.id.partition(":")[2]
    risk = f"{request.ruling.risk.level.upper()} {request.ruling.risk.score}"
    parts = [f"{actor} → {_verb(request)} {_short(request.action.resource)}{where}{length}", risk]
    if request.state is RequestState.PENDING:
        parts += [progress(request), f"until {request.expires_at:%H:%M} UTC"]
    else:
        parts.append(request.state)
    return visible(" · ".join(parts), 2 * MAX_LINE)


def progress(request: Request) -> str:
    """Return how many seats are filled: `1 of 2`."""
    counted = request.tally()
    filled = sum(len(people) for people in counted.filled.values())
    return f"{filled} of {sum(request.ruling.seats.values())}"


def warnings(request: Request) -> Iterator[str]:
    """Yield what a hurried reader could miss: a credential wider than its headline, a reason that is not there."""
    if request.plan:
        headline = request.action.action.lower()
        more = [name for name in request.plan.actions if name.lower() != headline]
        if more:
            yield visible(f"The headline names {request.action.action} only; the credential also allows "
                          f"{', '.join(more)}.", MAX_LINE * 2)  # fmt: skip
        others = [arn for arn in request.plan.resources if arn != request.action.resource]
        if others:
            yield visible(f"The headline names {request.action.resource} only; the credential also reaches "
                          f"{', '.join(others)}.", MAX_LINE * 2)  # fmt: skip
    if not request.action.reason.strip():
        yield "No reason was given."


def status(request: Request, grant: Grant | None) -> str:
    """Say in one sentence where the story stands."""
    if grant is None or request.state is not RequestState.APPROVED:
        return f"{told(request)[:1].upper()}{told(request)[1:]}."
    match grant.state:
        case GrantState.PENDING | GrantState.MINTING:
            return f"Approved by {_people(grant)}; the credential is being minted."
        case GrantState.ACTIVE:
            return f"Live, approved by {_people(grant)}; ends {grant.ends_at:%H:%M:%S} UTC."
        case GrantState.REVOKING:
            trouble = f" Not proven yet: {grant.trouble}." if grant.trouble else ""
            return f"Revoking since {_since(grant)}: {_cause(grant)}.{visible(trouble, MAX_LINE)}"
        case GrantState.FAILED:
            return f"Failed, nothing was issued: {visible(grant.failure or 'unknown', MAX_LINE)}"
        case GrantState.REVOKED:
            return _proof(grant)


def _proof(grant: Grant) -> str:
    assert grant.proof is not None
    ended = f"Ended {grant.proof.at:%H:%M:%S} UTC ({_cause(grant)})"
    match grant.proof.kind:
        case ProofKind.PROBE_DENIED | ProofKind.TTL_DENIED:
            probes = f"refused {grant.proof.refused} of {grant.proof.asked} probes"
            since = "the request" if grant.ending and grant.ending.early else "its time was over"
            return f"{ended}, {probes}, {grant.proof.seconds[:-2]} s after {since}."
        case ProofKind.EXPIRED:
            return f"{ended}: expired by the provider's own clock."
        case ProofKind.NEVER_ISSUED:
            return f"{ended}: nothing was ever issued."


def _cause(grant: Grant) -> str:
    if grant.ending is None:
        return "ended"
    words = {"ttl_elapsed": "TTL", "release": "released by its caller", "revoke": "revoked"}
    cause = words.get(grant.ending.cause, grant.ending.cause.replace("_", " "))
    by = f" by {grant.ending.by}" if grant.ending.cause in ("revoke", "kill") else ""
    return visible(f"{cause}{by}", MAX_LINE)


def _since(grant: Grant) -> str:
    return f"{grant.ending.requested_at:%H:%M:%S} UTC" if grant.ending else "now"


def _people(grant: Grant) -> str:
    return ", ".join(grant.approved_by) or "policy"


def _facts(request: Request) -> Iterator[CardFact]:
    action, plan = request.action, request.plan
    if plan:
        yield _fact("Will be minted", ", ".join(plan.actions))
        yield _fact("On", "\n".join(plan.resources))
        yield _fact("Account", f"{plan.account} (…{plan.account_id[-4:]}, {plan.environment})")
        yield _fact("Role", plan.role)
        yield _fact("For", spell(timedelta(seconds=plan.ttl_seconds)))
    else:
        yield _fact("Action approval", f"{action.action} on {action.resource} ({action.environment})")
    behind = f" for {action.actor.on_behalf_of}" if action.actor.on_behalf_of else ""
    yield _fact("Who", f"{action.actor.id}{behind}, asked by {request.principal}")
    yield _fact("Reason", action.reason.strip() or "none given")
    optional = (("Data in play", ", ".join(action.data_classes)), ("Undo", action.undo), ("Ticket", action.ticket),
                ("Project", action.project), ("Stage", action.stage), ("Model", action.actor.model),
                ("Exact parameters", action.parameters))  # fmt: skip
    for label, text in optional:
        if text:
            yield _fact(label, text)


def _fact(label: str, text: str) -> CardFact:
    return CardFact(label=label, text=visible(text), cut=len(text) > MAX_TEXT)


def _asked(request: Request) -> str:
    if not request.ruling.seats:
        return ""
    needs = " and ".join(f"{count} of {group}" for group, count in sorted(request.ruling.seats.items()))
    names = [hit.name for hit in request.ruling.rules] or ["the policy's default"]
    return f"You are asked because {', '.join(names)} {'needs' if len(names) == 1 else 'need'} {needs}."


def _buttons(request: Request, grant: Grant | None) -> Iterator[Button]:
    if request.state is RequestState.PENDING:
        length = f" for {spell(timedelta(seconds=request.plan.ttl_seconds))}" if request.plan else ""
        yield Button(verb="approve", label=f"Approve{length}")
        yield Button(verb="deny", label="Deny")
    elif grant and grant.state in LIVE - {GrantState.REVOKING}:
        yield Button(verb="revoke", label="Revoke")


def _verb(request: Request) -> str:
    levels = [level for level in LEVEL_ORDER if level in request.facts.access_levels]
    if not levels or "unknown" in request.facts.access_levels:
        return request.action.action
    return VERBS[levels[-1]]


def _short(resource: str) -> str:
    tail = resource.rpartition(":")[2]
    return tail if len(tail) <= 60 else f"…{tail[-59:]}"
