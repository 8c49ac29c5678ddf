"""Look up what an AWS action is: its access level, our risk lists that hold it, the ARNs that it takes.

Loaded once, when first asked. Also what a policy file may name: whether a pattern fits any action, and which one a
misspelt word was meant to be.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files

from approvers.patterns import matches
from workers.data.lists import LISTS
from workers.data.pairs import PAIRS

UNKNOWN = "unknown"
"""The level of an action that the table does not have; rules treat it as the worst."""
LIKENESS = 0.6
"""How alike (0–1, as difflib counts) a name must be to be what somebody meant."""
NO_PAIRS: Mapping[str, tuple[str, ...]] = {}
Arns = Mapping[str, Mapping[str, Sequence[str]]]
"""Service → `bare`: its actions that take no resource (or `*`); `arns`: the services whose ARNs it takes (or `*`)."""
NO_ARNS: Arns = {}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[^A-Z]+")


class Levels:
    """Answer for one table. Letter case never counts; an answer takes well under a microsecond once asked before."""

    def __init__(
        self,
        levels: Mapping[str, str],
        lists: Mapping[str, tuple[str, ...]],
        version: str,
        pairs: Mapping[str, tuple[str, ...]] = NO_PAIRS,
        arns: Arns = NO_ARNS,
    ) -> None:
        """Take `service:Action` as AWS writes it → level, list name → patterns, the table's version, pairs and ARNs."""
        self.version = version
        self._levels = {action.lower(): level for action, level in levels.items()}
        self._names = tuple(levels)
        self._lists = {name: _one_pattern(patterns) for name, patterns in lists.items()}
        self._held = lru_cache(maxsize=4096)(self._look)
        self._fits = lru_cache(maxsize=4096)(self._fits_any)
        self._meant = lru_cache(maxsize=256)(self._likest_anywhere)
        self._levels_fit = lru_cache(maxsize=256)(self._levels_that_fit)
        self._services = frozenset(name.partition(":")[0] for name in self._levels)
        self._pairs = {first.lower(): _one_pattern(seconds) for first, seconds in pairs.items()}
        self._bare = {f"{service}:{name}".lower() for service, one in arns.items() for name in one.get("bare", ())}
        self._arns = {service: frozenset(one["arns"]) for service, one in arns.items() if "arns" in one}

    def level(self, action: str) -> str:
        """Return `List`, `Read`, `Tagging`, `Write`, `Permissions management` or `unknown`."""
        return self._levels.get(action.lower(), UNKNOWN)

    def lists(self, action: str) -> frozenset[str]:
        """Return the names of the risk lists that hold the action."""
        return self._held(action.lower())

    def pairs(self, actions: Sequence[str]) -> tuple[str, ...]:
        """Return which of the actions lead to more together than each alone: `iam:PassRole with ecs:RunTask`, sorted.

        The first words of a pair are few: an ask that has none of them is answered at once.
        """
        firsts = [(one, pattern) for one in actions if (pattern := self._pairs.get(one.lower()))]
        return tuple(sorted(_paired(firsts, actions))) if firsts and len(actions) > 1 else ()

    def known(self, pattern: str) -> bool:
        """Tell whether a pattern (`*` is its only wildcard) fits at least one action of the table."""
        return self._fits(pattern.lower())

    def bare(self, action: str) -> bool:
        """Tell whether an action takes no resource: it can be allowed on `*` alone, such as `ec2:DescribeRegions`."""
        name = action.lower()
        return name in self._bare or (name in self._levels and f"{name.partition(':')[0]}:*" in self._bare)

    def takes(self, action: str, service: str) -> bool:
        """Tell whether an action can be for an ARN of that service; by the service alone, not by the kind of thing."""
        own = action.partition(":")[0].lower()
        taken = self._arns.get(own, frozenset((own,)))
        return service in taken or "*" in taken

    def nearest(self, action: str) -> str | None:
        """Return the action, or pattern that ends in `*`, that a misspelt one was meant to be; None if none is alike.

        The same name in exactly one other service comes first (`cloudwatch:FilterLogEvents`), then the likest name of
        the service, itself the likest one where there is no such service. Takes up to some 100 ms when first asked.
        """
        return self._meant(action)

    def services(self) -> frozenset[str]:
        """Return the names of all services, in lower case."""
        return self._services

    def levels_of(self, pattern: str) -> frozenset[str]:
        """Return the access levels of the actions that a pattern (`*` is its only wildcard) fits."""
        return self._levels_fit(pattern.lower())

    def _look(self, action: str) -> frozenset[str]:
        return frozenset(name for name, pattern in self._lists.items() if pattern.fullmatch(action))

    def _fits_any(self, pattern: str) -> bool:
        return pattern in self._levels or ("*" in pattern and any(matches(pattern, name) for name in self._levels))

    def _levels_that_fit(self, pattern: str) -> frozenset[str]:
        return frozenset(level for name, level in self._levels.items() if matches(pattern, name))

    def _likest_anywhere(self, action: str) -> str | None:
        service, _, name = action.partition(":")
        stem, star, rest = name.partition("*")
        if rest:
            return None
        found = None if star else self._elsewhere(stem)
        return found or self._likest(service, stem, star)

    def _elsewhere(self, name: str) -> str | None:
        ending = f":{name.lower()}"
        found = [known for known in self._names if known.lower().endswith(ending)]
        return found[0] if len(found) == 1 else None

    def _likest(self, service: str, stem: str, star: str) -> str | None:
        known = service if service == "*" else _close(service, {name.partition(":")[0] for name in self._names})
        if known is None or not (stem or star):
            return None
        names = [name.partition(":")[2] for name in self._names if service == "*" or name.startswith(f"{known}:")]
        close = _close(stem, _beginnings(names) if star else names) if stem else ""
        return None if close is None else f"{known}:{close}{star}"


@lru_cache(maxsize=1)
def load_levels() -> Levels:
    """Read the shipped tables (some 20 milliseconds), once per process."""
    table = json.loads(files("workers.data").joinpath("aws_levels.json").read_text("utf-8"))
    levels = {
        f"{service}:{action}": level
        for service, by_level in table["services"].items()
        for level, actions in by_level.items()
        for action in actions
    }
    arns = json.loads(files("workers.data").joinpath("aws_arns.json").read_text("utf-8"))["services"]
    return Levels(levels, LISTS, f"{table['source']} {table['version']}", PAIRS, arns)


def _one_pattern(patterns: tuple[str, ...]) -> re.Pattern[str]:
    parts = (".*".join(map(re.escape, pattern.lower().split("*"))) for pattern in patterns)
    return re.compile("|".join(parts))


def _paired(firsts: Iterable[tuple[str, re.Pattern[str]]], actions: Sequence[str]) -> Iterator[str]:
    for first, pattern in firsts:
        for other in actions:
            if pattern.fullmatch(other.lower()):
                yield f"{first} with {other}"


def _close(word: str, names: Iterable[str]) -> str | None:
    """Return the likest of the names, whatever their letter case; of equals the one with the most small letters."""
    spelt = {name.lower(): name for name in sorted(names, key=str.swapcase, reverse=True)}
    close = difflib.get_close_matches(word.lower(), sorted(spelt), n=1, cutoff=LIKENESS)
    return spelt[close[0]] if close else None


def _beginnings(names: Iterable[str]) -> set[str]:
    """Return what whole words each name begins with: Delete, DeleteObject, DeleteObjectTagging."""
    begun: set[str] = set()
    for name in names:
        words = _WORD.findall(name)
        begun.update("".join(words[:count]) for count in range(1, len(words) + 1))
    return begun
