"""Say how far a credential reaches: how many actions of which level over what, and what it can do at worst.

Read from the plan that is minted, as narrowed, or from the ask itself where nothing is minted. What no table knows
counts as the worst. The risk lists are of the whole ask: after narrowing they may name more than is left, never less.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from approvers.facts import UNKNOWN, Facts
from approvers.grant import Plan

ORDER = ("List", "Read", "Tagging", "Write", "Permissions management", UNKNOWN)
"""Access levels, the most harmless first."""
CHANGES = frozenset(ORDER[2:])
"""Levels that can change something; nobody knows that of an unknown action, so it counts."""
_BUCKET = re.compile(r"arn:[a-z-]+:s3:::([^/]*)(?:/(.*))?", re.DOTALL)
_PLURALS = {"bucket prefix": "bucket prefixes"}


class Blast(NamedTuple):
    """How far one credential reaches.

    `levels` has (access level, actions), the worst last; `resources` (kind of resource, how many); `wildcards` those
    written with `*` or `?`; `services` each once, in order; `lists` the risk lists that the ask touches.
    """

    levels: tuple[tuple[str, int], ...]
    resources: tuple[tuple[str, int], ...]
    wildcards: tuple[str, ...]
    services: tuple[str, ...]
    lists: tuple[str, ...]
    pairs: tuple[str, ...]

    @property
    def everything(self) -> bool:
        """Tell whether it reaches every resource."""
        return "*" in self.wildcards

    @property
    def writes(self) -> bool:
        """Tell whether it can change something."""
        return any(level in CHANGES for level, _ in self.levels)

    @property
    def destroys(self) -> bool:
        """Tell whether it can take something away."""
        return "destructive" in self.lists


def blast(facts: Facts, plan: Plan | None, lists: Iterable[str] | None = None) -> Blast:
    """Return how far the plan reaches; `lists`: the risk lists with the policy's own (None: the shipped ones)."""
    known = {name.lower(): level for name, level in zip(facts.actions, facts.levels, strict=True)}
    actions = plan.actions if plan else facts.actions
    resources = plan.resources if plan else facts.resources
    levels = Counter(known.get(name.lower(), UNKNOWN) for name in actions)
    kinds = Counter(map(_kind, resources))
    here = {name.lower() for name in actions}
    return Blast(
        levels=tuple((level, levels[level]) for level in ORDER if levels[level]),
        resources=tuple(kinds.items()),
        wildcards=tuple(one for one in resources if "*" in one or "?" in one),
        services=tuple(dict.fromkeys(name.partition(":")[0].lower() for name in actions)),
        lists=tuple(sorted(facts.risk_lists if lists is None else lists)),
        pairs=tuple(pair for pair in facts.pairs if here.issuperset(pair.lower().split(" with "))),
    )


def words(found: Blast) -> tuple[str, ...]:
    """Return it in short sentences, the reach first: `2 Read, 1 Write over 1 bucket prefix; nothing destructive`."""
    return tuple(_sentences(found))


def _sentences(found: Blast) -> Iterator[str]:
    counts = ", ".join(f"{count} {level}" for level, count in found.levels)
    reach = "every resource" if found.everything else _joined(found.resources)
    yield f"{counts} over {reach}; {_worst(found)}"
    if len(found.services) > 1:
        yield f"in {len(found.services)} services: {', '.join(found.services)}"
    for pair in found.pairs:
        yield f"more rights together: {pair}"


def _worst(found: Blast) -> str:
    if found.destroys:
        return "something here destroys what it touches"
    if not found.writes:
        return "nothing is changed"
    return "nothing destructive" if all(level != UNKNOWN for level, _ in found.levels) else "not known what it changes"


def _joined(resources: Iterable[tuple[str, int]]) -> str:
    named = [f"{count} {kind if count == 1 else _PLURALS.get(kind, f'{kind}s')}" for kind, count in resources]
    return " and ".join(named)


def _kind(resource: str) -> str:
    """Return what a resource is, as far as its name tells."""
    wild = "*" in resource or "?" in resource
    found = _BUCKET.fullmatch(resource)
    if found is None:
        return "wildcard" if wild else "resource"
    bucket, key = found.groups()
    if "*" in bucket or "?" in bucket:
        return "pattern of buckets"
    if key is None:
        return "bucket"
    if key == "*":
        return "whole bucket"
    return "bucket prefix" if wild else "object"
