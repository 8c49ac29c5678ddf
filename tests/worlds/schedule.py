"""An on-call schedule over HTTP on loopback, as docs/operating.md describes it: strict about how it is asked.

    async with schedule_world() as world:
        world.says = {"on_call": ["dana@example.com"]}

`world.asked` counts; whatever is not a plain GET of `/db` with the token stands in `strange` and gets a 4xx.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

TOKEN = "oncall-secret-7"


class ScheduleWorld:
    """Answer who is on call.

    Attributes:
        says: the JSON that is answered; text is sent as it is.
        status: of the answer; 3xx lead elsewhere.
        hangs: no answer comes until the world ends.
    """

    def __init__(self) -> None:
        self.url = ""
        self.says: Any = {"on_call": ["dana@example.com"]}
        self.status = 200
        self.hangs = False
        self.asked = 0
        self.strange: list[str] = []
        self.gate = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        if request.method != "GET" or request.path_qs != "/db":
            self.strange.append(f"{request.method} {request.path_qs}")
            return web.Response(status=404)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.strange.append("no token")
            return web.Response(status=401)
        if self.hangs:
            await self.gate.wait()
        if 300 <= self.status < 400:
            return web.Response(status=self.status, headers={"Location": "/db2"})
        if isinstance(self.says, str):
            return web.Response(text=self.says, status=self.status, content_type="application/json")
        return web.json_response(self.says, status=self.status)


@asynccontextmanager
async def schedule_world() -> AsyncIterator[ScheduleWorld]:
    """Serve one until the block ends."""
    world = ScheduleWorld()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", world.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        world.url = f"http://127.0.0.1:{runner.addresses[0][1]}/db"
        yield world
    finally:
        world.gate.set()
        await runner.cleanup()
