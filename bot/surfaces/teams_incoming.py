"""Read one thing that a person did in Teams, out of an activity whose token holds; and say what answers it.

Ids alone count: names and texts in an activity are what a client showed, and nobody decides by them.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from approvers.errors import Malformed
from bot.surfaces.teams_routes import Kind as RouteKind
from bot.surfaces.teams_routes import Route

Body = Mapping[str, Any]
Kind = Literal["action", "submit", "message", "installed", "removed", "members"]
EXECUTE = "adaptiveCard/action"
MOST_TEXT = 4_000
"""Characters of a message that are read: commands are short."""
_NOTHING: Body = {}
_REQUEST = re.compile(r"req_[0-9A-Z]{26}")
_SHOWN = re.compile(r"[0-9a-f]{1,64}")
_KINDS: Mapping[str, RouteKind] = {"channel": "channel", "groupChat": "chat", "personal": "personal"}


@dataclass(frozen=True)
class Account:
    """Say who acted. Authorise on tenant and object id alone.

    Attributes:
        tenant: of the activity; None where it is absent, or named twice with different values.
        object_id: the Entra object id, lower case; None for somebody anonymous.
        user_id: the person's id as this bot sees them (`29:…`).
        name: for display only.
        role: `user`, `bot`, `anonymous`… where the activity says it.
    """

    tenant: str | None
    object_id: str | None
    user_id: str
    name: str = ""
    role: str | None = None


@dataclass(frozen=True)
class Incoming:
    """One click, message or change of membership.

    Attributes:
        kind: `action` (a button), `submit` (the same from an old client, as a message), `message`, or what happened to
            the app (`installed`, `removed`) or to others (`members`) in a conversation.
        verb: of the button; empty otherwise.
        data: what the button carries, with the inputs of its card.
        text: a message's words, without the mention of the bot.
        automatic: a client did this by itself; it is never a decision.
        conversation: without `;messageid=…`.
        message: the id of the card that was clicked, or of the message that was written.
        personal: done in a person's own chat with the bot.
        raw: the whole activity.
    """

    kind: Kind
    by: Account
    conversation: str
    route: Route
    verb: str = ""
    data: Body = field(default_factory=dict)
    text: str = ""
    automatic: bool = False
    message: str | None = None
    personal: bool = False
    raw: Body = field(default_factory=dict)

    @classmethod
    def of(cls, raw: Body) -> Incoming | None:
        """Read an activity; None where it is none that concerns us. Raises Malformed if it does not say who or where.

        An invoke other than a card's action is for the adapter to refuse.
        """
        kind = _kind(raw)
        if kind is None:
            return None
        by, route = account_of(raw), route_of(raw)
        value = _dict(raw, "value")
        action = _dict(value, "action") if kind == "action" else {"verb": value.get("verb"), "data": value}
        verb = _text(action, "verb") if kind in ("action", "submit") else ""
        return cls(
            kind,
            by,
            route.conversation_id,
            route,
            verb=verb,
            data=_dict(action, "data") if verb else {},
            text=command_text(raw) if kind == "message" else "",
            automatic=value.get("trigger") == "automatic" or verb == "refresh",
            message=(_text(raw, "id") if kind == "message" else _text(raw, "replyToId")) or None,
            personal=route.kind == "personal",
            raw=raw,
        )

    def target(self) -> tuple[str, str]:
        """Return request id and digest of what was shown, as the button carries them.

        Raises:
            Malformed: it carries none: an old button, or one that is not ours.
        """
        request, shown = _text(self.data, "rid"), _text(self.data, "shown")
        if not (_REQUEST.fullmatch(request) and _SHOWN.fullmatch(shown)):
            raise Malformed("This button is from an older version or not Countersign's: open the request by its id.")
        return request, shown


@dataclass(frozen=True)
class Answer:
    """What answers it.

    Attributes:
        card: takes the place of the card for the one who clicked, and for nobody else (`action` alone).
        toast: words for the one who clicked; where `card` or an old client has no room for them, as a private message.
        reply: a message activity, posted where the call came from (see `teams_activities`).
    """

    card: Body | None = None
    toast: str | None = None
    reply: Body | None = None


def account_of(raw: Body) -> Account:
    """Return who acted, as the channel states it."""
    who = _dict(raw, "from")
    role = _text(who, "userRole") or _text(who, "role") or None
    tenant = _text(who, "tenantId").lower() or tenant_of(raw)  # in a shared channel, people of other tenants act, too
    return Account(tenant, _text(who, "aadObjectId").lower() or None, _text(who, "id"), _text(who, "name"), role)


def tenant_of(raw: Body) -> str | None:
    """Return the tenant of an activity, lower case; None when it is absent, or named with different values."""
    named = [_dict(_dict(raw, "channelData"), "tenant").get("id"), _dict(raw, "conversation").get("tenantId")]
    found = [one for one in named if one is not None]
    if not found or not all(isinstance(one, str) and one for one in found):
        return None
    tenants = {str(one).lower() for one in found}
    return tenants.pop() if len(tenants) == 1 else None


def route_of(raw: Body) -> Route:
    """Return where an activity came from. Raises Malformed if it does not say."""
    data, place = _dict(raw, "channelData"), _dict(raw, "conversation")
    conversation = _text(place, "id").partition(";")[0]
    service, bot, tenant = _text(raw, "serviceUrl"), _text(_dict(raw, "recipient"), "id"), tenant_of(raw)
    if not (conversation and service and bot and tenant):
        raise Malformed("Teams' call does not say where it comes from.")
    kind: RouteKind = _KINDS.get(_text(place, "conversationType"), "personal")
    channel = _text(_dict(data, "channel"), "id") or conversation
    who = account_of(raw)
    return Route(
        service_url=service,
        tenant_id=tenant,
        bot_id=bot,
        kind=kind,
        conversation_id=channel if kind == "channel" else conversation,
        channel_id=channel if kind == "channel" else None,
        team_id=_text(_dict(data, "team"), "id") or None,
        user_id=(who.user_id or None) if kind == "personal" else None,
        object_id=who.object_id if kind == "personal" else None,
    )


def command_text(raw: Body) -> str:
    """Return a message's words without the mention of us.

    What is removed is the exact text of each mention entity with our id, once: a mention's text is the sender's, and
    the bot's name may stand elsewhere in the sentence.
    """
    text = _text(raw, "text")[:MOST_TEXT]
    entities = raw.get("entities")
    me = _text(_dict(raw, "recipient"), "id")
    for entity in entities if isinstance(entities, list) else []:
        if isinstance(entity, dict) and entity.get("type") == "mention" and me:
            marked = _text(entity, "text")
            if marked and _text(_dict(entity, "mentioned"), "id") == me:
                text = text.replace(marked, " ", 1)
    return " ".join(html.unescape(text).split())  # also folds non-breaking spaces


def _kind(raw: Body) -> Kind | None:
    match raw.get("type"):
        case "invoke":
            return "action" if raw.get("name") == EXECUTE else None
        case "message":
            return "submit" if isinstance(raw.get("value"), dict) and not _text(raw, "text").strip() else "message"
        case "installationUpdate":
            added = _text(raw, "action").startswith("add")
            return "installed" if added else "removed"
        case "conversationUpdate":
            return _membership(raw)
        case _:
            return None


def _membership(raw: Body) -> Kind | None:
    me = _text(_dict(raw, "recipient"), "id")
    if _text(_dict(raw, "channelData"), "eventType") in ("channelDeleted", "teamDeleted"):
        return "removed"
    for name, kind in (("membersAdded", "installed"), ("membersRemoved", "removed")):
        people = raw.get(name)
        if isinstance(people, list) and any(isinstance(one, dict) and one.get("id") == me for one in people):
            return cast("Kind", kind)
    return "members"


def _dict(body: Body, name: str) -> Body:
    value = body.get(name)
    return value if isinstance(value, dict) else _NOTHING


def _text(body: Body, name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""
