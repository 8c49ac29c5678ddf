"""Spell what the roster's keys share: names, texts in a form, and entries that carry their key as a name."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from approvers.faults import Strict, reject

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def _name(text: str) -> str:
    if NAME.fullmatch(text) is None:
        reject(f"{text!r} is not a name", "use lower-case letters, digits, '-' and '_', at most 63")
    return text


def formed(expression: re.Pattern[str], what: str, example: str) -> AfterValidator:
    """Return a check that the whole text fits the expression, which tells how it is written."""

    def check(text: str) -> str:
        if expression.fullmatch(text) is None:
            reject(f"{text!r} is not {what}", f"write it like {example!r}")
        return text

    return AfterValidator(check)


def unique(words: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a word that is named twice."""
    for word in words:
        if words.count(word) > 1:
            reject(f"{word!r} is named twice", "name it once")
    return words


Name = Annotated[str, AfterValidator(_name)]
Text = Annotated[str, Field(min_length=1, max_length=300)]


class Named(Strict):
    """One entry of a section; `name` is its key there and cannot be written inside."""

    name: Name
