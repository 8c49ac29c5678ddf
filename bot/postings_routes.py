"""Say where a request's card goes: the places and people that the first level of its ladder asks."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from approvers.escalation import ladder_for
from approvers.request import Request
from approvers.roster import Person, Roster
from bot.postings_record import Lane
from workers import logs
from workers.policies import Rulebook

_log = logs.get_logger(__name__)


def asked(book: Rulebook, request: Request) -> tuple[str, ...]:
    """Return whom the first level asks; where the policy has dropped the ladder since, the groups of the seats."""
    try:
        return ladder_for(book.policy, request.ruling).levels[0].ask
    except (KeyError, ValueError):
        return tuple(f"group:{group}" for group in sorted(request.ruling.seats))


def lanes_for(book: Rulebook, request: Request, surfaces: Collection[str]) -> tuple[Lane, ...]:
    """Return the channels and accounts to post to, each once, in the order of asking."""
    found = [lane for who in asked(book, request) for lane in _lanes(book.roster, who, surfaces)]
    return tuple(dict.fromkeys(found))


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
    yield from channels or _accounts(roster, name, surfaces)


def _channels(roster: Roster, places: Collection[str], surfaces: Collection[str]) -> Iterator[Lane]:
    for place in places:
        for surface in surfaces:
            if channel := getattr(roster.places[place], surface, None):
                yield surface, channel


def _accounts(roster: Roster, group: str, surfaces: Collection[str]) -> Iterator[Lane]:
    """Yield the people of a group that looks at no channel, but not members whom only the platform knows."""
    for name in roster.groups[group].people if group in roster.groups else ():
        for surface in surfaces:
            if account := _account(roster.persons[name], surface):
                yield surface, account


def _account(person: Person, surface: str) -> str | None:
    account: str | None = person.slack_user if surface == "slack" else getattr(person, surface, None)
    return account
