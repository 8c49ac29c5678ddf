"""The activities that Teams delivers, in its own form."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tests.worlds.teams.board import MESSAGE_ID, Board
from tests.worlds.teams.reading import Button
from tests.worlds.teams.state import APP_ID, BOT_ID, BOT_NAME, TENANT, WIRE_KINDS, Message, Person, Place

Json = dict[str, Any]


class Activities:
    """Write activities for a board; every one has an id of its own."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.service_url = ""
        self._count = 0

    def _base(self, kind: str, person: Person, place: Place, thread: str | None) -> Json:
        self._count += 1
        tenant = TENANT if person.hosted else person.tenant
        conversation: Json = {"id": place.id, "conversationType": WIRE_KINDS[place.kind], "tenantId": tenant}
        if place.kind != "personal":
            conversation["isGroup"] = True
        if thread is not None and place.kind == "channel":
            conversation["id"] += MESSAGE_ID + thread
        data: Json = {"tenant": {"id": tenant}}
        if place.team is not None:
            shown = place.team.shown()
            data |= {"team": shown, "teamsTeamId": shown["id"], "channel": {"id": place.id},
                     "teamsChannelId": place.id}  # fmt: skip
        moment = datetime.fromtimestamp(self.board.clock(), UTC).isoformat(timespec="milliseconds")
        return {
            "type": kind, "id": f"f:{self._count:019d}", "timestamp": moment.replace("+00:00", "Z"),
            "localTimestamp": moment, "serviceUrl": self.service_url, "channelId": "msteams",
            "from": person.account(), "conversation": conversation, "recipient": {"id": BOT_ID, "name": BOT_NAME},
            "channelData": data, "locale": "en-GB",
            "entities": [{"type": "clientInfo", "locale": "en-GB", "country": "GB", "platform": "Web"}],
        }  # fmt: skip

    def execute(self, person: Person, place: Place, message: Message, button: Button, data: Json, trigger: str) -> Json:
        """A press on an Action.Execute, or a refresh of it."""
        action = {"type": "Action.Execute", "title": button.title, "verb": button.verb, "data": data}
        return self._base("invoke", person, place, message.reply_to or message.id) | {
            "name": "adaptiveCard/action", "replyToId": message.id,
            "value": {"action": action, "trigger": trigger},
        }  # fmt: skip

    def submit(self, person: Person, place: Place, message: Message, data: Json) -> Json:
        """A press on an Action.Submit: a message without text."""
        base = self._base("message", person, place, message.reply_to or message.id)
        base["channelData"] |= {"source": {"name": "message"}, "legacy": {"replyToId": message.id}}
        return base | {"replyToId": message.id, "value": data}

    def text(self, person: Person, place: Place, message: Message, words: str, mention: bool) -> Json:
        """Something typed; with a mention as Teams writes it."""
        base = self._base("message", person, place, message.reply_to or message.id)
        tag = f"<at>{BOT_NAME}</at>"
        if mention:
            entity = {"type": "mention", "mentioned": {"id": BOT_ID, "name": BOT_NAME}, "text": tag}
            base["entities"] = [entity, *base["entities"]]
        text = f"{tag} {words}" if mention else words
        html = {"contentType": "text/html", "content": f"<p>{text}</p>"}
        return base | {"id": message.id, "text": text, "textFormat": "plain", "attachments": [html]}

    def installation(self, person: Person, place: Place, action: str) -> Json:
        """The app was added or removed."""
        base = self._base("installationUpdate", person, place, None)
        if place.team is not None:
            base["channelData"]["settings"] = {"selectedChannel": {"id": place.id}}
        return base | {"action": action}

    def channel_deleted(self, person: Person, place: Place) -> Json:
        """A channel is no more."""
        base = self._base("conversationUpdate", person, place, None)
        base["channelData"]["eventType"] = "channelDeleted"
        return base

    def roster(self, person: Person, place: Place, change: str, who: list[Json]) -> Json:
        """Members came or went. As in Teams it names the team alone, not the channel."""
        base = self._base("conversationUpdate", person, place, None)
        for name in ("channel", "teamsChannelId"):
            base["channelData"].pop(name, None)
        kind = "teamMember" if place.team is not None else "member"
        base["channelData"]["eventType"] = f"{kind}{change.removeprefix('members')}"
        return base | {change: who}


def bot_account() -> Mapping[str, str]:
    """Return the app as a member of a place."""
    return {"id": BOT_ID, "name": BOT_NAME, "aadObjectId": APP_ID}
