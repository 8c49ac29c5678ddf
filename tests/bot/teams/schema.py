"""Check cards against the official schema 1.5, and what that schema misses; and find live markup in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources
from typing import Any

from jsonschema import Draft6Validator
from jsonschema.validators import validator_for

UNDONE = re.compile(r"\\([\\`*_{}\[\]()<>#+\-.!|~&@:])")
OUR_TIME = re.compile(r"\{\{TIME\(2[0-9T:-]+Z\)\}\}")
LIVE = re.compile(r"[\\`*_{}\[\]()<>#+\-.!|~&@\n]|://")
"""What is left of a text, after escapes and our own times, that a client could read as anything but itself."""


@lru_cache(maxsize=1)
def validator() -> Any:
    """Return the validator of Adaptive Cards 1.5."""
    found = resources.files("adaptive_cards") / "schemas" / "schema-1.5.json"
    schema = json.loads(found.read_text())
    kind = validator_for(schema)
    assert kind is Draft6Validator
    return kind(schema)


def faults(card: dict[str, Any]) -> list[str]:
    """Return what the schema refuses, and what it should: no version, a refresh, a wrong fallback, a lost verb."""
    bare = {name: value for name, value in card.items() if name != "msteams"}
    found = [f"{error.json_path}: {error.message[:200]}" for error in validator().iter_errors(bare)]
    found += [] if card.get("version") == "1.5" else ["$.version: is not 1.5"]
    found += ["$.refresh: asks by itself"] if "refresh" in card else []
    for one in objects(card):
        if one.get("type") == "Action.Execute":
            same = {name: one["fallback"].get(name) for name in ("title", "data", "associatedInputs")}
            wanted = {"title": one["title"], "data": one["data"], "associatedInputs": one["associatedInputs"]}
            found += [] if one["fallback"]["type"] == "Action.Submit" and same == wanted else [f"fallback of {wanted}"]
            found += (
                [] if one["data"]["verb"] == one["verb"] and set(one["data"]) <= {"verb", "rid", "shown"} else ["data"]
            )
    return found


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object within a card."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from objects(one)


def texts(card: dict[str, Any]) -> Iterator[str]:
    """Yield every text in which a client parses Markdown, HTML and dates, as it stands in the card."""
    for one in objects(card):
        kind = one.get("type")
        if kind == "TextBlock":
            yield one["text"]
        elif kind == "FactSet":
            yield from (fact[name] for fact in one["facts"] for name in ("title", "value"))
        elif kind == "AdaptiveCard" and "fallbackText" in one:
            yield one["fallbackText"]


def seen(card: dict[str, Any]) -> str:
    """Return what a reader sees: the texts, without the escapes."""
    return "\n".join(UNDONE.sub(r"\1", text).replace("\u00a0", " ") for text in texts(card))


def live_markup(card: dict[str, Any]) -> list[str]:
    """Return every text in which something is left that a client could parse, or that cannot be seen."""
    found = [text for text in texts(card) if LIVE.search(OUR_TIME.sub("", UNDONE.sub("", text)))]
    found += [text for text in texts(card) if not all(char == "\u00a0" or char.isprintable() for char in text)]
    labels = [
        str(one[name]) for one in objects(card) for name in ("title", "label", "placeholder", "tooltip") if name in one
    ]
    kinds = {one.get("type") for one in objects(card)} & {"Image", "Media", "RichTextBlock", "TextRun", "Table"}
    return [*found, *(label for label in labels if "{{" in label), *map(str, kinds)]


def verbs(card: dict[str, Any]) -> list[str]:
    """Return the buttons: their verbs, the labels of those that open a page, and of those that unfold."""
    return [
        str(one.get("verb") or one["title"])
        for one in objects(card)
        if one.get("type") in ("Action.Execute", "Action.OpenUrl", "Action.ShowCard")
    ]
