"""The HTTP side of the workspace: `/api/METHOD`, the `response_url` addresses, and the Socket Mode endpoint."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from tests.worlds.slack.answers import use_answer_url
from tests.worlds.slack.board import Board
from tests.worlds.slack.catalog import METHODS, Method
from tests.worlds.slack.errors import Refused
from tests.worlds.slack.faults import Faults
from tests.worlds.slack.journal import Exchange, Refusal
from tests.worlds.slack.sockets import Sockets

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class _Dropped(Exception):
    """The connection is to be cut without an answer."""


class Server:
    """Serve a board on loopback."""

    def __init__(self, board: Board, faults: Faults, sockets: Sockets, bot_token: str, app_token: str) -> None:
        self.board, self.faults, self.sockets = board, faults, sockets
        self.tokens = {bot_token: "bot", app_token: "app"}
        self.revoked: set[str] = set()
        self.log: list[Exchange] = []
        self.refusals: list[Refusal] = []
        self.origin = ""
        self._methods = METHODS | {"apps.connections.open": Method(self._connection, "connections:write", kind="app")}

    async def start(self) -> None:
        app = web.Application(client_max_size=8 * 2**20)
        app.router.add_route("*", "/api/{method:.*}", self._api)
        app.router.add_route("*", "/api", self._api)
        for kind in ("actions", "commands"):
            app.router.add_post(f"/{kind}/{{team}}/{{number}}/{{secret}}", self._answer)
        app.router.add_get("/link/", self._link)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.origin = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        self.faults.up()
        await self.sockets.close()
        await self._runner.cleanup()

    async def _link(self, request: web.Request) -> web.StreamResponse:
        if self.faults.is_down:
            _cut(request)
            return web.Response()
        return await self.sockets.serve(request)

    async def _api(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info.get("method", "")
        return await self._meet(request, Exchange("in", "api", name, {}, request.method), self._call)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        exchange = Exchange("in", "response_url", request.path, {}, request.method)
        return await self._meet(request, exchange, self._use)

    async def _meet(self, request: web.Request, exchange: Exchange, run: Callable[..., Any]) -> web.StreamResponse:
        """Let faults happen before and after the call itself, and write it down."""
        exchange.at = self.board.clock()
        exchange.headers = dict(request.headers)
        name = exchange.method if exchange.kind == "api" else "response_url"
        try:
            if self.faults.is_down:
                raise _Dropped
            exchange.body = await request.read()
            self.log.append(exchange)
            self.board.touch()
            answer = await self._before(name, exchange) or await run(request, exchange)
            await self._after(name)
            if self.faults.take(name, "garbage"):
                answer = web.Response(text="<html>Something went wrong</html>", content_type="text/html")
        except _Dropped:
            _cut(request)
            return web.Response()
        exchange.status = answer.status
        self.board.touch()
        return answer

    async def _before(self, name: str, exchange: Exchange) -> web.Response | None:
        if fault := self.faults.take(name, "slow"):
            await asyncio.sleep(fault.number)
        if self.faults.take(name, "hang"):
            await self.faults.wait()
            raise _Dropped
        fault = self.faults.take(name, "status", "rate_limit", "error")
        if fault is None:
            return None
        if fault.kind == "status":
            return web.Response(status=int(fault.number), text="<html>unavailable</html>", content_type="text/html")
        if fault.kind == "error":
            exchange.answer = {"ok": False, "error": fault.words}
            return web.json_response(exchange.answer)
        return self._limited(exchange, fault.words)

    async def _after(self, name: str) -> None:
        if self.faults.take(name, "hold"):
            await self.faults.wait()
        if self.faults.take(name, "drop_after"):
            raise _Dropped

    def _limited(self, exchange: Exchange, words: str | None) -> web.Response:
        exchange.answer = {"ok": False, "error": "ratelimited"}
        return web.json_response(exchange.answer, status=429, headers=self.faults.retry_after(words))

    async def _call(self, request: web.Request, exchange: Exchange) -> web.Response:
        try:
            method = self._methods.get(exchange.method)
            if method is None:
                raise Refused("unknown_method", req_method=exchange.method)
            args, token = await _read(request)
            exchange.args = args
            self._authorise(exchange.method, method, token, request)
            if missing := sorted(method.needed - args.keys()):
                raise Refused("invalid_arguments", [f"[ERROR] missing required field: {it}" for it in missing])
            if unknown := sorted(args.keys() - method.needed - method.allowed):
                raise Refused("invalid_arguments", [f"[ERROR] {exchange.method} takes no {it}" for it in unknown])
            if wait := self.faults.wait_seconds(exchange.method, str(args.get("channel", ""))):
                return self._limited(exchange, str(wait))
            exchange.answer = {"ok": True, **method.run(self.board, args)}
        except Refused as refused:
            exchange.answer = refused.body()
            self.refuse(exchange.method, refused, exchange.args)
        scopes = {"x-oauth-scopes": ",".join(sorted(self.board.app.scopes))}
        return web.json_response(exchange.answer, headers=scopes)

    def _authorise(self, name: str, method: Method, token: str | None, request: web.Request) -> None:
        if method.kind == "none":
            return
        if method.kind == "app" and request.method != "POST":
            raise Refused("insecure_request")
        if not token:
            raise Refused("not_authed")
        if token in self.revoked:
            raise Refused("token_revoked")
        kind = self.tokens.get(token)
        if kind is None:
            raise Refused("invalid_auth")
        if kind != method.kind:
            raise Refused("not_allowed_token_type")
        wanted = set(method.scope.split("|")) if method.scope else set()
        granted = {"connections:write"} if kind == "app" else self.board.app.scopes
        if wanted and not wanted & granted:
            raise Refused("missing_scope", needed=method.scope.replace("|", ","), provided=",".join(sorted(granted)))

    def refuse(self, method: str, refused: Refused, args: Mapping[str, Any]) -> None:
        """Write a refusal down."""
        self.refusals.append(Refusal(method, refused.error, tuple(refused.messages), dict(args)))
        self.board.touch()

    def _connection(self, _board: Board, _args: Mapping[str, Any]) -> dict[str, Any]:
        return {"url": self.sockets.ticket(self.origin)}

    async def _use(self, request: web.Request, exchange: Exchange) -> web.Response:
        try:
            try:
                body = json.loads(exchange.body)
            except ValueError:
                raise Refused("invalid_payload", status=400) from None
            if not isinstance(body, dict) or request.content_type != "application/json":
                raise Refused("invalid_payload", status=400)
            exchange.args = body
            use_answer_url(self.board, request.path, body)
        except Refused as refused:
            status = refused.status if refused.status != 200 else 400
            exchange.answer = refused.body()
            self.refuse("response_url", refused, exchange.args)
            return web.json_response(exchange.answer, status=status)
        exchange.answer = "ok"
        return web.Response(text="ok")


async def _read(request: web.Request) -> tuple[dict[str, Any], str | None]:
    """Return the arguments and the token. A token inside a JSON body does not count."""
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    token = bearer.strip() if scheme.lower() == "bearer" else None
    args: dict[str, Any] = dict(request.query)
    body = await request.read()
    if request.method == "POST" and body:
        if "Content-Type" not in request.headers:
            raise Refused("missing_post_type")
        if request.content_type == "application/json":
            args |= _json(body)
            args.pop("token", None)
        elif request.content_type in FORMS:
            args |= {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        else:
            raise Refused("invalid_post_type")
    return args, token or args.pop("token", None)


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        raise Refused("invalid_json") from None
    if not isinstance(value, dict):
        raise Refused("json_not_object")
    return value


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
