"""Find the line of a TOML file that a dotted place such as `rule.deny-deletes.when.action[0]` speaks of.

The parser keeps no positions, so this reads a text that it has parsed once more, and notes where each header, key and
element begins. A place that is not there (a missing key) leads to the nearest one around it.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from functools import lru_cache

from approvers.faults import spell_place

_LINE = re.compile(r"line (\d+)")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*'""")
_SCALAR = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|[^,\]}#\n]*",
    re.DOTALL,
)
Path = tuple[str | int, ...]


def line_of(text: str, place: str) -> int:
    """Return the number of the line of a place, or of the nearest around it, counted from 1; the first, if none is."""
    if named := _LINE.match(place):
        return int(named[1])
    lines = places(text)
    while place:
        if place in lines:
            return lines[place]
        place = place[: max(place.rfind("."), place.rfind("["), 0)]
    return 1


@lru_cache(maxsize=4)
def places(text: str) -> Mapping[str, int]:
    """Return the line of everything in the text by its place; nothing of a text that is no TOML."""
    try:
        tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}
    return _Reading(text).whole()


class _Reading:
    """Walk once through a text that is TOML."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._breaks = [index for index, char in enumerate(text) if char == "\n"]
        self._lines: dict[str, int] = {}
        self._around: dict[str, int] = {}  # tables that only stand in the names of others
        self._counts: dict[Path, int] = {}  # how many tables an array of tables has so far

    def whole(self) -> Mapping[str, int]:
        """Return the line of each place."""
        table: Path = ()
        while (self._skip(_BLANK) or True) and self._at < len(self._text):
            if self._peek("["):
                table = self._header()
            else:
                self._pair(table)
        return {**self._around, **self._lines}

    def _header(self) -> Path:
        many = self._text.startswith("[[", self._at)
        line = self._line()
        self._at += 2 if many else 1
        parts = self._key()
        self._at += 2 if many else 1
        path: Path = ()
        for part in parts[:-1]:
            path = self._last((*path, part))
        path = (*path, parts[-1])
        if many:
            self._counts[path] = self._counts.get(path, -1) + 1
            self._lines.setdefault(spell_place(path), line)
            path = (*path, self._counts[path])
        self._note(path, line)
        return path

    def _last(self, path: Path) -> Path:
        """Return where a name in a header leads: into the newest table of an array of tables."""
        return (*path, self._counts[path]) if path in self._counts else path

    def _pair(self, table: Path) -> None:
        line = self._line()
        path = (*table, *self._key())
        self._note(path, line)
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: Path) -> None:
        if self._peek("["):
            self._array(path)
        elif self._peek("{"):
            self._inline(path)
        else:
            self._skip(_SCALAR)

    def _array(self, path: Path) -> None:
        self._at += 1
        number = 0
        while (self._skip(_BLANK) or True) and not self._peek("]"):
            self._note((*path, number), self._line())
            self._value((*path, number))
            self._comma()
            number += 1
        self._at += 1

    def _inline(self, path: Path) -> None:
        self._at += 1
        while (self._skip(_BLANK) or True) and not self._peek("}"):
            self._pair(path)
            self._comma()
        self._at += 1

    def _comma(self) -> None:
        self._skip(_BLANK)
        self._at += self._peek(",")

    def _key(self) -> list[str]:
        parts = []
        while True:
            self._skip(_SPACE)
            parts.append(_unquoted(self._skip(_KEY)))
            self._skip(_SPACE)
            if not self._peek("."):
                return parts
            self._at += 1

    def _note(self, path: Path, line: int) -> None:
        self._lines[spell_place(path)] = line
        for end in range(1, len(path)):
            self._around.setdefault(spell_place(path[:end]), line)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        assert found is not None, "the text was parsed before"
        self._at = found.end()
        return found[0]

    def _peek(self, char: str) -> bool:
        return self._text.startswith(char, self._at)

    def _line(self) -> int:
        return bisect_right(self._breaks, self._at - 1) + 1 if self._at else 1


def _unquoted(key: str) -> str:
    return str(tomllib.loads(f"key = {key}")["key"]) if key[0] in "\"'" else key
