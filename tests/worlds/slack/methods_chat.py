"""The chat methods of the Web API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.worlds.slack.board import BOT_USER, Board
from tests.worlds.slack.content import Content, flag, read_content
from tests.worlds.slack.errors import Refused
from tests.worlds.slack.state import Channel, Message

Args = Mapping[str, Any]
LONGEST_EDIT = 4_000


def _place(board: Board, channel_id: Any, *, users_too: bool = False) -> Channel:
    """Return where the app may speak, or refuse as Slack does."""
    if users_too and channel_id in board.users:
        user = board.users[channel_id]
        if user.flags.get("deleted") or user.flags.get("is_bot"):
            raise Refused("channel_not_found")
        return board.direct(user.id)
    channel = board.channels.get(str(channel_id))
    if channel is None or (channel.is_private and not channel.bot_in):
        raise Refused("channel_not_found")
    if not channel.bot_in:
        raise Refused("not_in_channel")
    if channel.is_im and not board.app.messages:
        raise Refused("messages_tab_disabled")
    return channel


def _message(board: Board, channel: Channel, content: Content, args: Args, **more: Any) -> Message:
    thread = args.get("thread_ts")
    if thread is not None:
        parent = board.find(channel.id, str(thread))
        if parent is None or parent.ephemeral_to:
            raise Refused("invalid_thread_ts")
        thread = parent.thread_ts or parent.ts
    if content.blocks and not (content.text or "").strip():
        board.warnings.append(f"missing_text_in_message: {channel.id}")
    if args.get("parse") == "full" or flag(args, "link_names"):
        board.warnings.append(f"names and links are parsed out of the text: {channel.id}")
    return Message(
        ts=board.ts(),
        channel=channel.id,
        text=content.text or "",
        blocks=tuple(content.blocks or ()),
        thread_ts=thread,
        user=BOT_USER,
        metadata=content.metadata,
        unfurl_links=content.unfurl_links,
        unfurl_media=content.unfurl_media,
        **more,
    )


def post_message(board: Board, args: Args) -> dict[str, Any]:
    channel = _place(board, args["channel"], users_too=True)
    if channel.flags.get("is_archived"):
        raise Refused("is_archived")
    stored = board.put(_message(board, channel, read_content(args), args))
    return {"channel": channel.id, "ts": stored.ts, "message": board.shown_message(stored)}


def post_ephemeral(board: Board, args: Args) -> dict[str, Any]:
    channel = _place(board, args["channel"])
    if channel.flags.get("is_archived"):
        raise Refused("is_archived")
    user = board.users.get(str(args["user"]))
    if user is None or user.id not in channel.members or user.flags.get("deleted"):
        raise Refused("user_not_in_channel")
    stored = board.put(_message(board, channel, read_content(args), args, ephemeral_to=user.id))
    return {"message_ts": stored.ts}


def _own(board: Board, args: Args, error: str) -> Message:
    """Return the app's message that is meant; ephemeral ones are not found this way."""
    channel = _place(board, args["channel"])
    message = board.find(channel.id, str(args["ts"]))
    if message is None or message.ephemeral_to:
        raise Refused("message_not_found")
    if not message.ours:
        raise Refused(error)
    if channel.flags.get("is_archived"):
        raise Refused("is_inactive")
    return message


def update(board: Board, args: Args) -> dict[str, Any]:
    old = _own(board, args, "cant_update_message")
    content = read_content(args, need="blocks" not in args, longest=LONGEST_EDIT)
    blocks = old.blocks if content.blocks is None else tuple(content.blocks)
    stale = {it["block_id"] for it in old.blocks if it not in blocks} & {it.get("block_id") for it in blocks}
    if stale:
        board.warnings.append(f"changed blocks keep their block_id: {', '.join(sorted(stale))}")
    changed = replace(
        old,
        text=old.text if content.text is None else content.text,
        blocks=blocks,
        edited=board.ts(),
        metadata=content.metadata if "metadata" in args else old.metadata,
    )
    stored = board.put(changed)
    return {"channel": old.channel, "ts": old.ts, "text": stored.text, "message": board.shown_message(stored)}


def delete(board: Board, args: Args) -> dict[str, Any]:
    message = _own(board, args, "cant_delete_message")
    board.drop(message)
    return {"channel": message.channel, "ts": message.ts}


def permalink(board: Board, args: Args) -> dict[str, Any]:
    channel = board.channels.get(str(args["channel"]))
    if channel is None or (channel.is_private and not channel.bot_in):
        raise Refused("channel_not_found")
    message = board.find(channel.id, str(args["message_ts"]))
    if message is None or message.ephemeral_to:
        raise Refused("message_not_found")
    link = f"https://{board.domain}.slack.com/archives/{channel.id}/p{message.ts.replace('.', '')}"
    return {"channel": channel.id, "permalink": link}
