"""Block Kit as Slack takes it: which blocks go where, their fields and limits, whole messages and whole views.

`message_problems` and `view_problems` return every problem in Slack's words; empty means that Slack would take it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.worlds.slack.elements import (
    BUTTON,
    ID,
    IMAGE,
    IN_ACTIONS,
    IN_CONTEXT,
    IN_CONTEXT_ACTIONS,
    IN_SECTION,
    any_text,
    in_input,
    plain,
)
from tests.worlds.slack.rich import RICH_TEXT
from tests.worlds.slack.shapes import (
    Check,
    array,
    at_least_one,
    boolean,
    exactly_one,
    one_of,
    problem,
    shape,
    string,
    typed,
    url,
)

MESSAGE, MODAL, HOME = "message", "modal", "home"
MOST_BLOCKS = {MESSAGE: 50, MODAL: 100, HOME: 100}
MESSAGE_BLOCKS_LENGTH = 13_000
VIEW_BYTES = 250_000


def _block(needed: Mapping[str, Check] | None = None, *rules: Any, **allowed: Check) -> Check:
    return shape(needed, *rules, block_id=ID, **allowed)


_CARD_PARTS = {
    "hero_image": typed("image", {"image": IMAGE}),
    "icon": typed("image", {"image": IMAGE}),
    "title": any_text(150),
    "subtitle": any_text(150),
    "body": any_text(200),
    "subtext": any_text(200),
    "actions": array(typed("card action", {"button": BUTTON}), 3),
}
_CARD = _block(None, at_least_one("hero_image", "title", "actions", "body"), **_CARD_PARTS)
_TASK = _block(
    {"task_id": ID, "title": string(256, 1), "status": one_of("pending", "in_progress", "complete", "error")},
    details=RICH_TEXT,
    output=RICH_TEXT,
    sources=array(typed("source", {"url": shape({"url": url(3000), "text": string(256, 1)})}), 20),
)
_CELL = typed(
    "cell",
    {
        "raw_text": shape({"text": string(3000)}),
        "raw_number": shape({"value": lambda _value, _path: iter(())}, text=string(3000)),
        "rich_text": RICH_TEXT,
    },
)
_COLUMN = shape(None, align=one_of("left", "center", "right"), is_wrapped=boolean)

_EVERYWHERE: dict[str, Check] = {
    "section": _block(
        None,
        at_least_one("text", "fields"),
        text=any_text(3000),
        fields=array(any_text(2000), 10),
        accessory=IN_SECTION,
        expand=boolean,
    ),
    "header": _block({"text": plain(150)}, level=one_of(1, 2, 3, 4)),
    "divider": _block(),
    "actions": _block({"elements": array(IN_ACTIONS, 25)}),
    "context": _block({"elements": array(IN_CONTEXT, 10)}),
    "image": _block(
        {"alt_text": string(2000, 1)},
        exactly_one("image_url", "slack_file"),
        image_url=url(3000),
        title=plain(2000),
        slack_file=shape(None, exactly_one("id", "url"), id=ID, url=url(3000)),
    ),
    "input": _block(
        {"label": plain(2000), "element": in_input(typed("rich text", {"rich_text": RICH_TEXT}))},
        hint=plain(2000),
        optional=boolean,
        dispatch_action=boolean,
    ),
    "rich_text": RICH_TEXT,
    "video": _block(
        {
            "alt_text": string(2000, 1),
            "title": plain(200),
            "thumbnail_url": url(3000),
            "video_url": url(3000, "https"),
        },
        title_url=url(3000, "https"),
        author_name=string(50),
        description=plain(200),
        provider_name=string(50),
        provider_icon_url=url(3000),
    ),
    "card": _CARD,
}
_SHOWN: dict[str, Check] = {
    "carousel": _block({"elements": array(typed("carousel card", {"card": _CARD}), 10)}),
    "table": _block({"rows": array(array(_CELL, 20), 100)}, column_settings=array(_COLUMN, 20)),
    "data_table": _block(
        {"rows": array(array(_CELL, 20), 201, 2)}, column_settings=array(_COLUMN, 20), title=plain(150)
    ),
}
_CHILDREN = ("rich_text", "actions", "context", "divider", "header", "image", "input", "section", "video")
_CONTAINER = _block(
    {"child_blocks": array(typed("child block", {name: _EVERYWHERE[name] for name in _CHILDREN}), 10)},
    at_least_one("title", "rich_text_title"),
    title=plain(150),
    rich_text_title=RICH_TEXT,
    subtitle=any_text(150),
    width=one_of("narrow", "standard", "wide", "full"),
    icon=typed("image", {"image": IMAGE}),
    is_collapsible=boolean,
    default_collapsed=boolean,
    has_header_divider=boolean,
)
_MESSAGE_ONLY: dict[str, Check] = {
    "markdown": _block({"text": string(12_000, 1)}),
    "context_actions": _block({"elements": array(IN_CONTEXT_ACTIONS, 5)}),
    "plan": _block({"title": string(256, 1)}, tasks=array(typed("task", {"task_card": _TASK}), 50)),
    "task_card": _TASK,
}
_ALERT = _block({"text": any_text(200)}, level=one_of("default", "info", "warning", "error", "success"))
BLOCKS: dict[str, dict[str, Check]] = {
    MESSAGE: {**_EVERYWHERE, **_SHOWN, "container": _CONTAINER, **_MESSAGE_ONLY},
    HOME: {**_EVERYWHERE, **_SHOWN, "container": _CONTAINER},
    MODAL: {**_EVERYWHERE, "alert": _ALERT},
}


def interactive(block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the elements of one block that a person can act on; the block need not be valid."""
    if block.get("type") == "rich_text":
        return
    for part in (*_listed(block, "elements"), *_listed(block, "actions"), block.get("accessory"), block.get("element")):
        if not isinstance(part, dict):
            continue
        if part.get("type") == "card":
            yield from interactive(part)
        elif isinstance(part.get("type"), str) and part["type"] not in {"image", "plain_text", "mrkdwn"}:
            yield part
    for child in _listed(block, "child_blocks"):
        if isinstance(child, dict):
            yield from interactive(child)


def _listed(block: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = block.get(name)
    return value if isinstance(value, list) else ()


def block_problems(blocks: Any, surface: str) -> list[str]:
    """Return what is wrong with these blocks on this surface."""
    found = list(array(typed(f"block of a {surface}", BLOCKS[surface]), MOST_BLOCKS[surface], 0)(blocks, "/blocks"))
    if isinstance(blocks, list):
        found += _twice(blocks)
        marked = [one.get("text") for one in blocks if isinstance(one, dict) and one.get("type") == "markdown"]
        if sum(len(text) for text in marked if isinstance(text, str)) > 12_000:
            found.append(problem("markdown blocks hold no more than 12000 characters together", "/blocks"))
    return found


def _twice(blocks: Sequence[Any]) -> Iterator[str]:
    """Yield repeated block_ids in the whole, and repeated action_ids within one block."""
    seen: list[Any] = []
    for index, block in enumerate(blocks):
        if not isinstance(block, dict):
            continue
        if (name := block.get("block_id")) is not None:
            if name in seen:
                yield problem(f"`block_id` {name} already exists", f"/blocks/{index}/block_id")
            seen.append(name)
        actions: list[Any] = []
        for element in interactive(block):
            if (action := element.get("action_id")) is not None:
                if action in actions:
                    yield problem(f"`action_id` {action} already exists", f"/blocks/{index}")
                actions.append(action)


def message_problems(blocks: Any) -> list[str]:
    """Return what Slack would refuse in a message's blocks; the length of the whole is another error (`too_long`)."""
    return block_problems(blocks, MESSAGE)


def too_long(blocks: Any) -> bool:
    """Tell whether the blocks of a message are too long as a whole."""
    return len(json.dumps(blocks, ensure_ascii=False, separators=(",", ":"))) > MESSAGE_BLOCKS_LENGTH


_COMMON: dict[str, Check] = {
    "private_metadata": string(3000),
    "callback_id": string(255),
    "external_id": string(255),
    "blocks": lambda _value, _path: iter(()),
}
_VIEWS = {
    MODAL: shape(
        {"title": plain(24), "blocks": _COMMON["blocks"]},
        submit=plain(24),
        close=plain(24),
        clear_on_close=boolean,
        notify_on_close=boolean,
        submit_disabled=boolean,
        **{name: check for name, check in _COMMON.items() if name != "blocks"},
    ),
    HOME: shape({"blocks": _COMMON["blocks"]}, **{name: it for name, it in _COMMON.items() if name != "blocks"}),
}


def view_problems(view: Any, surface: str) -> list[str]:
    """Return what Slack would refuse in a view payload (its size is another error)."""
    if not isinstance(view, dict):
        return [problem("must be an object", "/view")]
    if view.get("type") != surface:
        return [problem(f"unsupported type: {view.get('type')} (expected {surface})", "/view/type")]
    found = [
        line.replace("[json-pointer:", "[json-pointer:/view") for line in block_problems(view.get("blocks"), surface)
    ]
    found += _VIEWS[surface](view, "/view")
    inputs = any(isinstance(one, dict) and one.get("type") == "input" for one in _listed(view, "blocks"))
    if surface == MODAL and inputs and "submit" not in view:
        found.append(problem("`submit` is required for modals that have inputs", "/view"))
    return found
