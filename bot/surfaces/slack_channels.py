"""Say whether a card may go into a channel: not among strangers. When it may is the pace's to say (`bot.waits`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from approvers.roster import Roster
from bot.surfaces.port import Refused
from bot.surfaces.slack_api import SlackApi
from bot.waits import Pace

__all__ = ["KEPT_SECONDS", "Channels", "Pace"]

KEPT_SECONDS = 60.0
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
