"""Find the line of a TOML file that a dotted place such as `rule.deny-deletes.when.action[0]` speaks of.

The parser keeps no positions, so this reads the text once more, for headers and keys only. It is for people's eyes: a
place that is not there (a missing key) leads to the nearest one around it, and a file that is no TOML has its own line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile

_HEADER = re.compile(r"\s*(\[\[?)([^\[\]]+)\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[^\s."'\[\]]+|"[^"]*"|'[^']*'""")
_LINE = re.compile(r"line (\d+)")
_QUOTES = ('"""', "'''")


def line_of(text: str, place: str) -> int | None:
    """Return the number of the line nearest to the place, counted from 1; None if nothing there is near."""
    if named := _LINE.match(place):
        return int(named[1])
    wanted = _parts(re.sub(r"\[(\d+)\]", r".\1", place))
    best, found = 0, None
    for number, path in _places(text):
        common = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(path, wanted, strict=False))))
        if common in (len(path), len(wanted)) and common > best:
            best, found = common, number
    return found


def _places(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, path) for every header and every key that begins a line."""
    table: list[str] = []
    counts: dict[str, int] = {}
    inside: str | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if inside is None:
            if header := _HEADER.match(line):
                table = _parts(header[2])
                if header[1] == "[[":
                    counts[header[2]] = counts.get(header[2], -1) + 1
                    table = [*table, str(counts[header[2]])]
                yield number, table
            elif key := _KEY.match(line):
                yield number, [*table, *_parts(key[1])]
        inside = _still_inside(line, inside)


def _still_inside(line: str, inside: str | None) -> str | None:
    """Return the quotes of a text over several lines that is open after this line."""
    for quotes in _QUOTES if inside is None else (inside,):
        if line.count(quotes) % 2:
            return quotes if inside is None else None
    return inside


def _parts(path: str) -> list[str]:
    return [part.strip("\"'") for part in _PART.findall(path)]
