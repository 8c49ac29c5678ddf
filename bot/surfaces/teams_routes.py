"""Remember where Teams can be spoken to: one record of our own per conversation, learnt from proven activities.

A bot cannot look conversations up: it keeps the address that each activity came with. A route holds ids alone and is
written only when it has changed; the service's address is checked anew at every send.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from pydantic import BaseModel, ConfigDict

from workers.stores.port import Commit, Conflict, Records

Kind = Literal["channel", "chat", "personal"]
KEPT_SECONDS = 60.0
"""How long this process believes that a route it has seen in the store is still there."""
MOST = 10_000
HOME = "home"
"""The route that serves for a channel of which nothing was heard yet: the app may be installed in its team."""
PREFIX = "teams:route:"
GONE = "null"
"""The record of a conversation from which the app was removed."""


class Route(BaseModel):
    """Say how one conversation is reached.

    Attributes:
        bot_id: the bot's own id there (`28:…`).
        conversation_id: without `;messageid=…`; empty for a person to whom no conversation is open yet.
        channel_id: of a channel; in a team's General channel it is the team's id, too.
        user_id: of a personal route: the person's id as the bot sees them (`29:…`).
        object_id: of a personal route: the person's Entra object id.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    service_url: str
    tenant_id: str
    bot_id: str
    kind: Kind
    conversation_id: str = ""
    channel_id: str | None = None
    team_id: str | None = None
    user_id: str | None = None
    object_id: str | None = None

    def in_channel(self, channel_id: str) -> Route:
        """Return the route to another channel that the same service serves."""
        where = {"kind": "channel", "conversation_id": channel_id, "channel_id": channel_id, "team_id": None}
        return self.model_copy(update={**where, "user_id": None, "object_id": None})


class Routes:
    """Keep routes in the store."""

    def __init__(
        self, records: Records, home: str | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Keep them here; `home` is the tenant whose channels may be tried without a route of their own."""
        self._records, self._home, self._clock = records, home, clock
        self._known: dict[str, tuple[float, str]] = {}

    async def learn(self, route: Route) -> None:
        """Write down where an activity came from, where that is news."""
        for name in _names(route):
            await self._put(name, route.model_dump_json(exclude_defaults=True))
        if route.kind == "channel" and route.tenant_id == self._home:
            anywhere = route.in_channel("")
            await self._put(HOME, anywhere.model_dump_json(exclude_defaults=True))

    async def meet(self, route: Route, user_id: str, object_id: str) -> None:
        """Note how somebody who acted in a channel can be written to, unless their own chat is known already."""
        name = _person(route.tenant_id, object_id)
        kept = self._known.get(name)
        if (kept and self._clock() < kept[0]) or await self._get(name):
            return
        where = {"kind": "personal", "conversation_id": "", "channel_id": None, "team_id": None}
        chat = route.model_copy(update={**where, "user_id": user_id, "object_id": object_id})
        await self._put(name, chat.model_dump_json(exclude_defaults=True))

    async def known(self, channel_id: str) -> Route | None:
        """Return the route that was learnt from this very channel or chat."""
        return await self._get(channel_id)

    async def was_dropped(self, channel_id: str) -> bool:
        """Tell whether the app was in this channel or chat and was removed."""
        key = PREFIX + channel_id
        return (await self._records.read([key])).records[key].json == GONE

    async def of_channel(self, channel_id: str) -> Route | None:
        """Return the route to a channel (`19:…`) or a chat; a channel never heard of is tried by the tenant's route."""
        found = await self._get(channel_id)
        if found or not channel_id.endswith(("@thread.tacv2", "@thread.skype")):
            return found
        home = await self._get(HOME)
        return home.in_channel(channel_id) if home else None

    async def of_person(self, tenant: str, object_id: str) -> Route | None:
        """Return the route to somebody's personal chat. Without `conversation_id` the first post opens one."""
        return await self._get(_person(tenant, object_id))

    async def drop(self, route: Route) -> None:
        """Forget a conversation from which the app was removed."""
        for name in _names(route):
            self._known.pop(name, None)
            if await self._get(name):
                await self._put(name, GONE)
                self._known.pop(name, None)

    async def _put(self, name: str, json: str) -> None:
        kept = self._known.get(name)
        if kept and kept[1] == json and self._clock() < kept[0]:
            return
        key = PREFIX + name
        seen = await self._records.read([key])
        if seen.records[key].json != json:
            commit = Commit(at=seen.now, expects={key: seen.records[key].version}, puts={key: json})
            try:
                await self._records.commit(commit)
            except Conflict:
                return  # another process has learnt the same conversation at the same time; the next activity tells
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[name] = self._clock() + KEPT_SECONDS, json

    async def _get(self, name: str) -> Route | None:
        key = PREFIX + name
        json = (await self._records.read([key])).records[key].json
        return Route.model_validate_json(json) if json and json != GONE else None


def _names(route: Route) -> list[str]:
    """Return the names under which a route is found: its conversation, and the person or channel it leads to."""
    names = [route.conversation_id, route.channel_id if route.kind == "channel" else None]
    if route.kind == "personal" and route.object_id:
        names.append(_person(route.tenant_id, route.object_id))
    return list(dict.fromkeys(name for name in names if name))


def _person(tenant: str, object_id: str) -> str:
    return f"{tenant}/{object_id}".lower()
