"""Publish App Home: what waits for this person, what is live, what they decided; as of now, for nobody else.

A click in Home has no other way to be answered, so what came of it stands in Home's own note.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from approvers.card import Card, render
from approvers.errors import CountersignError
from bot.identity import Identity
from bot.mine import sort_out
from bot.reading import View
from bot.surfaces import slack_views
from bot.surfaces.port import SurfaceError
from bot.surfaces.slack_incoming import Incoming
from bot.surfaces.slack_parts import Listener, SlackParts
from workers import logs
from workers.stores.port import StoreError

AT_ONCE = 25
NO_STORE = "The store does not answer, so there is nothing to show. Press Refresh in a moment."
_log = logs.get_logger(__name__)


async def publish(parts: SlackParts, user: str, note: str = "") -> None:
    """Show Home to this Slack user, with what came of their last click; whoever is nobody here sees why. Never raises.

    `note` may hold anybody's words.
    """
    try:
        view = await _home(parts, await parts.people.identify(user), note)
    except CountersignError as error:
        view = slack_views.home((), (), (), as_of=None, note=error.detail)
    except StoreError:
        view = slack_views.home((), (), (), as_of=None, note=f"{note} {NO_STORE}".strip())
    try:
        await parts.api.publish_home(user, view)
    except SurfaceError as error:
        _log.warning("slack.home_not_published", why=str(error))


async def _home(parts: SlackParts, who: Identity, note: str) -> dict[str, Any]:
    deps = parts.deps
    mine, _ = await sort_out(deps, who.principal, await deps.reader.waiting())
    return slack_views.home(
        await _cards(mine),
        await _cards(await deps.reader.live()),
        await _cards(await deps.reader.decided(who.principal)),
        as_of=await deps.store.records.now(),
        note=note,
        console=deps.settings.base_url,
        frozen=deps.policies.current.frozen,
    )


async def _cards(views: Sequence[View]) -> list[Card]:
    """Render them all, for their number is shown; a long list lets others have their turn in between."""
    cards = []
    for number, view in enumerate(views):
        if number % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)
        cards.append(render(view.request, view.grant))
    return cards


async def opened(parts: SlackParts, call: Incoming) -> None:
    """Publish Home when it is opened; the event also comes for the messages tab, which shows none."""
    event = call.body.get("event")
    if isinstance(event, dict) and event.get("tab", "home") == "home":
        parts.tasks.start(publish(parts, call.user))


async def refreshed(parts: SlackParts, call: Incoming) -> None:
    """Publish Home again because its reader asks."""
    parts.tasks.start(publish(parts, call.user))


LISTENERS: tuple[Listener, ...] = (
    ("event", "app_home_opened", opened),
    ("action", "cs_home_refresh", refreshed),
)
