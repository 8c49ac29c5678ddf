"""The intake API: ask, wait, review, withdraw, consume. `bot.intake_grants` and `bot.health` have the other routes.

A handler reads what was sent, calls one use case, and answers; it decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import rfc8785
from aiohttp import web
from pydantic import BaseModel
from pydantic_core import to_json

from approvers.action import parse_action
from approvers.answer import answer
from approvers.audit import NotCanonical, canonical
from approvers.errors import Malformed, NotBuilt
from approvers.narrowing import Narrow
from approvers.request import Request, RequestState
from bot.commits import Click
from bot.deps import Deps
from bot.identity import SCOPES, Identity, Scope
from bot.incoming import (
    LONGEST_WAIT_SECONDS,
    check_query,
    flag,
    idempotency_key,
    number,
    preferred_wait,
    read_body,
    read_model,
)
from bot.problems import Problem
from bot.reading import NotFound, View
from bot.routes import Called, Route
from bot.standing import groups_of
from bot.wire import AfterReviewBody, AskBody, ConsumeBody, EmptyBody, RequestAnswer, RequestList, ReviewBody
from workers.policies import NotConfigured

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
JSON_HEADERS = {"Content-Type": "application/json", **HEADERS}
OVERSEERS: frozenset[Scope] = frozenset({"review", "operate", "read"})
"""Scopes that see every request; the others see their own."""
ANY: frozenset[Scope] = frozenset(SCOPES)
RETRY_AFTER = "5"
MAX_VERSION = 10**9 - 1
AS_IT_STANDS: Mapping[int, tuple[str, type[BaseModel]]] = {200: ("The request as it stands.", RequestAnswer)}


def json_response(value: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return a JSON answer that nobody may keep."""
    all_headers = {**JSON_HEADERS, **headers} if headers else JSON_HEADERS
    return web.Response(body=to_json(value), status=status, headers=all_headers)


def canonical_json(value: Any) -> bytes:
    """Return RFC 8785 bytes: quickly where ours are the same, else by the library."""
    try:
        return canonical(value)
    except NotCanonical:
        return rfc8785.dumps(value)


def may_read(who: Identity, request: Request, groups: frozenset[str]) -> bool:
    """Tell whether this request is the reader's own: asked by it, for it, by a caller that it owns; or its job."""
    if who.scopes & OVERSEERS or who.principal in (request.principal, request.action.actor.on_behalf_of):
        return True
    owners = request.facts.owners
    return who.principal in owners or any(f"group:{group}" in owners for group in groups)


class Intake:
    """Handle what callers and reviewers send about requests."""

    def __init__(self, deps: Deps) -> None:
        self._deps, self._reader, self._desk = deps, deps.reader, deps.desk

    async def ask(self, request: web.Request, who: Identity) -> web.Response:
        """Take an ask: 200 where it is decided, 202 where people are asked."""
        key, wait = idempotency_key(request), preferred_wait(request)
        check_query(request, ())
        action = parse_action(await read_body(request), canonical_json)
        try:
            view = await self._desk.submit(who, action, key)
        except NotConfigured:  # the first policy may have come a moment ago
            await self._deps.policies.refresh()
            view = await self._desk.submit(who, action, key)
        headers = {}
        if wait and not view.settled:
            view = await self._reader.wait(view.request.id, after=None, timeout=wait)
            headers["Preference-Applied"] = f"wait={wait // timedelta(seconds=1)}"
        if view.request.state is not RequestState.PENDING:
            return self._answer(view, 200, headers)
        location = f"/v1/requests/{view.request.id}"
        return self._answer(view, 202, {"Location": location, "Retry-After": RETRY_AFTER, **headers})

    async def read(self, request: web.Request, who: Identity) -> web.Response:
        """Answer how a request stands; with `wait`, once that has changed."""
        check_query(request, ("wait", "after"))
        wait = number(request, "wait", LONGEST_WAIT_SECONDS) or 0
        after = number(request, "after", MAX_VERSION)
        view = await self.own(request, who)
        if wait and not (view.settled if after is None else view.version > after):
            view = await self._reader.wait(view.request.id, after=after, timeout=timedelta(seconds=wait))
        return self._answer(view)

    async def listed(self, request: web.Request, who: Identity) -> web.Response:
        """Answer with what waits: the caller's own, or all for those who oversee."""
        check_query(request, ("mine", "state"))
        mine, state = flag(request, "mine"), request.query.get("state", "PENDING")
        if state not in RequestState.__members__:
            raise Malformed(f"state is one of {', '.join(RequestState)}", field="state")
        if state != RequestState.PENDING:
            raise NotBuilt("only state=PENDING can be listed yet; read others by id", field="state")
        if not mine and not who.scopes & OVERSEERS:
            raise Problem("missing_scope", "This key lists its own requests only: add `mine`.", field="mine")
        views = await self._reader.waiting(who.principal if mine else None)
        return json_response({"requests": [_body(view) for view in views]})

    async def review(self, request: web.Request, who: Identity) -> web.Response:
        """Take one person's answer."""
        if not who.is_person:
            raise Problem("people_only", f"{who.principal} is no person; reviews are given by people.")
        body = await read_model(request, ReviewBody)
        narrow = Narrow.model_validate(body.narrow.model_dump()) if body.narrow else None
        click = Click(who, await self._id(request), body.verdict, body.reason, body.shown, narrow=narrow)
        return self._answer(await self._desk.review(click))

    async def cancel(self, request: web.Request, who: Identity) -> web.Response:
        """Withdraw a waiting request."""
        await read_model(request, EmptyBody)
        view = await self.own(request, who)
        return self._answer(await self._desk.cancel(who, view.request.id))

    async def consume(self, request: web.Request, who: Identity) -> web.Response:
        """Settle an action approval, once."""
        body = await read_model(request, ConsumeBody)
        view = await self.own(request, who)
        return self._answer(await self._desk.consume(who, view.request.id, body.action_digest))

    async def after_review(self, request: web.Request, who: Identity) -> web.Response:
        """Take what one person finds of a use of break-glass."""
        if not who.is_person:
            raise Problem("people_only", f"{who.principal} is no person; after-reviews are given by people.")
        body = await read_model(request, AfterReviewBody)
        taken = self._deps.after_reviews.take(who, await self._id(request), body.verdict, body.reason)
        return self._answer(await taken)

    async def own(self, request: web.Request, who: Identity) -> View:
        """Return the request of the path, if the caller may read it. Raises NotFound, so that ids cannot be probed."""
        view = await self._reader.look(await self._id(request))
        if not may_read(who, view.request, await self._groups(who, view.request)):
            raise NotFound(f"There is no request {view.request.id} of {who.principal}.")
        return view

    async def _id(self, request: web.Request) -> str:
        return await self._reader.by_handle(request.match_info["id"])

    async def _groups(self, who: Identity, request: Request) -> frozenset[str]:
        """Return the person's groups, those kept elsewhere included where one of them owns the caller that asked."""
        owners = [one.removeprefix("group:") for one in request.facts.owners]
        found = await self._deps.directory.membership(who.principal, owners)
        return frozenset(groups_of(self._deps.policies.current, who.principal, found))

    def _answer(self, view: View, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
        return json_response(_body(view), status, headers)


def _body(view: View) -> dict[str, Any]:
    return answer(view.request, view.grant, view.version)


def routes(intake: Intake) -> Sequence[Route]:
    """Return the rows of the table that speak of requests."""
    return (*_asking(intake), *_reading(intake), *_deciding(intake))


def _asking(intake: Intake) -> Sequence[Route]:
    claims = ("forbidden", "unknown_principal", "not_your_actor")
    key = ("idempotency_key_missing", "idempotency_key_reused")
    return (
        Route(
            "POST",
            "/v1/requests",
            intake.ask,
            "Ask for an approval",
            frozenset({"request"}),
            {200: ("Decided.", RequestAnswer), 202: ("People are asked; poll `Location`.", RequestAnswer)},
            body=AskBody,
            headers={
                "Idempotency-Key": (True, "1 to 200 printable characters; the same on each retry of one ask."),
                "Prefer": (False, "`wait=N`: answer once the request is settled, after N seconds at the latest."),
            },
            problems=(
                "not_built", "inadmissible", "frozen", "not_your_grant", *claims, *key, "too_many_waiting",
                "not_evaluated",
            ),
            refusals="ask.refused",
        ),
        _change(intake.cancel, "cancel", "Withdraw a request", EmptyBody, ANY, "forbidden", "already_decided"),
        _change(
            intake.consume, "consume", "Settle an action approval once", ConsumeBody, frozenset({"request"}),
            "forbidden", "has_grant", "not_approved", "other_action", "already_decided", "expired_approval",
            "not_evaluated",
        ),
    )  # fmt: skip


def _reading(intake: Intake) -> Sequence[Route]:
    wait = {"type": "integer", "minimum": 0, "maximum": LONGEST_WAIT_SECONDS}
    held = "Hold the answer, in seconds, until the version is above `after`; without `after` until settled."
    return (
        Route(
            "GET",
            "/v1/requests",
            intake.listed,
            "List what waits",
            ANY,
            {200: ("What waits, oldest first.", RequestList)},
            query={
                "mine": ({"type": "string", "enum": ["", "1", "true"]}, "Only the caller's own."),
                "state": ({"type": "string", "enum": ["PENDING"]}, "In which state."),
            },
            problems=("not_built",),
        ),
        Route(
            "GET",
            "/v1/requests/{id}",
            intake.read,
            "Read a request, or wait for it",
            ANY,
            AS_IT_STANDS,
            query={
                "wait": (wait, held),
                "after": ({"type": "integer", "minimum": 0}, "The version that is known already."),
            },
        ),
    )


def _deciding(intake: Intake) -> Sequence[Route]:
    refusals = ("people_only", "four_eyes", "no_seat", "already_reviewed", "frozen", "may_not_narrow", "inadmissible")
    review = _change(
        intake.review, "reviews", "Approve or deny, as a person", ReviewBody, frozenset({"review"}),
        *refusals, "already_decided", "expired", "outdated_card", "membership_unknown", "forbidden", "not_evaluated",
    )  # fmt: skip
    afterwards = _change(
        intake.after_review, "after-review", "Review a use of break-glass, as a person", AfterReviewBody,
        frozenset({"review"}), "people_only", "four_eyes", "no_seat", "nothing_owed", "already_decided", "inadmissible",
        "membership_unknown",
    )  # fmt: skip
    return (
        replace(review, refusals=None),  # the desk records them, in the request's own chain
        replace(afterwards, refusals=None),  # so do after-reviews
    )


def _change(
    called: Called, word: str, summary: str, body: type[BaseModel], scopes: frozenset[Scope], *problems: str
) -> Route:  # fmt: skip
    """Return the row of one change of a request."""
    path = f"/v1/requests/{{id}}/{word}"
    return Route("POST", path, called, summary, scopes, AS_IT_STANDS, body, problems=problems, refusals="call.refused")
