"""Tell which of the requests that wait are waiting for one person: whose approval would count now."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from approvers.errors import CountersignError
from approvers.quorum import Review, tally
from approvers.request import Request
from approvers.seating import seat
from bot.deps import Deps
from bot.directory import Membership
from bot.reading import View
from bot.standing import decisive, groups_of, stand
from workers.policies import Rulebook


async def sort_out(deps: Deps, principal: str, views: Iterable[View]) -> tuple[list[View], list[View]]:
    """Return those whose quorum this person can bring nearer, in an own seat or a lent one, and the others.

    What hangs on a group that cannot be asked at the moment is among the others: it is a list, no decision.
    """
    found, book = list(views), deps.policies.current
    now = await deps.store.records.now()
    asked = frozenset[str]().union(*(decisive(book, view.request) for view in found))
    known = await deps.directory.membership(principal, asked)
    mine = [view for view in found if _counts(book, view.request, principal, known, now)]
    ids = {view.request.id for view in mine}
    return mine, [view for view in found if view.request.id not in ids]


def _counts(book: Rulebook, request: Request, principal: str, known: Membership, now: datetime) -> bool:
    """Tell whether an approval would count and fill one more seat."""
    groups = groups_of(book, principal, known)
    answer = Review(reviewer=principal, verdict="approve", at=now, groups=groups, via="list")
    try:
        seated = seat(request.ruling, request.reviews, answer, stand(book, request, principal, known, now))
    except CountersignError:
        return False
    return now < request.expires_at and _filled(request, seated) > _filled(request)


def _filled(request: Request, *more: Review) -> int:
    filled = tally(request.ruling.seats, (*request.reviews, *more)).filled
    return sum(len(people) for people in filled.values())
