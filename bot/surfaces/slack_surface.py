"""Be the surface `slack`: post cards, edit them, answer in their threads, and tell one person something."""

from __future__ import annotations

import logging
from typing import Any

from approvers.card import Card
from bot.digest import Digest
from bot.surfaces import slack_blocks, slack_digest, slack_text
from bot.surfaces.port import MessageRef, OutcomeUnknown
from bot.surfaces.slack_api import Json, SlackApi
from bot.surfaces.slack_channels import Channels, Pace
from bot.surfaces.slack_faults import SlackRefused
from bot.surfaces.slack_people import People, Stranger
from workers import logs
from workers.policies import Policies

NAME = "slack"
UNFIT = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long"})
"""Slack's words for: I will not draw this."""
MAX_PLAIN = 3_000
_log = logs.get_logger(__name__)


class SlackSurface:
    """Show cards in Slack."""

    def __init__(
        self,
        api: SlackApi,
        policies: Policies,
        channels: Channels,
        pace: Pace,
        console: str,
        *,
        people: People | None = None,
    ) -> None:
        """Post by `api`; `console` is the server's own address, for links; `people` know who may act."""
        self._api, self._policies, self._channels, self._pace = api, policies, channels, pace
        self._console, self._people = console, people
        self._unsure = False

    @property
    def name(self) -> str:
        """Return `slack`."""
        return NAME

    async def post(self, channel: str, card: Card) -> MessageRef:
        """Post a new card; `channel` may be a person's account (`U…`, `T…:U…`)."""
        where = channel.rpartition(":")[2]
        await self._channels.check(where, self._policies.current.roster)
        message = slack_blocks.message(card, console=self._console)
        await self._pace.turn(where)
        try:
            posted = await self._post(where, message)
        except SlackRefused as error:
            posted = await self._post(where, _or_plain(message, error, card))
        return MessageRef(NAME, *posted)

    async def update(self, ref: MessageRef, card: Card) -> None:
        """Make a posted card show the present state."""
        message = slack_blocks.message(card, console=self._console)
        try:
            await self._api.update_message(ref.channel, ref.message, message)
        except SlackRefused as error:
            await self._api.update_message(ref.channel, ref.message, _or_plain(message, error, card))

    async def show_list(self, where: str | MessageRef, digest: Digest) -> MessageRef:
        """Post a list of requests, or make a posted one show the present state."""
        message = slack_digest.message(digest, console=self._console)
        if isinstance(where, MessageRef):
            await self._api.update_message(where.channel, where.message, message)
            return where
        channel = where.rpartition(":")[2]
        await self._channels.check(channel, self._policies.current.roster)
        await self._pace.turn(channel)
        return MessageRef(NAME, *await self._post(channel, message))

    async def reply(self, ref: MessageRef, text: str) -> None:
        """Add a line to a card's thread."""
        await self._pace.turn(ref.channel, patience=0)  # whoever waits here keeps cards waiting
        await self._post(ref.channel, slack_text.message(text), thread=ref.message)

    async def tell(self, account: str, text: str) -> None:
        """Tell one person privately; `account` is their id (`U…`, `T…:U…`)."""
        where = account.rpartition(":")[2]
        await self._pace.turn(where)
        await self._post(where, slack_text.message(text))

    async def gone(self, account: str) -> bool:
        """Tell whether Slack says that nobody can act by this account: deactivated, a guest, of another workspace."""
        if self._people is None:
            return False
        try:
            await self._people.identify(account.rpartition(":")[2])
        except Stranger as error:
            return error.code != "not_checked"
        return False

    async def _post(self, channel: str, message: Json, thread: str | None = None) -> tuple[str, str]:
        """Post; after a post that nobody answered, only once Slack answers something that can do no harm.

        Each post of unknown outcome may be a double, and a card is posted twice at most: neither may be spent on a
        Slack that takes calls and answers none.
        """
        if self._unsure:
            await self._api.call("auth.test")
            self._unsure = False
        try:
            return await self._api.post(channel, message, thread=thread)
        except OutcomeUnknown:
            self._unsure = True
            raise


def _or_plain(message: Json, error: SlackRefused, card: Card) -> dict[str, Any]:
    """Return a plainer form of what Slack will not draw; any other refusal goes on."""
    if error.error not in UNFIT:
        raise error
    _log.log(logging.ERROR, "slack.card_not_drawn", request=card.request_id, why=error.error)
    return {**message, "blocks": plain_blocks(message["blocks"])}


def plain_blocks(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the blocks with each one of rich text as plain text: less to look at, and nothing for Slack to refuse."""
    return [_plain(block) if block["type"] == "rich_text" else block for block in blocks]


def _plain(block: dict[str, Any]) -> dict[str, Any]:
    lines = ["".join(_said(piece) for piece in part["elements"]) for part in block["elements"]]
    shown = {"type": "section", "text": slack_text.plain("\n".join(lines), MAX_PLAIN)}
    return {**shown, "block_id": block["block_id"]} if "block_id" in block else shown


def _said(piece: dict[str, Any]) -> str:
    if "elements" in piece:  # a list's line
        return "".join(_said(one) for one in piece["elements"])
    return str(piece.get("text", ""))
