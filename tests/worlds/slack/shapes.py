"""Small checkers out of which the shapes of Block Kit are written: each yields the problems of one value at one path.

Problems read as Slack words them in `response_metadata.messages`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Check = Callable[[Any, str], Iterator[str]]


def problem(words: str, path: str) -> str:
    return f"[ERROR] {words} [json-pointer:{path or '/'}]"


def string(longest: int, shortest: int = 0) -> Check:
    """A string of so many characters."""

    def check(value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, str):
            yield problem("must be a string", path)
        elif len(value) < shortest:
            yield problem(f"must be more than {shortest - 1} characters", path)
        elif len(value) > longest:
            yield problem(f"must be less than {longest + 1} characters", path)

    return check


def pattern(expression: str) -> Check:
    """A string that matches as a whole."""

    def check(value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, str) or not re.fullmatch(expression, value):
            yield problem("failed to match pattern", path)

    return check


def url(longest: int, *schemes: str) -> Check:
    """An absolute address with one of these schemes (http and https unless named)."""

    def check(value: Any, path: str) -> Iterator[str]:
        yield from string(longest, 1)(value, path)
        if isinstance(value, str) and value:
            parts = urlsplit(value)
            if parts.scheme not in (schemes or ("http", "https")) or (parts.scheme != "mailto" and not parts.netloc):
                yield problem("must be a valid URL", path)

    return check


def boolean(value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, bool):
        yield problem("must be a boolean", path)


def whole(lowest: int, highest: int) -> Check:
    """A whole number within both ends."""

    def check(value: Any, path: str) -> Iterator[str]:
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            yield problem(f"must be an integer of {lowest} to {highest}", path)

    return check


def one_of(*values: Any) -> Check:
    def check(value: Any, path: str) -> Iterator[str]:
        if value not in values:
            yield problem(f"must be one of {', '.join(map(str, values))}", path)

    return check


def array(item: Check, longest: int, shortest: int = 1) -> Check:
    """A list of so many items, each of that shape."""

    def check(value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, list):
            yield problem("must be an array", path)
            return
        if len(value) < shortest:
            yield problem(f"no fewer than {shortest} items allowed", path)
        if len(value) > longest:
            yield problem(f"no more than {longest} items allowed", path)
        for index, each in enumerate(value):
            yield from item(each, f"{path}/{index}")

    return check


Rule = Callable[[Mapping[str, Any], str], Iterator[str]]


@dataclass(frozen=True)
class Shape:
    """An object: which fields it must have, which it may have, and rules between them. Itself a Check."""

    needed: Mapping[str, Check]
    allowed: Mapping[str, Check]
    rules: tuple[Rule, ...] = ()

    def __call__(self, value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield problem("must be an object", path)
            return
        for name in sorted(set(self.needed) - set(value)):
            yield problem(f"missing required field: {name}", path)
        for name, each in value.items():
            if name in self.needed:
                yield from self.needed[name](each, f"{path}/{name}")
            elif name in self.allowed:
                yield from self.allowed[name](each, f"{path}/{name}")
            elif name != "type":
                yield problem(f"invalid additional property: {name}", path)
        for rule in self.rules:
            yield from rule(value, path)


def shape(needed: Mapping[str, Check] | None = None, /, *rules: Rule, **allowed: Check) -> Shape:
    """Write a Shape down: needed fields first, allowed ones by keyword. `type` is always allowed."""
    return Shape(needed or {}, allowed, rules)


def typed(what: str, shapes: Mapping[str, Check]) -> Check:
    """An object whose `type` says which of these shapes it has."""

    def check(value: Any, path: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield problem(f"must be an object ({what})", path)
        elif not isinstance(value.get("type"), str) or value["type"] not in shapes:
            yield problem(f"unsupported type: {value.get('type')} ({what})", f"{path}/type")
        else:
            yield from shapes[value["type"]](value, path)

    return check


def exactly_one(*names: str) -> Rule:
    def rule(value: Mapping[str, Any], path: str) -> Iterator[str]:
        if sum(name in value for name in names) != 1:
            yield problem(f"exactly one of {', '.join(names)} is required", path)

    return rule


def at_least_one(*names: str) -> Rule:
    def rule(value: Mapping[str, Any], path: str) -> Iterator[str]:
        if not any(name in value for name in names):
            yield problem(f"one of {', '.join(names)} is required", path)

    return rule
