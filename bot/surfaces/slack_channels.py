"""Say whether a card may go into a channel, and when: not among strangers, and not faster than Slack takes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from approvers.roster import Roster
from bot.surfaces.port import Refused, Unreachable
from bot.surfaces.slack_api import SlackApi

KEPT_SECONDS = 60.0
PER_POST_SECONDS, BURST = 1.0, 3
"""Slack takes about one message per second and channel, and a few at once."""
PATIENCE_SECONDS = 1.0
MOST = 1_000
OUTSIDE = ("is_ext_shared", "is_pending_ext_shared")
"""What tells that people of other organisations are in a channel, or are being let in."""


class Channels:
    """Know which channels other organisations share. Asked of Slack, kept for a minute at most."""

    def __init__(self, api: SlackApi, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with nothing known."""
        self._api, self._clock = api, clock
        self._open: dict[str, tuple[float, bool]] = {}

    async def check(self, channel: str, roster: Roster) -> None:
        """Raise Refused if outsiders read along and no place says that they may; Unreachable where Slack is silent."""
        if channel[:1] not in "CG" or any(place.slack == channel and place.shared for place in roster.places.values()):
            return
        kept = self._open.get(channel)
        if kept is None or self._clock() >= kept[0]:
            kept = await self._ask(channel)
        if kept[1]:
            raise Refused(
                f"channel {channel} is shared with another organisation: use one that is not, or write "
                "`shared = true` at its place in countersign.toml"
            )

    def forget(self, channel: str) -> None:
        """Ask again about this channel: it has changed."""
        self._open.pop(channel, None)

    async def _ask(self, channel: str) -> tuple[float, bool]:
        began = self._clock()
        told: Mapping[str, Any] = (await self._api.call("conversations.info", channel=channel))["channel"]
        if len(self._open) >= MOST:
            self._open.clear()
        self._open[channel] = kept = began + KEPT_SECONDS, any(told.get(flag) for flag in OUTSIDE)
        return kept


class Pace:
    """Keep each channel's posts at Slack's rate."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with every channel free."""
        self._clock = clock
        self._next: dict[str, float] = {}

    async def turn(self, channel: str, patience: float = PATIENCE_SECONDS) -> None:
        """Return when it is this post's turn. Raises Unreachable, with the time to wait, if that is over `patience`."""
        now = self._clock()
        due = max(now, self._next.get(channel, now))
        wait = due - (BURST - 1) * PER_POST_SECONDS - now
        if wait > patience:
            raise Unreachable(f"channel {channel} has its messages for now", after_seconds=wait)
        if len(self._next) >= MOST:
            self._next = {name: moment for name, moment in self._next.items() if moment > now}
        self._next[channel] = due + PER_POST_SECONDS
        if wait > 0:
            await asyncio.sleep(wait)
