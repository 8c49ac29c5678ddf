"""Take the review that a use of break-glass owes: by somebody else, once, and with words where it was not justified.

It changes nothing that was granted; it is what lets the same person use break-glass again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from approvers.errors import AlreadyDecided, CountersignError, Forbidden, Inadmissible
from approvers.request import AfterReview, Request
from approvers.ruling import barred_as
from approvers.seating import not_known
from approvers.times import stamp

Verdict = Literal["justified", "unjustified"]
_BARRED = {
    "principal": "You took this yourself",
    "actor": "You did this yourself",
    "on_behalf_of": "This was done for you",
    "owner": "You own the caller that did this",
}


class NothingOwed(CountersignError):
    """The request was no use of break-glass, so there is nothing to review afterwards."""

    code = "nothing_owed"


@dataclass(frozen=True)
class Finding:
    """What one person found of a use, and who they are at that moment.

    Attributes:
        by: `user:NAME`.
        groups: bare names of the groups that the person is known to be in.
        unknown: groups whose people could not be asked for, and why.
    """

    by: str
    verdict: Verdict
    reason: str
    at: datetime
    groups: frozenset[str] = frozenset()
    unknown: Mapping[str, str] = field(default_factory=dict)


def is_owed(request: Request) -> bool:
    """Tell whether the request is a use of break-glass that nobody has reviewed yet."""
    return request.after_review is not None and request.after_review.verdict is None


def reviewers(request: Request, tell: Iterable[str]) -> frozenset[str]:
    """Return the groups whose people may review a use: those with a seat, and the groups that the policy tells."""
    told = (who.removeprefix("group:") for who in tell if who.startswith("group:"))
    return frozenset({*request.ruling.seats, *told})


def decisive(request: Request, tell: Iterable[str]) -> frozenset[str]:
    """Return the groups on whose members an after-review may hang: who may give it, and who is barred from it."""
    barred = {who.removeprefix("group:") for who in request.ruling.barred if who.startswith("group:")}
    return reviewers(request, tell) | barred


def reviewed(request: Request, found: Finding, tell: Iterable[str]) -> Request:
    """Return the request with this finding in it; the same finding of the same person again changes nothing.

    Args:
        request: as read with the store's time `found.at`.
        found: what the person says.
        tell: whom the policy tells of a use, `group:NAME` and `place:NAME`.

    Raises:
        NothingOwed: it was no use of break-glass.
        AlreadyDecided: somebody was first, or the same person said something else.
        Forbidden: `four_eyes` or `no_seat`.
        NotKnown: it hangs on a group whose members could not be learnt.
        Inadmissible: an unjustified use needs words.
    """
    owed = request.after_review
    if owed is None:
        raise NothingOwed(f"{request.handle} was no use of break-glass; there is nothing to review afterwards.")
    if owed.verdict is not None:
        if (owed.by, owed.verdict, owed.reason) == (found.by, found.verdict, found.reason):
            return request
        raise AlreadyDecided(f"{request.handle} is reviewed already: {owed.verdict}, by {owed.by}{_when(owed)}.")
    _check(request, found, reviewers(request, tell))
    if found.verdict == "unjustified" and not found.reason.strip():
        raise Inadmissible("Say in a few words why it was not justified; everybody who was told reads it.",
                           field="reason")  # fmt: skip
    taken = {"verdict": found.verdict, "by": found.by, "reason": found.reason, "at": found.at}
    return request.model_copy(update={"after_review": owed.model_copy(update=taken)})


def late(request: Request, now: datetime) -> Request:
    """Return the request with its after-review marked as overdue since now."""
    assert request.after_review is not None
    return request.model_copy(update={"after_review": request.after_review.model_copy(update={"overdue_at": now})})


def _check(request: Request, found: Finding, may: frozenset[str]) -> None:
    """Raise unless this person may review the use."""
    if (why := barred_as(request.ruling, found.by, found.groups)) is not None:
        said = f"{_BARRED[why]}; somebody else has to review it. Asked: {', '.join(sorted(may))}."
        raise Forbidden(said, code="four_eyes")
    barred = {who.removeprefix("group:") for who in request.ruling.barred if who.startswith("group:")}
    if silent := {group: why for group, why in found.unknown.items() if group in barred}:
        raise not_known(silent)
    if found.groups & may:
        return
    if silent := {group: why for group, why in found.unknown.items() if group in may}:
        raise not_known(silent)
    yours = f"You are in {', '.join(sorted(found.groups))}" if found.groups else "You are in no group"
    raise Forbidden(f"{yours}; this after-review is not yours. Asked: {', '.join(sorted(may))}.", code="no_seat")


def _when(owed: AfterReview) -> str:
    return f" at {stamp(owed.at)}" if owed.at else ""
