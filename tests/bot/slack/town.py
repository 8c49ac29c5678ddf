"""Run the real web process with Slack over HTTP, on a memory store and the demo's rules, beside a strict Slack world.

The town's own clock can be pushed ahead. What Slack shows is waited for by the world, which wakes at every change.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from aiohttp import web

from approvers.action import Access, Action, Actor
from approvers.audit import By
from bot.app import DEPS, Deps, build_app
from bot.identity import Identity
from bot.reading import View
from countersign.ops.manifest import manifest
from tests.bot.console.world import BOT, BUCKET, demo_files, work
from tests.worlds.slack import Delivery, Message, SlackWorld
from tests.worlds.slack import View as Shown
from tests.worlds.texts import records_of
from workers.alerts import Alerts, LogAlerts
from workers.config import load
from workers.policies import apply
from workers.stores.memory import memory_store
from workers.stores.port import Records, Unavailable

T = TypeVar("T")
ACCOUNTS = {"dana": "U01", "robin": "U02", "alex": "U03", "kim": "U04", "bob": "U05"}
"""Who has which Slack account. Dana is the human behind the agent; bob is in no group; kim alone is on call."""
CHANNEL = "C01"
GUEST, NOBODY, OUTSIDER, GONE = "U91", "U92", "U93", "U94"
"""A guest, a member whom the roster does not name, somebody of another organisation, and a deactivated account."""
PATIENCE_SECONDS = 8.0
MORE = f"""
[person.bob]
email = "bob@example.com"
slack = "{ACCOUNTS["bob"]}"

[group.duty]
people = ["kim"]
oncall = true

[place.prod]
slack  = "{CHANNEL}"
groups = ["sre"]
"""


def rules() -> tuple[str, str]:
    """Return the demo's policy, and its roster with Slack accounts and a channel."""
    policy, roster = demo_files()
    for name, account in ACCOUNTS.items():
        roster = roster.replace(f'email = "{name}@example.com"', f'email = "{name}@example.com"\nslack = "{account}"')
    return policy, roster + MORE


class Door:
    """Stand before a store's records, and be shut: nothing then reaches them, or nothing is read."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._shut = ""

    def shut(self, what: str) -> None:
        """Let no `reads` through, or `everything`."""
        self._shut = what

    def open(self) -> None:
        self._shut = ""

    def __getattr__(self, name: str) -> Any:
        if self._shut == "everything" or (self._shut == "reads" and name == "read"):
            raise Unavailable("the door is shut")
        return getattr(self._records, name)


@dataclass
class SlackTown:
    """The web process, the Slack workspace beside it, and what a test does with both."""

    slack: SlackWorld
    settings: dict[str, str]
    ahead: timedelta = timedelta()
    asked: int = 0
    alerts: Alerts = field(default_factory=LogAlerts)
    _app: web.Application | None = None
    _runner: web.AppRunner | None = None
    _worker: asyncio.Task[None] | None = None
    _heard: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        inner = memory_store(lambda: datetime.now(UTC) + self.ahead)
        self.door = Door(inner.records)
        self.store = dataclasses.replace(inner, records=self.door)

    @property
    def deps(self) -> Deps:
        assert self._app is not None
        return self._app[DEPS]

    async def start(self, *, worker: bool = True) -> None:
        """Serve, and tell Slack where."""
        environ = {f"COUNTERSIGN_{name.upper()}": text for name, text in self.settings.items()}
        self._app = build_app(load(environ), self.store, self.alerts)
        self._runner = web.AppRunner(self._app, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.slack.connect(f"http://127.0.0.1:{self._runner.addresses[0][1]}/slack/events")
        self._worker = asyncio.create_task(work(self.deps)) if worker else None

    async def stop(self) -> None:
        """End the process; the store stays."""
        if self._worker:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        if self._runner:
            await self._runner.cleanup()

    async def restart(self) -> None:
        """Be another process over the same store."""
        await self.stop()
        await self.start()

    async def apply(self, policy: str | None = None, roster: str | None = None) -> None:
        """Change the rules, here and now."""
        await apply(self.store.records, policy=policy, roster=roster, by="ops", why="test")
        await self.deps.policies.refresh()

    async def ask(self, **changes: object) -> View:
        """Ask as report-bot does, on behalf of dana. One person of sre has to approve."""
        self.asked += 1
        body: dict[str, object] = {
            "action": "s3:GetObject",
            "resource": f"{BUCKET}/2026/{self.asked:02}/*",
            "environment": "prod",
            "reason": "Rebuild the weekly report, the job failed at 02:10",
            "ttl_seconds": 900,
            "actor": Actor(id="agent:report-bot", on_behalf_of="user:dana", run=str(self.asked)),
        }
        body |= changes
        if "access" not in changes:
            asked = str(body["action"]), str(body["resource"])
            body["access"] = Access(role="analytics", actions=(asked[0],), resources=(asked[1],))
        return await self.deps.desk.submit(BOT, Action(**body), f"key-{self.asked}")  # type: ignore[arg-type]

    async def ask_two(self, **changes: object) -> View:
        """Ask for the write of one object: two people of sre have to approve; the risk is medium."""
        exact = {"action": "s3:PutObject", "resource": f"{BUCKET}/2026/{self.asked + 1:02}/report.csv"}
        return await self.ask(**exact, ticket="INC-42", **changes)

    async def ask_high(self, **changes: object) -> View:
        """Ask where personal data is in play: one approval is enough, but the risk is high, so it is reviewed whole."""
        return await self.ask(data_classes=("pii",), **changes)

    def copies(self, view: View, channel: str = CHANNEL) -> list[Message]:
        """Return the cards of a request in a channel (no thread replies), oldest first."""
        return [one for one in self.slack.messages(channel) if view.request.id in json.dumps(one.blocks)]

    async def card(self, view: View, words: str = "", channel: str = CHANNEL) -> Message:
        """Return the card once it is there and says so."""

        def look() -> Message | None:
            found = self.copies(view, channel)
            return found[0] if found and words.lower() in found[0].visible_text().lower() else None

        return await self._seen(look, f"a card of {view.request.handle} with {words!r}")

    async def heard(self, person: str) -> str:
        """Return the next private line for a person (or account), in the channel or directly; a card is none."""
        account = ACCOUNTS.get(person, person)

        def look() -> str | None:
            lines = [one for one in self.slack.dms(account) if not one.buttons()]
            new = [*self.slack.ephemerals(account), *lines][self._heard.get(account, 0) :]
            return new[0].visible_text() if new else None

        text = await self._seen(look, f"a word to {person}")
        self._heard[account] = self._heard.get(account, 0) + 1
        return text

    async def dialog(self, person: str, callback: str) -> Shown:
        """Return the topmost dialog of a person once it is this one."""
        account = ACCOUNTS.get(person, person)

        def look() -> Shown | None:
            open_ = self.slack.views(account)
            return open_[-1] if open_ and open_[-1].callback_id == callback else None

        return await self._seen(look, f"{callback} for {person}")

    async def home(self, person: str, words: str) -> str:
        """Return what a person's Home says once it says so."""
        account = ACCOUNTS.get(person, person)

        def look() -> str | None:
            shown = self.slack.home(account)
            text = shown.visible_text() if shown else ""
            return text if words in text else None

        return await self._seen(look, f"a Home of {person} with {words!r}")

    async def _seen(self, look: Callable[[], T | None], what: str) -> T:
        found = await self.slack.until(look, PATIENCE_SECONDS, what)
        assert found is not None
        return found

    async def click(self, person: str, where: Message | Shown, action: str, **given: Any) -> Delivery:
        """Press a button as this person."""
        return await self.slack.click(ACCOUNTS.get(person, person), where, action, **given)

    async def records(self, view: View) -> list[dict[str, Any]]:
        """Return every record of a request."""
        return await records_of(self.store, view.request.id)

    async def kinds(self, view: View) -> list[str]:
        return [record["type"] for record in await self.records(view)]

    async def refusals(self, view: View) -> list[str]:
        """Return the codes of what was refused, in order."""
        return [one["data"]["code"] for one in await self.records(view) if one["type"] == "review.refused"]

    async def now(self, view: View) -> View:
        return await self.deps.reader.look(view.request.id)


def person(name: str) -> Identity:
    """Return somebody as the API knows them."""
    return Identity(f"user:{name}", frozenset({"review"}), By(f"user:{name}", "api-key", name), "api")


@contextlib.asynccontextmanager
async def open_town(**settings: str) -> AsyncIterator[SlackTown]:
    """Open a town with a card channel that all of the roster are in."""
    async with SlackWorld.open(manifest=manifest(None, match_email=True)) as slack:
        for name, account in ACCOUNTS.items():
            slack.add_user(account, name=name, email=f"{name}@example.com")
        slack.add_user(GUEST, name="guest", email="guest@example.net", is_restricted=True)
        slack.add_user(NOBODY, name="newcomer", email="newcomer@example.com")
        slack.add_user(OUTSIDER, name="vendor", email="vendor@example.org", team_id="T99")
        slack.add_user(GONE, name="gone", email="gone@example.com", deleted=True)
        slack.add_channel(CHANNEL, members=[*ACCOUNTS.values(), GUEST, NOBODY, OUTSIDER, GONE])
        environ = {
            "redis_url": "redis://127.0.0.1:1/0",
            "demo": "true",
            "slack_bot_token": slack.bot_token,
            "slack_signing_secret": slack.signing_secret,
            "slack_api_url": slack.api_url,
            **settings,
        }
        town = SlackTown(slack, environ)
        policy, roster = rules()
        await apply(town.store.records, policy=policy, roster=roster, by="ops", why="the demo's rules")
        await town.start()
        try:
            yield town
        finally:
            await town.stop()
