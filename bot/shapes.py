"""Say what a JSON value must look like, in pieces that combine: text, list, object, one of several types.

A check takes a value and its path and raises `NotSendable`, which names the path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any, str], None]


class NotSendable(ValueError):
    """A platform would refuse this, or we would: `path` says where, such as `blocks[3].elements[0].text.text`."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path


def text(most: int, least: int = 1) -> Check:
    """Want text of so many characters."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, str):
            raise NotSendable(path, "is not text")
        if not least <= len(value) <= most:
            raise NotSendable(path, f"has {len(value):,} characters, not {least:,} to {most:,}")

    return check


def number(least: int, most: int) -> Check:
    """Want a whole number within the bounds."""

    def check(value: Any, path: str) -> None:
        if type(value) is not int or not least <= value <= most:
            raise NotSendable(path, f"is not a whole number from {least:,} to {most:,}")

    return check


def flag(value: Any, path: str) -> None:
    """Want true or false."""
    if not isinstance(value, bool):
        raise NotSendable(path, "is not true or false")


def word(*allowed: object) -> Check:
    """Want one of these values."""

    def check(value: Any, path: str) -> None:
        if not any(value is one or (isinstance(value, str) and value == one) for one in allowed):
            raise NotSendable(path, f"is none of {', '.join(map(str, allowed))}")

    return check


def many(item: Check, most: int, least: int = 1) -> Check:
    """Want a list of so many items."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, list):
            raise NotSendable(path, "is not a list")
        if not least <= len(value) <= most:
            raise NotSendable(path, f"has {len(value):,} items, not {least:,} to {most:,}")
        for index, one in enumerate(value):
            item(one, f"{path}[{index}]")

    return check


def fields(needed: Mapping[str, Check], allowed: Mapping[str, Check] | None = None) -> Check:
    """Want an object with the needed fields, and no other than these and the allowed ones."""
    known = {**(allowed or {}), **needed}

    def check(value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise NotSendable(path, "is not an object")
        for name in needed:
            if name not in value:
                raise NotSendable(f"{path}.{name}".lstrip("."), "is missing")
        for name, one in value.items():
            where = f"{path}.{name}".lstrip(".")
            if name not in known:
                raise NotSendable(where, "is not a field of this")
            known[name](one, where)

    return check


def typed(kinds: Mapping[str, Check]) -> Check:
    """Want an object whose `type` is one of these, and which fits it."""

    def check(value: Any, path: str) -> None:
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(kind, str) or kind not in kinds:
            raise NotSendable(f"{path}.type", f"{kind!r} is none of {', '.join(kinds)}")
        kinds[kind](value, path)

    return check


def both(*checks: Check) -> Check:
    """Want all of these."""

    def check(value: Any, path: str) -> None:
        for one in checks:
            one(value, path)

    return check


def some(*names: str) -> Check:
    """Want at least one of these fields."""

    def check(value: Any, path: str) -> None:
        if not any(name in value for name in names):
            raise NotSendable(path, f"has none of {', '.join(names)}")

    return check
