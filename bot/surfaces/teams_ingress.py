"""Take Teams' calls: proven before they count, claimed before anything runs, answered with a plain body.

In this order: a token is there, before the body is taken in; the body is JSON and an activity, or 400; token, channel,
service address and tenant hold, or 401 without detail (503 where nobody can tell); the activity is new. What is no
concern of ours is taken and dropped.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

from aiohttp import web

from approvers.errors import Malformed
from bot.claims import Claims
from bot.excuses import NO_STORE
from bot.surfaces.teams_activities import CARD
from bot.surfaces.teams_dispatch import Dispatch
from bot.surfaces.teams_incoming import EXECUTE, Answer, Incoming
from bot.surfaces.teams_keys import KeysUnavailable
from bot.surfaces.teams_parts import TeamsParts
from bot.surfaces.teams_proof import Claims as Told
from bot.surfaces.teams_proof import NotProven, Proof
from bot.waits import WAIT_SECONDS
from workers import logs
from workers.config import is_loopback
from workers.stores.port import StoreError

PATH = "/api/messages"
MAX_BODY = 256 * 1024
TOAST = "application/vnd.microsoft.activity.message"
KEPT = timedelta(minutes=75)
"""How long an activity is remembered: its token may be good for an hour, and five minutes beside that."""
DONE = "Done."
AGAIN = "This was taken before; the card shows what came of it."
Json = Mapping[str, Any]
Turn = Callable[[Json, Told, Callable[[], Awaitable[Json | None]]], Awaitable[Json | None]]
"""Runs work inside the SDK's turn for an activity and its claims, and returns the body of the answer."""
_log = logs.get_logger(__name__)


class TeamsIngress:
    """Answer `POST /api/messages`."""

    def __init__(
        self,
        proof: Proof,
        parts: TeamsParts,
        claims: Claims,
        turn: Turn,
        *,
        count: Callable[[str], None],
        on_this_machine: bool = False,
    ) -> None:
        """Take the parts; `count` hears one word for each refusal. `on_this_machine`: refuse whatever was relayed."""
        self._proof, self._parts, self._claims, self._turn = proof, parts, claims, turn
        self._count, self._on_this_machine = count, on_this_machine
        self._dispatch = Dispatch(parts, count)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one call."""
        header = request.headers.get("Authorization", "")
        if self._on_this_machine:
            if not _from_here(request):
                return self._refuse(401, "relayed")
        elif not header:
            return self._refuse(401, "no_token")  # before the body is read
        if request.content_type != "application/json":
            return self._refuse(415, "content_type")
        activity = await self._read(request)
        if activity is None:
            return self._refuse(400, "unreadable")
        try:
            told = await self._proof.check(activity, header)
        except NotProven as error:
            return self._refuse(401, str(error))
        except KeysUnavailable:
            return self._refuse(503, "no_keys", {"Retry-After": str(int(WAIT_SECONDS))})
        return await self._proven(activity, told)

    async def _proven(self, activity: Json, told: Told) -> web.Response:
        invoke = activity.get("type") == "invoke"
        if invoke and activity.get("name") != EXECUTE:
            return web.Response(status=501)
        try:
            call = Incoming.of(activity)
        except Malformed:
            return self._refuse(400, "incomplete")
        if call is None:
            return web.Response(status=202)
        body = await self._turn(activity, told, lambda: self._once(call))
        return web.Response(status=202) if body is None else web.json_response(body)

    async def _once(self, call: Incoming) -> Json | None:
        """Run a call unless it was taken before; returns the body of an invoke's answer."""
        name = f"{call.raw.get('type')} {call.conversation} {call.raw.get('id')}"
        try:
            if not await self._claims.take("activity", name):
                self._count("replayed")
                return _body(call, Answer(toast=AGAIN))
            await self._learn(call)
        except StoreError as error:
            self._count("no_store")
            _log.warning("teams.no_store", why=type(error).__name__)
            if call.kind in ("submit", "message"):
                await self._parts.whisper(call, NO_STORE)
            return _body(call, Answer(toast=NO_STORE))
        answer = await self._dispatch.run(call)
        await self._dispatch.deliver(call, answer)
        return _body(call, answer)

    async def _learn(self, call: Incoming) -> None:
        """Note where this came from, and how whoever did it can be written to, if the roster knows them."""
        if call.kind in ("installed", "removed"):  # these know better
            return
        await self._parts.routes.learn(call.route)
        by, roster = call.by, self._parts.deps.policies.current.roster
        if by.object_id and by.tenant == call.route.tenant_id and len(roster.by_teams(by.tenant, by.object_id)) == 1:
            await self._parts.routes.meet(call.route, by.user_id, by.object_id)

    async def _read(self, request: web.Request) -> Json | None:
        """Return the activity; None for whatever is none. Raises HTTPRequestEntityTooLarge over `MAX_BODY`."""
        if (request.content_length or 0) > MAX_BODY:
            raise web.HTTPRequestEntityTooLarge(MAX_BODY, request.content_length or 0)
        try:
            raw = await request.content.read(MAX_BODY + 1)
            while len(raw) <= MAX_BODY and (more := await request.content.read(MAX_BODY + 1 - len(raw))):
                raw += more
            if len(raw) > MAX_BODY:
                raise web.HTTPRequestEntityTooLarge(MAX_BODY, len(raw))
            body = json.loads(raw)
        except (ValueError, RecursionError, ConnectionResetError, web.RequestPayloadError):
            return None
        return body if _is_activity(body) else None

    def _refuse(self, status: int, why: str, headers: Mapping[str, str] | None = None) -> web.Response:
        """Refuse without repeating, or logging, anything that the sender wrote."""
        self._count(why)
        _log.warning("teams.refused", status=status, why=why)
        return web.json_response({"error": "request refused"}, status=status, headers=headers)


def _is_activity(body: Any) -> bool:
    """Tell whether this has the fields of an activity, each of its type: what is missing is no question of proof."""
    if not isinstance(body, dict):
        return False
    texts = all(isinstance(body.get(name), str) and body[name] for name in ("type", "channelId", "serviceUrl", "id"))
    things = all(isinstance(body.get(name), dict) for name in ("from", "recipient", "conversation"))
    return texts and things and isinstance(body["conversation"].get("id"), str)


def _from_here(request: web.Request) -> bool:
    """Tell whether this machine itself calls, by its own name, and not a proxy or a page for somebody else."""
    relayed = any(name in request.headers for name in ("Forwarded", "X-Forwarded-For", "Origin"))
    host = (request.url.host or "") if request.headers.get("Host") else ""
    return not relayed and is_loopback(request.remote or "") and is_loopback(host)


def _body(call: Incoming, answer: Answer) -> Json | None:
    """Return what the HTTP answer itself carries: for an invoke a card or words, for anything else nothing."""
    if call.kind != "action":
        return None
    if answer.card is not None:
        return {"statusCode": 200, "type": CARD, "value": dict(answer.card)}
    return {"statusCode": 200, "type": TOAST, "value": answer.toast or DONE}
