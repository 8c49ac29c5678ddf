"""Read blocks as a person does: every word that is shown, and every thing that can be pressed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.worlds.slack.blocks import interactive

_TITLED = ("title", "text", "fields", "label", "hint", "subtitle", "body", "subtext", "description", "alt_text")


@dataclass(frozen=True)
class Button:
    """Something to press or to choose from, and where it is."""

    action_id: str
    text: str
    """The label of a button, the placeholder of a select."""
    value: str = ""
    style: str = ""
    url: str = ""
    confirm: Mapping[str, Any] | None = None
    options: tuple[str, ...] = ()
    """The values a select offers."""
    type: str = "button"
    block_id: str = ""
    element: Mapping[str, Any] = field(default_factory=dict)


def buttons(blocks: Sequence[Mapping[str, Any]]) -> list[Button]:
    """Return what can be acted on, in order (also inputs of a form)."""
    return [_button(element, str(block.get("block_id", ""))) for block in blocks for element in interactive(block)]


def _button(element: Mapping[str, Any], block_id: str) -> Button:
    label = element.get("text") or element.get("placeholder") or {}
    return Button(
        action_id=str(element.get("action_id", "")),
        text=label.get("text", "") if isinstance(label, dict) else "",
        value=element.get("value", ""),
        style=element.get("style", ""),
        url=element.get("url", ""),
        confirm=element.get("confirm"),
        options=tuple(one["value"] for one in options_of(element)),
        type=element["type"],
        block_id=block_id,
        element=element,
    )


def options_of(element: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the options of a select, checkboxes, radio buttons or an overflow menu, groups flattened."""
    grouped = [one for group in element.get("option_groups", []) for one in group["options"]]
    return [*element.get("options", []), *grouped]


def visible_text(blocks: Sequence[Mapping[str, Any]]) -> str:
    """Return all that a person can read here, one line per text, in the order of the page.

    plain_text and mrkdwn come as they were sent; rich text is flattened. Confirm dialogs are not part of the page.
    """
    return "\n".join(line for block in blocks for line in _words(block))


def _words(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, (list, tuple)):
        for each in part:
            yield from _words(each)
    elif isinstance(part, Mapping):
        yield from _of(part)


def _of(part: Mapping[str, Any]) -> Iterator[str]:
    kind = str(part.get("type", ""))
    if kind == "rich_text":
        for piece in part["elements"]:
            yield from rich_lines(piece)
        return
    for name in _TITLED:
        if name in part:
            yield from _words(part[name])
    for name in ("placeholder", "initial_value", "elements", "accessory", "element", "child_blocks", "actions", "rows"):
        if name in part:
            yield from _words(part[name])
    for option in options_of(part):
        yield from _words(option)


def rich_lines(piece: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of one rich text object; a list gives a line per item."""
    if piece["type"] == "rich_text_list":
        for item in piece["elements"]:
            yield from rich_lines(item)
    else:
        yield "".join(_inline(element) for element in piece["elements"])


def _inline(element: Mapping[str, Any]) -> str:
    match element["type"]:
        case "text":
            return str(element["text"])
        case "link":
            return str(element.get("text") or element["url"])
        case "user":
            return f"<@{element['user_id']}>"
        case "usergroup":
            return f"<!subteam^{element['usergroup_id']}>"
        case "channel":
            return f"<#{element['channel_id']}>"
        case "emoji":
            return f":{element['name']}:"
        case "broadcast":
            return f"<!{element['range']}>"
        case "date":
            return str(element.get("fallback", element["timestamp"]))
        case _:
            return str(element.get("value", ""))
