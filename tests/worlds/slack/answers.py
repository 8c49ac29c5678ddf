"""What the app says at a `response_url`, and in the answer to a command itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.worlds.slack.board import ANSWER_SECONDS, ANSWER_USES, BOT_USER, Board
from tests.worlds.slack.content import flag, read_content
from tests.worlds.slack.errors import Refused
from tests.worlds.slack.state import AnswerUrl, Message

FIELDS = frozenset({
    "text", "blocks", "attachments", "markdown_text", "response_type", "replace_original", "delete_original",
    "thread_ts", "metadata", "unfurl_links", "unfurl_media", "mrkdwn", "parse", "link_names",
})  # fmt: skip


def use_answer_url(board: Board, path: str, body: Mapping[str, Any]) -> None:
    """Do what was posted to a `response_url`; Refused carries the status that Slack answers."""
    answer = board.answers.get(path)
    if answer is None:
        raise Refused("invalid_url", status=404)
    if board.clock() - answer.at > ANSWER_SECONDS:
        raise Refused("expired_url", status=404)
    if answer.uses >= ANSWER_USES:
        raise Refused("used_url", status=404)
    say(board, answer, body)
    answer.uses += 1


def say(board: Board, answer: AnswerUrl, body: Mapping[str, Any]) -> Message | None:
    """Post, replace or delete what this answer is about; returns the message, if there is one now."""
    if unknown := sorted(body.keys() - FIELDS):
        raise Refused("invalid_arguments", [f"[ERROR] invalid additional property: {it}" for it in unknown], status=400)
    if body.get("response_type", "ephemeral") not in {"ephemeral", "in_channel"}:
        raise Refused("invalid_arguments", ["[ERROR] unknown response_type"], status=400)
    original = board.find(answer.message.channel, answer.message.ts) if answer.message else None
    if flag(body, "delete_original"):
        if original is None or not original.ours:
            raise Refused("message_not_found", status=404)
        board.drop(original)
        return None
    content = read_content(body)
    # A click's answer takes the message's place unless it says otherwise; a command's answer never can.
    replaces = flag(body, "replace_original")
    if original is not None and original.ours and replaces is not False:
        changed = replace(original, text=content.text or "", blocks=tuple(content.blocks or ()), edited=board.ts())
        return board.put(changed)
    private = body.get("response_type", "ephemeral") == "ephemeral"
    return board.put(
        Message(
            ts=board.ts(),
            channel=answer.channel,
            text=content.text or "",
            blocks=tuple(content.blocks or ()),
            thread_ts=body.get("thread_ts"),
            user=BOT_USER,
            ephemeral_to=answer.user if private else None,
            metadata=content.metadata,
            unfurl_links=content.unfurl_links,
            unfurl_media=content.unfurl_media,
        )
    )
