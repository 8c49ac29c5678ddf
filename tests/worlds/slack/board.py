"""The workspace itself: a store of its people and pages with the rules that need more than one of them. No IO."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from tests.worlds.slack.blocks import interactive
from tests.worlds.slack.errors import Refused
from tests.worlds.slack.manifest import App
from tests.worlds.slack.state import AnswerUrl, CannotDo, Channel, Message, Trigger, User, UserGroup, View

TRIGGER_SECONDS = 3.0
ANSWER_SECONDS, ANSWER_USES = 30 * 60.0, 5
BOT_USER, BOT, APP_ID = "U0BOT", "B0BOT", "A0APP"


@dataclass
class Board:
    """Everything a workspace holds. `touch` is called after each change."""

    clock: Callable[[], float]
    app: App
    team_id: str = "T01"
    enterprise_id: str | None = None
    domain: str = "acme"
    free_plan: bool = False
    """User groups are then answered with plan_upgrade_required."""
    org_token: bool = False
    """The app is installed for the whole organisation: user groups then need a team_id."""
    users: dict[str, User] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    groups: dict[str, UserGroup] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    homes: dict[str, View] = field(default_factory=dict)
    stacks: dict[str, list[View]] = field(default_factory=dict)
    triggers: dict[str, Trigger] = field(default_factory=dict)
    answers: dict[str, AnswerUrl] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    """What Slack takes although its reference advises against it."""
    touch: Callable[[], None] = lambda: None
    _count: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def number(self) -> int:
        return next(self._count)

    def ts(self) -> str:
        """A message time that no other message has, rising."""
        return f"{int(self.clock())}.{self.number():06d}"

    # --- people and places

    def user(self, user_id: str) -> User:
        if user_id not in self.users:
            raise CannotDo(f"there is no user {user_id}")
        return self.users[user_id]

    def channel(self, channel_id: str) -> Channel:
        if channel_id not in self.channels:
            raise CannotDo(f"there is no channel {channel_id}")
        return self.channels[channel_id]

    def direct(self, user_id: str) -> Channel:
        """Return the conversation of this person with the app, opened if need be."""
        for channel in self.channels.values():
            if channel.is_im and user_id in channel.members:
                return channel
        made = Channel(f"D{self.number():06d}", "directmessage", {user_id})
        return self.channels.setdefault(made.id, made)

    # --- messages

    def put(self, message: Message) -> Message:
        """Add a message, or put this state of it in place of the last."""
        stored = replace(message, blocks=tuple(self.named(list(message.blocks))))
        at = [n for n, old in enumerate(self.messages) if (old.channel, old.ts) == (message.channel, message.ts)]
        if at:
            self.messages[at[0]] = stored
        else:
            self.messages.append(stored)
        self.touch()
        return stored

    def drop(self, message: Message) -> None:
        self.messages = [old for old in self.messages if (old.channel, old.ts) != (message.channel, message.ts)]
        self.touch()

    def find(self, channel: str, ts: str) -> Message | None:
        return next((it for it in self.messages if (it.channel, it.ts) == (channel, ts)), None)

    def named(self, blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Give block_ids and action_ids to what has none, as Slack does when it stores."""
        named = deepcopy(blocks)
        for block in named:
            block.setdefault("block_id", f"b{self.number():04d}")
            for element in interactive(block):
                element.setdefault("action_id", f"a{self.number():04d}")
        return named

    # --- views

    def stack(self, user: str) -> list[View]:
        return self.stacks.setdefault(user, [])

    def set_view(self, view: View) -> View:
        """Put this state of a view in place of the last one with its id."""
        if view.type == "home":
            self.homes[view.user] = view
        else:
            self.stacks[view.user] = [view if old.id == view.id else old for old in self.stack(view.user)]
        self.touch()
        return view

    def new_hash(self) -> str:
        return f"{int(self.clock())}.{self.number():08x}"

    def find_view(self, *, view_id: str | None = None, external_id: str | None = None) -> View | None:
        views = [*self.homes.values(), *itertools.chain.from_iterable(self.stacks.values())]
        for view in views:
            if view.id == view_id or (external_id and view.payload.get("external_id") == external_id):
                return view
        return None

    # --- triggers and answer addresses

    def trigger(self, user: str, view: str | None = None) -> str:
        name = f"{self.number()}.{int(self.clock())}.{self.number():032x}"
        self.triggers[name] = Trigger(user, self.clock(), view)
        return name

    def trade(self, trigger_id: Any) -> Trigger:
        """Return the trigger if it may still be used; whoever opens the view marks it used."""
        if not isinstance(trigger_id, str) or not re.fullmatch(r"\d+\.\d+\.[0-9a-f]+", trigger_id):
            raise Refused("invalid_trigger_id")
        trigger = self.triggers.get(trigger_id)
        if trigger is None:
            raise Refused("invalid_trigger_id")
        if trigger.used:
            raise Refused("exchanged_trigger_id")
        if self.clock() - trigger.at > TRIGGER_SECONDS:
            raise Refused("expired_trigger_id")
        return trigger

    def answer_url(self, user: str, channel: str, message: Message | None) -> str:
        """Issue a `response_url`; returns its path."""
        kind = "commands" if message is None else "actions"
        path = f"/{kind}/{self.team_id}/{self.number()}/{self.number():024x}"
        self.answers[path] = AnswerUrl(user, channel, self.clock(), message)
        return path

    # --- as payloads show it

    def shown_message(self, message: Message) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "type": "message",
            "user": message.user,
            "text": message.text,
            "ts": message.ts,
            "team": self.team_id,
            "blocks": deepcopy(list(message.blocks)),
        }
        if message.ours:
            shown |= {"bot_id": BOT, "app_id": APP_ID}
        if message.thread_ts:
            shown["thread_ts"] = message.thread_ts
        if message.edited:
            shown["edited"] = {"user": message.user, "ts": message.edited}
        if message.metadata:
            shown["metadata"] = dict(message.metadata)
        return shown

    def shown_view(self, view: View, values: dict[str, Any] | None = None) -> dict[str, Any]:
        kept = {"private_metadata": "", "callback_id": "", "external_id": "", "clear_on_close": False}
        none: dict[str, Any] = {"notify_on_close": False, "close": None, "submit": None, "title": None}
        return {
            **kept,
            **none,
            **deepcopy(view.payload),
            "id": view.id,
            "team_id": self.team_id,
            "state": {"values": values or {}},
            "hash": view.hash,
            "root_view_id": view.root,
            "previous_view_id": view.previous,
            "app_id": APP_ID,
            "bot_id": BOT,
            "app_installed_team_id": self.team_id,
        }
