"""What a card's inputs hold when a button is pressed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.worlds.teams.reading import Button
from tests.worlds.teams.state import CannotDo, Shown


def gather(shown: Shown, button: Button, typed: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Return the values that go with a button, and what the client complains of instead of sending."""
    known = shown.inputs()
    if unknown := typed.keys() - set(button.inputs):
        raise CannotDo(f"{button.title!r} sends no {sorted(unknown)}; it sends {sorted(button.inputs)}")
    values: dict[str, Any] = {}
    for name in button.inputs:
        node = known[name]
        value = typed.get(name, node.get("value", "" if node["type"] == "Input.Text" else None))
        if value in (None, ""):
            if node.get("isRequired"):
                return {}, str(node.get("errorMessage") or f"{node.get('label', name)} is required")
            if value is None:
                continue
        elif complaint := _complaint(node, str(value)):
            return {}, complaint
        values[name] = value
    return values, None


def _complaint(node: Mapping[str, Any], value: str) -> str | None:
    if node["type"] == "Input.ChoiceSet":
        choices = {it["value"] for it in node["choices"]}
        chosen = value.split(",") if node.get("isMultiSelect") else [value]
        if not set(chosen) <= choices:
            raise CannotDo(f"{value!r} is not among {sorted(choices)}")
    if len(value) > node.get("maxLength", len(value)):
        raise CannotDo(f"the input takes {node['maxLength']} characters")
    if node.get("regex") and not re.search(node["regex"], value):
        return str(node.get("errorMessage") or "Invalid input")
    return None
