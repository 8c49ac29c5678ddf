"""Render a request as one neutral card: the same facts for Slack, Teams and the console.

A card is made from current state, never read back. It says what will really be minted, and flags a headline that says
less. Text that somebody typed is made harmless and visible here (`approvers.card_text`); each renderer then escapes it
for its own markup. A card is small enough for every chat: what had to be cut is whole in `CardFact.whole`, and then, as
for high and critical risk, a surface offers Review in place of Approve.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from approvers import card_caps
from approvers.after_review import is_owed
from approvers.applying_ruling import changes_of
from approvers.audit import canonical_fields
from approvers.card_text import MAX_LINE, MAX_TEXT, count_hidden, cut, one_line, visible, weigh
from approvers.card_words import (
    answers,
    asked,
    headline,
    outcome,
    phase,
    progress,
    push,
    status,
    title,
    uncovered,
    warnings,
)
from approvers.grant import LIVE, Grant, GrantState, Plan
from approvers.narrowing import MAX_RESOURCES, Offer, offer, smaller
from approvers.request import MINT_WITHIN, Request, RequestState
from approvers.times import Moment, spell

__all__ = ["DENY_PRESETS", "MAX_LINE", "MAX_TEXT", "Button", "Card", "CardFact", "progress", "push", "render",
           "review_first", "shown_digest", "status", "visible", "warnings"]  # fmt: skip

CARD_WEIGHT = 5_400
"""What the texts of a card may take in ASCII JSON, so that with blocks and buttons it stays below Slack's 12,000."""
POINTS_WEIGHT = 900
"""What the points of the risk may take of that."""
FACTS_LEAST = 1_800
MAX_LINES = 24
LEAST_WEIGHT = 100
"""What each fact may take however full the card is: enough to see what it is about."""
DENY_PRESETS: Mapping[str, str] = {
    "too_broad": "Too broad, ask narrower.",
    "not_now": "Not now.",
    "unknown_agent": "Unknown agent.",
}
"""Reasons for a denial that take one click; the agent reads them."""
GRAVE = ("high", "critical")
Kind = Literal["line", "code", "quote"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class CardFact(_Value):
    """One labelled fact; `cut` says that `text` is not all of it, `whole` always is. `kind` says how it reads best."""

    label: str
    text: str
    cut: bool = False
    whole: str
    kind: Kind = "line"


class Button(_Value):
    """One thing that a reviewer can do from the card, with the words that it shows."""

    verb: Literal["approve", "deny", "revoke", "justified", "unjustified"]
    label: str


class Card(_Value):
    """What every surface shows of one request.

    Attributes:
        headline: who wants what. `title` is verb and object with the place, for a surface that shows one line large.
        headline_covers: whether all that will be minted lies within the headline; if not, `uncovered` says what else.
        phase: one word for the state: Waiting, Approved, Live, Revoking, Ended, Failed, Denied, Expired, Withdrawn.
        outcome: what was decided, by whom and when; empty while it waits. `status` is where the story stands now.
        answers: who answered what so far.
        stand_ins: who may answer for whom at present.
        narrow: what a reviewer may make smaller in approving; None for nothing.
        review_first: show Review in place of Approve: the risk is high or critical, or something had to be cut.
        hidden: how many characters were spelled out because they are invisible.
        shown: the digest that travels with a click.
    """

    request_id: str
    grant_id: str | None
    handle: str
    state: str
    grant_state: str | None
    phase: str
    headline: str
    headline_covers: bool
    title: str
    push: str
    status: str
    outcome: str
    risk_level: str
    risk_score: int
    risk_points: tuple[str, ...]
    uncovered: tuple[str, ...]
    warnings: tuple[str, ...]
    facts: tuple[CardFact, ...]
    asked: str
    quorum: str
    answers: tuple[str, ...]
    stand_ins: tuple[str, ...]
    buttons: tuple[Button, ...]
    narrow: Offer | None
    review_first: bool
    hidden: int
    expires_at: Moment
    ends_at: Moment | None
    shown: str

    @property
    def news(self) -> str:
        """Return what there is to say of a waiting card besides that it waits: its level, the little time left."""
        plain = f"Waiting until {self.expires_at:%H:%M:%S} UTC."
        return self.status if self.phase == "Waiting" and self.status != plain else ""


def render(request: Request, grant: Grant | None, *, stand_ins: Sequence[str] = ()) -> Card:
    """Return the card of a request (and of the grant it opened) as they stand.

    `stand_ins` are lines such as `bob answers for ana until 23 Nov`.
    """
    risk, laid = request.ruling.risk, _laid_out(request, grant)
    waits = request.state is RequestState.PENDING
    return Card(
        request_id=request.id,
        grant_id=grant.id if grant else None,
        handle=request.handle,
        state=request.state,
        grant_state=grant.state if grant else None,
        phase=phase(request, grant),
        headline=headline(request),
        headline_covers=not laid.beyond,
        title=title(request),
        push=push(request, grant),
        status=status(request, grant),
        outcome=outcome(request),
        risk_level=risk.level,
        risk_score=risk.score,
        risk_points=laid.points,
        uncovered=laid.beyond,
        warnings=laid.flagged,
        facts=laid.facts,
        asked=asked(request),
        quorum=progress(request),
        answers=tuple(answers(request)),
        stand_ins=tuple(one_line(line) for line in stand_ins) if waits else (),
        buttons=tuple(_buttons(request, grant)),
        narrow=offer(request),
        review_first=risk.level in GRAVE or laid.cut,
        hidden=laid.hidden,
        expires_at=request.expires_at,
        ends_at=grant.ends_at if grant else None,
        shown=shown_digest(request),
    )


def review_first(request: Request) -> bool:
    """Tell whether a waiting request has to be read whole: its risk is high or critical, or its card is cut."""
    return request.ruling.risk.level in GRAVE or _laid_out(request, None).cut


def shown_digest(request: Request) -> str:
    """Return the digest of what an approval would approve: the ask with its words, plan, risk, rules and seats.

    Votes and the state of the grant do not change it; nor does who is barred, which each click is judged by anew.
    """
    action, ruling = request.action, request.ruling
    bound: dict[str, object] = {
        "v": 2,
        "action": action,
        "digest": request.action_digest,
        "plan": request.plan,
        "policy": ruling.policy_sha256,
        "risk": ruling.risk,
        "rules": [hit.name for hit in ruling.rules],
        "seats": dict(ruling.seats),
        "expires_at": request.model_dump(mode="json", include={"expires_at"})["expires_at"],
    }
    return hashlib.sha256(canonical_fields(bound)).hexdigest()[:32]


class _Layout(NamedTuple):
    """What has to share the room of a card; `cut` says that something did not fit."""

    beyond: tuple[str, ...]
    hidden: int
    flagged: tuple[str, ...]
    points: tuple[str, ...]
    facts: tuple[CardFact, ...]
    cut: bool


def _laid_out(request: Request, grant: Grant | None) -> _Layout:
    hidden = count_hidden(_typed(request))
    flagged = tuple(warnings(request, hidden))
    points = tuple(one_line(f"{part.points:+d} {part.why}", 2 * MAX_LINE) for part in request.ruling.risk.points)
    beside = sum(weigh(text) for text in (*flagged, *points, asked(request), title(request)))
    facts = tuple(fitted(list(_facts(request, grant)), max(FACTS_LEAST, CARD_WEIGHT - beside)))
    too_long = any(fact.cut for fact in facts) or weigh(" · ".join(points)) > POINTS_WEIGHT
    return _Layout(tuple(uncovered(request)), hidden, flagged, points, facts, too_long)


def fitted(
    facts: Sequence[CardFact],
    weight: int,
    limit: int = MAX_TEXT,
    *,
    lines: int | None = MAX_LINES,
    rest: str = "whole in the record",
) -> Iterator[CardFact]:
    """Yield the facts, cut where they are too long.

    Args:
        facts: with their whole texts, the most important first: it keeps most, and each later one has its share.
        weight: what all of them together may take in ASCII JSON.
        limit: how many characters one may have.
        lines: how many lines one may have: line breaks alone could push the buttons off the screen.
        rest: says where the rest of a cut text can be read.
    """
    left = weight
    for number, fact in enumerate(facts, 1):
        share = max(LEAST_WEIGHT, left - LEAST_WEIGHT * (len(facts) - number))
        text = cut(fact.whole, limit, share, rest, lines)
        left -= min(weigh(text), share)
        yield fact if text == fact.text and not fact.cut else _shortened(fact, text)


def _shortened(fact: CardFact, text: str) -> CardFact:
    return fact.model_copy(update={"text": text, "cut": text != fact.whole})


def _facts(request: Request, grant: Grant | None) -> Iterator[CardFact]:
    """Yield all facts whole: what decides comes first."""
    action, plan = request.action, request.plan
    if grant and grant.flagged:
        yield _fact("Flagged", grant.flagged, "quote")
    if request.narrowed:
        *others, last = (who.removeprefix("user:") for who in (*request.narrowed.also, request.narrowed.by))
        by = f"{', '.join(others)} and {last}" if others else last
        yield _fact(one_line(f"Narrowed by {by}"), smaller(request, MAX_RESOURCES))
    if plan:
        yield from _of_plan(request, grant, plan)
    else:
        yield _fact("Action approval", f"{action.action} on {action.resource} ({action.environment})", "code")
        if changes := changes_of(action):
            yield _fact("What changes", "\n".join(changes), "quote")
    behind = f" for {action.actor.on_behalf_of}" if action.actor.on_behalf_of else ""
    yield _fact("Who", f"{action.actor.id}{behind}, asked by {request.principal}")
    yield _fact("Reason", action.reason.strip() or "none given", "quote")
    if action.data_classes:
        yield _fact("Data in play", ", ".join(action.data_classes))
    if action.undo:
        yield _fact("Undo", action.undo, "quote" if "\n" in action.undo else "line")
    optional = (("Ticket", action.ticket), ("Project", action.project), ("Stage", action.stage),
                ("Model", action.actor.model))  # fmt: skip
    for label, text in optional:
        if text:
            yield _fact(label, text)
    if action.parameters:
        yield _fact("Exact parameters", action.parameters, "code")


def _of_plan(request: Request, grant: Grant | None, plan: Plan) -> Iterator[CardFact]:
    """Yield what is minted: what for, where, for how long, and what ends it early."""
    yield _fact(_minted(request, grant), ", ".join(plan.actions), "code")
    yield _fact("On", "\n".join(plan.resources), "code")
    yield _fact("System" if plan.by_command else "Account", card_caps.home(plan))
    yield _fact("Role", plan.role)
    yield _fact("For", card_caps.length(plan))
    if request.action.heartbeat_seconds and plan.ends_early:
        silent = spell(timedelta(seconds=request.action.heartbeat_seconds))
        yield _fact("Ends early", f"if its agent falls silent for {silent}")
    yield from _goes_on(request, grant, timedelta(seconds=plan.ttl_seconds))


def _goes_on(request: Request, grant: Grant | None, ttl: timedelta) -> Iterator[CardFact]:
    """Say which grant this one goes on with, and between which moments its own end would lie."""
    if request.extended is None:
        return
    first, last = request.submitted_at + ttl, request.expires_at + MINT_WITHIN + ttl
    end = f"new end {first:%H:%M} UTC at the earliest, {last:%H:%M} at the latest"
    if grant and grant.ends_at:
        end = f"new end {grant.ends_at:%H:%M} UTC"
    yield _fact("Extends", f"{request.extended.handle}, which ends {request.extended.ends_at:%H:%M} UTC → {end}")


def _minted(request: Request, grant: Grant | None) -> str:
    """Say whether the plan is still to come, was carried out, or came to nothing."""
    if grant and grant.minted_at:
        return "Was minted"
    coming = request.state is RequestState.PENDING or (grant is not None and grant.state in LIVE)
    return "Will be minted" if coming else "Was asked for"


def _fact(label: str, text: str, kind: Kind = "line") -> CardFact:
    shown = visible(text, len(text))
    shown = shown.replace("\n", " ⏎ ") if kind == "line" else shown
    return CardFact(label=label, text=shown, whole=shown, kind=kind)


def _typed(request: Request) -> Iterator[str]:
    """Yield every text of the caller's own choice that a card shows."""
    action = request.action
    optional = (action.undo, action.ticket, action.actor.model, action.parameters)
    yield from (action.resource, action.reason.strip(), *filter(None, optional))
    if request.plan:
        yield from request.plan.resources


def _buttons(request: Request, grant: Grant | None) -> Iterator[Button]:
    if request.state is RequestState.PENDING:
        length = f" for {spell(timedelta(seconds=request.plan.ttl_seconds))}" if request.plan else ""
        yield Button(verb="approve", label=f"Approve{length}")
        yield Button(verb="deny", label="Deny")
    elif grant and grant.state in LIVE - {GrantState.REVOKING}:
        yield Button(verb="revoke", label=card_caps.revoke_label(grant.plan, grant.ends_at))
    if is_owed(request):
        yield Button(verb="justified", label="Justified")
        yield Button(verb="unjustified", label="Not justified")
