"""Count what was asked for in a period: in all, and for each actor, principal, person, role and approver. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from approvers.reporting_case import Case
from approvers.reporting_row import held, minutes

HUMAN = frozenset({"quorum", "reviewer"})


class Count(NamedTuple):
    """What one name came to. Times to decide are those of people alone; `longest_seconds` is a credential's life."""

    name: str
    asked: int
    approved: int
    denied: int
    expired: int
    cancelled: int
    waiting: int
    grants: int
    break_glass: int
    flagged: int
    p50_minutes: float | None
    p90_minutes: float | None
    longest_seconds: int | None


class Summary(NamedTuple):
    """The counts of a period: `total`, and by kind of name, those with most asks first."""

    total: Count
    by_actor: Sequence[Count]
    by_principal: Sequence[Count]
    by_person: Sequence[Count]
    by_role: Sequence[Count]
    by_approver: Sequence[Count]


@dataclass
class _Sum:
    states: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    grants: int = 0
    break_glass: int = 0
    flagged: int = 0
    decisions: list[float] = field(default_factory=list)
    longest: int | None = None

    def add(self, case: Case) -> None:
        self.states[case.state] += 1
        self.grants += bool(case.grant)
        self.break_glass += case.break_glass
        self.flagged += case.flag_points > 0
        took = minutes(case.asked_at, case.decided_at)
        if case.because in HUMAN and took is not None:
            self.decisions.append(took)
        life = held(case)
        if life is not None:
            self.longest = max(life, self.longest or 0)

    def count(self, name: str) -> Count:
        states = self.states
        return Count(
            name=name,
            asked=sum(states.values()),
            approved=states["APPROVED"],
            denied=states["DENIED"],
            expired=states["EXPIRED"],
            cancelled=states["CANCELLED"],
            waiting=states["PENDING"],
            grants=self.grants,
            break_glass=self.break_glass,
            flagged=self.flagged,
            p50_minutes=percentile(self.decisions, 50),
            p90_minutes=percentile(self.decisions, 90),
            longest_seconds=self.longest,
        )


def summed(cases: Iterable[Case]) -> Summary:
    """Return the counts of these requests."""
    total, tables = _Sum(), [defaultdict[str, _Sum](_Sum) for _ in _NAMES]
    for case in cases:
        total.add(case)
        for table, names in zip(tables, _NAMES.values(), strict=True):
            for name in names(case):
                table[name].add(case)
    return Summary(total.count("all"), *map(_ranked, tables))


def percentile(values: Sequence[float], percent: int) -> float | None:
    """Return the smallest value that `percent` of them do not exceed; None of none."""
    if not values:
        return None
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


def _ranked(table: Mapping[str, _Sum]) -> Sequence[Count]:
    return sorted((one.count(name) for name, one in table.items()), key=lambda one: (-one.asked, one.name))


_NAMES: Mapping[str, Callable[[Case], Iterable[str]]] = {
    "actor": lambda case: [case.actor],
    "principal": lambda case: [case.principal],
    "person": lambda case: [case.person] if case.person else [],
    "role": lambda case: [case.role] if case.role else [],
    "approver": lambda case: dict.fromkeys(case.decided_by) if case.because in HUMAN else [],
}
"""By which names a summary counts, in the order of `Summary`."""
