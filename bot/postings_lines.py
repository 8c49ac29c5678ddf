"""Say in the thread under a card what happened to its request: one plain sentence for each step that people follow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from approvers import card_after_review as after_words
from approvers.card_words import outcome, status
from approvers.grant import Grant, GrantState
from approvers.lifetime import time_left
from approvers.request import Receipt, Request, RequestState
from approvers.times import spell
from approvers.waiting import left_at_reminder


@dataclass(frozen=True)
class Line:
    """One line for the thread under a card; `key` says which, so that it is told once."""

    key: str
    text: str


def lines(request: Request, grant: Grant | None) -> Iterator[Line]:
    """Yield what happened so far, one plain sentence each, oldest first. Not yet escaped for any markup."""
    if request.state is RequestState.PENDING:
        yield from _while_it_waits(request)
        return
    yield Line("decided", outcome(request))
    for key, said in (("overdue", after_words.overdue(request)), ("reviewed", after_words.found(request))):
        if said:
            yield Line(key, said)
    if request.receipt:
        yield Line("receipt", witnessed(request.receipt))
    if request.consumed_at:
        yield Line("used", f"Used at {request.consumed_at:%H:%M:%S} UTC.")
    if grant:
        yield from _of_its_grant(request, grant)


def witnessed(receipt: Receipt) -> str:
    """Say how long the log was, and its whole root: whoever keeps this message can hold the log to it."""
    return f"Log {receipt.size:,} · root {receipt.root}"


def _of_its_grant(request: Request, grant: Grant) -> Iterator[Line]:
    if grant.minted_at and grant.ends_at:
        yield from _while_it_lives(grant, grant.minted_at, grant.ends_at)
    if grant.flagged:
        yield Line(f"flagged {grant.flag_points}", f"Monitoring saw {grant.flagged}")
    if grant.ending and grant.ending.early:
        ending = grant.model_copy(update={"state": GrantState.REVOKING, "trouble": None})
        yield Line("ending", status(request, ending))
    if grant.state in (GrantState.REVOKED, GrantState.FAILED):
        yield Line("ended", status(request, grant))
    if grant.report:
        yield Line("reported", grant.report)


def _while_it_lives(grant: Grant, since: datetime, until: datetime) -> Iterator[Line]:
    yield Line("live", f"Live since {since:%H:%M:%S}, until {until:%H:%M:%S} UTC.")
    if grant.extended_as:
        yield Line(f"extended {grant.extended_as}", f"Its work goes on as {grant.extended_as}; this one ends as said.")
    if grant.warned_at:
        yield Line("warned", f"Ends {until:%H:%M:%S} UTC, in {time_left(grant)}.")


def _while_it_waits(request: Request) -> Iterator[Line]:
    if request.level_since:
        said = f"Level {request.level + 1} is asked since {request.level_since:%H:%M} UTC."
        yield Line(f"level {request.level + 1}", said)
    if request.reminded_at:
        left = spell(left_at_reminder(request))
        yield Line("reminder", f"{left} left: it expires at {request.expires_at:%H:%M:%S} UTC if nobody answers.")
