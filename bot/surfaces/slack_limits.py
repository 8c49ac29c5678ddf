"""Check that Slack will take a message or view, before it is sent, and that it holds nothing that we never send.

The lengths and counts are Slack's. Kinds of block and element that we do not use are refused, and so is what could
mention, link or unfurl: rich text holds text and signs only, and mrkdwn no token but a date.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from bot.shapes import NotSendable, both, fields, flag, many, number, some, text, typed, word

__all__ = ["NotSendable", "check_sendable"]

MAX_MESSAGE = 12_000
"""JSON characters of a message's blocks; Slack's own end is reported at about 13,000."""
MAX_VIEW = 250_000
_TOKEN = re.compile(r"<(?!!date\^[0-9]+\^[^<>|]{1,100}\|[^<>|]{1,60}>)")
_ID, _URL = text(255), text(3_000)


def _no_tokens(value: Any, path: str) -> None:
    if _TOKEN.search(value):
        raise NotSendable(path, "holds a token other than a date: a mention, a link, or `<` that was not escaped")


def _plain(most: int) -> Any:
    return fields({"type": word("plain_text"), "text": text(most)}, {"emoji": word(False)})


def _any_text(most: int) -> Any:
    marked = fields({"type": word("mrkdwn"), "text": both(text(most), _no_tokens)}, {"verbatim": flag})
    return typed({"plain_text": _plain(most), "mrkdwn": marked})


def _option(value: int = 150) -> Any:
    return fields({"text": _plain(75), "value": text(value)}, {"description": _plain(75)})


_CONFIRM = fields(
    {"title": _plain(100), "text": _plain(300), "confirm": _plain(30), "deny": _plain(30)},
    {"style": word("primary", "danger")},
)
_STYLE = fields({}, {name: flag for name in ("bold", "italic", "strike", "code")})
_WORDS = typed(
    {
        "text": fields({"type": word("text"), "text": text(3_000)}, {"style": _STYLE}),
        "emoji": fields({"type": word("emoji"), "name": text(100)}),
    }
)
_SECTION = fields({"type": word("rich_text_section"), "elements": many(_WORDS, 500)})
_RICH = typed(
    {
        "rich_text_section": _SECTION,
        "rich_text_quote": fields({"type": word("rich_text_quote"), "elements": many(_WORDS, 500)}),
        "rich_text_preformatted": fields({"type": word("rich_text_preformatted"), "elements": many(_WORDS, 500)}),
        "rich_text_list": fields(
            {"type": word("rich_text_list"), "style": word("bullet", "ordered"), "elements": many(_SECTION, 500)},
            {"indent": number(0, 8)},
        ),
    }
)
_BUTTON = fields(
    {"type": word("button"), "action_id": _ID, "text": _plain(75)},
    {
        "value": text(2_000),
        "url": _URL,
        "style": word("primary", "danger"),
        "confirm": _CONFIRM,
        "accessibility_label": text(75),
    },
)
_SELECT = fields(
    {"type": word("static_select"), "action_id": _ID, "options": many(_option(), 100)},
    {"placeholder": _plain(150), "initial_option": _option(), "confirm": _CONFIRM, "focus_on_load": flag},
)
_OVERFLOW = fields({"type": word("overflow"), "action_id": _ID, "options": many(_option(), 5)}, {"confirm": _CONFIRM})
_TYPED_IN = fields(
    {"type": word("plain_text_input"), "action_id": _ID},
    {
        "multiline": flag,
        "min_length": number(0, 3_000),
        "max_length": number(1, 3_000),
        "initial_value": text(3_000),
        "placeholder": _plain(150),
        "focus_on_load": flag,
    },
)


def _picks(kind: str) -> Any:
    choices = many(_option(), 10)
    return fields(
        {"type": word(kind), "action_id": _ID, "options": choices}, {"focus_on_load": flag, "initial_options": choices}
    )


_PICKS = {kind: _picks(kind) for kind in ("checkboxes", "radio_buttons")}
_SELECT_MANY = fields(
    {"type": word("multi_static_select"), "action_id": _ID, "options": many(_option(), 100)},
    {"placeholder": _plain(150), "initial_options": many(_option(), 100)},
)
_CLICKED = typed({"button": _BUTTON, "static_select": _SELECT, "overflow": _OVERFLOW, **_PICKS})
_FILLED = typed(
    {"plain_text_input": _TYPED_IN, "static_select": _SELECT, "multi_static_select": _SELECT_MANY, **_PICKS}
)
_BLOCK = {"block_id": _ID}
_SHOWN = {
    "header": fields({"type": word("header"), "text": _plain(150)}, _BLOCK),
    "divider": fields({"type": word("divider")}, _BLOCK),
    "section": both(
        some("text", "fields"),
        fields(
            {"type": word("section")},
            {**_BLOCK, "text": _any_text(3_000), "fields": many(_any_text(2_000), 10), "accessory": _CLICKED},
        ),
    ),
    "context": fields({"type": word("context"), "elements": many(_any_text(3_000), 10)}, _BLOCK),
    "actions": fields({"type": word("actions"), "elements": many(_CLICKED, 25)}, _BLOCK),
    "rich_text": fields({"type": word("rich_text"), "elements": many(_RICH, 500)}, _BLOCK),
}
_INPUT = fields(
    {"type": word("input"), "label": _plain(2_000), "element": _FILLED},
    {**_BLOCK, "hint": _plain(2_000), "optional": flag, "dispatch_action": flag},
)
_BLOCKS = typed(_SHOWN)
_BLOCKS_OR_INPUT = typed({**_SHOWN, "input": _INPUT})
_MESSAGE = fields(
    {"text": both(text(4_000), _no_tokens), "blocks": many(_BLOCKS, 50)},
    {
        "unfurl_links": word(False),
        "unfurl_media": word(False),
        "response_type": word("ephemeral"),
        "replace_original": flag,
        "delete_original": flag,
    },
)
_META = {"callback_id": _ID, "private_metadata": text(3_000, 0), "external_id": _ID}
_VIEW = typed(
    {
        "modal": fields(
            {"type": word("modal"), "title": _plain(24), "blocks": many(_BLOCKS_OR_INPUT, 100)},
            {**_META, "submit": _plain(24), "close": _plain(24), "clear_on_close": flag, "notify_on_close": flag},
        ),
        "home": fields({"type": word("home"), "blocks": many(_BLOCKS_OR_INPUT, 100)}, _META),
    }
)


def check_sendable(message_or_view: dict[str, Any]) -> None:
    """Check one message (top-level `text` and `blocks`) or one view (`type` modal or home). Raises NotSendable."""
    if "type" in message_or_view:
        _VIEW(message_or_view, "")
        _check_form(message_or_view)
        size, most = len(json.dumps(message_or_view)), MAX_VIEW
    else:
        _MESSAGE(message_or_view, "")
        size, most = len(json.dumps(message_or_view["blocks"])), MAX_MESSAGE
    if size >= most:
        raise NotSendable("blocks", f"take {size:,} characters of JSON; they must stay below {most:,}")
    _check_ids(message_or_view["blocks"])


def _check_form(view: dict[str, Any]) -> None:
    inputs = [index for index, block in enumerate(view["blocks"]) if block["type"] == "input"]
    if inputs and view["type"] == "modal" and "submit" not in view:
        raise NotSendable(f"blocks[{inputs[0]}]", "is an input, and the modal has no submit")


def _check_ids(blocks: list[dict[str, Any]]) -> None:
    """Check that block ids are unique, and action ids within each block; one button at most is primary in each."""
    twice = [name for name, count in Counter(block.get("block_id") for block in blocks).items() if name and count > 1]
    if twice:
        raise NotSendable("blocks", f"have the block_id {twice[0]} twice")
    for index, block in enumerate(blocks):
        elements = block.get("elements", []) if block["type"] == "actions" else []
        names = Counter(one["action_id"] for one in elements)
        if again := [name for name, count in names.items() if count > 1]:
            raise NotSendable(f"blocks[{index}]", f"has the action_id {again[0]} twice")
        if sum(one.get("style") == "primary" for one in elements) > 1:
            raise NotSendable(f"blocks[{index}]", "has two primary buttons")
