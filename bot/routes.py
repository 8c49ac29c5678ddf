"""Describe an HTTP route once: the router, the gate in front of it and the OpenAPI document all read the same row."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import UnionType
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from approvers.audit import By
from approvers.errors import CountersignError
from bot.access import PRINCIPAL
from bot.identity import Identity, Keys, Scope
from bot.issuers import LONGEST_TOKEN, Tokens, is_token
from bot.problems import KINDS, Handler, Problem, Unauthenticated, describe
from bot.refusals import Refusals
from workers.stores.port import Conflict

Called = Callable[[web.Request, Identity], Awaitable[web.StreamResponse]]
NOBODY = Identity("", frozenset(), By(None, "api", "anybody"), "api")
"""Who calls a route that is open to everybody."""
BEHIND_GATE = ("unauthenticated", "missing_scope", "not_checked", "not_configured", "unavailable", "internal")
WITH_BODY = ("malformed", "too_large", "wrong_content_type")
OF_ONE = ("not_found", "newer_record")
"""Problems that come with a kind of route: behind the gate, with a body, on one record; a change may find it `busy`."""


@dataclass(frozen=True)
class Route:
    """One row of the table.

    Attributes:
        path: with `{name}` for parameters, as both aiohttp and OpenAPI write them.
        scopes: any one of these is enough; None: open to everybody, without a key.
        body: what is sent; None: nothing is read.
        answers: status → (what it means, model of the JSON; None for what is not JSON).
        query: parameter → (JSON schema, meaning).
        headers: header → (required, meaning).
        problems: codes that this route adds to those of its kind.
        refusals: how refusals by the handler are recorded; None where the handler does so itself.
    """

    method: str
    path: str
    called: Called
    summary: str
    scopes: frozenset[Scope] | None
    answers: Mapping[int, tuple[str, type[BaseModel] | UnionType | None]]
    body: type[BaseModel] | None = None
    query: Mapping[str, tuple[dict[str, Any], str]] = field(default_factory=dict)
    headers: Mapping[str, tuple[bool, str]] = field(default_factory=dict)
    problems: Sequence[str] = ()
    refusals: str | None = None

    @property
    def codes(self) -> Sequence[str]:
        """Return every problem code that this route may answer with."""
        found = list(self.problems)
        found += WITH_BODY if self.body else ()
        found += OF_ONE if "{id}" in self.path else ()
        found += ("malformed",) if self.query else ()
        found += () if self.method == "GET" else ("busy",)
        found += () if self.scopes is None else BEHIND_GATE
        return tuple(dict.fromkeys(found))


def mount(app: web.Application, routes: Sequence[Route], gate: Gate) -> None:
    """Add the routes to the application, each behind the gate."""
    for route in routes:
        add = app.router.add_get if route.method == "GET" else None
        handler = gate.guard(route)
        if add:
            add(route.path, handler)  # answers HEAD, too
        else:
            app.router.add_route(route.method, route.path, handler)


class Gate:
    """Let through who proves themselves, by a key or a token, with a fitting scope; record who was turned away."""

    def __init__(self, keys: Keys, tokens: Tokens, refusals: Refusals) -> None:
        self._keys, self._tokens, self._refusals = keys, tokens, refusals

    def guard(self, route: Route) -> Handler:
        """Return the aiohttp handler of a route."""
        if route.scopes is None:

            async def answer_anybody(request: web.Request) -> web.StreamResponse:
                return await route.called(request, NOBODY)

            return answer_anybody

        async def answer(request: web.Request) -> web.StreamResponse:
            who = await self._admit(request, route)
            try:
                return await self._call(request, route, who)
            except Conflict as conflict:
                if not conflict.key.startswith("key:") and conflict.key not in who.proof:
                    raise
            self._keys.forget()  # the key, or the roster, has changed since we cached it: who is it now, if anybody?
            await self._tokens.refresh()
            return await self._call(request, route, await self._admit(request, route))

        return answer

    async def _admit(self, request: web.Request, route: Route) -> Identity:
        """Return who calls. Raises Unauthenticated, or Problem (`missing_scope`)."""
        try:
            who = await self._identify(bearer(request))
        except Unauthenticated:
            await self._refusals.stranger(request.remote or "unknown")
            raise
        request[PRINCIPAL] = who.principal
        assert route.scopes is not None
        if not route.scopes & who.scopes:
            needed = " or ".join(sorted(route.scopes))
            detail = f"This key of {who.principal} lacks the scope {needed}; ask your operator for one that has it."
            error = Problem("missing_scope", detail, rule="scope")
            await self._record(request, route, who, error)
            raise error
        return who

    async def _identify(self, secret: str | None) -> Identity:
        if secret is None:
            raise Unauthenticated(
                "Send `Authorization: Bearer KEY` with the API key that `countersign keys new` printed."
            )
        if is_token(secret):
            return await self._tokens.identify(secret)
        who = await self._keys.identify(secret)
        if who is None:
            raise Unauthenticated(
                "This API key is not known, or has expired or been revoked; ask your operator for a new one."
            )
        return who

    async def _call(self, request: web.Request, route: Route, who: Identity) -> web.StreamResponse:
        try:
            return await route.called(request, who)
        except (CountersignError, web.HTTPRequestEntityTooLarge) as error:
            if route.refusals:
                await self._record(request, route, who, error)
            raise

    async def _record(self, request: web.Request, route: Route, who: Identity, error: Exception) -> None:
        """Record a refusal: of an ask, every one; of another change, where it was not the caller's to make."""
        told, kind = describe(error), route.refusals or "call.refused"
        status = told.status or KINDS[told.code].status
        if status < 500 and route.method != "GET" and (kind == "ask.refused" or status == 403):
            name = f"{route.method} {route.path}"
            await self._refusals.asked(who, kind, name, told, request.remote or "unknown")


def bearer(request: web.Request) -> str | None:
    """Return the one API key or token that the request carries; None for none, several, or something else."""
    values = request.headers.getall("Authorization", ())
    if len(values) != 1:
        return None
    scheme, _, secret = values[0].partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not 0 < len(secret) <= LONGEST_TOKEN or not secret.isascii():
        return None
    return secret
