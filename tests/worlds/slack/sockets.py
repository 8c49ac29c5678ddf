"""Socket Mode: addresses with a ticket, several connections at once, envelopes that are acknowledged by id."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import WSMsgType, web

from tests.worlds.slack.board import APP_ID

TICKET_SECONDS = 30.0
MOST_CONNECTIONS = 10


class Sockets:
    """Hold the app's connections; each envelope goes to one of them, in turn."""

    def __init__(self, clock: Callable[[], float], touch: Callable[[], None]) -> None:
        self._clock, self._touch = clock, touch
        self._tickets: dict[str, float] = {}
        self._open: dict[web.WebSocketResponse, asyncio.Transport | None] = {}
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._count = itertools.count(1)
        self._turn = itertools.count()
        self.stray: list[Any] = []
        """What the app sent that acknowledges nothing."""

    @property
    def connections(self) -> int:
        return len(self._open)

    def ticket(self, origin: str) -> str:
        """Issue a WebSocket address, good for one connection within 30 s."""
        name = f"{next(self._count):08x}-ticket"
        self._tickets[name] = self._clock()
        return f"{origin.replace('http', 'ws', 1)}/link/?ticket={name}&app_id={APP_ID}"

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Take one connection until it ends."""
        issued = self._tickets.pop(request.query.get("ticket", ""), None)
        if issued is None or self._clock() - issued > TICKET_SECONDS:
            return web.Response(status=403, text="invalid ticket")
        if self.connections >= MOST_CONNECTIONS:
            return web.Response(status=403, text="too many connections")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._open[socket] = request.transport
        try:
            await socket.send_json(
                {
                    "type": "hello",
                    "num_connections": self.connections,
                    "connection_info": {"app_id": APP_ID},
                    "debug_info": {"host": "applink-test", "build_number": 1, "approximate_connection_time": 3600},
                }
            )
            self._touch()
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._acknowledge(message.data)
        finally:
            del self._open[socket]
            self._touch()
        return socket

    def _acknowledge(self, text: str) -> None:
        try:
            said = json.loads(text)
        except ValueError:
            said = None
        waiting = self._waiting.get(said.get("envelope_id", "")) if isinstance(said, dict) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(said)
        else:
            self.stray.append(text)
            self._touch()

    async def send(
        self,
        kind: str,
        payload: Mapping[str, Any],
        *,
        accepts: bool,
        timeout: float,
        attempt: int = 0,
        reason: str = "",
    ) -> dict[str, Any]:
        """Send one envelope and return its acknowledgement; TimeoutError if none comes in time."""
        if not self._open:
            raise ConnectionError("no Socket Mode connection is open")
        socket = list(self._open)[next(self._turn) % len(self._open)]
        name = f"{next(self._count):08x}-envelope"
        envelope = {"envelope_id": name, "type": kind, "payload": payload, "accepts_response_payload": accepts}
        if kind == "events_api":
            envelope |= {"retry_attempt": attempt, "retry_reason": reason}
        waiting: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[name] = waiting
        try:
            await socket.send_json(envelope)
            async with asyncio.timeout(timeout):
                return await waiting
        finally:
            del self._waiting[name]

    async def say_goodbye(self, reason: str = "refresh_requested") -> None:
        """Tell every connection to come back, as Slack does now and then (also: warning, link_disabled), and end it."""
        for socket in list(self._open):
            await socket.send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-test"}})
            if reason != "warning":
                await socket.close()

    def cut(self) -> None:
        """Break every connection without a word."""
        for transport in self._open.values():
            if transport is not None:
                transport.abort()

    async def close(self) -> None:
        for socket in list(self._open):
            await socket.close()
