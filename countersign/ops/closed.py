"""Say what still holds a request open: something that may yet be asked, done or proven about it."""

from __future__ import annotations

from datetime import datetime

from approvers.consuming import usable_until
from approvers.grant import LIVE, Grant
from approvers.request import Request, RequestState
from workers.stores import layout


def holds(request: Request, grant: Grant | None) -> str | None:
    """Return why a request has not ended, in words that go on after its name; None: nothing can come any more."""
    if request.state is RequestState.PENDING:
        return "still waits for an answer: cancel it first"
    if layout.opens_grant(request) and grant is None:
        return "has an approval whose grant is not there"
    if grant and (grant.state in LIVE or (grant.deny_written and grant.collected_at is None)):
        return "has a grant that has not ended, or whose Deny is not collected yet"
    if request.after_review and request.after_review.verdict is None:
        return "still owes its after-review"
    return None


def settles(request: Request, grant: Grant | None, now: datetime) -> str | None:
    """Return why it cannot leave the store yet: what `holds` says, or a use that may still come."""
    if (why := holds(request, grant)) is not None:
        return why
    approved = request.state is RequestState.APPROVED and request.plan is None and request.consumed_at is None
    if approved and now < usable_until(request):
        return "may still be done: its approval was not used yet"
    return None
