"""Run the web process's application inside a test, over real HTTP on loopback, with a store that the test chooses.

    async with Web.over(store) as web:
        answer = await web.ask(key="k1")
        await web.review(answer.json["id"], "robin")

Every answer is held against the OpenAPI document: a status or problem code that the route does not describe fails.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aiohttp
from aiohttp import web as aio

from approvers.audit import check_chain
from bot.app import DEPS, Deps, api_routes, build_app
from bot.health import Health
from bot.identity import ApiKey
from bot.problems import KINDS
from tests.worlds import samples
from tests.worlds.texts import records_of
from workers.alerts import Alert
from workers.config import load
from workers.policies import apply
from workers.settings import Settings
from workers.stores.port import Commit, Store
from workers.vault import DeliveryKey, hash_key, new_api_key

DELIVERY = DeliveryKey.generate()
SCOPES = {
    samples.CALLER: ("request",),
    "caller:other-bot": ("request",),
    "user:dana": ("review", "request"),
    "user:robin": ("review",),
    "user:alex": ("review",),
    "user:kim": ("operate",),
    "caller:auditor": ("read",),
}
ROSTER = samples.ROSTER_TEXT + (
    '\n[group.bots]\npeople = ["alex"]\n'
    '\n[caller.other-bot]\nkind = "agent"\nowners = ["group:bots"]\nactors = ["agent:other"]\non_behalf_of = "never"\n'
    '\n[caller.auditor]\nkind = "service"\nowners = ["user:kim"]\nactors = ["service:auditor"]\n'
)


@dataclass
class Alarm:
    """Keep the alerts that were sent."""

    sent: list[Alert] = field(default_factory=list)

    async def send(self, alert: Alert) -> None:
        self.sent.append(alert)


@dataclass(frozen=True)
class Answer:
    """One HTTP answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Return the problem's code; fails if this is no problem document."""
        assert self.headers["Content-Type"].startswith("application/problem+json"), (self.status, self.body[:500])
        return str(self.json["code"])


class Web:
    """One running application, keys for some principals, and a client."""

    def __init__(self, app: aio.Application, store: Store, keys: Mapping[str, str], alarm: Alarm) -> None:
        self.app, self.store, self.keys, self.alarm = app, store, dict(keys), alarm
        self.deps: Deps = app[DEPS]
        self.base = ""
        self.client: aiohttp.ClientSession
        self.routes = {(row.method, row.path): row for row in api_routes(self.deps, Health(self.deps))}

    @classmethod
    @asynccontextmanager
    async def over(cls, store: Store, *, policy: str = samples.POLICY_TEXT, **settings: str) -> AsyncIterator[Web]:
        """Apply the demo's rules, make keys, and serve until the block ends. An empty policy applies nothing."""
        if policy:
            await apply(store.records, policy=policy, roster=ROSTER, by="user:kim", why="test")
        keys = {principal: await make_key(store, principal, *scopes) for principal, scopes in SCOPES.items()}
        alarm = Alarm()
        web = cls(build_app(settings_for(**settings), store, alarm), store, keys, alarm)
        async with serving(web.app) as web.base, aiohttp.ClientSession() as web.client:
            yield web

    async def call(
        self,
        method: str,
        path: str,
        *,
        who: str | None = samples.CALLER,
        headers: Mapping[str, str] | None = None,
        **body: Any,
    ) -> Answer:
        """Make one call as a principal (None: nobody), and check that the document describes its answer."""
        sent = dict(headers or {})
        if who is not None:
            sent["Authorization"] = f"Bearer {self.keys[who]}"
        async with self.client.request(method, self.base + path, headers=sent, allow_redirects=False, **body) as got:
            answer = Answer(got.status, got.headers, await got.read())
        self._check_described(method, path.partition("?")[0], answer)
        return answer

    async def ask(
        self, key: str = "k1", *, who: str = samples.CALLER, headers: Mapping[str, str] | None = None, **changes: Any
    ) -> Answer:
        """Ask for the sample action with some fields changed (None drops one)."""
        body = {name: value for name, value in {**samples.BODY, **changes}.items() if value is not None}
        sent = {"Idempotency-Key": key, **(headers or {})}
        return await self.call("POST", "/v1/requests", who=who, headers=sent, json=body)

    async def review(self, request: str, name: str = "robin", verdict: str = "approve", **more: Any) -> Answer:
        """Answer as a person."""
        body = {"verdict": verdict, **more}
        return await self.call("POST", f"/v1/requests/{request}/reviews", who=f"user:{name}", json=body)

    async def records(self, subject: str = "sys") -> list[dict[str, Any]]:
        """Return a chain's records, the chain checked."""
        bodies = await self.store.log.chain(subject)
        check_chain(subject, bodies)
        return await records_of(self.store, subject)

    async def refusals(self) -> list[dict[str, Any]]:
        """Return what was refused and recorded under `sys`."""
        return [
            one for one in await self.records() if one["type"] in ("ask.refused", "call.refused", "sign_in.refused")
        ]

    def _check_described(self, method: str, path: str, answer: Answer) -> None:
        route = next((one for one in self.routes.values() if one.method == method and _fits(one.path, path)), None)
        if route is None or answer.status in route.answers:
            return
        assert answer.code in route.codes, f"{method} {route.path} does not describe {answer.code}"
        assert answer.json["status"] == answer.status == KINDS[answer.code].status
        assert answer.json["request_id"] == answer.headers["X-Request-Id"]
        assert answer.headers["Cache-Control"] == "no-store"


def _fits(template: str, path: str) -> bool:
    parts, wanted = path.split("/"), template.split("/")
    return len(parts) == len(wanted) and all(
        one == two or (one.startswith("{") and two) for one, two in zip(wanted, parts, strict=True)
    )


async def make_key(store: Store, principal: str, *scopes: Any, life: timedelta | None = None) -> str:
    """Store a key for a principal and return it."""
    key, now = new_api_key(), await store.records.now()
    record = ApiKey(
        id=f"k-{principal}", principal=principal, scopes=scopes, made_at=now, expires_at=now + life if life else None
    )
    name = f"key:{hash_key(key)}"
    await store.records.commit(Commit(at=now, expects={name: 0}, puts={name: record.model_dump_json()}))
    return key


async def revoke_key(store: Store, key: str) -> None:
    """Revoke a key as `countersign keys revoke` does: its record changes."""
    name = f"key:{hash_key(key)}"
    seen = await store.records.read([name])
    record = ApiKey.model_validate_json(seen.records[name].json).model_copy(update={"revoked_at": seen.now})
    versions = {name: seen.records[name].version}
    await store.records.commit(Commit(at=seen.now, expects=versions, puts={name: record.model_dump_json()}))


def settings_for(**changes: str) -> Settings:
    """Return settings of a web process; the store is handed over beside them."""
    environ = {
        "COUNTERSIGN_REDIS_URL": "redis://127.0.0.1:1/0",
        "COUNTERSIGN_DELIVERY_KEY": DELIVERY.text,
        **{f"COUNTERSIGN_{name.upper()}": value for name, value in changes.items()},
    }
    return load({name: value for name, value in environ.items() if value}, "command")


@asynccontextmanager
async def serving(app: aio.Application) -> AsyncIterator[str]:
    """Serve on a free loopback port; gives the address."""
    runner = aio.AppRunner(app, access_log=None, shutdown_timeout=5)
    await runner.setup()
    try:
        await aio.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
