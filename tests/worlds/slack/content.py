"""Read what a message is to consist of, from a Web API call, a `response_url` or the answer to a command."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.worlds.slack.blocks import message_problems, too_long
from tests.worlds.slack.errors import Refused

LONGEST_TEXT = 40_000


@dataclass(frozen=True)
class Content:
    """What is to be said; `blocks` is None where none were named."""

    text: str | None
    blocks: list[dict[str, Any]] | None
    metadata: dict[str, Any] | None
    unfurl_links: bool | None
    unfurl_media: bool | None


def read_content(args: Mapping[str, Any], *, need: bool = True, longest: int = LONGEST_TEXT) -> Content:
    """Check and return a message's content; Refused says what is wrong. `need`: text or blocks must be there."""
    text, marked = args.get("text"), args.get("markdown_text")
    blocks = json_arg(args, "blocks", "invalid_blocks_format")
    if marked is not None:
        if text is not None or blocks is not None:
            raise Refused("markdown_text_conflict")
        text, longest = marked, 12_000
    if text is not None and not isinstance(text, str):
        raise Refused("invalid_arguments", ["[ERROR] must be a string [json-pointer:/text]"])
    if json_arg(args, "attachments", "invalid_attachments"):
        raise Refused("invalid_attachments", ["[ERROR] legacy attachments are not part of this world"])
    if need and not (text or "").strip() and not blocks:
        raise Refused("no_text")
    if text and len(text) > longest:
        raise Refused("msg_too_long")
    if blocks is not None:
        _check_blocks(blocks)
    return Content(text, blocks, _metadata(args), flag(args, "unfurl_links"), flag(args, "unfurl_media"))


def _check_blocks(blocks: Any) -> None:
    if not isinstance(blocks, list):
        raise Refused("invalid_blocks_format")
    if problems := message_problems(blocks):
        raise Refused("invalid_blocks", problems)
    if too_long(blocks):
        raise Refused("msg_blocks_too_long")


def json_arg(args: Mapping[str, Any], name: str, error: str) -> Any:
    """Return an argument that is JSON: as a string in forms, as itself (or a string) in JSON bodies."""
    value = args.get(name)
    if not isinstance(value, str):
        return value
    if not value:
        return None
    try:
        return json.loads(value)
    except ValueError:
        raise Refused(error) from None


def flag(args: Mapping[str, Any], name: str) -> bool | None:
    """Return a boolean argument; forms write it as true, 1, false, 0."""
    value = args.get(name)
    if value is None or isinstance(value, bool):
        return value
    if value in {"true", "1", 1, "True"}:
        return True
    if value in {"false", "0", 0, "False", ""}:
        return False
    raise Refused("invalid_arguments", [f"[ERROR] must be a boolean [json-pointer:/{name}]"])


def _metadata(args: Mapping[str, Any]) -> dict[str, Any] | None:
    value = json_arg(args, "metadata", "invalid_metadata_format")
    if value is None or value == {}:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("event_type"), str):
        raise Refused("invalid_metadata_format")
    if not isinstance(value.get("event_payload"), dict):
        raise Refused("invalid_metadata_format")
    return value
