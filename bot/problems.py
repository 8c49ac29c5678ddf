"""Turn every error into `application/problem+json` (RFC 9457), and nothing into an HTML page.

`KINDS` is the one table of codes, statuses and titles. `type` is `urn:countersign:problem:CODE`; `detail` says what to
change; `field` and `rule` name what it speaks of. An unexpected error is a 500 with a request id, and its traceback in
the log: without bodies, headers or local variables, any of which may hold a secret.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from http import HTTPStatus
from typing import NamedTuple

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic_core import to_json

from approvers.errors import CountersignError
from workers import logs
from workers.stores.port import Conflict, Fenced, StoreError, TooLate

URN = "urn:countersign:problem:"
CONTENT_TYPE = "application/problem+json"
MAX_BODY = 256 * 1024
"""Bytes; a 40 kB reason in its worst JSON escape is 240 kB."""
REQUEST_ID = web.RequestKey("request_id", str)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_log = logs.get_logger(__name__)


class Kind(NamedTuple):
    """Say what a code means over HTTP; `retry_after` is in seconds."""

    status: int
    title: str
    retry_after: int | None = None


KINDS: Mapping[str, Kind] = {
    "malformed": Kind(400, "The request cannot be read"),
    "not_built": Kind(400, "This is not built yet"),
    "inadmissible": Kind(400, "This cannot be taken as it stands"),
    "idempotency_key_missing": Kind(400, "An Idempotency-Key is needed"),
    "unauthenticated": Kind(401, "Who is asking?"),
    "forbidden": Kind(403, "You may not do this"),
    "missing_scope": Kind(403, "This key may not do this"),
    "people_only": Kind(403, "Only people can do this"),
    "unknown_principal": Kind(403, "This principal is not known any more"),
    "not_your_actor": Kind(403, "You may not ask in that name"),
    "four_eyes": Kind(403, "Somebody else has to approve"),
    "no_seat": Kind(403, "This request has no seat for you"),
    "may_not_narrow": Kind(403, "This may not be narrowed"),
    "already_reviewed": Kind(409, "You have answered already"),
    "frozen": Kind(403, "Approvals are stopped"),
    "has_grant": Kind(403, "This approval opened a grant"),
    "not_approved": Kind(403, "This is not approved"),
    "nothing_owed": Kind(409, "No after-review is owed"),
    "other_action": Kind(403, "Something else was approved"),
    "not_your_grant": Kind(403, "This grant is somebody else's"),
    "not_a_reviewer": Kind(403, "Only reviewers can do this"),
    "not_on_call": Kind(403, "Only people on call can do this"),
    "review_first": Kind(403, "This has to be read as a whole first"),
    "unknown_person": Kind(403, "This account belongs to nobody here"),
    "guest": Kind(403, "Guests have no say here"),
    "deactivated": Kind(403, "This account is deactivated"),
    "bot": Kind(403, "Programs have no say here"),
    "external": Kind(403, "People of other organisations have no say here"),
    "unconfirmed": Kind(403, "This account is not confirmed"),
    "not_found": Kind(404, "There is no such thing"),
    "method_not_allowed": Kind(405, "Not with this method"),
    "already_decided": Kind(409, "Somebody was first"),
    "expired": Kind(409, "The time to answer is over"),
    "expired_approval": Kind(409, "The time to do it is over"),
    "outdated_card": Kind(409, "The card is out of date"),
    "illegal_transition": Kind(409, "There is no such move"),
    "grant_ended": Kind(409, "The grant has ended"),
    "not_ready": Kind(409, "The credential is not there yet", retry_after=1),
    "too_large": Kind(413, "The body is too large"),
    "wrong_content_type": Kind(415, "The body is not JSON"),
    "idempotency_key_reused": Kind(422, "The Idempotency-Key stands for another body"),
    "too_many_waiting": Kind(429, "Too many requests wait already", retry_after=30),
    "http": Kind(400, "HTTP says no"),
    "internal": Kind(500, "Our fault"),
    "not_evaluated": Kind(500, "The rule could not be evaluated"),
    "newer_record": Kind(500, "A record is newer than this program"),
    "seal_broken": Kind(500, "The credential does not open"),
    "no_delivery_key": Kind(500, "This server cannot open credentials"),
    "unavailable": Kind(503, "The store does not answer", retry_after=2),
    "busy": Kind(503, "Too much changed at once", retry_after=1),
    "unfinished": Kind(503, "Some of it is still to be done", retry_after=1),
    "membership_unknown": Kind(503, "Who belongs to a group could not be asked", retry_after=2),
    "not_checked": Kind(503, "Who you are could not be asked", retry_after=2),
    "not_configured": Kind(503, "No policy is applied yet", retry_after=5),
    "not_serving": Kind(503, "This process is not ready", retry_after=2),
}
"""Every problem code, in the order of its status."""

_BY_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "wrong_content_type"}
_CHALLENGE = 'Bearer realm="countersign"'


class Unauthenticated(CountersignError):
    """No API key, or one that nobody holds any more."""

    code = "unauthenticated"


class Problem(CountersignError):
    """A fault of the HTTP request itself, by one of the codes of `KINDS`."""

    def __init__(self, code: str, detail: str, *, field: str | None = None, rule: str | None = None) -> None:
        """Take the code of `KINDS`."""
        super().__init__(detail, field=field, rule=rule)
        self.code = code


@dataclass(frozen=True)
class Told:
    """Hold what the caller is told about an error."""

    code: str
    detail: str
    field: str | None = None
    rule: str | None = None
    status: int = 0
    headers: Mapping[str, str] = attribute(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """Return the row of the table."""
        return KINDS[self.code]


def describe(error: Exception) -> Told:
    """Return what to tell about an error of ours, of the store, of HTTP, or of nobody (then: internal)."""
    match error:
        case CountersignError():
            return Told(_code(error), error.detail, error.field, error.rule)
        case Conflict(key=key) if key.startswith("key:"):
            return Told("unauthenticated", "This API key has just been revoked or changed.")
        case TooLate():
            return Told("expired", "The time for this is over.")
        case Conflict() | Fenced():
            return Told("busy", "Others changed the same thing at the same time; nothing was decided. Try again.")
        case StoreError():
            return Told("unavailable", "The store does not answer; nothing is decided. Try again with the same key.")
        case web.HTTPException():
            return _of_http(error)
        case HttpProcessingError() | web.RequestPayloadError():
            return Told("malformed", "The body cannot be read: it is cut off, or not encoded as its headers say.")
        case _:
            return Told("internal", "Something went wrong here; nothing you could change. Quote the request id.")


def response(told: Told, request_id: str) -> web.Response:
    """Return the problem document."""
    kind = told.kind
    status = told.status or kind.status
    document = {
        "type": URN + told.code,
        "title": kind.title,
        "status": status,
        "detail": told.detail,
        "code": told.code,
        "field": told.field,
        "rule": told.rule,
        "request_id": request_id,
    }
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **told.headers}
    if status == 401:
        headers["WWW-Authenticate"] = _CHALLENGE
    if kind.retry_after is not None:
        headers["Retry-After"] = str(kind.retry_after)
    body = to_json({name: value for name, value in document.items() if value is not None})
    return web.Response(body=body, status=status, content_type=CONTENT_TYPE, headers=headers)


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error that a handler raises; pages and redirects that a surface raises itself pass."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400 or error.content_type != "text/plain":
            raise
        return response(describe(error), request[REQUEST_ID])
    except Exception as error:  # the last net: whatever a handler raises must become a problem, never an HTML page
        told = describe(error)
        _note(error, told)
        return response(told, request[REQUEST_ID])


def _note(error: Exception, told: Told) -> None:
    """Log what an operator should see: our own faults with their traceback, an absent store with its words."""
    status = told.kind.status
    if told.code == "unavailable":
        _log.warning("store.unavailable", why=str(error))
    elif status >= 500 and status != 503:
        _log.error("request.failed", code=told.code, exc_info=error)


def _code(error: CountersignError) -> str:
    """Return the error's code, or the nearest known one of its classes."""
    if error.code in KINDS:
        return error.code
    codes = (getattr(kind, "code", "") for kind in type(error).__mro__)
    return next((code for code in codes if code in KINDS), "internal")


def _of_http(error: web.HTTPException) -> Told:
    """Tell of what aiohttp itself refuses: no such path, another method, a body over the limit."""
    match error:
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return Told("method_not_allowed", f"Here only {allowed} will do.", headers={"Allow": allowed})
        case web.HTTPNotFound():
            return Told("not_found", "Nothing has this address; /openapi.json lists what there is.")
        case web.HTTPRequestEntityTooLarge():
            return Told("too_large", f"The body is larger than {MAX_BODY} bytes; leave out what nobody will read.")
    code = _BY_STATUS.get(error.status, "internal" if error.status >= 500 else "http")
    phrase = HTTPStatus(error.status).phrase if error.status in HTTPStatus._value2member_map_ else "refused"
    return Told(code, f"{error.status} {phrase}.", status=error.status)
