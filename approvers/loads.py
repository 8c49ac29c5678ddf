"""Count how much a policy asks of reviewers: asks per group, per day and in the worst hour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

HOUR_SECONDS = 3_600


class Load(NamedTuple):
    """What one group is asked, before and after: asks in all, and in the hour with the most of them."""

    group: str
    before: int
    after: int
    peak_before: int
    peak_after: int


class Loads:
    """Count asks per group and hour; one ask of two seats of a group is one ask."""

    def __init__(self) -> None:
        """Begin with none."""
        self._before, self._after = Counter[tuple[str, int]](), Counter[tuple[str, int]]()

    def add(self, at: datetime, before: Iterable[str], after: Iterable[str]) -> None:
        """Count one ask of these groups."""
        hour = int(at.timestamp()) // HOUR_SECONDS
        for group in before:
            self._before[group, hour] += 1
        for group in after:
            self._after[group, hour] += 1

    def __iter__(self) -> Iterator[Load]:
        """Yield the groups in order of name."""
        for group in sorted({name for name, _ in (*self._before, *self._after)}):
            before = [count for (name, _), count in self._before.items() if name == group]
            after = [count for (name, _), count in self._after.items() if name == group]
            yield Load(group, sum(before), sum(after), max(before, default=0), max(after, default=0))
