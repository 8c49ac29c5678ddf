"""Make text that somebody typed harmless, visible and short enough, the same way for every surface.

Nothing is dropped silently: what cannot be seen is spelled out, what does not fit is cut with a count of what is
missing. Each renderer then escapes the result for its own markup.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable

MAX_TEXT = 1_200
"""Characters of one fact on a card."""
MAX_LINE = 300
MAX_MARKS = 3
"""Combining marks in a row: enough for every written language, too few to paint over other lines."""
BLANK = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u2800\u3164\uffa0\U0001d159"
    + "".join(map(chr, (*range(0xFE00, 0xFE0E), *range(0xE0100, 0xE01F0))))
)
"""Characters that count as printable and show nothing: fillers, and selectors that can smuggle text."""
_PLAIN = re.compile(r"[\n -~·→…⏎]*")  # ASCII, and what we write ourselves


def visible(text: str, limit: int = MAX_TEXT) -> str:
    """Return text in which nothing hides: controls and invisible characters spelled out, cut at `limit` with a note."""
    shown = _spelled(text[:limit])
    if len(text) > limit:
        shown += f"… [{len(text) - limit:,} more characters, whole in the record]"
    return shown


def one_line(text: str, limit: int = MAX_LINE) -> str:
    """Return visible text on one line: typed line breaks become ⏎, so that they cannot fake further lines.

    It is cut at `limit` characters, and where they weigh more than three times that.
    """
    return cut(_spelled(text).replace("\n", " ⏎ "), limit, 3 * limit)


def count_hidden(texts: Iterable[str]) -> int:
    """Count the characters that `visible` would spell out."""
    return sum(_spelled(text).count("⟨U+") - text.count("⟨U+") for text in texts)


def weigh(text: str) -> int:
    """Return how many characters the text takes in ASCII JSON, the dearest form in which it may be counted."""
    return len(json.dumps(text)) - 2


def cut(text: str, limit: int, weight: int, whole: str = "whole in the record", lines: int | None = None) -> str:
    """Return visible text within `limit` characters, `weight` and `lines`, with a note of how many more there are.

    The note comes on top of the limit; `whole` says where the rest can be read.
    """
    shown = text[:limit]
    if lines is not None and shown.count("\n") >= lines:
        shown = "\n".join(shown.split("\n", lines)[:lines])
    if weigh(shown) > weight:
        shown = shown[: _fits(shown, weight)]
    if len(shown) == len(text):
        return text
    return f"{shown}… [{len(text) - len(shown):,} more characters, {whole}]"


def _fits(text: str, weight: int) -> int:
    """Return how many leading characters weigh at most `weight`."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if weigh(text[:middle]) <= weight else (low, middle - 1)
    return low


def _spelled(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    shown: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        plain = char in "\n " or (char.isprintable() and marks <= MAX_MARKS and char not in BLANK)
        shown.append(char if plain else f"⟨U+{ord(char):04X}⟩")
    return "".join(shown)
