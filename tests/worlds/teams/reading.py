"""Read an Adaptive Card as a person does: its words, its buttons, its inputs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
LIVE = re.compile(
    r"!?\[[^\]]*\]\([^)]*\)|!?\[[^\]]*\]\[[^\]]*\]|</?[A-Za-z][^>]*>?|\{\{(?:DATE|TIME)\([^}]*\}\}|&#?\w+;|<https?:[^>]*>"
)
PARTS = ("body", "items", "columns", "rows", "cells", "inlines", "facts", "images", "actions")


@dataclass(frozen=True)
class Button:
    """One action. `behind` is the ShowCard button that has to be pressed first."""

    type: str
    title: str
    verb: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    url: str | None = None
    style: str | None = None
    fallback: Mapping[str, Any] | None = None
    inputs: tuple[str, ...] = ()
    behind: str | None = None
    enabled: bool = True

    @property
    def decides(self) -> bool:
        """It sends something to the app."""
        return self.type in {"Action.Execute", "Action.Submit"}


def _hide(text: str) -> str:
    return ESCAPED.sub(lambda found: chr(0xE000 + ord(found[1])), text)


def _unhide(text: str) -> str:
    return "".join(chr(ord(it) - 0xE000) if 0xE020 < ord(it) < 0xE07F else it for it in text)


def rendered(text: str) -> str:
    """Return Markdown as it reads on the screen: escapes resolved, bold marks and link targets gone."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", _hide(text)).replace("**", "")
    text = re.sub(r"\{\{TIME\([\d-]+T(\d\d:\d\d)[^}]*\}\}", r"\1", text)
    text = re.sub(r"\{\{DATE\(([\d-]+)T[^}]*\}\}", r"\1", text)
    return _unhide(text)


def live_markup(texts: Iterable[str]) -> list[str]:
    """Return what of these texts is markup (bold marks aside), escapes respected."""
    return [_unhide(found[0]) for text in texts for found in LIVE.finditer(_hide(text))]


def walk(node: Any, everything: bool = True, cards: bool = True) -> Iterator[Mapping[str, Any]]:
    """Yield every element in reading order; the cards behind ShowCard buttons only with `cards`."""
    if not isinstance(node, Mapping) or (not everything and node.get("isVisible") is False):
        return
    yield node
    for part in PARTS:
        for child in node.get(part) or ():
            yield from walk(child, everything, cards)
    if cards and node.get("type") == "Action.ShowCard":
        yield from walk(node.get("card"), everything, cards)
    if isinstance(node.get("selectAction"), Mapping):
        yield node["selectAction"]


def lines(card: Mapping[str, Any], everything: bool = False) -> list[str]:
    """Return the card's words, an element each; buttons as [Title]."""
    return [line for node in walk(card, everything, cards=everything) for line in _words(node)]


def _words(node: Mapping[str, Any]) -> list[str]:
    kind = str(node.get("type", ""))
    if kind == "TextBlock":
        return [rendered(node["text"])]
    if kind == "RichTextBlock":
        return ["".join(it if isinstance(it, str) else it["text"] for it in node["inlines"])]
    if kind == "FactSet":
        return [f"{rendered(it['title'])}: {rendered(it['value'])}" for it in node["facts"]]
    if kind.startswith("Input."):
        return [str(node[name]) for name in ("label", "placeholder") if node.get(name)]
    if kind.startswith("Action.") and node.get("title"):
        return [f"[{node['title']}]"]
    return []


def marked_texts(card: Mapping[str, Any]) -> list[str]:
    """Return every text in which Teams reads Markdown."""
    found = [str(it["text"]) for it in walk(card) if it.get("type") == "TextBlock"]
    facts = [it for node in walk(card) if node.get("type") == "FactSet" for it in node["facts"]]
    return found + [str(it[name]) for it in facts for name in ("title", "value")]


def inputs(card: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return every input by id."""
    return {str(it["id"]): it for it in walk(card) if str(it.get("type", "")).startswith("Input.")}


def buttons(card: Mapping[str, Any], behind: str | None = None, outer: tuple[str, ...] = ()) -> list[Button]:
    """Return the card's buttons; each knows the inputs that go with it (those of its card and of the cards around)."""
    here = outer + tuple(
        str(it["id"]) for it in walk(card, cards=False) if str(it.get("type", "")).startswith("Input.")
    )
    found: list[Button] = []
    for node in walk(card, cards=False):
        kind = str(node.get("type", ""))
        if not kind.startswith("Action."):
            continue
        fallback = node.get("fallback")
        found.append(
            Button(
                kind, str(node.get("title", "")), node.get("verb"), node.get("data") or {}, node.get("url"),
                node.get("style"), fallback if isinstance(fallback, Mapping) else None,
                () if node.get("associatedInputs") == "none" else here, behind, node.get("isEnabled", True),
            )
        )  # fmt: skip
        if kind == "Action.ShowCard":
            found += buttons(node["card"], str(node.get("title", "")), here)
    return found
