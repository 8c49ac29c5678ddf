"""Say on a card that nobody reviewed a use of break-glass yet, and what was found of it.

Everything returned is made visible (`approvers.card_text`) and is not yet escaped for any markup.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from approvers.card_text import MAX_LINE, one_line
from approvers.request import Request

MAX_REASON = 240


def warning(request: Request) -> Iterator[str]:
    """Yield what nobody may miss as long as the review is owed."""
    owed = request.after_review
    if owed is not None and owed.verdict is None:
        yield one_line(f"Nobody reviewed this: {_name(request.principal)} took it by break-glass. {_due(request)}", 240)


def status(request: Request) -> str:
    """Return where the after-review stands, with a blank before it; empty where there is none."""
    return f" {found(request) or _due(request)}" if request.after_review else ""


def found(request: Request) -> str:
    """Say who found what of a use of break-glass, and when; empty while that is owed."""
    owed = request.after_review
    if owed is None or owed.verdict is None or owed.at is None:
        return ""
    said = f": {one_line(owed.reason.strip(), MAX_REASON)}" if owed.reason.strip() else "."
    verdict = "justified" if owed.verdict == "justified" else "NOT justified"
    return one_line(f"Found {verdict} by {_name(owed.by or '')} at {_clock(owed.at)}{said}", 2 * MAX_LINE)


def overdue(request: Request) -> str:
    """Say that the review is late; empty as long as that is not on record."""
    owed = request.after_review
    if owed is None or owed.overdue_at is None:
        return ""
    return f"The after-review was due at {_clock(owed.due_at)}; nobody has given it."


def _due(request: Request) -> str:
    owed = request.after_review
    if owed is None:
        return ""
    return overdue(request) or f"An after-review is owed until {_clock(owed.due_at)}."


def _clock(moment: datetime) -> str:
    return f"{moment:%H:%M} UTC on {moment.day} {moment:%b}"


def _name(principal: str) -> str:
    return principal.removeprefix("user:")
