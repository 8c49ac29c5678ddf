"""Run one listener to its end, in time, and turn whatever it raises into words for the one who did this.

Slack waits 3 s. What is not committed by 2.5 s is cancelled, so that nothing happens behind an answer that said no.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from approvers.errors import CountersignError, Malformed
from bot import excuses
from bot.excuses import LIMIT_SECONDS, NO_STORE, OUR_FAULT
from bot.surfaces import slack_views
from bot.surfaces.port import SurfaceError
from bot.surfaces.slack_claims import Claims
from bot.surfaces.slack_incoming import Answer, Body, Incoming
from bot.surfaces.slack_parts import Kind, Listen, SlackParts, private
from workers import logs
from workers.stores.port import StoreError

__all__ = ["LIMIT_SECONDS", "NO_STORE", "OUR_FAULT", "Dispatch", "acknowledged", "words_for"]

_log = logs.get_logger(__name__)


class Dispatch:
    """Call listeners. `run` never raises."""

    def __init__(
        self, parts: SlackParts, claims: Claims, count: Callable[[str], None], *, seconds: float = LIMIT_SECONDS
    ) -> None:
        """Give every listener the same parts, and so many seconds; `count` hears what went wrong."""
        self._parts, self._claims, self._count, self._seconds = parts, claims, count, seconds

    async def run(self, kind: Kind, listen: Listen, body: Body) -> Answer | None:
        """Return what the listener answers, once it has ended; or, where it failed, why, to the one who did this."""
        try:
            call = Incoming.of(body)
        except Malformed:
            self._count("unreadable")
            _log.warning("slack.unreadable", kind=kind)
            return None
        if kind == "event" and await self._seen(body):
            return None
        words = await self._call(listen, call)
        return words if words is None or isinstance(words, Answer) else await self._tell(kind, call, words)

    async def _call(self, listen: Listen, call: Incoming) -> Answer | str | None:
        """Return the listener's answer, or the words for its failure."""
        try:
            async with asyncio.timeout(self._seconds):
                return await listen(self._parts, call)
        except CountersignError as error:
            return error.detail
        except (StoreError, SurfaceError, TimeoutError) as error:
            self._count(type(error).__name__)
            _log.warning("slack.not_done", why=f"{type(error).__name__}: {error}")
            return words_for(error)
        except Exception as error:  # the last net: Slack would show a bare warning sign, and nobody would know why
            self._count("internal")
            _log.error("slack.failed", exc_info=error)
            return OUR_FAULT

    async def _tell(self, kind: Kind, call: Incoming, words: str) -> Answer | None:
        """Tell it in the answer itself where that can carry words, else beside it."""
        if kind == "command":
            return Answer({"response_type": "ephemeral", **private(words)})
        if kind == "view":
            return Answer({"response_action": "update", "view": slack_views.notice("Not done", words)})
        if kind != "event":
            await self._parts.whisper(call, words)
        return None

    async def _seen(self, body: Body) -> bool:
        """Tell whether this event came before: Slack sends one again that was not answered in time."""
        event = body.get("event_id")
        try:
            return isinstance(event, str) and not await self._claims.take("event", event)
        except StoreError:
            return False  # no event decides anything: twice is better than never


def words_for(error: Exception) -> str:
    """Say what an error of the store, of Slack or of the clock means for the one who waits."""
    return excuses.words_for(error, "Slack")


def acknowledged(answer: Answer | None) -> dict[str, Any] | None:
    """Return the JSON of an answer, as Slack's acknowledgement."""
    return dict(answer.json) if answer and answer.json else None
