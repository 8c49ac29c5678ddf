"""Say which seats nobody can fill: a request that hangs on them would wait in silence until it expires."""

from __future__ import annotations

from approvers.quick import made
from approvers.quorum import Review, tally
from approvers.request import Request
from approvers.roster import Roster
from approvers.ruling import barred_as
from approvers.seating import raised, voices


def unfillable(request: Request, roster: Roster) -> tuple[str, ...]:
    """Return the groups (bare names, in order) of which too few people are left for what this request still needs.

    Who asked, and whom four-eyes bars with them, cannot help; who has answered is counted as answered. A group with
    members elsewhere can be as large as it likes, and is never named, nor is one for which such a group may fill in.
    Stand-ins add nobody: they speak for people who are counted here.
    """
    large = {seat for group, seat in request.fill_in if group in roster.outside_groups} | roster.outside_groups
    seats = {group: count for group, count in request.ruling.seats.items() if group not in large}
    if not seats or _plenty(request, roster, seats):
        return ()
    spoken = {name for name, _ in voices(request.reviews)}
    groups = {*seats, *(group for group, seat in request.fill_in if seat in seats)}
    names = {name for group in groups for name in _people(roster, group)}
    left = [_yes(request, roster, name) for name in sorted(names) if f"user:{name}" not in spoken]
    answers = (*request.reviews, *(one for one in left if one is not None))
    return tuple(tally(seats, answers).missing)


def _plenty(request: Request, roster: Roster, seats: dict[str, int]) -> bool:
    """Tell quickly, for the one group that most requests ask, that it has enough people whom nothing bars."""
    if len(seats) > 1:
        return False
    ((group, count),) = seats.items()
    for name in _people(roster, group):
        count -= barred_as(request.ruling, f"user:{name}", roster.groups_of(name)) is None
        if count <= 0:
            return True
    return False


def _people(roster: Roster, group: str) -> tuple[str, ...]:
    return tuple(roster.groups[group].people) if group in roster.groups else ()


def _yes(request: Request, roster: Roster, name: str) -> Review | None:
    person, groups = f"user:{name}", roster.groups_of(name)
    if barred_as(request.ruling, person, groups) is not None:
        return None
    yes = made(Review, reviewer=person, verdict="approve", reason="", at=request.submitted_at,
               groups=tuple(sorted(groups)), via="counted", lent_by=None, raised=())  # fmt: skip
    return raised(yes, request.fill_in)
