"""Count reviews: seats are filled by different people, as many seats as can be filled at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from approvers.times import Moment


class Review(BaseModel):
    """One person's answer: who, what, why, when, in which groups, and on which surface.

    `groups` are those in whose seats the answer counts: the reviewer's own, or, where a seat was `lent_by` somebody
    (`user:NAME`), that person's. `raised` are those of them that a level of the ladder opened to the reviewer
    (`may_fill`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    reviewer: str
    verdict: Literal["approve", "deny"]
    reason: str = ""
    at: Moment
    groups: tuple[str, ...]
    via: str
    lent_by: str | None = None
    raised: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tally:
    """Who fills which seat, how many are missing per group, and whether all are filled."""

    filled: Mapping[str, tuple[str, ...]]
    missing: Mapping[str, int]
    satisfied: bool


def tally(seats: Mapping[str, int], reviews: Iterable[Review]) -> Tally:
    """Fill the seats (count per bare group name) from the approvals.

    A maximum matching, not first fit: with one person in two groups, the order of the clicks decides nothing. The
    same reviews give the same tally. No seats are never satisfied, and a denial by anybody neither fills a seat nor
    leaves that person's earlier approval standing. Whoever answers in a lent seat speaks for its owner as well, and
    everybody speaks once: what repeats somebody's voice fills nothing.
    """
    reviews = tuple(reviews)
    approvals: dict[str, tuple[str, ...]] = {}
    spoken, denied = set[str](), set[str]()
    for review in reviews:
        names = {review.reviewer, review.lent_by or review.reviewer}
        if review.verdict == "deny":
            denied |= names
        elif not names & spoken:
            approvals[review.reviewer] = review.groups
            spoken |= names
    for review in reviews:
        if {review.reviewer, review.lent_by} & denied:
            approvals.pop(review.reviewer, None)
    places = [(group, number) for group in sorted(seats) for number in range(seats[group])]
    taken: dict[tuple[str, int], str] = {}
    for person in approvals:
        _seat(person, places, approvals, taken, set())
    filled = {group: tuple(_people(group, seats[group], taken)) for group in sorted(seats)}
    missing = {group: seats[group] - len(filled[group]) for group in filled if len(filled[group]) < seats[group]}
    return Tally(filled, missing, satisfied=bool(places) and not missing)


def _seat(
    person: str,
    places: list[tuple[str, int]],
    groups: Mapping[str, tuple[str, ...]],
    taken: dict[tuple[str, int], str],
    tried: set[tuple[str, int]],
) -> bool:
    """Give the person a seat, moving others to seats that they can fill as well (an augmenting path)."""
    for place in places:
        if place[0] in groups[person] and place not in tried:
            tried.add(place)
            if place not in taken or _seat(taken[place], places, groups, taken, tried):
                taken[place] = person
                return True
    return False


def _people(group: str, count: int, taken: Mapping[tuple[str, int], str]) -> Iterator[str]:
    for number in range(count):
        if (group, number) in taken:
            yield taken[group, number]
