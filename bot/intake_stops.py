"""The intake API's big switches: take many grants away at once; stop all approvals and mints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiohttp import web
from pydantic import BaseModel

from approvers.answer import grant_answer
from approvers.targets import Target
from approvers.times import stamp
from bot.deps import Deps
from bot.identity import Identity, Scope
from bot.incoming import read_model
from bot.intake import json_response
from bot.routes import Route
from bot.stops import Freeze
from bot.wire import FreezeAnswer, FreezeBody, RevocationAnswer, RevocationBody

HINT = "Approvals and mints are not frozen: what is opened from now on is not hit. Freeze first, then revoke once more."
STANDS: Mapping[int, tuple[str, type[BaseModel]]] = {200: ("How the switch stands.", FreezeAnswer)}
HIT: Mapping[int, tuple[str, type[BaseModel]]] = {
    200: ("The live grants that are hit, oldest first; unless `dry_run`, they are being ended.", RevocationAnswer)
}


class IntakeStops:
    """Handle what on-call sends when something goes wrong."""

    def __init__(self, deps: Deps) -> None:
        self._revocations, self._stops = deps.revocations, deps.stops

    async def revoke(self, request: web.Request, who: Identity) -> web.Response:
        """Take away what is live of one grant, an actor, a principal, a role, or all; `all` needs somebody on call."""
        body = await read_model(request, RevocationBody)
        target = Target(body.target.kind, body.target.name)
        if body.dry_run:
            await self._revocations.check(who, target)
            views = await self._revocations.select(target)
        else:
            views = await self._revocations.revoke(who, target, body.reason)
        frozen = (await self._stops.look()).on
        return json_response(
            {
                "target": {"kind": target.kind, "name": target.name},
                "dry_run": body.dry_run,
                "frozen": frozen,
                "hint": HINT if target.wide and not frozen else None,
                "grants": [grant_answer(view.grant) for view in views if view.grant],
            }
        )

    async def freeze(self, request: web.Request, who: Identity) -> web.Response:
        """Stop approvals and mints, as any reviewer; what is frozen already stays so, with its first reason."""
        body = await read_model(request, FreezeBody)
        return _stands(await self._stops.freeze(who, body.reason))

    async def unfreeze(self, request: web.Request, who: Identity) -> web.Response:
        """Let approvals and mints go on, as somebody on call."""
        body = await read_model(request, FreezeBody)
        return _stands(await self._stops.unfreeze(who, body.reason))


def _stands(freeze: Freeze) -> web.Response:
    at = stamp(freeze.at) if freeze.at else None
    return json_response(
        {"on": freeze.on, "why": freeze.why, "by": freeze.by or None, "at": at, "changed": freeze.changed}
    )


def routes(stops: IntakeStops) -> Sequence[Route]:
    """Return the rows of the table that stop things."""
    scopes: frozenset[Scope] = frozenset({"review", "operate"})
    outside = "membership_unknown"
    may, on_call = ("not_a_reviewer", outside), ("not_on_call", outside)
    hit = (*may, "not_on_call", "not_found", "unfinished")
    return (
        Route("POST", "/v1/revocations", stops.revoke, "Take many grants away", scopes, HIT, RevocationBody,
              problems=hit, refusals="call.refused"),
        Route("POST", "/v1/freeze", stops.freeze, "Stop approvals and mints", scopes, STANDS, FreezeBody,
              problems=may, refusals="call.refused"),
        Route("DELETE", "/v1/freeze", stops.unfreeze, "Let approvals and mints go on", scopes, STANDS, FreezeBody,
              problems=on_call, refusals="call.refused"),
    )  # fmt: skip
