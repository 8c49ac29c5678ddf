"""A minimal app, for the world's own tests: it takes what Slack delivers, keeps it, and answers what it was told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from tests.worlds.slack.world import SlackWorld


@dataclass
class Echo:
    """The app, and a client for the calls that it makes."""

    slack: SlackWorld
    session: aiohttp.ClientSession
    heard: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: list[web.Response] = field(default_factory=list)
    """What to answer next, one each; afterwards empty 200s."""

    async def call(self, method: str, token: str | None = None, **args: Any) -> dict[str, Any]:
        """Call a method as JSON with the bot's token (or another), and return its answer."""
        headers = {"Authorization": f"Bearer {token or self.slack.bot_token}"}
        async with self.session.post(self.slack.api_url + method, json=args, headers=headers) as answer:
            return await answer.json()  # type: ignore[no-any-return]

    async def error(self, method: str, token: str | None = None, **args: Any) -> str:
        """Call a method and return the name of its error."""
        return str((await self.call(method, token, **args)).get("error", ""))

    async def respond(self, url: str, **body: Any) -> tuple[int, str]:
        """Post to a `response_url`; return status and error."""
        async with self.session.post(url, json=body) as answer:
            text = await answer.text()
            return answer.status, json.loads(text)["error"] if text != "ok" else ""

    async def take(self, request: web.Request) -> web.Response:
        if request.content_type == "application/json":
            body = await request.json()
        else:
            form = dict(await request.post())
            body = json.loads(str(form["payload"])) if "payload" in form else form
        self.heard.append(body)
        self.headers.append(dict(request.headers))
        return self.answers.pop(0) if self.answers else web.Response()


@asynccontextmanager
async def echo(slack: SlackWorld) -> AsyncIterator[Echo]:
    """Run the app and connect the world to it."""
    async with aiohttp.ClientSession() as session:
        app = Echo(slack, session)
        server = web.Application()
        server.router.add_post("/slack/events", app.take)
        runner = web.AppRunner(server, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        slack.connect(f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events")
        try:
            yield app
        finally:
            await runner.cleanup()
