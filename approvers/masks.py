"""Compile one condition of all rules at once: what an ask has → the rules whose condition holds for it.

Deny and review hold if *any* element of the ask matches, allow only if *all* do: otherwise one harmless action would
carry a dangerous one in. What is not known is worst: it holds in deny and review, and opens nothing.

A set of rules is the bits of a whole number (rule number n is bit n), so that two hundred rules are weighed by a few
machine words. Every condition becomes a `Reading`: a view of the ask → two sets of rules, those whose condition holds
for any element, and for all of them. A rule that does not name the condition is in both.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any

from approvers.condition_models import FOLDED, LISTS, hours, rate
from approvers.conditions import ELEMENTS, View
from approvers.facts import RISK_LEVELS
from approvers.patterns import Patterns, fits

Reading = Callable[[View], tuple[int, int]]
Named = Mapping[int, Any]
"""Number of a rule → what its condition names."""
_AT_MOST_ONE = frozenset({"principal", "principal_kind", "urgency", "issuer", "repository_id", "ref", "workflow",
                          "role", "account"})  # fmt: skip
_FOLDED_LATE = {"action": "facts.actions", "data_class": "facts.data_classes"}
KEPT = 4096
"""So many elements of a kind that comes back (an action, an account) are remembered; then all are looked up anew."""
_NEW_EACH_TIME = frozenset({"resource", "actor", "tags_any", "tags_none"})


def reading(name: str, named: Named, everyone: int) -> Reading:
    """Compile the condition `name` of the rules that name it; `everyone` is the set of all rules."""
    free = everyone & ~sum(1 << number for number in named)
    if name == "resource":
        return _resources(named, free)
    if name in LISTS:
        return _elements(name, named, free)
    if name in ("tags_any", "tags_none"):
        return _tags(name, named, free, everyone)
    return _plain(name, named, free, everyone)


class Words:
    """Find the rules one of whose patterns covers an element: plain words in one step, the others by how they begin."""

    __slots__ = ("_free", "_lengths", "_plain", "_starts")

    def __init__(self, words: Mapping[int, Iterable[str]], free: int) -> None:
        """Take each rule's patterns, and the rules that are in every answer."""
        masks: dict[str, int] = defaultdict(int)
        for number, patterns in words.items():
            for word in patterns:
                masks[word] |= 1 << number
        self._free = free
        self._plain = {word: mask | free for word, mask in masks.items() if "*" not in word}
        starts: dict[str, list[tuple[tuple[str, ...], int]]] = defaultdict(list)
        for word, mask in masks.items():
            if "*" in word:
                parts = tuple(word.split("*"))
                starts[parts[0]].append((parts, mask))
        self._starts = {start: _bucket(found) for start, found in starts.items()}
        self._lengths = tuple(sorted({len(start) for start in starts}))

    def of(self, element: str) -> int:
        """Return the rules, those that are in every answer included."""
        found = self._plain.get(element, self._free)
        for length in self._lengths:
            bucket = self._starts.get(element[:length])
            if bucket is not None:
                found |= bucket[0]
                for parts, mask in bucket[1]:
                    if fits(parts, element):
                        found |= mask
        return found


class Kept(dict[str, tuple[int, int]]):
    """Remember what `Words` found for elements that come back, such as actions and accounts.

    A `dict`, so that what is there costs no call. It has the rules twice: for one element, any and all are the same.
    """

    __slots__ = ("_of",)

    def __init__(self, of: Callable[[str], int]) -> None:
        """Start with nothing; `of` finds the rules of an element."""
        super().__init__()
        self._of = of

    def __missing__(self, element: str) -> tuple[int, int]:
        """Find the rules of an element that is new here."""
        if len(self) >= KEPT:
            self.clear()
        pair = self[element] = _both(self._of(element))
        return pair


def _bucket(patterns: list[tuple[tuple[str, ...], int]]) -> tuple[int, tuple[tuple[tuple[str, ...], int], ...]]:
    """Split patterns that begin alike: those that are only a beginning (`arn:…*`), and those that say more."""
    begin, more = 0, []
    for parts, mask in patterns:
        if len(parts) == 2 and not parts[1]:
            begin |= mask
        else:
            more.append((parts, mask))
    return begin, tuple(more)


def _folded(name: str, named: Named) -> dict[int, tuple[str, ...]]:
    fold = name in FOLDED
    return {number: tuple(word.lower() if fold else word for word in words) for number, words in named.items()}


def _elements(name: str, named: Named, free: int) -> Reading:
    of, elements_of, nothing = Words(_folded(name, named), free).of, ELEMENTS[name], (free, free)
    if name in _FOLDED_LATE:  # folded when it is first met, not for every ask
        elements_of = attrgetter(_FOLDED_LATE[name])
        both = Kept(lambda element: of(element.lower())).__getitem__
    elif name in _AT_MOST_ONE:  # read as it is; without it, only the rules that do not ask for it hold
        value, kept = attrgetter(f"facts.{name}"), Kept(lambda element: of(element) if element else free)
        return lambda view: kept[value(view)]
    else:
        both = (lambda element: _both(of(element))) if name in _NEW_EACH_TIME else Kept(of).__getitem__

    def read(view: View) -> tuple[int, int]:
        elements = elements_of(view)
        if len(elements) == 1:
            return both(elements[0])
        if not elements:
            return nothing  # all of nothing would be an open door
        some, every = free, -1
        for element in elements:
            found = both(element)[0]
            some |= found
            every &= found
        return some, every

    return read


def _resources(named: Named, free: int) -> Reading:
    """Compile `resource`, the one element that can hold wildcards of its own: `touches` and `covers` differ there."""
    of = Words(named, free).of
    patterns = [(1 << number, Patterns(words)) for number, words in named.items()]

    def read(view: View) -> tuple[int, int]:
        some, every = free, -1
        for element in view.facts.resources:
            found = of(element)
            every &= found
            some |= found
            if "*" in element or "?" in element:
                for mask, words in patterns:
                    if not some & mask and words.touches(element):
                        some |= mask
        return some, every if every != -1 else free

    return read


def _tags(name: str, named: Named, free: int, everyone: int) -> Reading:
    """Compile `tags_any` or `tags_none`; a resource whose tags are not known is worst for every rule."""
    of, wanted, those = Words(named, 0).of, name == "tags_any", everyone & ~free

    def read(view: View) -> tuple[int, int]:
        some, every = free, -1
        for tags in view.tags:
            if tags is None:
                some, every = everyone, every & free
                continue
            has = 0
            for tag in tags:
                has |= of(tag)
            found = (has if wanted else those & ~has) | free
            some |= found
            every &= found
        return some, every if every != -1 else free

    return read


def _plain(name: str, named: Named, free: int, everyone: int) -> Reading:
    """Compile a condition on one value: it holds or not, whatever the rule's effect."""
    match name:
        case "ttl_over":
            return _over({number: int(value.total_seconds()) for number, value in named.items()}, free, _ttl)
        case "ttl_at_most":
            return _at_most({number: int(value.total_seconds()) for number, value in named.items()}, free, _ttl)
        case "risk_at_least":
            return _levels(lambda level, least: level >= least, named, free)
        case "risk_below":
            return _levels(lambda level, below: level < below, named, free)
        case "reason_shorter_than":
            return _at_most({number: value - 1 for number, value in named.items()}, free, lambda view: view.reason)
        case "rate_over":
            return _rates({number: rate(value) for number, value in named.items()}, free, everyone)
        case "outside_hours":
            return _hours({number: hours(value) for number, value in named.items()}, free)
    return _switch(_SWITCHES[name], free, everyone)


def _ttl(view: View) -> int:
    return view.ttl


_SWITCHES: Mapping[str, Callable[[View], bool]] = {
    "reason_missing": lambda view: not view.reason,
    "ticket_missing": lambda view: view.ticket_missing,
    "first_seen": lambda view: view.asked is None or bool(view.new),
}


def _switch(holds: Callable[[View], bool], free: int, everyone: int) -> Reading:
    on, off = (everyone, everyone), (free, free)
    return lambda view: on if holds(view) else off


def _levels(holds: Callable[[int, int], bool], named: Named, free: int) -> Reading:
    """Compile a condition on the risk: one entry per level."""
    pairs = [_both(free | sum(1 << number for number, name in named.items() if holds(level, RISK_LEVELS.index(name))))
             for level in range(len(RISK_LEVELS))]  # fmt: skip
    return lambda view: pairs[view.risk]


def _over(limits: Mapping[int, int], free: int, value: Callable[[View], int]) -> Reading:
    """Compile `value > limit`: the more, the more rules."""
    steps = sorted(set(limits.values()))
    pairs = [_both(free | _those(limits, frozenset(steps[:count]).__contains__)) for count in range(len(steps) + 1)]
    return lambda view: pairs[bisect_left(steps, value(view))]


def _at_most(limits: Mapping[int, int], free: int, value: Callable[[View], int]) -> Reading:
    """Compile `value <= limit`: the more, the fewer rules."""
    steps = sorted(set(limits.values()))
    pairs = [_both(free | _those(limits, frozenset(steps[count:]).__contains__)) for count in range(len(steps) + 1)]
    return lambda view: pairs[bisect_left(steps, value(view))]


def _rates(limits: Mapping[int, tuple[int, int]], free: int, everyone: int) -> Reading:
    """Compile `rate_over`; where nothing was counted, the rate could be any."""

    def read(view: View) -> tuple[int, int]:
        asked = view.asked
        if asked is None:
            return everyone, everyone
        return _both(free | _those(limits, lambda limit: asked[limit[1]] > limit[0]))

    return read


def _hours(spans: Mapping[int, tuple[int, int]], free: int) -> Reading:
    """Compile `outside_hours`: one entry per minute of the day, made when that minute is first met."""
    days: dict[int, tuple[int, int]] = {}

    def read(view: View) -> tuple[int, int]:
        at = view.at
        found = days.get(at)
        if found is None:
            found = days[at] = _both(free | _those(spans, lambda span: _outside(span, at)))
        return found

    return read


def _outside(span: tuple[int, int], at: int) -> bool:
    start, end = span
    return not (start <= at < end) if start < end else end <= at < start


def _those(named: Mapping[int, Any], holds: Callable[[Any], bool]) -> int:
    return sum(1 << number for number, value in named.items() if holds(value))


def _both(mask: int) -> tuple[int, int]:
    return mask, mask
