"""Make the inputs of cards. What is filled in travels with the click under the input's name."""

from __future__ import annotations

from collections.abc import Mapping

from bot.surfaces.teams_text import Block, label


def choice(
    name: str,
    title: str,
    choices: list[tuple[str, str]],
    *,
    placeholder: str = "Choose",
    value: str = "",
    missing: str = "",
    several: bool = False,
) -> Block:
    """Return a field in which one of (value, words) is picked, or several; `missing` is said where none is."""
    made: Block = {
        "type": "Input.ChoiceSet",
        "id": name,
        "label": label(title, 200),
        "style": "expanded" if several else "compact",
        "wrap": True,
        "placeholder": label(placeholder, 150),
        "choices": [{"title": label(shown, 100), "value": one} for one, shown in choices],
    }
    return _field({**made, "isMultiSelect": True} if several else made, value, missing)


def typed(
    name: str, title: str, *, placeholder: str, most: int, lines: bool = False, value: str = "", missing: str = ""
) -> Block:
    """Return a field in which something is typed."""
    made: Block = {
        "type": "Input.Text",
        "id": name,
        "label": label(title, 200),
        "isMultiline": lines,
        "maxLength": most,
        "placeholder": label(placeholder, 150),
    }
    return _field(made, value, missing)


def _field(made: Block, value: str, missing: str) -> Block:
    needed: Mapping[str, object] = {"isRequired": True, "errorMessage": label(missing, 150)} if missing else {}
    return {**made, **({"value": value} if value else {}), **needed}
