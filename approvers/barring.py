"""Say who may fill a seat of a ruling, and tell everybody else why not."""

from __future__ import annotations

from approvers.errors import Forbidden
from approvers.facts import Facts
from approvers.ruling_models import Ruling


def may_review(ruling: Ruling, person: str, groups: frozenset[str]) -> None:
    """Check that a person (`user:NAME`, at this moment in these groups) can fill a seat.

    Raises:
        Forbidden: `four_eyes` or `no_seat`, in a sentence for that person.
    """
    if (why := barred_as(ruling, person, groups)) is not None:
        raise four_eyes(ruling, why)
    if (refusal := no_seat(ruling, groups)) is not None:
        raise refusal


def barred_as(ruling: Ruling, person: str, groups: frozenset[str]) -> str | None:
    """Return as what a person in these groups is barred (principal, actor, on_behalf_of, owner); None if not."""
    for who in ruling.barred:
        kind, _, name = who.partition(":")
        if who == person or (kind == "group" and name in groups):
            return ruling.barred_as[who]
    return None


def four_eyes(ruling: Ruling, why: str) -> Forbidden:
    """Return the refusal of a person who is barred, by the reason that `barred_as` gave."""
    return Forbidden(f"{_BARRED[why]} Asked: {_asked(ruling)}.", code="four_eyes")


def no_seat(ruling: Ruling, groups: frozenset[str]) -> Forbidden | None:
    """Return the refusal of a person whose groups are not asked; None if one is."""
    if groups.intersection(ruling.seats):
        return None
    yours = f"You are in {', '.join(sorted(groups))}" if groups else "You are in no group"
    return Forbidden(f"{yours}; this request has no seat for you. Asked: {_asked(ruling)}.", code="no_seat")


def _asked(ruling: Ruling) -> str:
    return ", ".join(sorted(ruling.seats)) or "nobody"


_BARRED = {
    "principal": "You asked for this yourself; somebody else has to approve.",
    "actor": "You would do this yourself; somebody else has to approve.",
    "on_behalf_of": "You are the human behind this agent; somebody else has to approve.",
    "owner": "You own the caller that asks; somebody else has to approve.",
}


def barred_by(facts: Facts) -> dict[str, str]:
    """Name who cannot fill a seat, and why; the first reason is the one that is told."""
    asking = (facts.principal, "principal"), (facts.actor, "actor"), (facts.on_behalf_of, "on_behalf_of")
    barred: dict[str, str] = {}
    for who, why in asking:
        if who is not None and who not in barred and who[:5] == "user:":
            barred[who] = why
    for who in facts.owners:
        barred.setdefault(who, "owner")
    return barred
