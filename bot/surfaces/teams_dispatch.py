"""Run what a call from Teams asks for to its end, in time, and turn whatever it raises into words for that person.

Nobody says how long Teams waits; what is not committed within 2.5 s is cancelled, so that nothing happens behind an
answer that said no.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from approvers.errors import CountersignError
from bot import excuses
from bot.surfaces import teams_changes, teams_clicks, teams_commands
from bot.surfaces.port import SurfaceError
from bot.surfaces.teams_incoming import Answer, Incoming
from bot.surfaces.teams_parts import Listen, TeamsParts
from workers import logs
from workers.stores.port import StoreError

OLD = "This is from an older version of Countersign, and did nothing. Open the request anew: list"
Find = Callable[[Incoming], Listen | None]
_log = logs.get_logger(__name__)


class Dispatch:
    """Call listeners. `run` never raises."""

    def __init__(
        self,
        parts: TeamsParts,
        count: Callable[[str], None],
        *,
        find: Find | None = None,
        seconds: float = excuses.LIMIT_SECONDS,
    ) -> None:
        """Give every listener the same parts, and so many seconds; `count` hears what went wrong."""
        self._parts, self._count, self._seconds = parts, count, seconds
        self._find = find or listener_of

    async def run(self, call: Incoming) -> Answer:
        """Return the answer, once everything is committed; or, where it failed, why."""
        listen = self._find(call)
        if listen is None:
            return Answer(toast=OLD)
        try:
            async with asyncio.timeout(self._seconds):
                return await listen(self._parts, call)
        except CountersignError as error:
            return Answer(toast=error.detail)
        except (StoreError, SurfaceError, TimeoutError) as error:
            self._count(type(error).__name__)
            _log.warning("teams.not_done", why=f"{type(error).__name__}: {error}")
            return Answer(toast=excuses.words_for(error, "Teams"))
        except Exception as error:  # the last net: Teams would show that the app cannot be reached, and nobody knew why
            self._count("internal")
            _log.error("teams.failed", exc_info=error)
            return Answer(toast=excuses.OUR_FAULT)

    async def deliver(self, call: Incoming, answer: Answer) -> None:
        """Post, in the background, what an invoke's own answer has no room for; a message's is all of it."""
        if call.kind not in ("action", "submit", "message"):
            return
        if answer.toast and (answer.card is not None or call.kind != "action"):
            await self._parts.whisper(call, answer.toast)
        if answer.reply is not None:
            self._parts.tasks.start(self._reply(call, answer))

    async def _reply(self, call: Incoming, answer: Answer) -> None:
        """Post where the call came from: in a channel under its message."""
        thread = None
        if call.route.kind == "channel":
            place = str(call.raw.get("conversation", {}).get("id", ""))
            thread = place.partition(";messageid=")[2] or call.message
        await self._parts.api.post(call.route, answer.reply or {}, thread=thread)


def listener_of(call: Incoming) -> Listen | None:
    """Return what a call is for; None for a button that we do not have (any more)."""
    match call.kind:
        case "action" | "submit":
            return teams_clicks.ACTIONS.get("refresh" if call.automatic else call.verb)
        case "message":
            return teams_commands.message
        case _:
            return teams_changes.CHANGES[call.kind]
