"""What there is in the tenant: people, teams, channels, chats, messages."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.worlds.teams import reading
from tests.worlds.teams.reading import Button

TENANT, OTHER_TENANT = "11111111-aaaa-4aaa-8aaa-111111111111", "99999999-aaaa-4aaa-8aaa-999999999999"
APP_ID, APP_SECRET = "22222222-bbbb-4bbb-8bbb-222222222222", "world~secret~of~the~app"
BOT_ID, BOT_NAME = f"28:{APP_ID}", "Countersign"
CARD = "application/vnd.microsoft.card.adaptive"
WIRE_KINDS = {"channel": "channel", "chat": "groupChat", "personal": "personal"}


class CannotDo(AssertionError):
    """The person in the test tries what nobody could do in Teams."""


class Clock:
    """Seconds since 1970 that stand still until pushed."""

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def push(self, seconds: float) -> None:
        self.now += seconds


def object_id(name: str) -> str:
    """Return the Entra object id that a person of this name gets unless the test chooses one."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.acme.example"))


@dataclass
class Person:
    """One account. `role` is userRole (user, guest, anonymous); an anonymous one has no object id."""

    name: str
    object_id: str | None
    tenant: str
    role: str | None = "user"
    upn: str | None = None
    shown_name: str = ""
    old_key: bool = False
    """The roster names the object id `objectId`."""
    hosted: bool = False
    """What this person does is sent under our tenant, as in a shared channel; the roster tells of the true one."""
    gone: bool = False

    @property
    def user_id(self) -> str:
        return f"29:1{self.name}"

    def account(self) -> dict[str, Any]:
        """Return the `from` of an activity."""
        shown = {"id": self.user_id, "name": self.shown_name or self.name.title()}
        return shown | ({"aadObjectId": self.object_id} if self.object_id else {})

    def member(self) -> dict[str, Any]:
        """Return the roster's entry."""
        shown: dict[str, Any] = {"id": self.user_id, "name": self.shown_name or self.name.title()}
        if self.object_id:
            shown["objectId" if self.old_key else "aadObjectId"] = self.object_id
        if self.role is not None:
            shown["userRole"] = self.role
        if self.role != "anonymous":
            upn = self.upn or f"{self.name}@acme.example"
            shown |= {"userPrincipalName": upn, "email": upn, "givenName": self.name.title(), "surname": "Example"}
        return shown | {"tenantId": self.tenant}


@dataclass
class Team:
    """A team; its id is that of its General channel."""

    id: str
    name: str
    installed: bool = False

    def shown(self) -> dict[str, Any]:
        return {"id": self.id, "name": self.name, "aadGroupId": object_id(self.id)}


@dataclass
class Place:
    """A channel, a group chat, or the chat of one person with the app."""

    id: str
    kind: str
    name: str
    team: Team | None = None
    members: set[str] = field(default_factory=set)
    installed: bool = False
    blocked: bool = False

    @property
    def has_bot(self) -> bool:
        return self.installed or bool(self.team and self.team.installed)


@dataclass(frozen=True)
class Shown:
    """Something with a card or words on somebody's screen."""

    text: str = ""
    card: Mapping[str, Any] | None = None
    text_format: str = "markdown"

    def visible_text(self, everything: bool = False) -> str:
        """Return what a person reads, line by line; with `everything` also what is hidden until asked for."""
        own = [self.text if self.text_format == "plain" else reading.rendered(self.text)] if self.text else []
        return "\n".join(own + (reading.lines(self.card, everything) if self.card else []))

    def live_markup(self) -> list[str]:
        """Return every link, image, tag and date function that Teams would act on."""
        texts = [] if self.text_format == "plain" else [self.text]
        return reading.live_markup(texts + (reading.marked_texts(self.card) if self.card else []))

    def actions(self) -> list[Button]:
        """Return every button, those inside a ShowCard included."""
        return reading.buttons(self.card) if self.card else []

    def inputs(self) -> dict[str, Mapping[str, Any]]:
        """Return every input by its id."""
        return reading.inputs(self.card) if self.card else {}


@dataclass(frozen=True)
class Message(Shown):
    """A message as everybody sees it."""

    id: str = ""
    place: str = ""
    """The channel's or chat's id."""
    reply_to: str | None = None
    """The root message of the thread, None of a root."""
    by: str | None = None
    """Who wrote it; None: the app."""
    summary: str = ""
    edited: int = 0
    at: float = 0.0
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def ours(self) -> bool:
        return self.by is None

    def changed(self, raw: Mapping[str, Any]) -> Message:
        """Return it with another content."""
        return replace(self, edited=self.edited + 1, raw=raw, **content(raw))


@dataclass(frozen=True)
class Private(Shown):
    """What one person alone was shown in answer to a click: a card in the message's place, or a toast."""

    kind: str = "card"
    message: Message | None = None
    edited: int = 0
    """How often the message had been edited by then."""


def content(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a message that its activity fills."""
    cards = [one["content"] for one in raw.get("attachments") or () if one.get("contentType") == CARD]
    return {
        "text": raw.get("text") or "",
        "card": cards[0] if cards else None,
        "text_format": raw.get("textFormat") or "markdown",
        "summary": raw.get("summary") or "",
    }
