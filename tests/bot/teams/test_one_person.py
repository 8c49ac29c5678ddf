"""Whoever answers in Slack, in Teams, in the console and over the API is one reviewer, and has one vote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from bot.commits import Click
from bot.reading import View
from countersign.ops.manifest import manifest
from tests.bot.console.conftest import Visitor
from tests.bot.slack.town import ACCOUNTS
from tests.bot.slack.town import CHANNEL as SLACK_CHANNEL
from tests.bot.teams.town import PEOPLE, TeamsTown, open_town, person, rules
from tests.worlds.slack import Message, SlackWorld


@dataclass
class Both:
    """One web process that people reach from Slack, from Teams, and with a browser."""

    slack: SlackWorld
    town: TeamsTown

    async def card(self, view: View, words: str = "") -> Message:
        """Return Slack's card once it says so."""

        def look() -> Message | None:
            found = [one for one in self.slack.messages(SLACK_CHANNEL) if view.request.id in str(one.blocks)]
            return found[0] if found and words in found[0].visible_text() else None

        card = await self.slack.until(look, 30.0, f"{words!r} in Slack")
        assert card is not None
        return card

    async def in_console(self, name: str, view: View, verdict: str) -> str:
        """Answer on the request's page, and return the page."""
        async with aiohttp.ClientSession(self.town.origin, cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            visitor = Visitor(http, self.town.origin)
            await visitor.be(name)
            return (await visitor.review(view.request.id, verdict))[1]


def roster() -> str:
    """Return the roster with everybody's accounts on both platforms, and a place on both."""
    text = rules()[1].replace("[place.prod]", f'[place.prod]\nslack = "{SLACK_CHANNEL}"')
    for name in PEOPLE:
        text = text.replace(f"[person.{name}]", f'[person.{name}]\nslack = "{ACCOUNTS[name]}"')
    return text


@pytest.fixture
async def both() -> AsyncIterator[Both]:
    async with SlackWorld.open(manifest=manifest(None, match_email=True)) as slack:
        for name, account in ACCOUNTS.items():
            slack.add_user(account, name=name, email=f"{name}@example.com")
        slack.add_channel(SLACK_CHANNEL, members=list(ACCOUNTS.values()))
        keys = {"bot_token": slack.bot_token, "signing_secret": slack.signing_secret, "api_url": slack.api_url}
        async with open_town(**{f"slack_{name}": text for name, text in keys.items()}) as town:
            await town.apply(roster=roster())
            slack.connect(f"{town.origin}/slack/events")
            yield Both(slack, town)


async def test_one_person_votes_once_wherever_they_answer(both: Both) -> None:
    town = both.town
    view = await town.ask_two()
    card, there = await town.card(view), await both.card(view)
    assert "1 of 2" in await town.press("robin", card, "approve")
    assert (await both.slack.click(ACCOUNTS["robin"], there, "cs_approve")).ok
    assert "You have answered" in await both.in_console("robin", view, "approve")
    with pytest.raises(Exception, match="answered"):
        await town.deps.desk.review(Click(person("robin"), view.request.id, "approve"))
    assert await town.refusals(view) == ["already_reviewed"] * 3
    assert (await town.now(view)).request.state == "PENDING"
    assert (await both.slack.click(ACCOUNTS["alex"], await both.card(view, "1 of 2"), "cs_approve")).ok
    assert (await town.now(view)).request.state == "APPROVED"
    assert [one.reviewer for one in (await town.now(view)).request.reviews] == ["user:robin", "user:alex"]
    await town.card(view, "approved by robin")
    assert "alex" in (await both.card(view, "Live")).visible_text()


async def test_clicks_of_one_person_that_cross_are_one_vote(both: Both) -> None:
    town = both.town
    view = await town.ask_two()
    card, there = await town.card(view), await both.card(view)
    await asyncio.gather(town.press("robin", card, "approve"), both.slack.click(ACCOUNTS["robin"], there, "cs_approve"))
    assert (await town.kinds(view)).count("review.recorded") == 1
    assert await town.refusals(view) == ["already_reviewed"]


async def test_clicks_of_two_people_that_cross_decide_once_and_both_platforms_show_it(both: Both) -> None:
    town = both.town
    view = await town.ask()
    card, there = await town.card(view), await both.card(view)
    await asyncio.gather(town.press("robin", card, "deny"), both.slack.click(ACCOUNTS["alex"], there, "cs_deny"))
    assert (await town.kinds(view)).count("review.recorded") == 1
    assert await town.refusals(view) == ["already_decided"]
    await town.card(view, "denied")
    await both.card(view, "Denied")


async def test_four_eyes_hold_across_platforms(both: Both) -> None:
    view = await both.town.ask()
    assert "the human behind this agent" in await both.town.press("dana", await both.town.card(view), "approve")
    await both.slack.click(ACCOUNTS["dana"], await both.card(view), "cs_approve")
    assert await both.town.refusals(view) == ["four_eyes", "four_eyes"]
