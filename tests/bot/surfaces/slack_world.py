"""Be the people and the world of the contract suite in Slack: over HTTP, signed, through the strict Slack world."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

from tests.bot.slack.town import ACCOUNTS, CHANNEL, GUEST, NOBODY, SlackTown, open_town
from tests.bot.surfaces import glass
from tests.bot.surfaces.driver import Driver
from tests.worlds.slack import Message, View

VERBS = {"cs_approve": "approve", "cs_review": "review", "cs_deny": "deny", "cs_revoke": "revoke"}
PEOPLE = {**ACCOUNTS, "guest": GUEST, "stranger": NOBODY}


class SlackDriver:
    """People in Slack."""

    def __init__(self, town: SlackTown) -> None:
        self._town, self._slack = town, town.slack

    async def ask(self, kind: str = "one", **changes: object) -> str:
        town = self._town
        ways = {"one": town.ask, "two": town.ask_two, "high": town.ask_high}
        return (await ways[kind](**changes)).request.id

    async def screen(self, request: str) -> Message:
        return (await self._cards(request))[0]

    def forged(self, screen: Message) -> Message:
        carried = screen.button("cs_deny").value
        blocks = json.loads(json.dumps(screen.blocks).replace(carried.split(".")[1], "0" * 32))
        return dataclasses.replace(screen, blocks=tuple(blocks))

    async def approve(self, who: str, request: str, screen: Any = None) -> str:
        card = screen or await self.screen(request)
        if "cs_approve" in {one.action_id for one in card.buttons()}:
            return await self._click(who, card, "cs_approve")
        return await self._click(who, await self._review(who, card), "cs_approve")

    async def deny(self, who: str, request: str, reason: str = "", screen: Any = None) -> str:
        card = screen or await self.screen(request)
        if not reason:
            return await self._click(who, card, "cs_deny")
        account = PEOPLE[who]
        await self._slack.choose(account, card, "cs_deny_why", f"words.{card.button('cs_deny').value}")
        form = await self._town.dialog(account, "cs_deny_view")
        await self._slack.submit(account, form, {"words": {"words": reason}})
        return (await self._town.dialog(account, "cs_notice_view")).visible_text()

    async def revoke(self, who: str, request: str) -> list[str]:
        first = await self._click(who, await self.screen(request), "cs_revoke")
        return [first, await self._town.heard(PEOPLE[who])] if "You revoked" in first else [first]

    async def take(self) -> str:
        return await glass.take(self._town.deps)

    async def found(self, who: str, request: str, verdict: str, reason: str = "") -> str:
        card = await self.screen(request)
        if verdict == "justified":
            return await self._click(who, card, "cs_justified")
        await self._slack.click(PEOPLE[who], card, "cs_unjustified")
        form = await self._town.dialog(PEOPLE[who], "cs_unjustified_view")
        await self._slack.submit(PEOPLE[who], form, {"words": {"words": reason}})
        return (await self._town.dialog(PEOPLE[who], "cs_notice_view")).visible_text()

    async def reads(self, request: str, *words: str) -> str:
        def look() -> str | None:
            texts = [one.visible_text() for one in self._found(request)]
            said = all(word.lower() in text.lower() for text in texts for word in words)
            return "\n".join(texts) if texts and said else None

        found = await self._slack.until(look, 30, f"cards of {request} with {words}")
        assert found is not None
        return found

    async def offers(self, request: str) -> set[str]:
        buttons = (await self.screen(request)).buttons()
        return {VERBS[one.action_id] for one in buttons if one.action_id in VERBS}

    async def whole(self, who: str, request: str) -> str:
        return (await self._review(who, await self.screen(request))).visible_text()

    async def parsed(self, request: str) -> str:
        card = await self.screen(request)
        return "\n".join([card.text, *_mrkdwn(card.blocks)])

    async def command(self, who: str, text: str) -> str:
        delivery = await self._slack.command(PEOPLE[who], "/countersign", text, channel=CHANNEL)
        assert delivery.ok
        return await self._town.heard(PEOPLE[who])

    def _found(self, request: str) -> list[Message]:
        return [one for one in self._slack.messages(CHANNEL) if request in json.dumps(one.blocks)]

    async def _cards(self, request: str) -> list[Message]:
        return await self._slack.until(lambda: self._found(request), 8, f"a card of {request}")

    async def _review(self, who: str, card: Message) -> View:
        await self._slack.click(PEOPLE[who], card, "cs_review")
        return await self._town.dialog(PEOPLE[who], "cs_review_view")

    async def _click(self, who: str, where: Message | View, action: str) -> str:
        """Press, and return what this person is told: beside the message, or in the dialog."""
        delivery = await self._slack.click(PEOPLE[who], where, action)
        assert delivery.ok, delivery
        if isinstance(where, Message):
            return await self._town.heard(PEOPLE[who])
        return (await self._town.dialog(PEOPLE[who], "cs_notice_view")).visible_text()


class SlackContract:
    """Slack, with what surrounds it."""

    name = "slack"

    def __init__(self, town: SlackTown) -> None:
        self._town = town
        self._driver = SlackDriver(town)
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
        self._town.slack.faults.down()

    async def mend(self) -> None:
        self._town.slack.faults.up()


@contextlib.asynccontextmanager
async def open_slack() -> AsyncIterator[SlackContract]:
    """Open a town, and hand out its people."""
    async with open_town() as town:
        yield SlackContract(town)


def _mrkdwn(part: Any) -> Iterator[str]:
    """Yield every text that Slack parses: mrkdwn objects, and whatever an element of rich text does besides text."""
    if isinstance(part, dict):
        if part.get("type") == "mrkdwn":
            yield part["text"]
        elif part.get("type") in ("link", "user", "usergroup", "channel", "broadcast"):
            yield json.dumps(part)
        for value in part.values():
            yield from _mrkdwn(value)
    elif isinstance(part, (list, tuple)):
        for value in part:
            yield from _mrkdwn(value)
