"""Say to the one person who clicked what came of it, in the same words on every chat surface. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from approvers.card import progress, status
from approvers.errors import AlreadyDecided, CountersignError, Expired, Outdated
from approvers.grant import GrantState
from approvers.narrowing import smaller
from approvers.request import RequestState
from bot.reading import View
from bot.strangers import Stranger

NOT_RECORDED, REVOKING = "Not recorded", "Revoking"
"""Titles that callers look at."""


@dataclass(frozen=True)
class Outcome:
    """What a click came to.

    Attributes:
        title: at most 24 characters, for the head of a dialog.
        text: whole sentences; they may hold anybody's words.
        request: what was clicked on; empty where the button named nothing that can be read.
        stale: the copy that was clicked shows what is no longer so.
        outdated: the person was shown something else than what would be approved now, and should see that.
        by: whose answer counts (`user:NAME`); empty where none does.
        stranger: it is nobody here who clicked: they are shown nothing but these words.
        field: what of `narrow` the refusal is about; empty where it is about something else.
    """

    title: str
    text: str
    request: str = ""
    stale: bool = False
    outdated: bool = False
    stranger: bool = False
    by: str = ""
    field: str = ""


def reviewed(view: View, principal: str) -> Outcome:
    """Say that this person's answer counts, and what it did."""
    request = view.request
    mine = next(one for one in reversed(request.reviews) if one.reviewer == principal)
    lender = f" You answered for {mine.lent_by.removeprefix('user:')}." if mine.lent_by else ""
    if mine.verdict == "deny":
        told = ", with your reason" if mine.reason else ""
        text = f"You denied {request.handle}. The agent is told so{told}.{lender}"
        return Outcome("Denied", text, request.id, by=principal)
    if request.narrowed and (request.narrowed.by, request.narrowed.at) == (mine.reviewer, mine.at):
        lender += f" You narrowed it: {smaller(request)}."
    if request.state is RequestState.APPROVED:
        text = f"You approved {request.handle}, and that was enough.{lender}"
        return Outcome("Approved", text, request.id, by=principal)
    text = f"Your approval of {request.handle} counts: {progress(request)}.{lender}"
    return Outcome("Recorded", text, request.id, by=principal)


def after_reviewed(view: View, principal: str) -> Outcome:
    """Say that this person's after-review counts, and that it was told."""
    request = view.request
    assert request.after_review is not None
    verdict = "justified" if request.after_review.verdict == "justified" else "not justified"
    text = f"You found the break-glass of {request.handle} {verdict}. Everybody who was told of it sees that."
    return Outcome("Reviewed", text, request.id, by=principal)


def refused(error: CountersignError, request: str = "") -> Outcome:
    """Say why an answer does not count."""
    stale = isinstance(error, (AlreadyDecided, Expired, Outdated))
    return Outcome(
        NOT_RECORDED,
        error.detail,
        request,
        stale=stale,
        outdated=isinstance(error, Outdated),
        stranger=isinstance(error, Stranger),
        field=error.field if error.field and error.field.startswith("narrow") else "",
    )


def unanswered(request: str = "") -> Outcome:
    """Say that the store did not answer: whether the click counts cannot be known, and trying again is harmless."""
    text = "The store does not answer, so nothing was decided that we know of. Try again: an answer counts only once."
    return Outcome(NOT_RECORDED, text, request)


def unread() -> Outcome:
    """Say that the store does not answer, so that nothing can be shown."""
    return Outcome("Nothing to show", "The store does not answer, so there is nothing to show. Try again in a moment.")


def revoked(view: View) -> Outcome:
    """Say how far a revocation is: asked for, or proven."""
    request, grant = view.request, view.grant
    assert grant is not None
    if grant.state is GrantState.REVOKING:
        text = f"You revoked {request.handle}. It is called ended only when that is proven."
        return Outcome(REVOKING, text, request.id)
    return ended(view)


def ended(view: View) -> Outcome:
    """Say how a grant ended, or that the proof is still missing."""
    request, grant = view.request, view.grant
    assert grant is not None
    if grant.state is GrantState.REVOKING:
        text = f"{request.handle} is not proven ended yet. Countersign goes on until it is, and the card will say so."
        return Outcome(REVOKING, text, request.id)
    return Outcome("Ended", f"{request.handle}: {status(request, grant)}", request.id)
