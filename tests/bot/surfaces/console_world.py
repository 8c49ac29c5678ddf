"""Be the people and the world of the contract suite in the console: signed in, over HTTP, by the forms of its pages.

Nothing is typed here: for `list` and `active` people look at the list, for `show`, `why` and `audit` at a request's
page, for `revoke` they press the button; the words are those that the page says there. What others push, they load. The
platform is the web process itself: while it is unreachable, another process over the same store takes asks. A stranger
is somebody who signed in and whom the roster has lost since. A guest is anybody at the door: not signed in, so that
nothing of what they send is proven, and nothing of it is put on record.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import aiohttp

from bot.deps import make_deps
from tests.bot.console.conftest import Visitor
from tests.bot.console.world import World, demo_files, serve
from tests.bot.surfaces import glass
from tests.bot.surfaces.console_pages import Part
from tests.bot.surfaces.driver import Driver
from tests.worlds.texts import records_of
from workers.alerts import LogAlerts
from workers.policies import apply
from workers.stores.memory import memory_store

PEOPLE = ("dana", "robin", "alex", "kim", "bob")
MORE = '[person.bob]\nemail = "bob@example.com"\n'
LOST = '[person.stranger]\nemail = "stranger@example.com"\n'
LIST = "/console/"
Screen = dict[str, Part]
"""The list as each person had it before them: forms belong to whom they were sent to."""


class ConsoleTown:
    """The web process, and everybody's browser."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        self.store = memory_store(lambda: datetime.now(UTC) + self.ahead)
        self.visitors: dict[str, Visitor] = {}
        self.tokens: dict[str, str] = {}
        self._port = 0
        self._process = contextlib.AsyncExitStack()
        self.asking: World
        """Another process over the same store, which takes asks whether the console is reachable or not."""

    async def start(self, more: str | None = None) -> World:
        """Serve, always at the same address."""
        world = await self._process.enter_async_context(serve(self.store, port=self._port, more=more))
        self._port = int(world.url.rpartition(":")[2])
        return world

    async def open(self) -> None:
        """Serve, let everybody sign in, and take the stranger out of the roster."""
        world = await self.start(MORE + LOST)
        for name in (*PEOPLE, "stranger", "guest"):
            self.visitors[name] = Visitor(_browser(world.url), world.url)
            if name != "guest":
                await self.visitors[name].be(name)
        self.tokens["stranger"] = await self.visitors["stranger"].field("form_token")
        policy, roster = demo_files()
        await apply(self.store.records, policy=policy, roster=roster + MORE, by="ops", why="they left")
        await world.deps.policies.refresh()
        beside = make_deps(world.deps.settings, self.store, LogAlerts())
        await beside.policies.refresh()
        self.asking = World(beside, "")

    async def stop(self) -> None:
        await self._process.aclose()

    async def close(self) -> None:
        for visitor in self.visitors.values():
            await visitor.http.close()
        await self.stop()


class ConsoleDriver:
    """People at the console."""

    def __init__(self, town: ConsoleTown) -> None:
        self._town = town

    async def ask(self, kind: str = "one", **changes: object) -> str:
        world = self._town.asking
        ways = {"one": world.ask, "two": world.ask_two, "high": world.ask_high}
        return (await ways[kind](**changes)).request.id

    async def screen(self, request: str) -> Screen:
        screen = {who: await self._card(who, request) for who in PEOPLE}
        assert all(part.found for part in screen.values())
        return screen

    def forged(self, screen: Screen) -> Screen:
        other = copy.deepcopy(screen)
        for part in other.values():
            for form in part.forms:
                form.fields["shown"] = "0" * 32
        return other

    async def approve(self, who: str, request: str, screen: Screen | None = None) -> str:
        card = await self._before(who, request, screen)
        if review := _review(card):
            card = await self._load(who, review, id=f"card-{request}")
        return await self._send(who, card, "/review", verdict="approve")

    async def deny(self, who: str, request: str, reason: str = "", screen: Screen | None = None) -> str:
        card = await self._before(who, request, screen)
        return await self._send(who, card, "/review", {"reason": reason}, verdict="deny", preset="")

    async def revoke(self, who: str, request: str) -> list[str]:
        first = await self._send(who, await self._before(who, request, None), "/revoke")
        if "You revoked" not in first:
            return [first]
        return [first, await self._seen(who, request, "refused 3 of 3 probes")]

    async def take(self) -> str:
        return await glass.take(self._town.asking.deps)

    async def found(self, who: str, request: str, verdict: str, reason: str = "") -> str:
        card = await self._before(who, request, None)
        return await self._send(who, card, "/after-review", {"reason": reason}, verdict=verdict)

    async def reads(self, request: str, *words: str) -> str:
        return await self._seen("kim", request, *words)

    async def offers(self, request: str) -> set[str]:
        return _offers(await self._card("kim", request))

    async def whole(self, who: str, request: str) -> str:
        return (await self._load(who, f"/console/requests/{request}", id=f"card-{request}")).text

    async def parsed(self, request: str) -> str:
        return "\n".join((await self._card("kim", request)).markup)

    async def command(self, who: str, text: str) -> str:
        word, _, request = text.partition(" ")
        if word == "revoke":
            return (await self.revoke(who, request))[0]
        places = {
            "list": (LIST, {"aria-labelledby": "h-waiting"}),
            "active": (LIST, {"aria-labelledby": "h-live"}),
            "show": (f"/console/requests/{request}", {"id": f"card-{request}"}),
            "why": (f"/console/requests/{request}", {"aria-labelledby": "h-ruling"}),
            "audit": (f"/console/requests/{request}", {"aria-labelledby": "h-timeline"}),
        }
        path, wanted = places[word]
        status, page = await self._town.visitors[who].get(path)
        part = Part(page, **(wanted if status == 200 else {"id": "main"}))
        assert part.found
        return part.text

    async def _load(self, who: str, path: str, **wanted: str) -> Part:
        _, page = await self._town.visitors[who].get(path)
        return Part(page, **wanted)

    async def _card(self, who: str, request: str) -> Part:
        return await self._load(who, LIST, id=f"card-{request}")

    async def _before(self, who: str, request: str, screen: Screen | None) -> Part:
        """Return the card that this person acts on. Whom no page shows one sends what they know of robin's."""
        if screen is not None:
            return screen[who]
        if who in PEOPLE:
            return await self._card(who, request)
        card = await self._card("robin", request)
        for form in card.forms:
            form.fields["form_token"] = self._town.tokens.get(who, "")
        return card

    async def _send(
        self, who: str, card: Part, place: str, typed: dict[str, str] | None = None, **wanted: str
    ) -> str:  # fmt: skip
        """Press, and return what this person is told: on the page that comes, beside the card."""
        form = card.form(place, **wanted)
        sent = {**form.fields, **(typed or {}), **wanted}
        status, page = await self._town.visitors[who].post(form.action, **sent)
        told = Part(page, **({"data-note": ""} if status == 200 else {"id": "main"}))
        assert told.found, (status, page)
        return told.text

    async def _seen(self, who: str, request: str, *words: str) -> str:
        give_up = time.monotonic() + 8
        while time.monotonic() < give_up:
            card = await self._card(who, request)
            if card.found and all(word.lower() in card.text.lower() for word in words):
                return card.text
            await asyncio.sleep(0.01)
        raise AssertionError(f"the card of {request} never said {words}; last: {card.text}")


class ConsoleContract:
    """The console, with what surrounds it."""

    name = "console"

    def __init__(self, town: ConsoleTown) -> None:
        self._town = town
        self.driver: Driver = ConsoleDriver(town)

    async def state(self, request: str) -> str:
        return (await self._town.asking.deps.reader.look(request)).request.state

    async def refusals(self, request: str) -> list[str]:
        records = await records_of(self._town.store, request)
        return [one["data"]["code"] for one in records if one["type"] == "review.refused"]

    async def reasons(self, request: str) -> list[str]:
        return [one.reason for one in (await self._town.asking.deps.reader.look(request)).request.reviews]

    async def copies(self, request: str) -> int:
        try:
            _, page = await self._town.visitors["kim"].get(LIST)
        except aiohttp.ClientConnectionError:
            return 0
        return page.count(f'id="card-{request}"')

    async def pass_minutes(self, minutes: int) -> None:
        self._town.ahead += timedelta(minutes=minutes)

    async def restart(self) -> None:
        await self._town.stop()
        await self._town.start()

    async def cut(self) -> None:
        await self._town.stop()

    async def mend(self) -> None:
        await self._town.start()


@contextlib.asynccontextmanager
async def open_console() -> AsyncIterator[ConsoleContract]:
    """Open a town, and hand out its people."""
    town = ConsoleTown()
    try:
        await town.open()
        yield ConsoleContract(town)
    finally:
        await town.close()


def _browser(url: str) -> aiohttp.ClientSession:
    """Return a browser that keeps no connection: the server may be another one at the next look."""
    jar, connector = aiohttp.CookieJar(unsafe=True), aiohttp.TCPConnector(force_close=True)
    return aiohttp.ClientSession(url, cookie_jar=jar, connector=connector)


def _offers(card: Part) -> set[str]:
    found = {verdict for verdict in ("approve", "deny") for form in card.forms if form.can_send(verdict=verdict)}
    if any(form.action.endswith("/revoke") for form in card.forms):
        found.add("revoke")
    return found | ({"review"} if _review(card) else set())


def _review(card: Part) -> str | None:
    """Return where Review leads, if the card has it."""
    return next((place for words, place in card.links.items() if words.startswith("Review")), None)
