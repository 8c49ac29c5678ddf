"""Match names against patterns that know one wildcard: `*`, any run of characters, `/` and `:` included.

Two questions are kept apart, since an ask can have wildcards of its own (`*`, and `?` as AWS reads it). `covers`: is
everything that the ask means inside a pattern (allow needs this)? `touches`: is any of it inside (deny and review need
this)? No regular expressions: a caller chooses the text, and backtracking over `*:*:*` would let it choose the time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

MANY_WILDCARDS = 16
"""An ask with more wildcards than this counts as touching every pattern; nobody needs one, and it costs time."""
_WILD = re.compile(r"[*?]")


class Patterns:
    """Hold the patterns of one condition, taken apart: plain words in a set, the others split at each `*`."""

    __slots__ = ("_parts", "_plain", "words")

    def __init__(self, words: Iterable[str]) -> None:
        """Take patterns; a word without `*` is compared as it is."""
        self.words = tuple(words)
        self._plain = frozenset(word for word in self.words if "*" not in word)
        self._parts = tuple(tuple(word.split("*")) for word in self.words if "*" in word)

    def covers(self, asked: str) -> bool:
        """Tell whether one pattern holds all that `asked` means."""
        if asked in self._plain:
            return True
        for parts in self._parts:  # noqa: SIM110 - a plain loop, as this runs for every rule of every ruling
            if fits(parts, asked):
                return True
        return False

    def touches(self, asked: str) -> bool:
        """Tell whether some pattern and `asked` have at least one name in common."""
        if self.covers(asked):
            return True
        wildcards = len(_WILD.findall(asked))
        if wildcards == 0:
            return False
        return wildcards > MANY_WILDCARDS or any(overlap(word, asked) for word in self.words)


def matches(pattern: str, name: str) -> bool:
    """Tell whether one pattern holds one plain name."""
    return pattern == name or ("*" in pattern and fits(tuple(pattern.split("*")), name))


def fits(parts: tuple[str, ...], name: str) -> bool:
    """Tell whether the parts between the `*` of a pattern stand in the name, in order and apart."""
    first, last = parts[0], parts[-1]
    end = len(name) - len(last)
    if end < len(first) or not name.startswith(first) or not name.endswith(last):
        return False
    place = len(first)
    for part in parts[1:-1]:
        found = name.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return True


@lru_cache(maxsize=4096)
def overlap(pattern: str, asked: str) -> bool:
    """Tell whether a pattern (`*`) and an asked name with wildcards (`*`, `?`) have a name in common."""
    left, right = pattern.partition("*")[0], _WILD.split(asked, maxsplit=1)[0]
    if not (left.startswith(right) or right.startswith(left)):
        return False  # the cheap answer for most pairs
    # `reach` holds the places in `asked` that can be reached by the characters of `pattern` read so far.
    reach = _past_stars(asked, {0})
    for char in pattern:
        if char == "*":
            reach = set(range(min(reach), len(asked) + 1))
        else:
            reach = _past_stars(asked, _after(asked, reach, char))
        if not reach:
            return False
    return len(asked) in reach


def _after(asked: str, reach: set[int], char: str) -> set[int]:
    """Read one plain character of the pattern; a `*` of the ask may swallow it and stay."""
    read = {place for place in reach if place < len(asked)}
    stay = {place for place in read if asked[place] == "*"}
    return stay | {place + 1 for place in read if asked[place] in ("?", char)}


def _past_stars(asked: str, reach: set[int]) -> set[int]:
    """Add the places behind each `*` of the ask, since it may stand for nothing."""
    places = set(reach)
    for start in reach:
        place = start
        while place < len(asked) and asked[place] == "*":
            place += 1
            places.add(place)
    return places
