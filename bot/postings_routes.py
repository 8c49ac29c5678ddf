"""Say where a request's card goes: the places and people that its ladder asks, up to the level that it is on.

Who is asked only because somebody lent them a seat looks at none of these places: the card goes to them directly.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from approvers.escalation import asked_on
from approvers.request import Because, Request
from approvers.roster import Person, Roster
from approvers.watching import ladder_of
from bot.postings_record import Lane
from workers import logs
from workers.policies import Rulebook

_log = logs.get_logger(__name__)


def asked(book: Rulebook, request: Request) -> tuple[str, ...]:
    """Return whom the levels so far ask; where the policy has dropped the ladder since, the groups of the seats.

    Of break-glass everybody hears at once: whom the policy tells, and whom any level of the review would have asked.
    """
    ladder = ladder_of(book.policy, request)
    broken = request.because is Because.BREAK_GLASS
    if ladder is not None:
        named = asked_on(ladder, len(ladder.levels) - 1 if broken else request.level)
    else:
        named = tuple(f"group:{group}" for group in sorted(request.ruling.seats))
    if not broken:
        return named
    told = book.policy.break_glass.tell if book.policy.break_glass else ()
    return tuple(dict.fromkeys((*told, *named)))


def lanes_for(book: Rulebook, request: Request, surfaces: Collection[str], now: datetime) -> tuple[Lane, ...]:
    """Return the channels and accounts to post to, each once, in the order of asking."""
    found = [lane for who in asked(book, request) for lane in _lanes(book.roster, who, surfaces)]
    return tuple(dict.fromkeys([*found, *stand_ins(book, request, surfaces, now)]))


def stand_ins(book: Rulebook, request: Request, surfaces: Collection[str], now: datetime) -> tuple[Lane, ...]:
    """Return the accounts of those who may answer only in a seat that was lent to them."""
    names = book.called_in(request.ruling.seats, now)
    return tuple(_accounts(book.roster, names, surfaces))


def _lanes(roster: Roster, who: str, surfaces: Collection[str]) -> Iterator[Lane]:
    kind, _, name = who.partition(":")
    if kind == "place":
        if name not in roster.places:
            _log.warning("cards.no_such_place", place=name)
            return
        yield from _channels(roster, [name], surfaces)
        return
    looks_at = [place.name for place in roster.places.values() if name in place.groups]
    channels = list(_channels(roster, looks_at, surfaces))
    people = roster.groups[name].people if name in roster.groups else ()
    yield from channels or _accounts(roster, people, surfaces)


def _channels(roster: Roster, places: Collection[str], surfaces: Collection[str]) -> Iterator[Lane]:
    for place in places:
        for surface in surfaces:
            if channel := getattr(roster.places[place], surface, None):
                yield surface, channel


def _accounts(roster: Roster, people: Collection[str], surfaces: Collection[str]) -> Iterator[Lane]:
    """Yield where each of these people is on each platform that knows them."""
    for name in people:
        for surface in surfaces:
            if found := account(roster.persons[name], surface):
                yield surface, found


def account(person: Person, surface: str) -> str | None:
    """Return who a person is on a platform, if the roster says so."""
    found: str | None = person.slack_user if surface == "slack" else getattr(person, surface, None)
    return found
