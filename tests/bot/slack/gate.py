"""Put our ingress on a real port, before listeners that a test writes, and post to it as Slack does or as others."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from bot.access import AccessLog
from bot.deps import make_deps
from bot.postings import Postings
from bot.problems import middleware
from bot.surfaces.slack import _sorry, finder
from bot.surfaces.slack_api import SlackApi
from bot.surfaces.slack_claims import Claims
from bot.surfaces.slack_dispatch import LIMIT_SECONDS, Dispatch
from bot.surfaces.slack_ingress import PATH, SlackIngress
from bot.surfaces.slack_parts import Listener, SlackParts, Tasks
from bot.surfaces.slack_people import People
from tests.worlds.web import Alarm, serving, settings_for
from workers.alerts import Alert
from workers.stores.port import Store

SECRET = "0123456789abcdef0123456789abcdef"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
NOWHERE = "http://127.0.0.1:1/api"
ID = "req_01ARZ3NDEKTSV4RRFFQ69G5FAV"


def command(text: str = "list", **extra: str) -> bytes:
    """The body of a slash command."""
    return urlencode(
        {"command": "/countersign", "text": text, "user_id": "U1", "team_id": "T1", "channel_id": "C1", **extra}
    ).encode()


def click(action_id: str = "cs_approve", value: str = f"{ID}.ab12", **extra: Any) -> bytes:
    """The body of a button's click."""
    action = {"type": "button", "action_id": action_id, "block_id": "b", "value": value}
    payload = {
        "type": "block_actions", "user": {"id": "U1", "team_id": "T1"}, "team": {"id": "T1"},
        "container": {"type": "message", "channel_id": "C1", "message_ts": "1.2"}, "actions": [action], **extra,
    }  # fmt: skip
    return urlencode({"payload": json.dumps(payload)}).encode()


def event(kind: str = "user_change", event_id: str = "Ev1", **inner: Any) -> bytes:
    """The body of an event."""
    return json.dumps(
        {"type": "event_callback", "event_id": event_id, "team_id": "T1", "event": {"type": kind, **inner}}
    ).encode()


def signature(body: bytes, timestamp: str, secret: str = SECRET) -> str:
    """Sign as Slack's reference says."""
    return "v0=" + hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()


class Bell(Alarm):
    """Keep alerts, and ring for each."""

    def __init__(self) -> None:
        super().__init__()
        self.rung = asyncio.Event()

    async def send(self, alert: Alert) -> None:
        await super().send(alert)
        self.rung.set()


@dataclass
class Got:
    """One answer."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None


@dataclass
class Gate:
    """One running ingress."""

    parts: SlackParts
    url: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    bell: Bell = field(default_factory=Bell)
    client: aiohttp.ClientSession | None = None

    async def post(
        self,
        body: bytes,
        *,
        kind: str = FORM,
        age: float = 0,
        timestamp: str | None = None,
        signed: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Got:
        """Post it, signed unless `signed` says otherwise."""
        stamp = str(int(time.time() - age)) if timestamp is None else timestamp
        sent = {
            "Content-Type": kind,
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": signature(body, stamp) if signed is None else signed,
            **(headers or {}),
        }
        assert self.client
        async with self.client.post(self.url + PATH, data=io.BytesIO(body), headers=sent) as answer:
            return Got(answer.status, await answer.read())


@asynccontextmanager
async def gate(
    store: Store, rows: Sequence[Listener], *, api_url: str = NOWHERE, seconds: float = LIMIT_SECONDS
) -> AsyncIterator[Gate]:
    """Serve these listeners behind the ingress."""
    bell = Bell()
    deps = make_deps(settings_for(), store, bell)
    api, claims = SlackApi("xoxb-1", api_url), Claims(store.records)
    people = People(api, deps.policies, store.records)
    parts = SlackParts(deps, api, people, Postings(store, deps.policies, deps.reader, {}, deps.alerts), Tasks())
    running = Gate(parts, bell=bell)

    def count(word: str) -> None:
        running.counts[word] += 1

    find = finder(api, Dispatch(parts, claims, count, seconds=seconds), rows)
    ingress = SlackIngress(SECRET, claims, find, _sorry(parts), count=count)
    app = web.Application(middlewares=[AccessLog(lambda _text: None).middleware, middleware], client_max_size=4096)
    app.router.add_post(PATH, ingress.handle)
    try:
        async with serving(app) as running.url, aiohttp.ClientSession() as running.client:
            yield running
    finally:
        await parts.tasks.aclose()
        await api.aclose()
