"""The floors of a click: a bare handler that checks Slack's signature and makes one Lua call, which writes.

    FLOOR_HANDLER=bolt COUNTERSIGN_REDIS_URL=… FLOOR_SECRET=… python -m bench.slack_floor

`bolt` is what Slack's own framework makes of it: AsyncApp behind aiohttp, its parser, its check of the signature, one
listener that makes the call and acknowledges. It processes before it responds: without that Bolt looks only every 10 ms
whether a listener that awaits anything is done. `plain` does the same by hand, without Bolt. `FLOOR_CALL` may name a
file with the arguments of a real review's commit; without it the call writes one small key.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult

from bench.slack_world import TEAM
from workers.stores.link import client

PATH = "/slack/events"
TEXT = "return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', 660)"
Call = Callable[[], Awaitable[object]]
Handler = Callable[[web.Request], Awaitable[web.Response]]


def bolt(secret: str, call: Call) -> Handler:
    """Return the handler of Slack's framework."""

    async def authorize(**_asked: object) -> AuthorizeResult:
        return AuthorizeResult(enterprise_id=None, team_id=TEAM, bot_token="")

    app = AsyncApp(signing_secret=secret, authorize=authorize, process_before_response=True)

    @app.action("cs_approve")
    async def approve(ack: Callable[[], Awaitable[object]]) -> None:
        await call()
        await ack()

    async def handle(request: web.Request) -> web.Response:
        return await to_aiohttp_response(await app.async_dispatch(await to_bolt_request(request)))

    return handle


def plain(secret: str, call: Call) -> Handler:
    """Return the handler that does it by hand."""
    key = secret.encode()

    async def handle(request: web.Request) -> web.Response:
        raw, stamp = await request.read(), request.headers["X-Slack-Request-Timestamp"]
        digest = hmac.new(key, b"v0:" + stamp.encode() + b":" + raw, hashlib.sha256).hexdigest()
        assert abs(time.time() - int(stamp)) < 300
        assert hmac.compare_digest(f"v0={digest}", request.headers["X-Slack-Signature"])
        body = json.loads(dict(parse_qsl(raw.decode()))["payload"])
        assert body["actions"][0]["action_id"] == "cs_approve"
        await call()
        return web.Response()

    return handle


async def main() -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    redis = client(os.environ["COUNTERSIGN_REDIS_URL"])
    sha = await redis.script_load(TEXT)
    made = {"bolt": bolt, "plain": plain}[os.environ["FLOOR_HANDLER"]]
    app = web.Application()
    handler = made(os.environ["FLOOR_SECRET"], lambda: redis.evalsha(sha, 1, f"floor:{secrets.token_hex(16)}", "click"))
    app.router.add_post(PATH, handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"listening on http://127.0.0.1:{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await stop.wait()
    await runner.cleanup()
    await redis.aclose()


if __name__ == "__main__":
    asyncio.run(main())
