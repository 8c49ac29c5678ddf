"""Bundle what Slack's listeners get: the use cases, Slack's API, who people are, and work that outlives an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from bot.deps import Deps
from bot.surfaces import slack_text
from bot.surfaces.port import SurfaceError
from bot.surfaces.slack_incoming import Answer, Incoming
from bot.tasks import Tasks
from workers import logs

if TYPE_CHECKING:
    from bot.postings import Postings
    from bot.surfaces.slack_api import SlackApi
    from bot.surfaces.slack_people import People

__all__ = ["Kind", "Listen", "Listener", "Message", "SlackParts", "Tasks", "private"]

Kind = Literal["action", "view", "command", "event", "shortcut"]
Listen = Callable[["SlackParts", Incoming], Awaitable[Answer | None]]
Listener = tuple[Kind, str, Listen]
"""One row of a module's `LISTENERS`: what kind of call, its action_id, callback_id, command or event type, and the
function. It returns once everything is committed, within 2.5 s: the answer to Slack is sent then."""
Message = Mapping[str, Any]
LONGEST = 2_900
_log = logs.get_logger(__name__)


@dataclass(frozen=True)
class SlackParts:
    """Hold the collaborators of every listener."""

    deps: Deps
    api: SlackApi
    people: People
    postings: Postings
    tasks: Tasks

    async def whisper(self, call: Incoming, text: str) -> None:
        """Tell the one who did this, privately and in the background. The text may hold anybody's words."""
        await self.show(call, private(text))

    async def show(self, call: Incoming, message: Message) -> None:
        """Show a message to the one who did this, privately and in the background. Never raises."""
        self.tasks.start(self._show(call, message))

    async def _show(self, call: Incoming, message: Message) -> None:
        """Answer by the call's own URL; without one in its channel, and without that as a direct message."""
        try:
            if call.response_url:
                beside = {"response_type": "ephemeral", "replace_original": False}
                await self.api.respond(call.response_url, {**message, **beside})
            elif call.channel:
                await self.api.ephemeral(call.channel, call.user, message)
            elif call.user:
                await self.api.post_message(call.user, message)
        except SurfaceError as error:
            _log.warning("slack.not_told", why=str(error))


def private(text: str) -> dict[str, Any]:
    """Return a message with these words and no markup: nothing in them is parsed."""
    said = slack_text.message(slack_text.clamp(text, LONGEST))
    return {"text": said["text"], "blocks": said["blocks"]}
