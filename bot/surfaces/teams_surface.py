"""Be the surface `teams`: post cards, edit them, answer in their threads, and tell one person something."""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from approvers.card import Card
from bot.digest import Digest
from bot.surfaces import teams_buttons, teams_card, teams_digest, teams_text
from bot.surfaces.port import MessageRef, OutcomeUnknown, Refused, Unreachable
from bot.surfaces.teams_activities import card_message, text_message
from bot.surfaces.teams_api import Posted, TeamsApi
from bot.surfaces.teams_faults import TOO_BIG, AskedToWait, TeamsRefused
from bot.surfaces.teams_routes import Route, Routes
from bot.waits import Pace
from workers import logs

T = TypeVar("T")
NAME = "teams"
PER_POST_SECONDS, BURST = 2.5, 5
"""Below what Teams takes per conversation: 7 in a second, 60 in half a minute, 1,800 in an hour, edits included."""
UNFIT = frozenset({400, TOO_BIG})
"""Statuses with which Teams says: I will not draw this."""
LONGEST_PAUSE = 60.0
NO_MEMBER = "MemberNotFoundInConversation"
_ACCOUNT = re.compile(r"([0-9A-Fa-f-]{36}):([0-9A-Fa-f-]{36})")
_log = logs.get_logger(__name__)


class TeamsSurface:
    """Show cards in Teams."""

    def __init__(
        self,
        api: TeamsApi,
        routes: Routes,
        console: str,
        *,
        pace: Pace | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Post by `api`, where `routes` lead; `console` is the server's own address, for links."""
        self._api, self._routes, self._console = api, routes, console
        self._pace = pace or Pace(PER_POST_SECONDS, BURST)
        self._chance = chance
        self._misses = 0
        self._unsure = False

    @property
    def name(self) -> str:
        """Return `teams`."""
        return NAME

    async def post(self, channel: str, card: Card) -> MessageRef:
        """Post a new card; `channel` may be a person's account (`TENANT:OBJECT`)."""
        route = await self._route(channel)
        message = self._drawn(card)
        await self._pace.turn(channel)
        try:
            posted = await self._post(route, message)
        except TeamsRefused as error:
            posted = await self._post(route, await self._plainer(route, error, card))
        return MessageRef(NAME, posted.conversation, posted.message)

    async def update(self, ref: MessageRef, card: Card) -> None:
        """Make a posted card show the present state."""
        route = await self._route(ref.channel)
        await self._pace.turn(ref.channel)
        try:
            await self._tried(self._api.update(route, ref.channel, ref.message, self._drawn(card)))
        except TeamsRefused as error:
            plain = await self._plainer(None, error, card)
            await self._tried(self._api.update(route, ref.channel, ref.message, plain))

    async def show_list(self, where: str | MessageRef, digest: Digest) -> MessageRef:
        """Post a list of requests, or make a posted one show the present state."""
        channel = where.channel if isinstance(where, MessageRef) else where
        route = await self._route(channel)
        await self._pace.turn(channel)
        try:
            return await self._listed(route, where, digest, teams_digest.message(digest, console=self._console))
        except TeamsRefused as error:
            if error.status not in UNFIT:
                if error.gone and isinstance(where, str):
                    await self._routes.drop(route)
                raise
            _log.error("teams.list_not_drawn", list=digest.id, why=str(error))
            return await self._listed(route, where, digest, teams_digest.bare(digest, console=self._console))

    async def reply(self, ref: MessageRef, text: str) -> None:
        """Add a line to a card's thread; in a personal chat, which has none, after what is there."""
        route = await self._route(ref.channel)
        await self._pace.turn(ref.channel, patience=0)  # whoever waits here keeps cards waiting
        thread = ref.message if route.kind == "channel" else None
        await self._post(route, text_message(text), thread)

    async def tell(self, account: str, text: str) -> None:
        """Tell one person privately; `account` is their `TENANT:OBJECT`."""
        route = await self._route(account)
        await self._pace.turn(account)
        await self._post(route, text_message(text))

    async def gone(self, account: str) -> bool:
        """Tell whether Teams says that this person is no member of their own chat with the app any more."""
        named = _ACCOUNT.fullmatch(account)
        route = await self._routes.of_person(named[1], named[2]) if named else None
        if route is None or not route.conversation_id or not route.user_id:
            return False
        try:
            await self._api.member(route, route.conversation_id, route.user_id)
        except TeamsRefused as error:
            return error.error == NO_MEMBER  # any other no is about the app or the chat
        return False

    async def _route(self, channel: str) -> Route:
        if account := _ACCOUNT.fullmatch(channel):
            route = await self._routes.of_person(account[1], account[2])
            missing = f"{channel} has not met the app: they have to add it, or write to it once, or work with a card"
        else:
            route = await self._routes.of_channel(channel)
            missing = f"the app is not in {channel}: add it to the team of that channel"
        if route is None:
            raise Refused(missing)
        return route

    async def _listed(self, route: Route, where: str | MessageRef, digest: Digest, card: dict[str, Any]) -> MessageRef:
        message = card_message(card, digest.heading)
        if isinstance(where, MessageRef):
            await self._tried(self._api.update(route, where.channel, where.message, message))
            return where
        posted = await self._post(route, message)
        return MessageRef(NAME, posted.conversation, posted.message)

    async def _post(self, route: Route, message: dict[str, Any], thread: str | None = None) -> Posted:
        """Post; after a post that nobody answered, only once Teams answers something that can do no harm.

        Each post of unknown outcome may be a double, and a card is posted twice at most: neither may be spent on a
        Teams that takes calls and answers none.
        """
        if self._unsure:
            with suppress(TeamsRefused):  # an answer it is
                await self._tried(self._api.member(route, route.conversation_id, route.bot_id))
            self._unsure = False
        try:
            posted = await self._tried(self._api.post(route, message, thread=thread))
        except OutcomeUnknown:
            self._unsure = True
            raise
        if not route.conversation_id:
            await self._routes.learn(route.model_copy(update={"conversation_id": posted.conversation}))
        return posted

    async def _tried(self, call: Awaitable[T]) -> T:
        """Do it; where Teams does not say how long to wait, the wait doubles with each failure, and varies."""
        try:
            done = await call
        except AskedToWait as error:
            spread = 1 + 0.1 * self._chance()  # `Retry-After` is a least wait, and the same for every channel
            raise Unreachable(str(error), after_seconds=error.after_seconds * spread) from None
        except Unreachable as error:
            self._misses += 1
            longest = min(LONGEST_PAUSE, error.after_seconds * 2 ** min(self._misses, 10))
            raise Unreachable(str(error), after_seconds=longest * (0.5 + 0.5 * self._chance())) from None
        self._misses = 0
        return done

    async def _plainer(self, route: Route | None, error: TeamsRefused, card: Card) -> dict[str, Any]:
        """Return the shortest form of what Teams will not draw; any other refusal goes on."""
        if error.status not in UNFIT:
            if route is not None and error.gone:
                await self._routes.drop(route)
            raise error
        _log.error("teams.card_not_drawn", request=card.request_id, why=str(error))
        summary = teams_card.summary(card)
        return card_message(plain_card(summary, card.request_id, self._console), summary)

    def _drawn(self, card: Card) -> dict[str, Any]:
        return card_message(teams_card.message(card, console=self._console), teams_card.summary(card))


def plain_card(summary: str, request: str, console: str) -> dict[str, Any]:
    """Return a card of one sentence and the way to the console: nothing to refuse in it."""
    return {
        "type": "AdaptiveCard",
        "version": "1.5",
        "body": [{"type": "TextBlock", "text": teams_text.plain(summary, 300), "wrap": True}],
        "actions": teams_buttons.review(request, console),
    }
