"""What a person may type into a modal: which inputs there are, which must be filled, how values look in the payload."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.worlds.slack.reading import options_of
from tests.worlds.slack.state import CannotDo, View

_TYPED = {"plain_text_input", "email_text_input", "url_text_input", "number_input"}
_NAMED = {
    "datepicker": "selected_date",
    "timepicker": "selected_time",
    "users_select": "selected_user",
    "channels_select": "selected_channel",
    "conversations_select": "selected_conversation",
    "multi_users_select": "selected_users",
    "multi_channels_select": "selected_channels",
    "multi_conversations_select": "selected_conversations",
    "datetimepicker": "selected_date_time",
}
_ONE = {"static_select", "radio_buttons", "external_select"}
_MANY = {"multi_static_select", "checkboxes"}
REQUIRED = "Please complete this required field."


def fill(view: View, given: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Any], str | None]:
    """Return the view's `state.values` after typing, and what the client itself would complain of.

    `given` is {block_id: {action_id: text, option value or list of option values}}; what is not given keeps its initial
    value. CannotDo: there is no such input.
    """
    inputs = {
        (block["block_id"], block["element"]["action_id"]): block for block in view.blocks if block["type"] == "input"
    }
    wanted = {(block, action): value for block, pairs in given.items() for action, value in pairs.items()}
    if missing := sorted(wanted.keys() - inputs.keys()):
        raise CannotDo(f"there is no input {missing[0]} in this view, only {sorted(inputs)}")
    values: dict[str, Any] = {}
    complaint: str | None = None
    for key, block in inputs.items():
        element = block["element"]
        value = wanted.get(key, _initial(element))
        complaint = complaint or _complaint(block, element, value)
        values.setdefault(key[0], {})[key[1]] = _state(element, value)
    return values, complaint


def _initial(element: Mapping[str, Any]) -> Any:
    kind = element["type"]
    if kind in _ONE:
        return element.get("initial_option", {}).get("value")
    if kind in _MANY:
        return [one["value"] for one in element.get("initial_options", [])]
    if kind in _TYPED:
        return element.get("initial_value")
    if kind in _NAMED:
        return element.get("initial" + _NAMED[kind].removeprefix("selected"))
    return None


def _complaint(block: Mapping[str, Any], element: Mapping[str, Any], value: Any) -> str | None:
    if value in (None, "", []):
        return None if block.get("optional") else REQUIRED
    if element["type"] in _TYPED:
        if len(value) > element.get("max_length", 3000):
            return f"{block['label']['text']}: at most {element.get('max_length', 3000)} characters"
        if len(value) < element.get("min_length", 0):
            return f"{block['label']['text']}: at least {element['min_length']} characters"
    if element["type"] == "number_input":
        return _number(element, value)
    if element["type"] == "email_text_input" and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value):
        return "Please enter a valid email address."
    return None


def _number(element: Mapping[str, Any], value: str) -> str | None:
    if not re.fullmatch(r"-?\d+(\.\d+)?" if element["is_decimal_allowed"] else r"-?\d+", value):
        return "Please enter a number."
    low, high = element.get("min_value"), element.get("max_value")
    if (low is not None and float(value) < float(low)) or (high is not None and float(value) > float(high)):
        return f"Please enter a number from {low} to {high}."
    return None


def _state(element: Mapping[str, Any], value: Any) -> dict[str, Any]:
    kind = element["type"]
    if kind in _TYPED:
        return {"type": kind, "value": value or None}
    if kind in _NAMED:
        return {"type": kind, _NAMED[kind]: value}
    if kind in _ONE or kind in _MANY:
        offered = {one["value"]: one for one in options_of(element)}
        asked = value if isinstance(value, list) else [value] if value else []
        if unknown := [one for one in asked if one not in offered]:
            raise CannotDo(f"{element['action_id']} offers {sorted(offered)}, not {unknown[0]!r}")
        picked = [offered[one] for one in asked]
        if kind in _MANY:
            return {"type": kind, "selected_options": picked}
        return {"type": kind, "selected_option": picked[0] if picked else None}
    if value is not None:
        raise CannotDo(f"this world's people cannot fill a {kind}")
    return {"type": kind, "value": None}
