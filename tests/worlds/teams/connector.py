"""The connector's methods: what the app may ask, and how each request is judged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.worlds.teams import schema
from tests.worlds.teams.board import MESSAGE_ID, Board
from tests.worlds.teams.journal import Refused
from tests.worlds.teams.state import BOT_ID, CARD, TENANT, Place

MOST_BYTES = 100 * 1024
"""Of a message, counted as UTF-16."""


class Connector:
    """Judge and carry out; raises Refused."""

    def __init__(self, board: Board) -> None:
        self.board = board

    def create(self, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """POST /v3/conversations: a new thread in a channel, or the chat with one person."""
        data: Mapping[str, Any] = body.get("channelData") or {}
        tenants = [it for it in ((data.get("tenant") or {}).get("id"), body.get("tenantId")) if it is not None]
        if not tenants or any(it != TENANT for it in tenants):
            raise Refused(403, "TenantNotAllowed", f"The tenant is {tenants or 'missing'}.")
        if (body.get("bot") or {}).get("id") != BOT_ID:
            raise Refused(403, "BotNotRegistered", "bot.id is not the caller's.")
        if body.get("isGroup"):
            return self._thread(body, data)
        return self._chat(body)

    def _thread(self, body: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        if body.get("members"):
            raise Refused(400, "BadSyntax", "Bots cannot create group chats.")
        channel = self.board.places.get((data.get("channel") or {}).get("id") or "")
        if channel is None or channel.kind != "channel":
            raise Refused(404, "ConversationNotFound", "There is no such channel.")
        self.board.may(channel, writing=True)
        message = self.board.put(channel, self._activity(body.get("activity"), channel))
        return 201, {"id": f"{channel.id}{MESSAGE_ID}{message.id}", "activityId": message.id}

    def _chat(self, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        members: list[Mapping[str, Any]] = body.get("members") or []
        if len(members) != 1:
            raise Refused(400, "BadSyntax", "A chat with one person has one member.")
        person = self.board.by_user_id(str(members[0].get("id")))
        if person is None or person.gone:
            raise Refused(404, "UserNotFound", "There is no such user.")
        place = self.board.personal(person.name)
        self.board.may(place, writing=True)
        if body.get("activity") is None:
            return 201, {"id": place.id}
        return 201, {"id": place.id, "activityId": self.board.put(place, self._activity(body["activity"], place)).id}

    def post(self, conversation: str, body: Mapping[str, Any], reply_to: str | None) -> tuple[int, dict[str, Any]]:
        """POST …/activities[/{id}]: a message into a chat, a channel, or a thread."""
        place, root = self.board.target(conversation, writing=True)
        if body.get("type") == "typing":
            return 202, {}
        raw = self._activity(body, place, conversation)
        if place.kind == "channel" and root is None and reply_to is not None:
            answered = self.board.messages.get(reply_to)
            if answered is None or answered.place != place.id:
                raise Refused(404, "ActivityNotFoundInConversation", f"There is no message {reply_to} here.")
            root = answered.reply_to or answered.id
        return 201, {"id": self.board.put(place, raw, root).id}

    def put(self, conversation: str, message_id: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """PUT …/activities/{id}: replace a message."""
        place, root = self.board.target(conversation, writing=True)
        message = self.board.own(place, message_id, root)
        if body.get("id") not in {None, message_id}:
            raise Refused(400, "BadSyntax", "The activity's id is not the address's.")
        self.board.change(message, self._activity(body, place, conversation))
        return 200, {"id": message_id}

    def delete(self, conversation: str, message_id: str) -> tuple[int, dict[str, Any]]:
        """DELETE …/activities/{id}."""
        place, root = self.board.target(conversation, writing=True)
        del self.board.messages[self.board.own(place, message_id, root).id]
        self.board.touch()
        return 200, {}

    def member(self, conversation: str, user_id: str) -> tuple[int, dict[str, Any]]:
        """GET …/members/{id}."""
        place, _ = self.board.target(conversation, writing=False)
        person = self.board.by_user_id(user_id)
        if person is None or person not in self.board.members(place):
            raise Refused(404, "MemberNotFoundInConversation", "Member not found in conversation.")
        return 200, person.member()

    def members(self, conversation: str) -> tuple[int, list[dict[str, Any]]]:
        """GET …/members."""
        place, _ = self.board.target(conversation, writing=False)
        return 200, [it.member() for it in self.board.members(place)]

    def team(self, team_id: str) -> tuple[int, dict[str, Any]]:
        """GET /v3/teams/{id}."""
        team = self.board.teams.get(team_id)
        if team is None or not team.installed:
            raise Refused(404, "TeamNotFound", "Team not found.")
        return 200, team.shown()

    def _activity(self, raw: Any, place: Place, conversation: str | None = None) -> Mapping[str, Any]:
        """Check a message: its size, its sender, its place, its card."""
        if not isinstance(raw, Mapping) or raw.get("type") != "message":
            raise Refused(400, "BadSyntax", "A message activity is needed.")
        if (raw.get("from") or {}).get("id", BOT_ID) != BOT_ID:
            raise Refused(403, "BotNotRegistered", "from.id is not the caller's.")
        named = (raw.get("conversation") or {}).get("id")
        if named is not None and named.partition(MESSAGE_ID)[0] != place.id:
            raise Refused(400, "BadSyntax", "conversation.id is not the address's.")
        attachments = raw.get("attachments") or ()
        if not attachments and not raw.get("text"):
            raise Refused(400, "BadSyntax", "The message is empty.")
        for attachment in attachments:
            if attachment.get("contentType") != CARD:
                raise Refused(400, "BadSyntax", f"Unknown attachment {attachment.get('contentType')!r}.")
            if found := schema.faults_of(attachment.get("content")):
                raise Refused(400, "BadCard", "; ".join(found[:5]))
        return raw


def read(body: bytes) -> Mapping[str, Any]:
    """Return a body's JSON object; refuses what is too big or no object."""
    try:
        text = body.decode("utf-8")
        value = json.loads(text)
    except ValueError:
        raise Refused(400, "BadSyntax", "The body is no JSON.") from None
    if len(text.encode("utf-16-le")) > MOST_BYTES:
        raise Refused(413, "MessageSizeTooBig", "Message size too large.")
    if not isinstance(value, Mapping):
        raise Refused(400, "BadSyntax", "The body is no object.")
    return value


def named(body: bytes) -> str:
    """Return what tells one message from another across attempts: the requests its buttons carry, else its bytes."""
    try:
        found = sorted(set(_rids(json.loads(body))))
    except ValueError:
        found = []
    return " ".join(found) or f"{hash(body):x}"


def _rids(node: Any) -> list[str]:
    if isinstance(node, Mapping):
        own = [node["rid"]] if isinstance(node.get("rid"), str) else []
        return own + [it for child in node.values() for it in _rids(child)]
    return [it for child in node for it in _rids(child)] if isinstance(node, list) else []
