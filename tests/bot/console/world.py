"""Run the whole web process over a memory store, with a worker whose provider issues nothing but answers like AWS."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

from aiohttp import web

from approvers.action import Access, Action, Actor
from approvers.audit import By
from approvers.grant import ProofKind
from bot.app import DEPS, Deps, build_app
from bot.identity import Identity
from bot.reading import View
from bot.sessions import Sessions
from tests.worlds.texts import records_of
from workers.alerts import LogAlerts
from workers.config import load
from workers.leasing import advance
from workers.policies import apply
from workers.providers.dry_run import DryRunProvider
from workers.providers.port import Handle, ProofOutcome, Reading
from workers.stores.memory import MemoryStore, memory_store
from workers.stores.port import Store
from workers.tools import Tools

BUCKET = "arn:aws:s3:::customer-exports"
BOT = Identity("caller:report-bot", frozenset({"request"}), By("caller:report-bot", "api-key", "key_1"), "api")


class Refusing(DryRunProvider):
    """Issue nothing, and answer three probes as AWS does behind a Deny."""

    def verify(self, handle: Handle, kind: ProofKind) -> Reading:
        return Reading(ProofOutcome.PROVEN, 3, 3, datetime.now(UTC), f"AccessDenied three times for {handle.grant_id}")


@dataclass
class World:
    """One served console and what a test does beside it."""

    deps: Deps
    url: str
    asked: int = 0

    async def ask_high(self, **changes: object) -> View:
        """Ask where personal data is in play: the risk is high, so that it is read whole first."""
        return await self.ask(**{"data_classes": ("pii",), **changes})

    async def ask_two(self, **changes: object) -> View:
        """Ask for the write of one object: two people have to approve; the risk is medium."""
        one = f"{BUCKET}/2026/{self.asked + 1:02}/report.csv"
        put = Access(role="analytics", actions=("s3:PutObject",), resources=(one,))
        return await self.ask(**{"action": "s3:PutObject", "resource": one, "access": put, **changes})

    async def ask(self, **changes: object) -> View:
        """Ask as report-bot does, on behalf of dana."""
        self.asked += 1
        await asyncio.sleep(0.002)  # lists go by the millisecond of the ask: no two in the same one
        body: dict[str, object] = {
            "action": "s3:GetObject",
            "resource": f"{BUCKET}/2026/*",
            "environment": "prod",
            "reason": "Rebuild the weekly report, the job failed at 02:10",
            "ttl_seconds": 900,
            "ticket": "INC-42",
            "undo": "none needed, read only",
            "actor": Actor(id="agent:report-bot", on_behalf_of="user:dana", run=str(self.asked)),
            "access": Access(role="analytics", actions=("s3:GetObject",), resources=(f"{BUCKET}/2026/*",)),
        }
        body |= changes
        if "resource" not in changes:  # no two asks are alike, or they would fold into one
            body["resource"] = f"{BUCKET}/2026/{self.asked:02}/*"
            body["access"] = Access(role="analytics", actions=("s3:GetObject",), resources=(str(body["resource"]),))
        return await self.deps.desk.submit(BOT, Action(**body), f"key-{self.asked}")  # type: ignore[arg-type]

    async def link(self, person: str) -> str:
        """Make a sign-in link as an operator does."""
        token, _ = await Sessions(self.deps.store.records).invite(f"user:{person}", by="ops")
        return f"{self.url}/console/sign-in/{token}"

    async def lose(self, person: str, *, more: str = "") -> None:
        """Take a person out of the demo's roster and its groups; `more` is put in."""
        policy, roster = demo_files()
        roster = roster.replace(f'[person.{person}]\nemail = "{person}@example.com"', "")
        roster = roster.replace(f', "{person}"', "").replace(f'people = ["{person}"]', 'people = ["alex"]')
        await apply(self.deps.store.records, policy=policy, roster=roster + more, by="ops", why=f"{person} left")
        await self.deps.policies.refresh()

    async def records(self, subject: str) -> list[dict[str, Any]]:
        """Return all records of a subject."""
        return await records_of(self.deps.store, subject)

    async def kinds(self, subject: str) -> list[str]:
        """Return the kinds of all records of a subject."""
        return [one["type"] for one in await self.records(subject)]

    async def codes(self, subject: str) -> list[str]:
        """Return the codes of what was refused, in order."""
        return [one["data"]["code"] for one in await self.records(subject) if one["type"] == "review.refused"]


def tools(deps: Deps) -> Tools:
    """The worker's collaborators; nothing is sealed, for nothing is collected here."""
    return Tools(
        store=deps.store,
        policies=deps.policies,
        providers={"aws": Refusing()},
        seal=lambda _secret, _grant: b"sealed",
        alerts=LogAlerts(),
        lease=timedelta(seconds=5),
    )


async def work(deps: Deps) -> None:
    """Be the clock and the worker: carry out what is due."""
    due = deps.store.due
    while True:
        handout = await due.claim("worker", most=10, lease=timedelta(seconds=5))
        for item in handout.items:
            await advance(tools(deps), item)
        await due.wait("worker", min(handout.next_in, timedelta(seconds=0.2)))


def store_of(memory: MemoryStore) -> Store:
    """Bundle a memory store that a test has changed."""

    async def aclose() -> None: ...

    return Store(memory, memory, memory, memory, memory, aclose)


def demo_files() -> Iterator[str]:
    for name in ("policy.toml", "countersign.toml"):
        yield files("countersign.ops").joinpath("data/demo", name).read_text("utf-8")


@contextlib.asynccontextmanager
async def serve(
    store: Store | None = None, *, port: int = 0, more: str | None = "", **settings: str
) -> AsyncIterator[World]:
    """Serve on loopback until the block ends.

    `settings` are COUNTERSIGN_* names without the prefix, `more` stands in the roster besides the demo's; None: the
    rules stay as they are in the store.
    """
    store = store or memory_store()
    if more is not None:
        policy, roster = demo_files()
        await apply(store.records, policy=policy, roster=roster + more, by="ops", why="the demo's rules")
    environ = {"redis_url": "redis://127.0.0.1:1/0", "demo": "true", **settings}
    app = build_app(load({f"COUNTERSIGN_{name.upper()}": text for name, text in environ.items()}), store, LogAlerts())
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    worker = asyncio.create_task(work(app[DEPS]))
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        yield World(app[DEPS], f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        await runner.cleanup()
