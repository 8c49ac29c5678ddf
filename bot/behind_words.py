"""Say to the person behind an agent what came of what it asked for them. Pure; not yet escaped for any markup."""

from __future__ import annotations

from collections.abc import Sequence

from approvers.card_text import one_line
from approvers.card_words import outcome, status, title
from approvers.grant import Grant, GrantState
from approvers.narrowing import smaller
from approvers.request import Because, Request, RequestState

LONGEST = 2_800
"""Characters of one message, which tells of several requests where many came to something at once."""
LONGEST_LINE = 600
ENDED = frozenset({GrantState.REVOKED, GrantState.FAILED})
Note = tuple[str, str]
"""What is told once per request: which of `decided`, `live` and `ended`, and the sentence."""


def person_behind(request: Request) -> str | None:
    """Return the bare name of whom the agent works for, or of who asked by form; None where no human is named.

    Nobody is, either, where policy answered by itself: such an ask concerns no human.
    """
    if request.ruling.effect != "review":
        return None
    action = request.action
    for named in (action.actor.on_behalf_of, action.actor.id, request.principal):
        if named and named.startswith("user:"):
            return named.removeprefix("user:")
    return None


def notes(request: Request, grant: Grant | None) -> tuple[Note, ...]:
    """Return what there is to tell by now, oldest first; of one's own withdrawal nobody is told."""
    if request.state is RequestState.PENDING:
        return ()
    own = request.because is Because.WITHDRAWN and request.decided_by == f"user:{person_behind(request)}"
    told: list[Note] = [] if own else [("decided", outcome(request) + _less(request))]
    if grant and grant.minted_at and grant.ends_at:
        told.append(("live", f"Live since {grant.minted_at:%H:%M:%S}, until {grant.ends_at:%H:%M:%S} UTC."))
    if grant and grant.state in ENDED:
        told.append(("ended", status(request, grant)))
    return tuple(told)


def _less(request: Request) -> str:
    """Say what was left out of what was approved: whoever works with it will miss it."""
    said = smaller(request) if request.state is RequestState.APPROVED else ""
    return f" Narrowed: {said}." if said else ""


def message(stories: Sequence[tuple[Request, Sequence[Note]]]) -> str:
    """Return one message, a line for each request: `DX7-M4B, READ customer-exports/2026/*: Approved by robin …`.

    What has ended by now is not called live first.
    """
    most = min(LONGEST_LINE, LONGEST // len(stories))
    return "\n".join(_line(request, told, most) for request, told in stories)


def _line(request: Request, told: Sequence[Note], most: int) -> str:
    kinds = {kind for kind, _ in told}
    said = " ".join(text for kind, text in told if kind != "live" or "ended" not in kinds)
    return one_line(f"{request.handle}, {title(request)}: {said}", most)
