"""The intake API's grants: list what is live, collect a credential, beat for it, give it back, take it away."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from approvers.answer import grant_answer
from approvers.errors import Malformed, NotBuilt
from approvers.grant import LIVE, GrantState
from approvers.ids import grant_of
from approvers.targets import Target
from bot.custody import Collected
from bot.deps import Deps
from bot.identity import Identity, Scope
from bot.incoming import check_query, read_model
from bot.intake import ANY, OVERSEERS, json_response
from bot.problems import Problem
from bot.reading import NotFound, View
from bot.routes import Route
from bot.wire import EmptyBody, GrantAnswer, GrantList, OpenCredential, OpenEnvironment, RevokeBody, SealedCredential
from workers.vault import ENCAPSULATED_BYTES, open_credential

LONGEST_NAME = 200
AS_IT_STANDS: Mapping[int, tuple[str, type[BaseModel]]] = {200: ("The grant as it stands.", GrantAnswer)}


class IntakeGrants:
    """Handle what callers and on-call send about grants."""

    def __init__(self, deps: Deps) -> None:
        self._reader, self._custody, self._delivery = deps.reader, deps.custody, deps.delivery
        self._revocations = deps.revocations

    async def listed(self, request: web.Request, who: Identity) -> web.Response:
        """Answer with the live grants: all for those who oversee, else the caller's own."""
        check_query(request, ("state", "actor"))
        state, actor = request.query.get("state", "ACTIVE"), request.query.get("actor")
        if state not in GrantState.__members__:
            raise Malformed(
                f"state is one of {', '.join(state for state in GrantState if state in LIVE)}", field="state"
            )
        if GrantState(state) not in LIVE:
            raise NotBuilt("only grants that have not ended can be listed yet; read others by id", field="state")
        if actor is not None and not 0 < len(actor) <= LONGEST_NAME:
            raise Malformed("actor must be a name such as agent:report-bot", field="actor")
        every = bool(who.scopes & OVERSEERS)
        grants = [view.grant for view in await self._reader.live() if view.grant is not None]
        found = [
            grant_answer(grant)
            for grant in grants
            if grant.state == state
            and (every or grant.principal == who.principal)
            and (actor is None or grant.actor == actor)
        ]
        return json_response({"grants": found})

    async def collect(self, request: web.Request, who: Identity) -> web.Response:
        """Hand out the credential: sealed as it is where the caller gave a key, else opened with ours."""
        await read_model(request, EmptyBody)
        return json_response(self._opened(await self._custody.collect(who, await self._id(request))))

    async def heartbeat(self, request: web.Request, who: Identity) -> web.Response:
        """Note that the grant's caller lives."""
        await read_model(request, EmptyBody)
        return json_response(grant_answer(await self._custody.beat(who, await self._id(request))))

    async def release(self, request: web.Request, who: Identity) -> web.Response:
        """End a grant because its caller is done."""
        await read_model(request, EmptyBody)
        return _answer(await self._custody.release(who, await self._id(request)))

    async def revoke(self, request: web.Request, who: Identity) -> web.Response:
        """Take a grant away."""
        body = await read_model(request, RevokeBody)
        grant_id = await self._id(request)
        await self._revocations.check(who, Target("grant", grant_id))
        return _answer(await self._custody.revoke(who, grant_id, body.reason))

    async def _id(self, request: web.Request) -> str:
        return grant_of(await self._reader.by_handle(request.match_info["id"]))

    def _opened(self, collected: Collected) -> dict[str, Any]:
        grant, sealed = collected.grant, collected.ciphertext
        if grant.public_key is not None:
            return {
                "sealed": base64.b64encode(sealed).decode(),
                "encapsulated_key": base64.b64encode(sealed[:ENCAPSULATED_BYTES]).decode(),
                "principal": grant.principal,
            }
        if self._delivery is None:
            raise Problem("no_delivery_key", "This server has no delivery key: ask again with a `public_key`.")
        opened = open_credential(self._delivery, sealed, grant.id, grant.principal)
        return {**opened, "principal": grant.principal}


def _answer(view: View) -> web.Response:
    if view.grant is None:
        raise NotFound(f"There is no grant {grant_of(view.request.id)}.")
    return json_response(grant_answer(view.grant))


def routes(grants: IntakeGrants) -> Sequence[Route]:
    """Return the rows of the table that speak of grants."""
    caller: frozenset[Scope] = frozenset({"request"})
    handed = OpenCredential | OpenEnvironment | SealedCredential
    credential = {200: ("The credential; the same one each time, until it ends.", handed)}
    ended = ("not_your_grant", "grant_ended", "not_ready", "seal_broken", "no_delivery_key")
    changes = (
        Route("POST", "credential", grants.collect, "Collect the credential", caller, credential, EmptyBody,
              problems=ended),
        Route("POST", "heartbeat", grants.heartbeat, "Say that its caller lives", caller, AS_IT_STANDS, EmptyBody,
              problems=("not_your_grant", "grant_ended", "not_ready")),
        Route("POST", "release", grants.release, "Give a grant back early", caller, AS_IT_STANDS, EmptyBody,
              problems=("not_your_grant",)),
        Route("POST", "revoke", grants.revoke, "Take a grant away", frozenset({"review", "operate"}), AS_IT_STANDS,
              RevokeBody, problems=("not_a_reviewer", "membership_unknown")),
    )  # fmt: skip
    return (
        _listing(grants),
        *(replace(one, path=f"/v1/grants/{{id}}/{one.path}", refusals="call.refused") for one in changes),
    )


def _listing(grants: IntakeGrants) -> Route:
    return Route(
        "GET",
        "/v1/grants",
        grants.listed,
        "List live grants",
        ANY,
        {200: ("Live grants, oldest first.", GrantList)},
        query={
            "state": ({"type": "string", "enum": sorted(LIVE)}, "In which state; ACTIVE unless given."),
            "actor": ({"type": "string", "maxLength": LONGEST_NAME}, "Of one actor."),
        },
        problems=("not_built",),
    )
