"""The HTTP side: issuer, token endpoint and connector on one loopback port."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.worlds.teams.board import MESSAGE_ID, Board
from tests.worlds.teams.connector import Connector, named, read
from tests.worlds.teams.faults import Fault, Faults
from tests.worlds.teams.issuer import KEYS, METADATA, Issuer
from tests.worlds.teams.journal import Exchange, Refusal, Refused
from tests.worlds.teams.limits import Limits
from tests.worlds.teams.tokens import Tokens

PAGE = "<html><body>Bad gateway</body></html>"
CALLS = {"create": ("POST", "/v3/conversations"), "post": ("POST", "/v3/conversations/{where}/activities"),
         "reply": ("POST", "/v3/conversations/{where}/activities/{message}"),
         "put": ("PUT", "/v3/conversations/{where}/activities/{message}"),
         "delete": ("DELETE", "/v3/conversations/{where}/activities/{message}"),
         "member": ("GET", "/v3/conversations/{where}/members/{user}"),
         "members": ("GET", "/v3/conversations/{where}/members"),
         "paged": ("GET", "/v3/conversations/{where}/pagedmembers"), "team": ("GET", "/v3/teams/{team}")}  # fmt: skip
VERBS = {"create": ("create", "post"), "reply": ("post",), "member": ("get",), "members": ("get",), "paged": ("get",),
         "team": ("get",)}  # fmt: skip


class _Dropped(Exception):
    """The connection is to be cut without an answer."""


class Server:
    """Serve a board on loopback."""

    def __init__(self, board: Board, faults: Faults, issuer: Issuer, tokens: Tokens, limits: Limits) -> None:
        self.board, self.faults, self.issuer, self.tokens, self.limits = board, faults, issuer, tokens, limits
        self.connector = Connector(board)
        self.log: list[Exchange] = []
        self.refusals: list[Refusal] = []
        self.origin = ""
        self._rejected: set[str] = set()

    async def start(self) -> None:
        app = web.Application(client_max_size=8 * 2**20)
        app.router.add_get(METADATA, self._noted("issuer", self.issuer.metadata))
        app.router.add_get(KEYS, self._noted("issuer", self.issuer.key_set))
        app.router.add_post("/{tenant}/oauth2/v2.0/token", self._noted("token", self.tokens.serve))
        for name, (method, path) in CALLS.items():
            app.router.add_route(method, "/{region}" + path, self._call(name))
        app.router.add_route("*", "/elsewhere", self._followed)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.origin = self.issuer.origin = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        self.faults.up()
        self.issuer.up()
        self.tokens.up()
        await self._runner.cleanup()

    def _noted(self, kind: Any, serve: Callable[[web.Request], Awaitable[web.Response]]) -> Any:
        """Write calls to the issuer and the token endpoint down."""

        async def handle(request: web.Request) -> web.Response:
            exchange = Exchange("in", kind, request.path.rpartition("/")[2], request.path, at=self.board.clock())
            self.log.append(exchange)
            self.board.touch()
            try:
                answer = await serve(request)
            except ConnectionAbortedError:
                _cut(request)
                return web.Response()
            exchange.status = answer.status
            self.board.touch()
            return answer

        return handle

    def _call(self, name: str) -> Any:
        async def handle(request: web.Request) -> web.Response:
            return await self._meet(request, name)

        return handle

    async def _meet(self, request: web.Request, name: str) -> web.Response:
        """Let faults happen before and after the call itself, and write it down."""
        kind = {"reply": "post", "paged": "members"}.get(name, name)
        exchange = Exchange("in", "connector", kind, request.path, at=self.board.clock())
        exchange.headers = dict(request.headers)
        if self.faults.is_down:
            _cut(request)
            return web.Response()
        exchange.body = await request.read()
        self.log.append(exchange)
        self.board.touch()
        message = self._message(request, name, exchange)
        self.limits.began(message)
        answer = web.Response()
        try:
            answer = await self._with_faults(request, name, exchange)
            exchange.status = answer.status
        except _Dropped:
            _cut(request)
        finally:
            self.limits.ended(message, answer.headers)
            self.board.touch()
        return answer

    def _message(self, request: web.Request, name: str, exchange: Exchange) -> str:
        """Return the name under which attempts are compared."""
        if request.method == "GET":
            return f"read {len(self.log)}"
        if "message" in request.match_info and name != "reply":
            return f"{request.method} {request.match_info['where']} {request.match_info['message']}"
        return f"{request.method} {request.path} {named(exchange.body)}"

    async def _with_faults(self, request: web.Request, name: str, exchange: Exchange) -> web.Response:
        verbs, take = VERBS.get(name, (name,)), self.faults.take
        if slow := take(verbs, "slow"):
            await asyncio.sleep(slow.number)
        if take(verbs, "hang"):
            await self.faults.wait()
            raise _Dropped
        if take(verbs, "drop"):
            raise _Dropped
        if take(verbs, "redirect"):
            return web.Response(status=307, headers={"Location": f"{self.origin}/elsewhere"})
        if fault := take(verbs, "status", stored=False):
            return _failure(fault)
        answer = self._judge(request, name, exchange)
        return answer if answer.status >= 300 else await self._spoilt(answer, verbs)

    async def _spoilt(self, answer: web.Response, verbs: tuple[str, ...]) -> web.Response:
        """Let faults happen that come after the call was carried out."""
        take = self.faults.take
        if take(verbs, "hold"):
            await self.faults.wait()
        if take(verbs, "drop_after"):
            raise _Dropped
        if fault := take(verbs, "status", stored=True):
            return _failure(fault)
        if take(verbs, "no_id"):
            return web.json_response({}, status=answer.status)
        if take(verbs, "truncated"):
            return web.Response(body=b'{"id": "1', status=answer.status, content_type="application/json")
        return answer

    def _judge(self, request: web.Request, name: str, exchange: Exchange) -> web.Response:
        try:
            self._authorise(request)
            body = read(exchange.body) if exchange.body and request.method != "GET" else {}
            self._pace(request, name, body)
            status, exchange.answer = self._run(name, request.match_info, body, request.query)
        except Refused as refused:
            self.refusals.append(Refusal(exchange.method, refused.status, refused.code, refused.message, request.path))
            exchange.answer = refused.body()
            headers = {"Retry-After": str(refused.wait)} if refused.wait else {}
            return web.json_response(exchange.answer, status=refused.status, headers=headers)
        return web.json_response(exchange.answer, status=status)

    def _authorise(self, request: web.Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not self.tokens.good(token):
            if token in self._rejected:
                self.limits.violations.append("a refused token was used again")
            self._rejected.add(token)
            raise Refused(401, "Unauthorized", "Authorization has been denied for this request.")

    def _pace(self, request: web.Request, name: str, body: Any) -> None:
        where = request.match_info.get("where", request.match_info.get("team", ""))
        if name == "create":
            channel = (body.get("channelData") or {}).get("channel") or {}
            members = body.get("members") or [{}]
            where = str(channel.get("id") or members[0].get("id") or "")
        kind = "read" if request.method == "GET" else "send"
        if wait := self.limits.wait_seconds(kind, where.partition(MESSAGE_ID)[0]):
            raise Refused(429, "TooManyRequests", "The request has been throttled.", wait=wait)

    def _run(self, name: str, at: Any, body: Any, query: Any) -> tuple[int, Any]:
        do = self.connector
        match name:
            case "create":
                return do.create(body)
            case "post" | "reply":
                return do.post(at["where"], body, at.get("message") or body.get("replyToId"))
            case "put":
                return do.put(at["where"], at["message"], body)
            case "delete":
                return do.delete(at["where"], at["message"])
            case "member":
                return do.member(at["where"], at["user"])
            case "members":
                return do.members(at["where"])
            case "paged":
                return _paged(do.members(at["where"])[1], query)
        return do.team(at["team"])

    async def _followed(self, request: web.Request) -> web.Response:
        token = "with our token" if "Authorization" in request.headers else "without a token"
        self.limits.violations.append(f"a redirect was followed, {token}")
        return web.json_response({"id": "9"}, status=201)


def _paged(members: list[Any], query: Any) -> tuple[int, Any]:
    start, size = int(query.get("continuationToken") or 0), min(int(query.get("pageSize") or 200), 500)
    more = {"continuationToken": str(start + size)} if start + size < len(members) else {}
    return 200, {"members": members[start : start + size], **more}


def _failure(fault: Fault) -> web.Response:
    headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
    status = int(fault.number)
    if fault.html:
        return web.Response(status=status, text=PAGE, content_type="text/html", headers=headers)
    return web.json_response(Refused(status, "ServiceError").body(), status=status, headers=headers)


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
