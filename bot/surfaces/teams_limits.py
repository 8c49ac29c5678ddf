"""Check that Teams will take a card, before it is sent, and that it holds nothing that we never send.

Kinds of element that we do not use are refused, and so is any text in which Markdown, HTML or a date function would
work: every mark is behind a backslash, and the only token is a time of ours.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from bot.shapes import Check, NotSendable, both, fields, flag, many, number, text, typed, word
from bot.surfaces.teams_text import MAX_CARD, size

__all__ = ["NotSendable", "check_sendable"]

MAX_BUTTONS = 6
"""Teams shows no more of one row."""
_LITERAL = re.compile(
    r"(?:[^\\`*_{}\[\]()<>#+\-.!|~&@:\n]|:(?!//)|\\[\\`*_{}\[\]()<>#+\-.!|~&@:]"
    r"|\{\{TIME\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\)\}\})+"
)
_VERBS = ("approve", "deny", "deny_why", "deny_many", "details", "revoke", "show", "pick", "request", "refresh",
          "less", "approve_less", "justified", "unjustified", "break_glass")  # fmt: skip
_CARRIED = {"verb", "rid", "shown"}


def _literal(value: Any, path: str) -> None:
    if not _LITERAL.fullmatch(value):
        raise NotSendable(path, "holds a mark that was not escaped, or a line break")


def _no_dates(value: Any, path: str) -> None:
    if "{{" in value:
        raise NotSendable(path, "holds `{{`, which may become a date")


def _web(value: Any, path: str) -> None:
    if not value.startswith(("https://", "http://")):
        raise NotSendable(path, "is no web address")


_MARKED, _SHORT, _LABEL = both(text(8_000), _literal), both(text(150), _no_dates), both(text(200), _no_dates)
_ID = both(text(40), word("preset", "words", "rows", "command", "role", "actions", "resources", "environment",
                          "ttl_seconds", "reason", "ticket", "data_classes", "undo", "risk"))  # fmt: skip
_SPACING = word("None", "Small", "Default", "Medium", "Large")
_LOOK = {"spacing": _SPACING, "separator": flag}
_COLOUR = word("Default", "Good", "Warning", "Attention", "Accent")
_DATA = fields({"verb": word(*_VERBS)}, {"rid": text(60), "shown": text(64)})
_STYLE = word("positive", "destructive")
_INPUTS = word("auto", "none")
_SUBMIT = fields(
    {"type": word("Action.Submit"), "title": _SHORT, "data": _DATA, "associatedInputs": _INPUTS}, {"style": _STYLE}
)
_EXECUTE = fields(
    {
        "type": word("Action.Execute"),
        "verb": word(*_VERBS),
        "title": _SHORT,
        "data": _DATA,
        "associatedInputs": _INPUTS,
        "fallback": _SUBMIT,
    },
    {"style": _STYLE, "tooltip": _SHORT},
)
_OPEN = fields(
    {"type": word("Action.OpenUrl"), "title": _SHORT, "url": both(text(2_000), _web)}, {"style": word("positive")}
)
_TEXT = fields(
    {"type": word("TextBlock"), "text": _MARKED, "wrap": word(True)},
    {
        **_LOOK,
        "size": word("Small", "Medium", "Large"),
        "weight": word("Bolder"),
        "color": _COLOUR,
        "fontType": word("Monospace"),
        "isSubtle": flag,
        "style": word("heading"),
    },
)
_FACT = fields({"title": _MARKED, "value": _MARKED})
_FACTS = fields({"type": word("FactSet"), "facts": many(_FACT, 40)}, _LOOK)
_NEEDED = {"isRequired": word(True), "errorMessage": _SHORT}
_CHOICE = fields({"title": _SHORT, "value": text(150)})
_PICKED = fields(
    {"type": word("Input.ChoiceSet"), "id": _ID, "label": _LABEL, "choices": many(_CHOICE, 100)},
    {
        **_NEEDED,
        "style": word("compact", "expanded"),
        "isMultiSelect": word(True),
        "wrap": flag,
        "placeholder": _SHORT,
        "value": text(3_000),
    },
)
_TYPED = fields(
    {"type": word("Input.Text"), "id": _ID, "label": _LABEL, "maxLength": number(1, 3_000)},
    {**_NEEDED, "isMultiline": flag, "placeholder": _SHORT, "value": text(3_000)},
)
_SHOWN = {"TextBlock": _TEXT, "FactSet": _FACTS}
_UNFOLDED = fields(
    {
        "type": word("AdaptiveCard"),
        "body": many(typed({**_SHOWN, "Input.Text": _TYPED, "Input.ChoiceSet": _PICKED}), 10),
        "actions": many(_EXECUTE, MAX_BUTTONS),
    }
)
_UNFOLD = fields({"type": word("Action.ShowCard"), "title": _SHORT, "card": _UNFOLDED})
_ACTIONS = fields(
    {
        "type": word("ActionSet"),
        "actions": many(
            typed({"Action.Execute": _EXECUTE, "Action.OpenUrl": _OPEN, "Action.ShowCard": _UNFOLD}), MAX_BUTTONS
        ),
    },
    _LOOK,
)
_BOX = fields({"type": word("Container"), "style": word("emphasis", "attention"), "items": many(_TEXT, 2_000)}, _LOOK)
_COLUMN = fields(
    {
        "type": word("Column"),
        "width": word("stretch", "auto"),
        "items": many(typed({**_SHOWN, "ActionSet": _ACTIONS}), 10),
    }
)
_COLUMNS = fields({"type": word("ColumnSet"), "columns": many(_COLUMN, 2)}, _LOOK)
_ELEMENT = typed(
    {
        **_SHOWN,
        "Container": _BOX,
        "ColumnSet": _COLUMNS,
        "ActionSet": _ACTIONS,
        "Input.Text": _TYPED,
        "Input.ChoiceSet": _PICKED,
    }
)
_CARD: Check = fields(
    {
        "type": word("AdaptiveCard"),
        "version": word("1.5"),
        "fallbackText": _MARKED,
        "body": many(_ELEMENT, 500),
        "msteams": fields({"width": word("Full")}),
    },
    {"$schema": text(100)},
)


def check_sendable(card: dict[str, Any]) -> None:
    """Check one whole card. Raises NotSendable, which names the path."""
    _CARD(card, "")
    if (taken := size(card)) >= MAX_CARD:
        raise NotSendable("body", f"takes {taken:,} bytes; a card must stay below {MAX_CARD:,}")
    inputs = [str(one["id"]) for one in _objects(card) if str(one.get("type", "")).startswith("Input.")]
    if twice := [name for name, count in Counter(inputs).items() if count > 1 or name in _CARRIED]:
        raise NotSendable("body", f"has the input {twice[0]} twice")
    for action in _objects(card):
        fallback = action.get("fallback")
        if fallback is not None and json.dumps(action["data"]) != json.dumps(fallback["data"]):
            raise NotSendable("body", f"has a button {action['title']} whose fallback carries something else")


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _objects(one)
