"""What the world holds: people, channels, groups, messages, views, triggers and answer addresses. No IO."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.worlds.slack import reading

USER_FLAGS = (
    "deleted", "is_bot", "is_app_user", "is_admin", "is_owner", "is_restricted", "is_ultra_restricted", "is_stranger",
    "is_email_confirmed", "is_invited_user", "is_workflow_bot", "is_connector_bot", "enterprise_user", "tz", "has_2fa",
)  # fmt: skip
CHANNEL_FLAGS = (
    "is_private", "is_archived", "is_ext_shared", "is_pending_ext_shared", "is_org_shared",
)  # fmt: skip


class Clock:
    """Seconds since 1970 that a test can push forward; expiries and message times follow it, signatures do not."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += seconds


class CannotDo(AssertionError):
    """What the test asked of a person is not possible in Slack: the button is not there, the channel not theirs."""


@dataclass
class User:
    """One account as `users.info` shows it, and how it looks in payloads."""

    id: str
    name: str
    email: str | None
    team_id: str
    flags: dict[str, Any] = field(default_factory=dict)
    guest_invited_by: str | None = None
    hidden: bool = False
    """Not visible to the app: `users.info` says user_not_visible."""
    payload_team_id: str | None = None
    """What payloads say as `user.team_id`, where that is another id (`E…` in an organisation)."""
    payload_team_null: bool = False
    """Payloads of this person say `"team": null`."""

    def profile(self, *, with_email: bool) -> dict[str, Any]:
        shown: dict[str, Any] = {"real_name": self.name, "display_name": self.name, "team": self.team_id}
        if with_email and self.email is not None:
            shown["email"] = self.email
        if self.guest_invited_by:
            shown["guest_invited_by"] = self.guest_invited_by
        return shown

    def shown(self, *, with_email: bool) -> dict[str, Any]:
        """The object of `users.info`; a deactivated account shows less."""
        base = {
            "id": self.id,
            "team_id": self.team_id,
            "name": self.name,
            "deleted": False,
            "is_bot": False,
            "updated": 1700000000,
            "profile": self.profile(with_email=with_email),
        }
        if self.flags.get("deleted"):
            return {**base, **{key: it for key, it in self.flags.items() if key in {"deleted", "is_bot"}}}
        ranks = dict.fromkeys(("is_admin", "is_owner", "is_restricted", "is_ultra_restricted", "is_app_user"), False)
        full = {**base, **ranks, "real_name": self.name, "is_email_confirmed": True, **self.flags}
        return {key: it for key, it in full.items() if it is not None}


@dataclass
class Channel:
    """A conversation; a direct one has the person as its only member."""

    id: str
    name: str
    members: set[str]
    bot_in: bool = True
    flags: dict[str, Any] = field(default_factory=dict)

    @property
    def is_private(self) -> bool:
        return bool(self.flags.get("is_private")) or self.is_im

    @property
    def is_im(self) -> bool:
        return self.id.startswith("D")

    def shown(self, team_id: str) -> dict[str, Any]:
        """The object of `conversations.info`."""
        if self.is_im:
            return {
                "id": self.id,
                "is_im": True,
                "user": next(iter(self.members)),
                "is_open": True,
                "is_archived": False,
            }
        off = dict.fromkeys(
            ("is_archived", "is_ext_shared", "is_pending_ext_shared", "is_org_shared", "is_private"), False
        )
        flags = {**off, **self.flags}
        return {
            "id": self.id,
            "name": self.name,
            "is_channel": not self.is_private,
            "is_group": self.is_private,
            "is_im": False,
            "is_mpim": False,
            "is_general": False,
            "is_member": self.bot_in,
            "is_shared": flags["is_ext_shared"] or flags["is_org_shared"],
            "context_team_id": team_id,
            "num_members": len(self.members),
            **flags,
        }


@dataclass
class UserGroup:
    id: str
    members: list[str]
    handle: str
    disabled: bool = False


@dataclass(frozen=True)
class Message:
    """A message as it was when it was read; a later edit makes another value."""

    ts: str
    channel: str
    text: str
    blocks: tuple[dict[str, Any], ...] = ()
    thread_ts: str | None = None
    user: str = ""
    ours: bool = True
    """Posted by the app under test."""
    edited: str | None = None
    """When it was last edited."""
    ephemeral_to: str | None = None
    metadata: Mapping[str, Any] | None = None
    unfurl_links: bool | None = None
    unfurl_media: bool | None = None

    def buttons(self) -> list[reading.Button]:
        return reading.buttons(self.blocks)

    def button(self, action_id: str) -> reading.Button:
        """Return the one with that action; CannotDo names those that are there."""
        return one_button(self.buttons(), action_id, None)

    def visible_text(self) -> str:
        """What a person reads in the channel: the blocks; the text only where there are none."""
        return reading.visible_text(self.blocks) if self.blocks else self.text


@dataclass(frozen=True)
class View:
    """A modal or a Home as it was when it was read."""

    id: str
    user: str
    payload: dict[str, Any]
    hash: str
    root: str
    previous: str | None = None
    errors: Mapping[str, str] = field(default_factory=dict)
    """What the app answered to the last submit, by block_id."""

    @property
    def type(self) -> str:
        return str(self.payload["type"])

    @property
    def callback_id(self) -> str:
        return str(self.payload.get("callback_id", ""))

    @property
    def private_metadata(self) -> str:
        return str(self.payload.get("private_metadata", ""))

    @property
    def title(self) -> str:
        return str(self.payload.get("title", {}).get("text", ""))

    @property
    def blocks(self) -> tuple[dict[str, Any], ...]:
        return tuple(self.payload["blocks"])

    def buttons(self) -> list[reading.Button]:
        return reading.buttons(self.blocks)

    def button(self, action_id: str) -> reading.Button:
        """Return the one with that action; CannotDo names those that are there."""
        return one_button(self.buttons(), action_id, None)

    def visible_text(self) -> str:
        frame = [self.payload[name]["text"] for name in ("title", "submit", "close") if self.payload.get(name)]
        return "\n".join([*frame, reading.visible_text(self.blocks), *self.errors.values()])


def one_button(found: list[reading.Button], action_id: str, value: str | None) -> reading.Button:
    """Pick the element with that action, and that value if several share the action."""
    fitting = [one for one in found if one.action_id == action_id and value in {None, one.value}]
    if not fitting:
        there = [one.action_id for one in found]
        raise CannotDo(f"there is no {action_id}{f' with the value {value!r}' if value else ''} here, only {there}")
    if len(fitting) > 1:
        raise CannotDo(f"there are {len(fitting)} of {action_id} here: say which value")
    return fitting[0]


@dataclass
class Trigger:
    """A right to open one view, within 3 s."""

    user: str
    at: float
    view: str | None
    """The modal it came from, if it came from one."""
    used: bool = False


@dataclass
class AnswerUrl:
    """A `response_url`: 5 uses within 30 minutes."""

    user: str
    channel: str
    at: float
    message: Message | None
    """The message that was clicked; None for a command."""
    uses: int = 0
