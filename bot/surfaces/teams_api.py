"""Say how Teams is spoken to: three calls on plain dicts. The one who makes them is `teams_auth.Connector`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from bot.surfaces.teams_routes import Route

Json = Mapping[str, Any]


class Posted(NamedTuple):
    """Name a posted message: its conversation, without `;messageid=…`, and its id there."""

    conversation: str
    message: str


class TeamsApi(Protocol):
    """Speak to Teams as the bot. Every method may raise Unreachable, OutcomeUnknown or Refused."""

    async def post(self, route: Route, activity: Json, *, thread: str | None = None) -> Posted:
        """Post a message: a new one in a channel, or under the message `thread` there; in a chat, at its end.

        A personal route without a conversation gets one opened.
        """
        ...

    async def update(self, route: Route, conversation: str, message: str, activity: Json) -> None:
        """Replace a posted message, for everybody."""
        ...

    async def member(self, route: Route, conversation: str, user_id: str) -> dict[str, Any]:
        """Return one member of a conversation by their id there (`29:…`), as the service describes them.

        The Entra object id is in `aadObjectId`, whatever the service calls it. Raises Refused for nobody's id.
        """
        ...
