"""Look up what an AWS action is: its access level, and our risk lists that hold it. Loaded once, when first asked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

from workers.data.lists import LISTS

UNKNOWN = "unknown"
"""The level of an action that the table does not have; rules treat it as the worst."""


class Levels:
    """Answer for one table. Letter case never counts; an answer takes well under a microsecond once asked before."""

    def __init__(self, levels: Mapping[str, str], lists: Mapping[str, tuple[str, ...]], version: str) -> None:
        """Take lower-case `service:action` → level, list name → patterns, and the version of the table."""
        self.version = version
        self._levels = levels
        self._lists = {name: _one_pattern(patterns) for name, patterns in lists.items()}
        self._held = lru_cache(maxsize=4096)(self._look)

    def level(self, action: str) -> str:
        """Return `List`, `Read`, `Tagging`, `Write`, `Permissions management` or `unknown`."""
        return self._levels.get(action.lower(), UNKNOWN)

    def lists(self, action: str) -> frozenset[str]:
        """Return the names of the risk lists that hold the action."""
        return self._held(action.lower())

    def _look(self, action: str) -> frozenset[str]:
        return frozenset(name for name, pattern in self._lists.items() if pattern.fullmatch(action))


@lru_cache(maxsize=1)
def load_levels() -> Levels:
    """Read the shipped table (a few milliseconds), once per process."""
    table = json.loads(files("workers.data").joinpath("aws_levels.json").read_text("utf-8"))
    levels = {
        f"{service}:{action}".lower(): level
        for service, by_level in table["services"].items()
        for level, actions in by_level.items()
        for action in actions
    }
    return Levels(levels, LISTS, f"{table['source']} {table['version']}")


def _one_pattern(patterns: tuple[str, ...]) -> re.Pattern[str]:
    parts = (".*".join(map(re.escape, pattern.lower().split("*"))) for pattern in patterns)
    return re.compile("|".join(parts))
