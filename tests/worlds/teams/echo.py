"""A minimal app, for the world's own tests: it takes what Teams delivers, keeps it, and answers what it was told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp
import jwt
from aiohttp import web

from tests.worlds.teams.delivery import CARD_ANSWER, TOAST
from tests.worlds.teams.state import BOT_ID, CARD
from tests.worlds.teams.tokens import SCOPE
from tests.worlds.teams.world import TeamsWorld


@dataclass(frozen=True)
class Got:
    """One answer of the connector."""

    status: int
    json: Any
    headers: Mapping[str, str]

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])


@dataclass
class Echo:
    """The app, and a client for the calls that it makes."""

    teams: TeamsWorld
    session: aiohttp.ClientSession
    heard: list[dict[str, Any]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    answers: list[web.Response] = field(default_factory=list)
    """What to answer next, one each; afterwards empty 202s, and a toast to invokes."""
    token: str = ""

    async def fetch(self, **changes: str) -> Got:
        """Ask for a token, with some fields changed."""
        form = {"grant_type": "client_credentials", "client_id": self.teams.app_id, "scope": SCOPE,
                "client_secret": self.teams.app_secret, **changes}  # fmt: skip
        async with self.session.post(self.teams.token_url, data=form) as answer:
            got = Got(answer.status, await answer.json(content_type=None), dict(answer.headers))
        self.token = got.json.get("access_token", self.token)
        return got

    async def call(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> Got:
        """Call the connector; `path` below /v3/."""
        if not self.token:
            await self.fetch()
        headers = {"Authorization": f"Bearer {token or self.token}"}
        url = f"{self.teams.service_url}v3/{path}"
        async with self.session.request(method, url, json=body, headers=headers) as answer:
            text = await answer.text()
            return Got(answer.status, json.loads(text) if text.startswith(("{", "[")) else text, dict(answer.headers))

    async def create(self, channel: str, card: Mapping[str, Any] | None = None, **changes: Any) -> Got:
        """Post a new thread."""
        data = {"channel": {"id": channel}, "tenant": {"id": self.teams.tenant}}
        body = {"isGroup": True, "bot": {"id": BOT_ID}, "activity": message(card or approval()), "channelData": data}
        return await self.call("POST", "conversations", body | changes)

    async def post(self, conversation: str, body: Mapping[str, Any], reply_to: str | None = None) -> Got:
        """Post a message into a conversation."""
        end = f"/{reply_to}" if reply_to else ""
        return await self.call("POST", f"conversations/{quote(conversation, safe='')}/activities{end}", body)

    async def put(self, conversation: str, message_id: str, body: Mapping[str, Any]) -> Got:
        """Replace a message."""
        return await self.call("PUT", f"conversations/{quote(conversation, safe='')}/activities/{message_id}", body)

    async def member(self, conversation: str, user_id: str) -> Got:
        """Read a roster entry."""
        return await self.call("GET", f"conversations/{quote(conversation, safe='')}/members/{quote(user_id, safe='')}")

    async def take(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.heard.append(body)
        self.tokens.append(request.headers["Authorization"].removeprefix("Bearer "))
        if self.answers:
            return self.answers.pop(0)
        return toast("Noted") if body["type"] == "invoke" else web.Response(status=202)

    async def claims(self, index: int = -1) -> dict[str, Any]:
        """Return the claims of a token that came in, verified against the published keys."""
        async with self.session.get(self.teams.issuer_url) as answer:
            keys_url = (await answer.json())["jwks_uri"]
        async with self.session.get(keys_url) as answer:
            keys = {it["kid"]: it for it in (await answer.json())["keys"]}
        token = self.tokens[index]
        key = jwt.PyJWK.from_dict(keys[jwt.get_unverified_header(token)["kid"]], algorithm="RS256").key
        return dict(jwt.decode(token, key, algorithms=["RS256"], audience=self.teams.app_id))


def execute(verb: str, title: str, *, fallback: bool = True, **data: Any) -> dict[str, Any]:
    """Return a button."""
    told = {"verb": verb, **data}
    old = {"fallback": {"type": "Action.Submit", "title": title, "data": told}} if fallback else {}
    return {"type": "Action.Execute", "verb": verb, "title": title, "data": told, **old}


def approval(*more: Any, **changes: Any) -> dict[str, Any]:
    """Return a card with two buttons and a form behind a third."""
    form = {"type": "AdaptiveCard", "body": [
        {"type": "Input.ChoiceSet", "id": "preset", "choices": [{"title": "Wrong role", "value": "role"}]},
        {"type": "Input.Text", "id": "words", "label": "Why", "maxLength": 20, "isRequired": True},
    ], "actions": [execute("deny_why", "Deny now", rid="req_1", shown="9f2c")]}  # fmt: skip
    buttons = [execute("approve", "Approve", rid="req_1", shown="9f2c"), execute("deny", "Deny", rid="req_1"),
               {"type": "Action.ShowCard", "title": "Deny because", "card": form}]  # fmt: skip
    facts = [{"title": "Who", "value": "agent\\:bot"}, {"title": "Role", "value": "reader"}]
    body = [{"type": "TextBlock", "text": "**Approve?** \\*all\\*", "wrap": True}, {"type": "FactSet", "facts": facts}]
    return {"type": "AdaptiveCard", "version": "1.5", "body": [*body, *more], "actions": buttons, **changes}


def message(card: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return a message activity."""
    shown = {"attachments": [{"contentType": CARD, "content": card}]} if card else {}
    return {"type": "message", **shown, **changes}


def toast(text: str) -> web.Response:
    """Answer an invoke with words."""
    return web.json_response({"statusCode": 200, "type": TOAST, "value": text})


def replaced(card: Mapping[str, Any]) -> web.Response:
    """Answer an invoke with a card."""
    return web.json_response({"statusCode": 200, "type": CARD_ANSWER, "value": card})


@asynccontextmanager
async def echo(teams: TeamsWorld) -> AsyncIterator[Echo]:
    """Run the app and connect the world to it."""
    async with aiohttp.ClientSession() as session:
        session._retry_connection = False  # else a GET or PUT that was cut is repeated unseen
        app = Echo(teams, session)
        server = web.Application()
        server.router.add_post("/api/messages", app.take)
        runner = web.AppRunner(server, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        teams.connect(f"http://127.0.0.1:{runner.addresses[0][1]}/api/messages")
        try:
            yield app
        finally:
            await runner.cleanup()
