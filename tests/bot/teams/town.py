"""Run the real web process with Teams over HTTP, on a memory store and the demo's rules, beside a strict Teams world.

The town's own clock can be pushed ahead. What Teams shows is waited for by the world, which wakes at every change.
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
from bot.app import DEPS, Deps, build_app
from bot.postings import Postings
from bot.reading import View
from bot.surfaces.teams_auth import Connector, GuardedConnectors
from bot.surfaces.teams_parts import TeamsParts
from bot.surfaces.teams_people import People
from bot.surfaces.teams_proof import served_by
from bot.surfaces.teams_routes import Routes
from bot.surfaces.teams_tokens import ClientSecret, TokenCache
from bot.tasks import Tasks
from tests.bot.console.world import BOT, BUCKET, demo_files, work
from tests.bot.slack.town import Door, person
from tests.worlds.teams import Button, Delivery, Message, Private, TeamsWorld
from tests.worlds.teams.state import OTHER_TENANT, TENANT, object_id
from tests.worlds.texts import records_of
from workers.alerts import Alerts, LogAlerts
from workers.config import load
from workers.policies import apply
from workers.stores.memory import memory_store

__all__ = ["CHANNEL", "PEOPLE", "TeamsTown", "open_town", "person", "rules"]

T = TypeVar("T")
PEOPLE = ("dana", "robin", "alex", "kim", "bob")
"""Dana is the human behind the agent; bob is in no group; kim alone is on call."""
CHANNEL = "19:prod@thread.tacv2"
GUEST, ANONYMOUS, NOBODY, OUTSIDER = "guest", "anonymous", "stranger", "outsider"
"""A guest, somebody without an account, a member whom the roster does not name, and robin's object id elsewhere."""
PATIENCE_SECONDS = 8.0
MORE = """
[person.bob]
email = "bob@example.com"

[group.duty]
people = ["kim"]
oncall = true

[place.prod]
teams  = "%s"
groups = ["sre"]
"""


def account(name: str) -> str:
    """Return how countersign.toml names somebody's account."""
    return f"{TENANT}:{object_id(name)}"


def rules() -> tuple[str, str]:
    """Return the demo's policy, and its roster with Teams accounts and a channel."""
    policy, roster = demo_files()
    roster += MORE % CHANNEL
    for name in PEOPLE:
        roster = roster.replace(
            f'email = "{name}@example.com"', f'email = "{name}@example.com"\nteams = "{account(name)}"'
        )
    return policy, roster


@dataclass
class TeamsTown:
    """The web process, the tenant beside it, and what a test does with both."""

    teams: TeamsWorld
    settings: dict[str, str]
    ahead: timedelta = timedelta()
    asked: int = 0
    alerts: Alerts = field(default_factory=LogAlerts)
    _app: web.Application | None = None
    _runner: web.AppRunner | None = None
    _worker: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        inner = memory_store(lambda: datetime.now(UTC) + self.ahead)
        self.door = Door(inner.records)
        self.store = dataclasses.replace(inner, records=self.door)

    @property
    def deps(self) -> Deps:
        assert self._app is not None
        return self._app[DEPS]

    @property
    def origin(self) -> str:
        """Return where the web process is reached, whatever address its links name."""
        assert self._runner is not None
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def start(self, *, worker: bool = True) -> None:
        """Serve, and tell Teams where."""
        self._app = build_app(load(self.settings), self.store, self.alerts)
        self._runner = web.AppRunner(self._app, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.teams.connect(f"{self.origin}/api/messages")
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
        """Return the cards of a request in a channel, oldest first."""
        return [one for one in self.teams.messages(channel) if one.card and view.request.id in json.dumps(one.card)]

    async def card(self, view: View, words: str = "", channel: str = CHANNEL) -> Message:
        """Return the card, as everybody sees it, once it is there and says so."""

        def look() -> Message | None:
            found = self.copies(view, channel)
            return found[0] if found and words.lower() in found[0].visible_text().lower() else None

        return await self.seen(look, f"a card of {view.request.handle} with {words!r}")

    async def line(self, name: str, words: str) -> str:
        """Return what somebody's own chat with us says once one of our messages there says this."""

        def look() -> str | None:
            found = [one.visible_text() for one in self.teams.chat(name) if one.ours]
            return next((text for text in found if words in text), None)

        return await self.seen(look, f"{words!r} for {name}")

    async def seen(self, look: Callable[[], T | None], what: str) -> T:
        found = await self.teams.until(look, PATIENCE_SECONDS, what)
        assert found is not None
        return found

    async def press(self, name: str, where: Message | Private, verb: str, **given: Any) -> str:
        """Press a button, and return what this person alone then reads: a toast, or the card with words above it."""
        delivery = await self.teams.click(name, where, verb, **given)
        assert delivery.ok, delivery
        return read(delivery)

    def replies_of(self, name: str) -> list[Message]:
        """Return what we wrote under what this person wrote in the channel."""
        written = [one for one in self.teams.messages(CHANNEL) if one.by == name]
        return [reply for one in written for reply in self.teams.replies(one)]

    @contextlib.asynccontextmanager
    async def parts(self) -> AsyncIterator[TeamsParts]:
        """Give what listeners get, beside those of the process."""
        deps, settings = self.deps, self.deps.settings
        assert settings.teams_app_id and settings.teams_app_secret and settings.teams_token_url
        secret = settings.teams_app_secret.get_secret_value()
        tokens = TokenCache(ClientSecret(settings.teams_app_id, secret, settings.teams_token_url))
        connectors = GuardedConnectors(tokens, served_by(settings.teams_service_hosts))
        api, routes = Connector(connectors), Routes(self.store.records)
        people = People(api, deps.policies, settings.tenants)
        postings = Postings(self.store, deps.policies, deps.reader, {}, deps.alerts)
        parts = TeamsParts(deps, api, people, routes, postings, Tasks())
        try:
            yield parts
        finally:
            await parts.tasks.aclose()
            await asyncio.gather(tokens.aclose(), connectors.aclose())

    async def records(self, view: View) -> list[dict[str, Any]]:
        """Return every record of a request."""
        return await records_of(self.store, view.request.id)

    async def copies_kept(self, view: View) -> list[dict[str, Any]]:
        """Return the copies of a card as the ledger has them."""
        key = f"cards:{view.request.id}"
        copies: list[dict[str, Any]] = json.loads((await self.store.records.read([key])).records[key].json)["copies"]
        return copies

    async def kinds(self, view: View) -> list[str]:
        return [record["type"] for record in await self.records(view)]

    async def refusals(self, view: View) -> list[str]:
        """Return the codes of what was refused, in order."""
        return [one["data"]["code"] for one in await self.records(view) if one["type"] == "review.refused"]

    async def now(self, view: View) -> View:
        return await self.deps.reader.look(view.request.id)


def read(delivery: Delivery) -> str:
    """Return what the answer to a click shows."""
    shown = Private(card=delivery.card) if delivery.card else Private(text=delivery.toast or "", text_format="plain")
    return shown.visible_text()


def verbs(shown: Message | Private) -> set[str]:
    """Return the verbs of a card's buttons, and `review` for the link that opens the console."""
    found = {one.verb for one in shown.actions() if one.verb}
    return found | {"review" for one in shown.actions() if one.title == "Review"}


def button(shown: Message | Private, verb: str) -> Button:
    """Return the button with this verb."""
    return next(one for one in shown.actions() if one.verb == verb)


@contextlib.asynccontextmanager
async def open_town(**settings: str) -> AsyncIterator[TeamsTown]:
    """Open a town with a card channel that everybody is in."""
    async with TeamsWorld.open() as teams:
        for name in PEOPLE:
            teams.add_person(name)
        teams.add_person(NOBODY)
        teams.add_person(GUEST, role="guest")
        teams.add_person(ANONYMOUS, role="anonymous", object_id=None)
        teams.add_person(OUTSIDER, tenant=OTHER_TENANT, hosted=True, object_id=object_id("robin"))
        everybody = [*PEOPLE, NOBODY, GUEST, ANONYMOUS, OUTSIDER]
        teams.add_channel(CHANNEL, members=everybody)
        environ = {
            "COUNTERSIGN_REDIS_URL": "redis://127.0.0.1:1/0",
            "COUNTERSIGN_DEMO": "true",
            **teams.settings(),
            **{f"COUNTERSIGN_{name.upper()}": text for name, text in settings.items()},
        }
        town = TeamsTown(teams, environ)
        policy, roster = rules()
        await apply(town.store.records, policy=policy, roster=roster, by="ops", why="the demo's rules")
        for name in [*PEOPLE, NOBODY, GUEST]:
            await teams.install(name)  # by an admin, for everybody: the app is told of none
        await town.start()
        await teams.install(CHANNEL)
        try:
            yield town
        finally:
            await town.stop()
