"""The payloads that Slack sends, each from what the workspace holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.worlds.slack.board import APP_ID, BOT_USER, Board
from tests.worlds.slack.reading import Button, options_of
from tests.worlds.slack.state import CannotDo, Channel, Message, User, View

TOKEN = "verification-token"


def base(board: Board, kind: str, user: User) -> dict[str, Any]:
    """The fields that every interaction has."""
    team = {"id": board.team_id, "domain": board.domain}
    if board.enterprise_id:
        team |= {"enterprise_id": board.enterprise_id, "enterprise_name": "Acme Holding"}
    return {
        "type": kind,
        "user": {
            "id": user.id,
            "username": user.name,
            "name": user.name,
            "team_id": user.payload_team_id or user.team_id,
        },
        "api_app_id": APP_ID,
        "token": TOKEN,
        "team": None if user.payload_team_null else team,
        "enterprise": {"id": board.enterprise_id, "name": "Acme Holding"} if board.enterprise_id else None,
        "is_enterprise_install": False,
    }


def place(channel: Channel) -> dict[str, str]:
    return {"id": channel.id, "name": "directmessage" if channel.is_im else channel.name}


def action(board: Board, button: Button, option: str | None) -> dict[str, Any]:
    """The one action of a click or a choice."""
    element = button.element
    made: dict[str, Any] = {
        "type": button.type,
        "action_id": button.action_id,
        "block_id": button.block_id,
        "action_ts": board.ts(),
    }
    if option is not None:
        picked = next((it for it in options_of(element) if it["value"] == option), None)
        if picked is None:
            raise CannotDo(f"{button.action_id} offers {list(button.options)}, not {option!r}")
        name = "selected_options" if button.type == "checkboxes" else "selected_option"
        made[name] = [picked] if button.type == "checkboxes" else picked
        return made
    made["text"] = {"emoji": True, **element["text"]} if "text" in element else {}
    for name in ("value", "style", "url"):
        if name in element:
            made[name] = element[name]
    return made


def click_in_message(board: Board, user: User, message: Message, act: dict[str, Any], url: str) -> dict[str, Any]:
    """A block_actions payload out of a message; of an ephemeral one it has no message."""
    container: dict[str, Any] = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": message.channel,
        "is_ephemeral": message.ephemeral_to is not None,
    }
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    payload = base(board, "block_actions", user) | {
        "container": container,
        "trigger_id": board.trigger(user.id),
        "channel": place(board.channel(message.channel)),
        "state": {"values": {}},
        "response_url": url,
        "actions": [act],
    }
    if message.ephemeral_to is None:
        payload["message"] = board.shown_message(board.find(message.channel, message.ts) or message)
    return payload


def click_in_view(
    board: Board, user: User, view: View, act: dict[str, Any], values: Mapping[str, Any]
) -> dict[str, Any]:
    """A block_actions payload out of a modal or a Home: no channel, no message, no response_url."""
    return base(board, "block_actions", user) | {
        "container": {"type": "view", "view_id": view.id},
        "trigger_id": board.trigger(user.id, view.id if view.type == "modal" else None),
        "view": board.shown_view(view, dict(values)),
        "actions": [act],
    }


def submission(board: Board, user: User, view: View, values: Mapping[str, Any]) -> dict[str, Any]:
    return base(board, "view_submission", user) | {
        "trigger_id": board.trigger(user.id, view.id),
        "view": board.shown_view(view, dict(values)),
        "response_urls": [],
    }


def closing(board: Board, user: User, view: View, *, cleared: bool) -> dict[str, Any]:
    return base(board, "view_closed", user) | {"view": board.shown_view(view), "is_cleared": cleared}


def shortcut(board: Board, user: User, callback_id: str, message: Message | None, url: str) -> dict[str, Any]:
    """A global shortcut, or one on a message."""
    common = {"callback_id": callback_id, "trigger_id": board.trigger(user.id), "action_ts": board.ts()}
    if message is None:
        return base(board, "shortcut", user) | common
    return (
        base(board, "message_action", user)
        | common
        | {
            "response_url": url,
            "message_ts": message.ts,
            "channel": place(board.channel(message.channel)),
            "message": board.shown_message(board.find(message.channel, message.ts) or message),
        }
    )


def command(board: Board, user: User, name: str, text: str, channel: Channel, url: str) -> dict[str, str]:
    """A slash command's form."""
    form = {
        "token": TOKEN,
        "team_id": board.team_id,
        "team_domain": board.domain,
        "channel_id": channel.id,
        "channel_name": place(channel)["name"] if not channel.is_private or channel.is_im else "privategroup",
        "user_id": user.id,
        "user_name": user.name,
        "command": name,
        "text": text,
        "api_app_id": APP_ID,
        "is_enterprise_install": "false",
        "response_url": url,
        "trigger_id": board.trigger(user.id),
    }
    if board.enterprise_id:
        form |= {"enterprise_id": board.enterprise_id, "enterprise_name": "Acme Holding"}
    return form


def event(board: Board, inner: Mapping[str, Any], event_id: str | None) -> dict[str, Any]:
    """An event in its envelope."""
    installed = {
        "enterprise_id": board.enterprise_id,
        "team_id": board.team_id,
        "user_id": BOT_USER,
        "is_bot": True,
        "is_enterprise_install": False,
    }
    return {
        "token": TOKEN,
        "team_id": board.team_id,
        "api_app_id": APP_ID,
        "event": {"event_ts": board.ts(), **inner},
        "type": "event_callback",
        "event_id": event_id or f"Ev{board.number():010d}",
        "event_time": int(board.clock()),
        "authorizations": [installed],
        "is_ext_shared_channel": False,
    }
