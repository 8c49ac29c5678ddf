"""What people do: click, choose, type commands, fill modals. Each returns what went out and what they then see."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.worlds.slack import forms, payloads
from tests.worlds.slack.answers import say
from tests.worlds.slack.blocks import MODAL
from tests.worlds.slack.board import Board
from tests.worlds.slack.delivery import Courier, Delivery
from tests.worlds.slack.errors import Refused
from tests.worlds.slack.journal import Refusal
from tests.worlds.slack.methods_views import change, push_on, read_view
from tests.worlds.slack.reading import Button
from tests.worlds.slack.server import Server
from tests.worlds.slack.state import AnswerUrl, CannotDo, Channel, Message, User, View, one_button

Place = Message | View
NOT_IN_TIME = "operation_timeout"
NO_SERVICE = "dispatch_failed"
TROUBLE = "We had some trouble connecting. Try again?"


class Hands:
    """The people of the workspace, acting."""

    board: Board
    courier: Courier
    server: Server

    async def click(
        self,
        user: str,
        where: Place,
        action_id: str,
        *,
        value: str | None = None,
        confirm: bool = True,
        typed: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Delivery:
        """Press the button with this action (and this value, if several share the action).

        `where` may be older than what is there now: a screen that was not refreshed. A button with a confirm dialog is
        sent only with `confirm`; the delivery's `dialog` is what was asked. `typed` is what stands in a view's inputs.
        CannotDo: this person cannot press it.
        """
        button = one_button(where.buttons(), action_id, value)
        if button.type not in {"button", "icon_button", "workflow_button"}:
            raise CannotDo(f"{action_id} is a {button.type}: choose() from it")
        return await self._act(user, where, button, None, confirm=confirm, typed=typed)

    async def choose(
        self, user: str, where: Place, action_id: str, option_value: str, *, confirm: bool = True
    ) -> Delivery:
        """Pick the option with this value from a select, radio buttons, checkboxes or an overflow menu."""
        fitting = [it for it in where.buttons() if it.action_id == action_id and option_value in it.options]
        button = fitting[0] if len(fitting) == 1 else one_button(where.buttons(), action_id, None)
        return await self._act(user, where, button, option_value, confirm=confirm)

    async def _act(
        self,
        user: str,
        where: Place,
        button: Button,
        option: str | None,
        *,
        confirm: bool,
        typed: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Delivery:
        person = self.board.user(user)
        dialog = None
        if button.confirm is not None:
            dialog = "\n".join(button.confirm[name]["text"] for name in ("title", "text", "confirm", "deny"))
            if not confirm:
                return Delivery(dialog=dialog)
        act = payloads.action(self.board, button, option)
        if isinstance(where, Message):
            self._reachable(person, where)
            url = self.server.origin + self.board.answer_url(user, where.channel, where)
            payload = payloads.click_in_message(self.board, person, where, act, url)
        else:
            view = self._open_view(user, where)
            payload = payloads.click_in_view(self.board, person, view, act, forms.fill(view, typed or {})[0])
        return replace(await self.interact(payload), dialog=dialog)

    def _reachable(self, user: User, message: Message) -> None:
        if message.ephemeral_to is not None:
            if message.ephemeral_to != user.id:
                raise CannotDo(f"only {message.ephemeral_to} sees this message")
        elif user.id not in self.board.channel(message.channel).members:
            raise CannotDo(f"{user.id} is not a member of {message.channel}")
        if not message.ours:
            raise CannotDo("another app posted this message, and gets its clicks")

    def _open_view(self, user: str, view: View) -> View:
        """Return the present state of a view that this person has in front of them."""
        if view.type == "home":
            if view.user != user:
                raise CannotDo(f"this is the Home of {view.user}")
            return self.board.homes[user]
        stack = self.board.stack(user)
        if not stack or stack[-1].id != view.id:
            raise CannotDo(f"{user} does not have {view.id} ({view.callback_id}) in front of them")
        return stack[-1]

    async def interact(self, payload: Mapping[str, Any]) -> Delivery:
        """Deliver any interaction, also one that no screen offers, signed as Slack's own."""
        if not self.board.app.interactive:
            raise CannotDo("the manifest does not switch interactivity on")
        delivery = await self.courier.interactive(payload, accepts=payload["type"] == "view_submission")
        if delivery.failure is None and delivery.body and payload["type"] != "view_submission":
            self._note("interactive", "ignored_body", [delivery.body[:200].decode("utf-8", "replace")])
        return replace(delivery, user_error=_trouble(delivery))

    async def submit(self, user: str, view: View, values: Mapping[str, Mapping[str, Any]] | None = None) -> Delivery:
        """Fill in a modal and press its submit button.

        `values` is {block_id: {action_id: text or option value(s)}}. What the client would not let through (a required
        input left empty, too long a text) is not sent: `user_error` says so.
        """
        shown = self._open_view(user, view)
        if not shown.payload.get("submit"):
            raise CannotDo(f"{shown.callback_id} has no submit button")
        filled, complaint = forms.fill(shown, values or {})
        if complaint:
            return Delivery(user_error=complaint)
        delivery = await self.interact(payloads.submission(self.board, self.board.user(user), shown, filled))
        return delivery if delivery.failure else self._after_submit(user, shown, delivery)

    def _after_submit(self, user: str, view: View, delivery: Delivery) -> Delivery:
        try:
            self._respond(user, view, delivery.json or {})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self._note("view_submission", "bad_answer", [repr(error)])
            return replace(delivery, user_error=TROUBLE)
        except Refused as refused:
            self._note("view_submission", refused.error, refused.messages)
            return replace(delivery, user_error=TROUBLE)
        self.board.touch()
        return delivery

    def _respond(self, user: str, view: View, answer: Mapping[str, Any]) -> None:
        """Do what the answer to a submit says: show errors, show another view, close."""
        match answer.get("response_action"):
            case "errors":
                errors = dict(answer["errors"])
                inputs = {block["block_id"] for block in view.blocks if block["type"] == "input"}
                if not errors or not errors.keys() <= inputs or not all(isinstance(it, str) for it in errors.values()):
                    raise ValueError(f"errors must name inputs of the view, got {sorted(errors)}")
                self.board.set_view(replace(view, errors=errors))
            case "update":
                change(self.board, view, read_view(self.board, answer, MODAL, view))
            case "push":
                push_on(self.board, user, read_view(self.board, answer, MODAL))
            case "clear":
                self.board.stacks[user] = []
            case None if not answer:
                self.board.stacks[user] = [it for it in self.board.stack(user) if it.id != view.id]
            case other:
                raise ValueError(f"unknown response_action {other!r}")

    async def close_view(self, user: str, view: View, *, everything: bool = False) -> Delivery | None:
        """Close a modal (or the whole stack); the app hears of it only where it asked to with notify_on_close."""
        shown = self._open_view(user, view)
        self.board.stacks[user] = [] if everything else [it for it in self.board.stack(user) if it.id != shown.id]
        self.board.touch()
        if not shown.payload.get("notify_on_close"):
            return None
        return await self.interact(payloads.closing(self.board, self.board.user(user), shown, cleared=everything))

    async def command(self, user: str, name: str, text: str = "", *, channel: str | None = None) -> Delivery:
        """Type a slash command (into the app's own direct conversation unless a channel is named)."""
        person = self.board.user(user)
        where = self.board.direct(user) if channel is None else self.board.channel(channel)
        if user not in where.members:
            raise CannotDo(f"{user} is not a member of {where.id}")
        if name not in self.board.app.commands:
            raise CannotDo(f"{name} is not a command of this app")
        typed = self._escaped(text) if self.board.app.commands[name] else _entities(text)
        url = self.board.answer_url(user, where.id, None)
        form = payloads.command(self.board, person, name, typed, where, self.server.origin + url)
        delivery = await self.courier.command(form)
        if trouble := _trouble(delivery):
            return replace(delivery, user_error=f'{name} failed with the error "{trouble}"')
        return self._after_command(user, name, where, delivery)

    def _after_command(self, user: str, name: str, where: Channel, delivery: Delivery) -> Delivery:
        """Show what the answer itself says: nothing, plain words, or a message as JSON."""
        if not delivery.body.strip():
            return delivery
        try:
            body = json.loads(delivery.body)
        except ValueError:
            body = {"text": delivery.body.decode("utf-8", "replace")}
        try:
            if not isinstance(body, dict):
                raise Refused("invalid_command_response")
            say(self.board, AnswerUrl(user, where.id, self.board.clock(), None), body)
        except Refused as refused:
            self._note("command", refused.error, refused.messages)
            return replace(delivery, user_error=f'{name} failed with the error "{refused.error}"')
        return delivery

    def _escaped(self, text: str) -> str:
        """Write mentions as ids, as should_escape asks for; everything else only with entities."""
        people = {user.name: user.id for user in self.board.users.values()}
        rooms = {channel.name: channel.id for channel in self.board.channels.values() if not channel.is_im}

        def mention(found: re.Match[str]) -> str:
            name = found[2]
            if found[1] == "@":
                return f"<@{people[name]}|{name}>" if name in people else found[0]
            return f"<#{rooms[name]}|{name}>" if name in rooms else found[0]

        return re.sub(r"([@#])([\w.-]+)", mention, _entities(text))

    async def shortcut(self, user: str, callback_id: str, message: Message | None = None) -> Delivery:
        """Use a shortcut of the app: on a message, or (without one) from anywhere."""
        kind = "global" if message is None else "message"
        if (kind, callback_id) not in self.board.app.shortcuts:
            raise CannotDo(f"{callback_id} is not a {kind} shortcut of this app")
        url = ""
        if message is not None:
            if user not in self.board.channel(message.channel).members:
                raise CannotDo(f"{user} is not a member of {message.channel}")
            url = self.server.origin + self.board.answer_url(user, message.channel, message)
        return await self.interact(payloads.shortcut(self.board, self.board.user(user), callback_id, message, url))

    async def open_home(self, user: str, tab: str = "home") -> Delivery:
        """Open the app's page; the app hears of it and may publish a view."""
        inner: dict[str, Any] = {
            "type": "app_home_opened",
            "user": self.board.user(user).id,
            "channel": self.board.direct(user).id,
            "tab": tab,
        }
        if user in self.board.homes:
            inner["view"] = self.board.shown_view(self.board.homes[user])
        return await self.event(inner)

    async def event(self, inner: Mapping[str, Any], *, event_id: str | None = None, retries: int = 3) -> Delivery:
        """Send an event that the manifest subscribes to; failures are sent again, at once, up to 3 times."""
        if inner["type"] not in self.board.app.events:
            raise CannotDo(f"the app does not subscribe to {inner['type']}")
        return await self.courier.event(payloads.event(self.board, inner, event_id), retries=retries)

    async def verify_url(self) -> bool:
        """Send the challenge with which Slack checks a new events address; True if it came back."""
        challenge = {"token": payloads.TOKEN, "challenge": f"c{self.board.number():08d}", "type": "url_verification"}
        answer = await self.courier.event(challenge, retries=0)
        if answer.status != 200:
            return False
        try:
            return bool(answer.json["challenge"] == challenge["challenge"])
        except (ValueError, TypeError, KeyError):
            return challenge["challenge"].encode() == answer.body.strip()

    def _note(self, method: str, error: str, messages: list[str]) -> None:
        self.server.refusals.append(Refusal(method, error, tuple(messages), {}))


def _trouble(delivery: Delivery) -> str | None:
    return {None: None, "http_timeout": NOT_IN_TIME}.get(delivery.failure, NO_SERVICE)


def _entities(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
