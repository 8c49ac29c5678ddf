"""The least that can stand for Slack: it says ok to every call, gives messages their `ts`, and tells a tap what came.

    python -m bench.slack_world

It checks nothing, for what it takes is in both the figure and its floor; the strict world of the tests would be most of
either. `GET /tap` streams one JSON line for each call: when it was done (CLOCK_MONOTONIC, seconds, which all processes
of a machine share), method and body. `GET /takes/20` makes each call take 20 ms from then on.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import sys
import time
from collections.abc import Callable

TEAM = "T01"
_numbers = itertools.count(1)
_taps: set[asyncio.WriteTransport] = set()
_takes = [0.0]


class World(asyncio.Protocol):
    """Answer on one connection; calls on it come one after another."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        line, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        length = next((int(row[15:]) for row in lines if row[:15].lower() == "content-length:"), 0)
        if len(self._buffer) < end + 4 + length:
            return
        body, self._buffer = self._buffer[end + 4 :].decode(), b""
        verb, address, _ = line.split(" ")
        path, _, query = address.partition("?")
        self._asked(verb, path, query, body)

    def _asked(self, _verb: str, path: str, query: str, body: str) -> None:
        match path.split("/"):
            case ["", "tap"]:
                self._transport.write(b"HTTP/1.1 200 OK\r\n\r\n")
                _taps.add(self._transport)
            case ["", "takes", milliseconds]:
                _takes[0] = int(milliseconds) / 1000
                self._answer({})
            case [*_, method]:
                self._later(self._call, method, body, query)

    def _later(self, call: Callable[..., None], *arguments: str) -> None:
        asyncio.get_running_loop().call_later(_takes[0], call, *arguments)

    def _call(self, method: str, body: str, query: str) -> None:
        ts = f"1790000000.{next(_numbers):06d}"
        self._took(method, ts, body, _answer(method, body, query, ts))

    def _took(self, method: str, ts: str, body: str, answer: dict[str, object]) -> None:
        """Answer, and tell the taps what came."""
        at = time.perf_counter()
        self._answer(answer)
        self._tell(method, ts, body, at)

    def _tell(self, method: str, ts: str, body: str, at: float) -> None:
        told = json.dumps({"at": at, "method": method, "ts": ts, "body": body}).encode() + b"\n"
        for tap in _taps:
            tap.write(told)

    def _answer(self, answer: dict[str, object], status: str = "200 OK") -> None:
        body = json.dumps(answer).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)

    def connection_lost(self, _error: Exception | None) -> None:
        _taps.discard(self._transport)


def _answer(method: str, body: str, query: str, ts: str) -> dict[str, object]:
    match method:
        case "auth.test":
            return {"ok": True, "team_id": TEAM, "user_id": "U0BOT", "bot_id": "B0BOT"}
        case "users.info":
            user = dict(part.split("=") for part in query.split("&"))["user"]
            return {"ok": True, "user": {"id": user, "team_id": TEAM, "is_email_confirmed": True, "profile": {}}}
        case "conversations.info":
            return {"ok": True, "channel": {"id": dict(part.split("=") for part in query.split("&"))["channel"]}}
        case "chat.postMessage" | "chat.update":
            return {"ok": True, "channel": json.loads(body)["channel"], "ts": ts}
    return {"ok": True}


async def main(world: type[World] = World) -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await loop.create_server(world, "127.0.0.1", 0)
    sys.stdout.write(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await stop.wait()


if __name__ == "__main__":
    asyncio.run(main())
