"""Weigh all rules of a policy at once, and say which of them hold, which speak for the whole ask, and which nearly do.

The policy is compiled once, when it is first ruled with: each condition that its rules name becomes one reading
(`approvers.masks`), and a ruling reads each of them once, however many rules there are. The result is the same as
trying the conditions of every rule in turn; a test compares the two.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from datetime import date
from operator import itemgetter
from typing import Any, NamedTuple

from approvers.condition_models import When
from approvers.conditions import Test, View
from approvers.masks import Reading, reading
from approvers.rule_models import CompiledRule
from approvers.together import GROUPS, Group, Together

_first = itemgetter(0)


class Weighed(NamedTuple):
    """What holds: rules by effect, whether one speaks for the whole ask, and allow rules that lacked one condition."""

    deny: list[CompiledRule]
    review: list[CompiledRule]
    allow: list[CompiledRule]
    covered: bool
    near: list[tuple[CompiledRule, Test]]


Lack = tuple[int, tuple[CompiledRule, Test]]
"""Number of a rule, the rule, and one condition of it."""


class Index:
    """Hold the compiled rules of one policy."""

    def __init__(self, rules: Sequence[CompiledRule]) -> None:
        """Compile; `rules` stand in the order in which they are told."""
        self._rules = rules
        self._everyone = (1 << len(rules)) - 1
        self._deny, self._review, self._allow = (
            self._those(compiled.rule.effect == effect for compiled in rules) for effect in ("deny", "review", "allow")
        )
        self._may_cover = self._those(compiled.may_cover for compiled in rules)
        named = {name: self._naming(name) for name in When.model_fields}
        readings = {name: reading(name, named[name], self._everyone) for name in named if named[name]}
        self._groups = list(_groups(readings))
        self._readings = tuple(readings.items())  # those that no group took
        self._tests: dict[str, dict[int, Lack]] = defaultdict(dict)
        for number, compiled in enumerate(rules):
            for test in compiled.tests:
                self._tests[test.name][number] = number, (compiled, test)
        self._ends = sorted({compiled.rule.until for compiled in rules if compiled.rule.until is not None})
        self._on = [self._lasting(end) for end in self._ends] + [self._lasting(None)]
        self.told: dict[Hashable, Any] = {}
        """What `approvers.ruling` keeps of its own words for these rules."""

    def weigh(self, view: View) -> Weighed:
        """Return what holds for this ask."""
        holds = covers = self._on[bisect_left(self._ends, view.today)]
        near, together, alone = 0, [], []
        for group in self._groups:
            found = group.read(view)
            together.append(found)
            some, every, lacking, _ = found
            holds &= some
            near = (near & every) | (covers & lacking)
            covers &= every
        for _, read in self._readings:
            some, every = read(view)
            alone.append(every)
            holds &= some
            near = (near & every) | (covers & ~every)
            covers &= every
        deny, review, allow, near = holds & self._deny, holds & self._review, covers & self._allow, near & self._allow
        return Weighed(
            self._picked(deny) if deny else [],
            self._picked(review) if review else [],
            self._picked(allow) if allow else [],
            bool(covers & self._may_cover),
            self._near(near, together, alone) if near else [],
        )

    def _near(self, near: int, together: list[Together], alone: list[int]) -> list[tuple[CompiledRule, Test]]:
        """Name the one condition that each of these rules lacks."""
        found: list[Lack] = []
        for said in together:
            if near & said.lacking:
                for name, lacking in said.lacked:
                    if near & lacking:
                        found += self._lacks(name, near & lacking)
        for place, every in enumerate(alone):
            if near & ~every:
                found += self._lacks(self._readings[place][0], near & ~every)
        if len(found) > 1:
            found.sort(key=_first)
        return [lack for _, lack in found]

    def _lacks(self, name: str, lacking: int) -> list[Lack]:
        """Return the condition `name` of each of these rules."""
        tests = self._tests[name]
        if not lacking & (lacking - 1):
            return [tests[lacking.bit_length() - 1]]
        return [tests[number] for number in _numbers(lacking)]

    def _lasting(self, end: date | None) -> int:
        """Return the rules that are on until this day or a later one; None: those that never end."""
        return self._those(
            compiled.rule.until is None or (end is not None and compiled.rule.until >= end) for compiled in self._rules
        )

    def _picked(self, mask: int) -> list[CompiledRule]:
        if not mask & (mask - 1):  # one rule: the most frequent case
            return [self._rules[mask.bit_length() - 1]]
        return [self._rules[number] for number in _numbers(mask)]

    def _naming(self, name: str) -> dict[int, object]:
        values = enumerate(getattr(compiled.rule.when, name) for compiled in self._rules)
        return {number: value for number, value in values if value is not None}

    @staticmethod
    def _those(chosen: Iterator[bool]) -> int:
        return sum(1 << number for number, yes in enumerate(chosen) if yes)


def _groups(readings: dict[str, Reading]) -> Iterator[Group]:
    """Take the readings that are made together out of all readings."""
    for looks_at in GROUPS:
        if named := {name: readings.pop(name) for name in looks_at if name in readings}:
            yield Group(named, looks_at)


def _numbers(mask: int) -> Iterator[int]:
    """Yield the numbers of the rules of a set, ascending."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
