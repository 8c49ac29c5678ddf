"""Read several conditions in one step: what they say together is kept by what the ask has of them.

An ask has few different kinds of principal, access levels, environments, risks or lifetimes, so the same combinations
come back all day. The first ask that has one is read condition by condition; every other finds the result. What is not
like that (an actor, a resource, the minute) is no part of a group: with it no combination would ever come back.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import NamedTuple

from approvers.conditions import View
from approvers.masks import KEPT, Reading

GROUPS: tuple[Mapping[str, str], ...] = (
    {
        "principal_kind": "facts.principal_kind",
        "access_level": "derived.access_levels",
        "risk_list": "derived.risk_lists",
        "environment": "derived.environments",
        "data_class": "facts.data_classes",
    },
    {
        "urgency": "facts.urgency",
        "ttl_over": "facts.ttl_seconds",
        "ttl_at_most": "facts.ttl_seconds",
        "risk_at_least": "risk",
        "risk_below": "risk",
        "ticket_missing": "ticket_missing",
    },
)
"""Condition → all that its reading looks at. Small groups, so that each has few combinations."""


class Together(NamedTuple):
    """What the conditions of a group say of one ask, as sets of rules.

    `some` and `every` hold as in a `Reading`, for all of the conditions; `lacking` are the rules that lack exactly one
    of them, and `lacked` tells them apart by the condition.
    """

    some: int
    every: int
    lacking: int
    lacked: tuple[tuple[str, int], ...]


class Group:
    """Hold the readings of one group of conditions, and what they said."""

    __slots__ = ("_kept", "_of", "_readings")

    def __init__(self, readings: Mapping[str, Reading], looks_at: Mapping[str, str]) -> None:
        """Take the reading of each condition that some rule names, and what each looks at."""
        self._readings = readings
        self._of = attrgetter(*dict.fromkeys(looks_at[name] for name in readings))
        self._kept: dict[object, Together] = {}

    def read(self, view: View) -> Together:
        """Return what the conditions say of this ask."""
        has = self._of(view)
        found = self._kept.get(has)
        if found is None:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            found = self._kept[has] = self._read(view)
        return found

    def _read(self, view: View) -> Together:
        holds, covers, near, each = -1, -1, 0, []
        for name, read in self._readings.items():
            some, every = read(view)
            each.append((name, every))
            holds &= some
            near = (near & every) | (covers & ~every)
            covers &= every
        lacked = tuple([(name, near & ~every) for name, every in each if near & ~every])
        return Together(holds, covers, near, lacked)
