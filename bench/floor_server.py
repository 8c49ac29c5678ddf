"""The floor of intake: the same aiohttp server, reading the same body and making one Lua call of the same size.

It authenticates nobody, checks nothing, rules on nothing. The call is `commit.lua` itself with the arguments of a real
ask, of which only the ids are new; the answer is as long as a real one. `FLOOR_CLIENT` says who makes the call:
`plain`, the client library with a pool of connections, or `gathered`, the store's own link, which sends the calls of
one turn of the loop together.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from workers.stores.link import Link, Script, client

ID, AT = "@@ID@@", "@@AT@@"
PREFIX = "{cs}:"
Call = Callable[[list[Any]], Awaitable[Any]]


@asynccontextmanager
async def plain(url: str) -> AsyncIterator[Call]:
    """Give one EVALSHA a call, as the client library makes it."""
    redis, script = client(url), Script("commit")
    await redis.script_load(script.text)
    yield lambda row: redis.evalsha(script.sha, 1, PREFIX, *row)
    await redis.aclose()


@asynccontextmanager
async def gathered(url: str) -> AsyncIterator[Call]:
    """Give the same call, through the store's link."""
    link, script = Link(url, PREFIX), Script("commit")
    yield lambda row: link.run(script, row)
    await link.aclose()


def handler(call: Call, arguments: list[Any], answer: bytes) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return what takes an ask: read, one call with fresh ids, answer."""
    varying = [index for index, value in enumerate(arguments) if isinstance(value, str) and ID in value]
    times = [index for index, value in enumerate(arguments) if value == AT]

    async def ask(request: web.Request) -> web.Response:
        await request.read()
        now, fresh, row = int(time.time() * 1000), secrets.token_hex(8), list(arguments)
        for index in varying:
            row[index] = row[index].replace(ID, fresh)
        for index in times:
            row[index] = now
        reply = await call(row)
        assert isinstance(reply, int), reply
        return web.Response(body=answer, status=202, content_type="application/json")

    return ask


async def main(recorded: dict[str, Any]) -> None:
    """Serve until SIGTERM; `recorded` holds the arguments and the answer of a real ask."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    opened = {"plain": plain, "gathered": gathered}[os.environ["FLOOR_CLIENT"]]
    async with opened(os.environ["COUNTERSIGN_REDIS_URL"]) as call:
        app = web.Application()
        app.router.add_post("/v1/requests", handler(call, recorded["arguments"], recorded["answer"].encode()))
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        sys.stdout.write(f"listening on http://127.0.0.1:{runner.addresses[0][1]}\n")
        sys.stdout.flush()
        await stop.wait()
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(os.environ["FLOOR_CALL"]).read_text())))
