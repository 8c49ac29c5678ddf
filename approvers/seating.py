"""Choose the seat that a person answers in: their own, or that of somebody they stand in for.

Everybody has one voice. Whoever answers has spoken, and so has the person in whose seat they did; nobody who has spoken
speaks again, neither themselves nor through another. Four-eyes looks at both: whom the rules bar fills no seat, and
lends none. A level of the ladder may open a group's seats to other groups (`may_fill`); their people answer in them
then as if they were of that group.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from approvers.errors import CountersignError, Forbidden
from approvers.quorum import Review, tally
from approvers.ruling import Ruling, barred_as, four_eyes, no_seat


class NotKnown(CountersignError):
    """Whether somebody belongs to a group could not be learnt. Nobody said no, and it is not a yes."""

    code = "membership_unknown"


@dataclass(frozen=True)
class Standing:
    """Hold who a person is at the moment of an answer, beside themselves.

    Attributes:
        lenders: those for whom the person may answer (`user:NAME`), each with that one's groups.
        unknown: groups whose people could not be asked for, and why, in words.
        fill_in: which groups (first) may take the seats of which others by now.
    """

    lenders: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    fill_in: tuple[tuple[str, str], ...] = ()


ALONE = Standing()
"""Somebody for whom nobody else's seat is open, and whose groups are all known."""


def voices(reviews: Iterable[Review]) -> Iterator[tuple[str, Review]]:
    """Yield everybody who has spoken, with the review in which they did: each reviewer, and whose seat they used."""
    for review in reviews:
        yield review.reviewer, review
        if review.lent_by:
            yield review.lent_by, review


def seat(ruling: Ruling, reviews: tuple[Review, ...], answer: Review, standing: Standing) -> Review:
    """Return the answer in the seat that it fills: as it is, or with `lent_by` and that person's groups.

    Where the answer fits several seats, the first that brings the quorum nearer is taken, the person's own before lent
    ones.

    Args:
        ruling: what policy asked for.
        reviews: those that count already.
        answer: the person's answer, with their own groups.
        standing: for whom else they may answer, and what could not be learnt.

    Raises:
        Forbidden: `four_eyes`, `already_reviewed` or `no_seat`, in a sentence for that person.
        NotKnown: it hangs on a group that could not be asked.
    """
    _check_four_eyes(ruling, answer, standing)
    open_to = tuple(pair for pair in standing.fill_in if pair[1] in ruling.seats)
    spoken = dict(voices(reviews))
    if (mine := spoken.get(answer.reviewer)) is not None:
        raise Forbidden(_spoken(mine, answer.reviewer), code="already_reviewed")
    mine_raised = raised(answer, open_to)
    fits, refusal = [], _no_seat(ruling, answer, mine_raised, open_to)
    if refusal is None:
        fits.append(mine_raised)
    for lender, groups in sorted(standing.lenders.items()):
        lent = raised(answer.model_copy(update={"lent_by": lender, "groups": tuple(sorted(groups))}), open_to)
        why = _not_for(ruling, lender, groups, frozenset(lent.groups), spoken)
        if why is None:
            fits.append(lent)
        elif why.code != "no_seat":
            refusal = why
    if len(fits) == 1:
        return fits[0]
    if fits:
        return max(fits, key=lambda one: _filled(ruling, (*reviews, one)))
    _check_known(standing, [*ruling.seats, *(group for group, _ in open_to)])
    assert refusal is not None
    raise refusal


def raised(answer: Review, open_to: Iterable[tuple[str, str]]) -> Review:
    """Return the answer with the seats that its own groups may take besides their own."""
    more = tuple(sorted({seat for group, seat in open_to if group in answer.groups and seat not in answer.groups}))
    return answer.model_copy(update={"groups": (*answer.groups, *more), "raised": more}) if more else answer


def _no_seat(
    ruling: Ruling, answer: Review, seated: Review, open_to: tuple[tuple[str, str], ...]
) -> Forbidden | None:  # fmt: skip
    """Return the refusal of a person who fits no seat, in their own groups' names; it says who may fill in."""
    if no_seat(ruling, frozenset(seated.groups)) is None:
        return None
    refusal = no_seat(ruling, frozenset(answer.groups))
    assert refusal is not None
    more = "".join(f" {group} may fill in for {seat}." for group, seat in open_to)
    return Forbidden(f"{refusal.detail}{more}", code=refusal.code)


def _check_four_eyes(ruling: Ruling, answer: Review, standing: Standing) -> None:
    """Raise where the person is barred, and where a group that is barred could not be asked for its people."""
    if (why := barred_as(ruling, answer.reviewer, frozenset(answer.groups))) is not None:
        raise four_eyes(ruling, why)
    _check_known(standing, [who.removeprefix("group:") for who in ruling.barred if who.startswith("group:")])


def not_known(unknown: Mapping[str, str]) -> NotKnown:
    """Return the refusal that names the groups that could not be asked, and why."""
    why = "; ".join(f"{group}: {detail.rstrip('.')}" for group, detail in sorted(unknown.items()))
    return NotKnown(f"It could not be checked who is in {', '.join(sorted(unknown))} ({why}). Try again in a moment.")


def _check_known(standing: Standing, groups: Iterable[str]) -> None:
    if silent := {group: standing.unknown[group] for group in groups if group in standing.unknown}:
        raise not_known(silent)


def _not_for(
    ruling: Ruling, lender: str, groups: frozenset[str], seated: frozenset[str], spoken: Mapping[str, Review]
) -> Forbidden | None:
    """Return why this person's seat cannot be used; None if it can. `seated`: `groups`, and those they fill in for."""
    name = lender.removeprefix("user:")
    if not seated.intersection(ruling.seats):
        return Forbidden(f"{name} has no seat here.", code="no_seat")
    if (why := barred_as(ruling, lender, groups)) is not None:
        return Forbidden(f"You stand in for {name}, who {_BARRED_LENDER[why]}; that seat is closed.", code="four_eyes")
    if lender in spoken:
        return Forbidden(f"You stand in for {name}, who has answered already.", code="already_reviewed")
    return None


def _spoken(review: Review, person: str) -> str:
    if review.reviewer == person:
        return "You have answered this request already; one review each."
    by = review.reviewer.removeprefix("user:")
    return f"{by} answered for you at {review.at:%H:%M:%S} UTC; one review each."


def _filled(ruling: Ruling, reviews: tuple[Review, ...]) -> int:
    return sum(len(people) for people in tally(ruling.seats, reviews).filled.values())


_BARRED_LENDER = {
    "principal": "asked for this",
    "actor": "would do this",
    "on_behalf_of": "is the human behind this agent",
    "owner": "owns the caller that asks",
}
