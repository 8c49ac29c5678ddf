"""Say in which way it did not work: the server refused, could not be reached, or the answer was not a yes.

Three families, because they call for three reactions. `ProblemError`: the server refused the call; the detail says what
to change. `Unreachable`, `BadAnswer`: nobody knows, so it is not a yes. `NotApproved`: the request was taken, and its
answer is not (or no longer) an approval; `request` holds the whole answer and its `agent_message`.

`exit_code` is what the command line returns: 3 denied, 4 expired, 5 cancelled, 6 our fault or unreachable, 1 else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from approvers.errors import CountersignError, Malformed

if TYPE_CHECKING:
    from countersign.models import Request

DENIED, EXPIRED, CANCELLED, OUR_FAULT, OTHER = 3, 4, 5, 6, 1


class Unreachable(CountersignError):
    """No answer came within the patience given; the outcome of the call is unknown."""

    code = "unreachable"
    exit_code = OUR_FAULT


class BadAnswer(CountersignError):
    """An answer came that is not Countersign's: not JSON, a redirect, a missing field. Never a yes."""

    code = "bad_answer"
    exit_code = OUR_FAULT


class CannotOpen(CountersignError):
    """The credential is sealed to a key that this process does not hold."""

    code = "cannot_open"


class BadSetting(CountersignError):
    """An address or key of the client itself cannot be used."""

    code = "bad_setting"


class ProblemError(CountersignError):
    """Carry the server's refusal: HTTP status, stable code, what to change, and the field and rule it speaks of."""

    exit_code = OTHER

    def __init__(
        self, detail: str, *, status: int, code: str, field: str | None = None, rule: str | None = None
    ) -> None:
        """Keep what the problem document said."""
        super().__init__(detail, field=field, rule=rule)
        self.status, self.code = status, code


class InvalidRequest(ProblemError):
    """The body cannot be taken as it stands (400, 413, 415, 422)."""


class Unauthenticated(ProblemError):
    """The API key is missing, unknown, expired or revoked (401)."""


class NotAllowed(ProblemError):
    """This principal may not do this (403)."""


class NotFound(ProblemError):
    """No such id, or not this caller's (404)."""


class Conflict(ProblemError):
    """Somebody or something was first (409)."""


class NotBuiltYet(ProblemError):
    """The field or command is known, but its feature does not exist yet."""


class TooManyRequests(ProblemError):
    """Too much at once or too many waiting (429)."""


class ServerTrouble(ProblemError):
    """The server could not do it now (5xx)."""

    exit_code = OUR_FAULT


class NotApproved(CountersignError):
    """The answer is no approval; do not act."""

    code = "not_approved"
    exit_code = OTHER

    def __init__(self, request: Request, detail: str | None = None) -> None:
        """Keep the answer; the sentence is its `agent_message` unless a better one is given."""
        super().__init__(detail or request.agent_message or f"{request.id} is {request.state}: do not act.")
        self.request = request


class Denied(NotApproved):
    """A rule or a reviewer said no."""

    code = "denied"
    exit_code = DENIED


class Expired(NotApproved):
    """Nobody answered in time; nobody said no, nobody said yes."""

    code = "expired"
    exit_code = EXPIRED


class Cancelled(NotApproved):
    """The asker or its owner withdrew the request."""

    code = "cancelled"
    exit_code = CANCELLED


class NotJudged(NotApproved):
    """Countersign failed: the rule could not be computed, nobody was shown the request, or minting failed."""

    code = "not_judged"
    exit_code = OUR_FAULT


class StillPending(NotApproved):
    """The time to wait is over and the request is not settled yet."""

    code = "still_pending"


class GrantEnded(NotApproved):
    """The approval's credential has been ended, or is being ended."""

    code = "grant_ended"


_BY_STATUS: dict[int, type[ProblemError]] = {
    401: Unauthenticated,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    429: TooManyRequests,
}

_BY_STATE: dict[str, type[NotApproved]] = {
    "PENDING": StillPending,
    "DENIED": Denied,
    "EXPIRED": Expired,
    "CANCELLED": Cancelled,
}


def problem(status: int, code: str, detail: str, *, field: str | None = None, rule: str | None = None) -> ProblemError:
    """Return the error of the family that this status and code belong to."""
    family = _BY_STATUS.get(status, ServerTrouble if status >= 500 else InvalidRequest)
    if code == Malformed.code:
        family = InvalidRequest
    elif code == "not_built":
        family = NotBuiltYet
    return family(detail, status=status, code=code, field=field, rule=rule)


def outcome(request: Request) -> NotApproved | None:
    """Return what stands in the way of acting, or None when the request is approved and, if it opened a grant, live."""
    if request.state == "APPROVED":
        return _of_grant(request)
    if request.because in ("not_evaluated", "nobody_reached"):
        return NotJudged(request)
    if family := _BY_STATE.get(request.state):
        return family(request)
    return NotApproved(request, f"{request.id} is {request.state}, a state that this client does not know: do not act.")


def _of_grant(request: Request) -> NotApproved | None:
    match request.grant.state if request.grant else None:
        case None | "ACTIVE":
            return None
        case "PENDING" | "MINTING":
            return StillPending(request)
        case "FAILED":
            return NotJudged(request)
        case _:
            return GrantEnded(request)


def exit_code_of(error: CountersignError) -> int:
    """Return the command line's exit code for an error."""
    code: int = getattr(error, "exit_code", OTHER)
    return code
