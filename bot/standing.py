"""Work out where a person stands towards one request: their groups, whom they answer for, what could not be learnt.

Pure: what the rulebook says and what the directory has seen, put together at the moment of the answer.
"""

from __future__ import annotations

from datetime import datetime

from approvers.card import review_first, shown_digest
from approvers.errors import Forbidden
from approvers.quorum import Review
from approvers.request import Request, RequestState, review
from approvers.seating import Standing
from bot.commits import Click
from bot.directory import Membership
from workers.policies import Rulebook

NOT_ASKED = "it was not asked for its members"


def decisive(book: Rulebook, request: Request) -> frozenset[str]:
    """Return the groups with members elsewhere on whom an answer may hang: those with a seat, and those barred.

    Of a request that takes no more answers: none.
    """
    if request.state is not RequestState.PENDING:
        return frozenset()
    barred = {who.removeprefix("group:") for who in request.ruling.barred if who.startswith("group:")}
    return book.roster.outside_groups & (barred | request.ruling.seats.keys())


def groups_of(book: Rulebook, person: str, found: Membership) -> tuple[str, ...]:
    """Return the groups of `user:NAME` by the roster and as seen outside, in order; of somebody unknown: none."""
    if book.roster.person(person) is None:
        return ()
    return tuple(sorted(book.roster.groups_of(person) | found.of(person)))


def stand(book: Rulebook, request: Request, person: str, found: Membership, now: datetime) -> Standing:
    """Return for whom this person may answer now, and which decisive groups are not known."""
    given = book.lenders(person, now) if book.roster.person(person) else ()
    lenders = {f"user:{name}": frozenset(groups_of(book, f"user:{name}", found)) for name in given}
    missing = decisive(book, request) - found.outside.keys()
    return Standing(lenders, {group: found.unknown.get(group, NOT_ASKED) for group in missing})


def with_answer(book: Rulebook, before: Request, click: Click, found: Membership, now: datetime) -> Request:
    """Return the request with this answer in it.

    Raises:
        Forbidden: also `frozen`, and `review_first` for an approval from a card that cannot have shown enough.
        CountersignError: what `approvers.request.review` raises.
    """
    who = click.who.principal
    answer = Review(
        reviewer=who,
        verdict="approve" if click.verdict == "approve" else "deny",
        reason=click.reason,
        at=now,
        groups=groups_of(book, who, found),
        via=click.who.via,
    )
    if book.frozen is not None and answer.verdict == "approve":
        raise Forbidden(f"Approvals are stopped: {book.frozen}", code="frozen")
    standing = stand(book, before, who, found, now)
    after = review(before, answer, shown=click.shown, current=shown_digest(before), standing=standing)
    if answer.verdict == "approve" and not click.whole and review_first(before):
        detail = "This one has to be read whole: press Review, and approve there."
        raise Forbidden(detail, code="review_first")
    return after
