"""Be the people and the world of the contract suite in Teams: over HTTP, proven, through the strict Teams world."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
from yarl import URL

from tests.bot.console.conftest import Visitor
from tests.bot.surfaces import glass
from tests.bot.surfaces.console_pages import Part
from tests.bot.surfaces.driver import Driver
from tests.bot.teams.town import CHANNEL, TeamsTown, button, open_town, verbs
from tests.worlds.teams import Message

OFFERED = {"approve", "review", "deny", "revoke"}


class TeamsDriver:
    """People in Teams. What Teams leads to the console for, they do there."""

    def __init__(self, town: TeamsTown) -> None:
        self._town, self._teams = town, town.teams

    async def ask(self, kind: str = "one", **changes: object) -> str:
        town = self._town
        ways = {"one": town.ask, "two": town.ask_two, "high": town.ask_high}
        return (await ways[kind](**changes)).request.id

    async def screen(self, request: str) -> Message:
        return (await self._town.seen(lambda: self._found(request), f"a card of {request}"))[0]

    def forged(self, screen: Message) -> Message:
        shown = button(screen, "deny").data["shown"]
        return dataclasses.replace(screen, card=json.loads(json.dumps(screen.card).replace(shown, "0" * 32)))

    async def approve(self, who: str, request: str, screen: Any = None) -> str:
        card = screen or await self.screen(request)
        if "approve" in verbs(card):
            return await self._town.press(who, card, "approve")
        return await self._reviewed(who, request)

    async def deny(self, who: str, request: str, reason: str = "", screen: Any = None) -> str:
        card = screen or await self.screen(request)
        if not reason:
            return await self._town.press(who, card, "deny")
        return await self._town.press(who, card, "deny_why", inputs={"words": reason})

    async def revoke(self, who: str, request: str) -> list[str]:
        first = await self._town.press(who, await self.screen(request), "revoke")
        return [first, await self._town.line(who, "probes")] if "You revoked" in first else [first]

    async def take(self) -> str:
        return await glass.take(self._town.deps)

    async def found(self, who: str, request: str, verdict: str, reason: str = "") -> str:
        given = {"inputs": {"words": reason}} if reason else {}
        return await self._town.press(who, await self.screen(request), verdict, **given)

    async def reads(self, request: str, *words: str) -> str:
        def look() -> str | None:
            texts = [one.visible_text() for one in self._found(request)]
            said = all(word.lower() in text.lower() for text in texts for word in words)
            return "\n".join(texts) if texts and said else None

        return await self._town.seen(look, f"cards of {request} with {words}")

    async def offers(self, request: str) -> set[str]:
        return verbs(await self.screen(request)) & OFFERED

    async def whole(self, who: str, request: str) -> str:
        async with self._console(who, request) as (_, part):
            return part.text

    async def parsed(self, request: str) -> str:
        """Return what Teams acts on; the times are ours."""
        found = (await self.screen(request)).live_markup()
        return "\n".join(one for one in found if not one.startswith("{{TIME("))

    async def command(self, who: str, text: str) -> str:
        told = len(self._teams.chat(who))
        assert (await self._teams.say(who, CHANNEL, text)).ok
        return (await self._teams.wait_for_chat(who, told + 1)).visible_text()

    def _found(self, request: str) -> list[Message]:
        return [one for one in self._teams.cards(CHANNEL) if request in json.dumps(one.card)]

    async def _reviewed(self, who: str, request: str) -> str:
        """Approve on the console's page; return what that says."""
        async with self._console(who, request) as (visitor, part):
            form = part.form("/review", verdict="approve")
            _, page = await visitor.post(form.action, **form.fields, verdict="approve")
            return Part(page, **{"data-note": ""}).text

    @contextlib.asynccontextmanager
    async def _console(self, who: str, request: str) -> AsyncIterator[tuple[Visitor, Part]]:
        """Follow the card's Review, signed in."""
        review = next(one for one in (await self.screen(request)).actions() if one.title == "Review")
        origin = self._town.origin
        async with aiohttp.ClientSession(origin, cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            visitor = Visitor(http, origin)
            await visitor.be(who)
            _, page = await visitor.get(URL(review.url or "").raw_path)
            yield visitor, Part(page, id=f"card-{request}")


class TeamsContract:
    """Teams, with what surrounds it."""

    name = "teams"

    def __init__(self, town: TeamsTown) -> None:
        self._town = town
        self._driver = TeamsDriver(town)
        self.driver: Driver = self._driver

    async def state(self, request: str) -> str:
        return (await self._town.deps.reader.look(request)).request.state

    async def refusals(self, request: str) -> list[str]:
        return await self._town.refusals(await self._town.deps.reader.look(request))

    async def reasons(self, request: str) -> list[str]:
        return [one.reason for one in (await self._town.deps.reader.look(request)).request.reviews]

    async def copies(self, request: str) -> int:
        return len(self._driver._found(request))

    async def pass_minutes(self, minutes: int) -> None:
        self._town.ahead += timedelta(minutes=minutes)

    async def restart(self) -> None:
        await self._town.restart()

    async def cut(self) -> None:
        self._town.teams.faults.down()

    async def mend(self) -> None:
        self._town.teams.faults.up()


@contextlib.asynccontextmanager
async def open_teams() -> AsyncIterator[TeamsContract]:
    """Open a town, and hand out its people."""
    async with open_town() as town:
        yield TeamsContract(town)
