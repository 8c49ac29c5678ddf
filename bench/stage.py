"""Set the stage for a bench: rules, keys and requests in a store, the real processes, and figures from what they took.

What a bench does in this process goes through the product's own desk and worker; nothing is written past them.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from approvers.action import Action
from approvers.audit import By
from bench.common import ROOT
from bot.commits import Click
from bot.deps import make_desk
from bot.desk import Desk
from bot.directory import Directory
from bot.identity import ApiKey, Identity, Scope
from bot.reading import Reader
from countersign.ops.valkey import Server, embedded_valkey
from tests.worlds.processes import Process, start
from tests.worlds.signing import CLOCK_ENV
from workers.alerts import LogAlerts
from workers.lanes import Lane, Lanes
from workers.leasing import advance
from workers.policies import Policies, apply
from workers.providers.dry_run import DryRunProvider
from workers.providers.port import Provider
from workers.stores import layout
from workers.stores.port import Commit, Store
from workers.stores.redis import connect
from workers.tools import Tools
from workers.vault import DeliveryKey, hash_key, new_api_key
from workers.wiring import sealer

RULES = ROOT / "countersign/ops/data/demo"
POLICY = (RULES / "policy.toml").read_text()
CALLER = """
[caller.bot-{}]
kind = "agent"
owners = ["user:dana"]
actors = ["agent:report-bot"]
on_behalf_of = "required"
"""
WAITING_EACH = 90
"""How many asks one caller of a bench makes: below the limit of 100 waiting requests per principal."""
LEASE = timedelta(seconds=20)
"""The product's default."""
DELIVERY = DeliveryKey.generate()
BODY: dict[str, Any] = {
    "action": "s3:GetObject",
    "resource": "arn:aws:s3:::customer-exports/2026/*",
    "environment": "prod",
    "reason": "Rebuild the weekly report, the job failed at 02:10",
    "ttl_seconds": 900,
    "risk": "medium",
    "project": "reports",
    "stage": "inference",
    "ticket": "INC-42",
    "data_classes": ["pii"],
    "undo": "none needed, read only",
    "actor": {"id": "agent:report-bot", "on_behalf_of": "user:dana", "run": "run-7"},
}
"""An ask that waits for one person."""


def body(
    number: int, *, provider: str = "dry_run", ttl_seconds: int = 900, role: str = "analytics"
) -> dict[str, Any]:  # fmt: skip
    """Return one ask that folds into no other."""
    access = {"provider": provider, "role": role, "actions": ["s3:GetObject"], "resources": [BODY["resource"]]}
    return BODY | {"parameters": {"number": number}, "ttl_seconds": ttl_seconds, "access": access}


def callers_for(asks: int) -> int:
    """Return how many callers it takes to have that many asks waiting."""
    return -(-asks // WAITING_EACH)


# ---- processes


@contextmanager
def valkey() -> Iterator[tuple[Server, Path]]:
    """Run a private Valkey with the product's settings (`appendfsync always`); gives it and a folder for output."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, embedded_valkey(Path(folder) / "valkey") as server:
        yield server, Path(folder) / "out"


def start_worker(url: str, out: Path, name: str = "worker", **env: str) -> Process:
    """Start a real worker, by default one of the dry-run provider. It says `worker.started` when it works."""
    given = {"COUNTERSIGN_PROVIDERS": "dry_run", **env, **_common(url)}
    given["COUNTERSIGN_DELIVERY_PUBLIC_KEY"] = DELIVERY.public_text
    return start("workers", given, out, name=name)


def start_clock(url: str, out: Path) -> Process:
    """Start a real clock. It says `clock.started` when it runs."""
    return start("workers.clock", {**CLOCK_ENV, **_common(url)}, out, name="clock")


def _common(url: str) -> dict[str, str]:
    return {"COUNTERSIGN_REDIS_URL": url, "COUNTERSIGN_LOG_LEVEL": "info"}


# ---- rules, keys and requests


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    """Open a store, and close it."""
    store = await connect(url)
    try:
        yield store
    finally:
        await store.aclose()


async def apply_rules(store: Store, callers: int, more: str = "") -> None:
    """Apply the demo's rules, with that many callers `bot-N` besides, and `more` of a roster."""
    roster = (RULES / "countersign.toml").read_text() + "".join(CALLER.format(number) for number in range(callers))
    roster += more
    await apply(store.records, policy=POLICY, roster=roster, by="bench", why="bench")


async def make_key(store: Store, principal: str, *scopes: Scope) -> str:
    """Return a new API key of this principal."""
    secret, now = new_api_key(), await store.records.now()
    key = ApiKey(id=principal.partition(":")[2], principal=principal, scopes=scopes, made_at=now)
    record = f"key:{hash_key(secret)}"
    await store.records.commit(Commit(at=now, expects={record: 0}, puts={record: key.model_dump_json()}))
    return secret


@dataclass
class House:
    """Hold the desk and the worker's tools over one store, in this process."""

    store: Store
    desk: Desk
    tools: Tools

    async def ask(self, number: int, **changes: Any) -> str:
        """Make one ask; returns the request's id."""
        who = _identity(f"caller:bot-{number // WAITING_EACH}", "request")
        asked = body(number, **changes)
        action = Action.model_validate(asked | {"parameters": json.dumps(asked["parameters"])})
        return (await self.desk.submit(who, action, f"run-{number:012d}")).request.id

    async def approve(self, request: str) -> None:
        """Approve it, which opens its grant."""
        await self.desk.review(Click(_identity("user:robin", "review"), request, "approve"))

    async def work(self, most: int = 64) -> int:
        """Carry out what is due now, as a worker does; returns how many items there were."""
        handout = await self.store.due.claim("worker", most=most, lease=self.tools.lease)
        await asyncio.gather(*(advance(self.tools, item) for item in handout.items))
        return len(handout.items)


async def open_house(
    store: Store,
    callers: int,
    now: Callable[[], datetime] | None = None,
    *,
    more: str = "",
    aws: Provider | None = None,
) -> House:
    """Apply the rules, with `more` of a roster, and return the house; `now` sets the dry-run provider's clock."""
    await apply_rules(store, callers, more)
    policies = Policies(store.records, store.signals)
    await policies.refresh()
    dry: Provider = DryRunProvider(now) if now else DryRunProvider()
    providers = {"dry_run": dry, **({"aws": aws} if aws else {})}
    lanes = Lanes(lambda name: Lane(name, 128))  # nobody is sent away while the stage is set
    tools = Tools(store, policies, providers, sealer(DELIVERY.public_text), LogAlerts(), LEASE, lanes=lanes)
    return House(store, make_desk(store, policies, Reader(store), Directory(policies)), tools)


async def each(items: Iterable[Any], do: Callable[[Any], Awaitable[Any]], at_once: int = 32) -> list[Any]:
    """Do something for every item, so many at a time; returns the answers in the items' order."""
    todo = list(enumerate(items))
    found: list[Any] = [None] * len(todo)
    rows = iter(todo)

    async def one_after_another() -> None:
        for index, item in rows:
            found[index] = await do(item)

    await asyncio.gather(*(one_after_another() for _ in range(at_once)))
    return found


async def drain(store: Store) -> None:
    """Drop what the notifier would have told: no web process runs in this bench."""
    while rows := await store.outbox.unread(500):
        await store.outbox.told([row for row, _ in rows])


async def grants(store: Store, requests: Sequence[str]) -> list[dict[str, Any]]:
    """Return the records of these requests' grants."""
    keys = [layout.grant_key(f"grt_{request.removeprefix('req_')}") for request in requests]
    seen = await store.records.read(keys)
    return [json.loads(seen.records[key].json) for key in keys]


def _identity(principal: str, scope: str) -> Identity:
    """Return who asks or reviews. The version of a key's record is checked in each commit, as it is for real."""
    return Identity(principal, frozenset({scope}), By(principal, "api-key", "bench"), "api", {"key:bench": 0})


# ---- figures


def at(values: Sequence[float], part: float) -> float:
    """Return the value below which that part of all values lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def took_ms(began: float) -> float:
    """Return the milliseconds since `began` (`time.perf_counter()`)."""
    return (time.perf_counter() - began) * 1000
