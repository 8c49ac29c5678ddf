"""Bundle what the listeners for Teams get: the use cases, Teams' API, who people are, and work after an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.deps import Deps
from bot.surfaces.port import OutcomeUnknown, SurfaceError, Unreachable
from bot.surfaces.teams_activities import text_message
from bot.surfaces.teams_api import Posted, TeamsApi
from bot.surfaces.teams_incoming import Answer, Incoming
from bot.surfaces.teams_routes import Route, Routes
from bot.tasks import Tasks
from workers import logs
from workers.stores.port import StoreError

if TYPE_CHECKING:
    from bot.postings import Postings
    from bot.surfaces.teams_people import People

Listen = Callable[["TeamsParts", Incoming], Awaitable[Answer]]
"""A verb's function, or that of a message. It returns once everything is committed, within 2.5 s."""
TRIES = 4
"""How often an answer is tried that Teams does not take now: people ask many things in a minute."""
LEAST_WAIT_SECONDS, MOST_WAIT_SECONDS = 1.0, 30.0
_log = logs.get_logger(__name__)


@dataclass(frozen=True)
class TeamsParts:
    """Hold the collaborators of every listener."""

    deps: Deps
    api: TeamsApi
    people: People
    routes: Routes
    postings: Postings
    tasks: Tasks

    async def whisper(self, call: Incoming, text: str) -> None:
        """Tell the one who did this, in their own chat and in the background. Never raises."""
        self.tasks.start(self.show(call, text_message(text)))

    async def show(self, call: Incoming, activity: Mapping[str, Any]) -> bool:
        """Post into the chat of the one who did this, later if Teams wants us to wait; False if it cannot be.

        Never raises.
        """
        for left in reversed(range(TRIES)):
            try:
                route = await self.private_route(call)
                if route is not None:
                    await self.open(route, activity)
                return route is not None
            except Unreachable as error:
                _log.warning("teams.told_later" if left else "teams.not_told", why=str(error))
                if left:
                    await asyncio.sleep(min(max(error.after_seconds, LEAST_WAIT_SECONDS), MOST_WAIT_SECONDS))
            except OutcomeUnknown as error:
                _log.warning("teams.perhaps_told", why=str(error))
                return True
            except (SurfaceError, StoreError) as error:
                _log.warning("teams.not_told", why=str(error))
                return False
        return False

    async def private_route(self, call: Incoming) -> Route | None:
        """Return the way to the chat of the one who did this: known, or one that the first post opens."""
        if call.personal:
            return call.route
        by = call.by
        known = await self.routes.of_person(by.tenant, by.object_id) if by.tenant and by.object_id else None
        if known or not (by.user_id and by.tenant):
            return known
        return Route(
            service_url=call.route.service_url, tenant_id=by.tenant, bot_id=call.route.bot_id, kind="personal",
            user_id=by.user_id, object_id=by.object_id,
        )  # fmt: skip

    async def open(self, route: Route, activity: Mapping[str, Any]) -> Posted:
        """Post by a route, and remember the conversation where the post has opened one. Raises SurfaceError."""
        posted = await self.api.post(route, activity)
        if not route.conversation_id:
            await self.routes.learn(route.model_copy(update={"conversation_id": posted.conversation}))
        return posted
