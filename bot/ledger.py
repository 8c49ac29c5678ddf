"""Say where a request was shown and what came of it, and note who has looked at it in the console.

The ledger itself is the record of the request's cards; nothing here posts.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from approvers.request import Request, RequestState
from approvers.roster import Roster
from approvers.ruling import barred_as
from bot.deps import Deps
from bot.postings_record import Cards, Copy, cards_in, change
from bot.standing import groups_of
from workers.stores import layout

SURFACES = {"slack": "Slack", "teams": "Teams"}


async def shown(deps: Deps, request: str) -> list[tuple[str, str]]:
    """Return label and words for each place of a request, in the order of asking; none where there is no chat."""
    cards = cards_in(await deps.store.records.read([layout.cards_key(request)]), request)
    return list(rows(cards, deps.policies.roster)) if cards else []


def rows(cards: Cards, roster: Roster | None) -> Iterator[tuple[str, str]]:
    """Yield each place and how it stands there: `Shown in #prod (Slack)`, `sent 14:02 UTC, acted on by robin`."""
    for copy in cards.copies:
        platform = SURFACES.get(copy.surface, copy.surface)
        yield f"Shown in {place_of(copy, roster)} ({platform})", _state(copy)
    if cards.seen_at:
        yield "Shown in the console", f"to {_name(cards.seen_by)}, {_clock(cards.seen_at)}"
    elif not cards.reached:
        yield "Shown", "to nobody yet"


def place_of(copy: Copy, roster: Roster | None) -> str:
    """Return what people call the place of a copy: `#NAME` of the roster, or a person; else the platform's own id."""
    if roster is None:
        return copy.to
    for place in roster.places.values():
        if copy.to == getattr(place, copy.surface, None) or copy.channel == getattr(place, copy.surface, ""):
            return f"#{place.name}"
    for person in roster.persons.values():
        account = person.slack_user if copy.surface == "slack" else getattr(person, copy.surface, None)
        if copy.to == account:
            return person.name
    return copy.to


async def seen(deps: Deps, request: str, principal: str) -> None:
    """Note that somebody has the request's page before them, if nobody was shown it before and they have a seat."""
    found = await deps.store.records.read([layout.request_key(request), layout.cards_key(request)])
    cards = cards_in(found, request)
    if cards is None or cards.reached:
        return
    opened = deps.reader.parse(found, request)
    if opened.state is RequestState.PENDING and await _has_seat(deps, opened, principal, found.now):
        at = found.now
        await change(deps.store.records, request, lambda now: now.seen(principal, at), look_at=at)


async def _has_seat(deps: Deps, request: Request, principal: str, now: datetime) -> bool:
    """Tell whether the person may answer, in their own seat or in a lent one; whom four-eyes bars may not."""
    book, ruling = deps.policies.current, request.ruling
    membership = await deps.directory.membership(principal, ruling.seats)
    own = frozenset(groups_of(book, principal, membership))
    if barred_as(ruling, principal, own) is not None:
        return False
    lent = (f"user:{name}" for name in book.lenders(principal, now))
    seats = [(principal, own), *((one, frozenset(groups_of(book, one, membership))) for one in lent)]
    return any(groups & ruling.seats.keys() and barred_as(ruling, one, groups) is None for one, groups in seats)


def _state(copy: Copy) -> str:
    match copy.state:
        case "due":
            said = "queued"
        case "sending":
            said = "being sent"
        case "posted":
            said = f"sent {_clock(copy.sent_at)}" if copy.sent_at else "sent"
        case "refused":
            said = "failed: the platform will not take it"
        case "unknown":
            said = "failed: nobody knows whether it arrived"
    acted = f", acted on by {_name(copy.acted_by)} {_clock(copy.acted_at)}" if copy.acted_at else ""
    return said + acted


def _name(principal: str) -> str:
    return principal.removeprefix("user:")


def _clock(moment: datetime) -> str:
    return f"{moment:%H:%M} UTC"
