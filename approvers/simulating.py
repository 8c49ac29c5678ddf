"""Try a policy on recorded asks: what each came to, what it would come to now, and what people had said.

Fed with the bodies of audit records in the order of the log, one by one; it holds counters, the asks that are still
open where it reads, and a bounded list of those that change. Nothing of the present is looked at: no clock, no group,
no counter, only what was recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from approvers.cases import SUBMITTED, Case, NotReplayable, Outcome, decoded, read_case, tag_of
from approvers.judging import Change, Judge, compare
from approvers.loads import Load, Loads
from approvers.times import stamp

MOST_LISTED = 10_000
"""How many asks are listed per change; all are counted."""
EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
REVIEWED = "review.recorded"
AFTER_REVIEWED = "break_glass.reviewed"
ENDED: Mapping[str, str] = {
    "request.approved": "approved",
    "request.denied": "denied",
    "request.expired": "expired",
    "request.cancelled": "cancelled",
}
_ANSWERS = frozenset({*ENDED, REVIEWED, AFTER_REVIEWED})
_NO = frozenset({"deny", "unjustified"})


@dataclass(slots=True)
class Changed:
    """One ask that would be answered differently: who asked what, why it changes, and what people had said.

    `was` and `now` are the effect with its seats; `denied_by` names who said no, in a review or after a use of
    break-glass (None: nobody did); `ended` says how it ended.
    """

    id: str
    handle: str | None
    at: datetime
    action: str
    resource: str
    who: str
    was: str
    now: str
    why: str
    denied_by: str | None = None
    denied_reason: str = ""
    ended: str = "open"


@dataclass(slots=True)
class Group:
    """All asks that change in one way: how many, how many of them people denied, and the first of both kinds."""

    change: Change
    total: int = 0
    denied: int = 0
    people_denied: list[Changed] = field(default_factory=list)
    others: list[Changed] = field(default_factory=list)

    @property
    def listed(self) -> list[Changed]:
        """Return the asks that are listed: first what a person denied, each part in order of time."""
        return [row for rows in (self.people_denied, self.others) for row in sorted(rows, key=_in_time)]

    def add(self, row: Changed, most: int) -> None:
        """Count the ask, and list it while there is room."""
        self.total += 1
        self.denied += row.denied_by is not None
        rows = self.others if row.denied_by is None else self.people_denied
        if len(rows) < most:
            rows.append(row)


@dataclass(frozen=True)
class Report:
    """What a simulation found.

    Attributes:
        replayed: how many asks were ruled on again.
        same: how many of them are answered as before.
        denied: how many of them a person denied.
        not_replayable: why some could not be ruled on again, and how many; nothing is said of those.
        policies: under which policies (SHA-256) how many were ruled on.
        first, last: when the first and the last of them was asked; None without any.
        groups: the changes: those toward allow first.
        loads: what is asked of which group.
    """

    replayed: int
    same: int
    denied: int
    not_replayable: Mapping[str, int]
    policies: Mapping[str, int]
    first: datetime | None
    last: datetime | None
    groups: tuple[Group, ...]
    loads: tuple[Load, ...]

    @property
    def changed(self) -> int:
        """Return how many asks are answered differently."""
        return sum(group.total for group in self.groups)

    @property
    def looser(self) -> int:
        """Return how many asks move toward allow."""
        return sum(group.total for group in self.groups if group.change.looser)

    @property
    def unasked(self) -> tuple[int, int]:
        """Return how many asks would be allowed without asking that were not, and how many of them people denied."""
        allowed = [group for group in self.groups if group.change.allows]
        return sum(group.total for group in allowed), sum(group.denied for group in allowed)


class Simulation:
    """Rule on recorded asks again. Feed it with records in their order, then take the report."""

    def __init__(
        self,
        judge: Judge,
        *,
        against: Judge | None = None,
        since: datetime = EVER[0],
        until: datetime = EVER[1],
        most: int = MOST_LISTED,
    ) -> None:
        """Begin with nothing.

        Args:
            judge: the policy to try.
            against: what to compare with; None: with what was ruled then.
            since: the earliest ask that counts.
            until: the first ask that no longer does.
            most: how many asks to list per change; all are counted.
        """
        self._judge, self._against, self._since, self._until, self._most = judge, against, since, until, most
        self._open: dict[str, tuple[Change, Changed] | None] = {}
        self._groups: dict[Change, Group] = {}
        self._missing, self._policies, self._loads = Counter[str](), Counter[str](), Loads()
        self._first: datetime | None = None
        self._last: datetime | None = None
        self._replayed = self._same = self._denied = 0

    def feed(self, body: bytes) -> None:
        """Take one audit record; those that tell nothing of asks and answers are passed over. Raises NotARecord."""
        subject, kind = tag_of(body)
        if kind == SUBMITTED:
            self._asked(body)
        elif kind in _ANSWERS and subject in self._open:
            self._answered(kind, decoded(body))

    def report(self) -> Report:
        """Return what was found; asks that nobody has answered yet count as open."""
        for held in self._open.values():
            if held is not None:
                self._file(*held)
        self._open.clear()
        return Report(
            replayed=self._replayed,
            same=self._same,
            denied=self._denied,
            not_replayable=dict(sorted(self._missing.items())),
            policies=dict(sorted(self._policies.items())),
            first=self._first,
            last=self._last,
            groups=tuple(sorted(self._groups.values(), key=lambda group: group.change.order)),
            loads=tuple(self._loads),
        )

    def _asked(self, body: bytes) -> None:
        try:
            case = read_case(body)
        except NotReplayable as error:
            if self._counts(datetime.fromisoformat(decoded(body)["at"])):
                self._missing[str(error)] += 1
            return
        if self._counts(case.facts.at):
            self._replay(case)

    def _counts(self, at: datetime) -> bool:
        return self._since <= at < self._until

    def _replay(self, case: Case) -> None:
        facts = case.facts
        before = self._against.outcome(facts) if self._against else case.before
        after = self._judge.outcome(facts)
        self._count(case, before, after)
        change = compare(before, after)
        held = (change, _row(case, before, after, self._judge.why(facts))) if change else None
        self._same += change is None
        if case.before.effect in ("review", "break_glass"):
            self._open[case.id] = held
        elif held:
            held[1].ended = "by policy"
            self._file(*held)

    def _count(self, case: Case, before: Outcome, after: Outcome) -> None:
        at = case.facts.at
        self._replayed += 1
        self._policies[case.policy_sha256] += 1
        if self._first is None or at < self._first:
            self._first = at
        if self._last is None or at > self._last:
            self._last = at
        self._loads.add(at, _asked_of(before), _asked_of(after))

    def _answered(self, kind: str, record: dict[str, Any]) -> None:
        """Note what people said to an ask, and let go of it at its end."""
        subject, data = record["subject"], record["data"]
        held = self._open[subject]
        if kind in (REVIEWED, AFTER_REVIEWED) and data["verdict"] in _NO:
            self._denied += 1
            if held:
                held[1].denied_by, held[1].denied_reason = record["by"]["person"], data.get("reason", "")
        if kind in ENDED and held:
            held[1].ended = ENDED[kind]
        over = kind == AFTER_REVIEWED or (kind in ENDED and data["because"] != "break_glass")
        if over:
            del self._open[subject]
            if held:
                self._file(*held)

    def _file(self, change: Change, row: Changed) -> None:
        self._groups.setdefault(change, Group(change)).add(row, self._most)


def _asked_of(outcome: Outcome) -> Mapping[str, int]:
    return outcome.seats if outcome.effect in ("review", "break_glass") else {}


def _row(case: Case, before: Outcome, after: Outcome, why: str) -> Changed:
    facts = case.facts
    behind = f" for {facts.on_behalf_of}" if facts.on_behalf_of else ""
    return Changed(
        id=case.id,
        handle=case.handle,
        at=facts.at,
        action=facts.actions[0],
        resource=facts.resources[0],
        who=f"{facts.principal}{behind}",
        was=_spelled(before),
        now=_spelled(after),
        why=why,
    )


def _spelled(outcome: Outcome) -> str:
    seats = ", ".join(f"{count} {group}" for group, count in sorted(outcome.seats.items()))
    return f"{outcome.effect} of {seats}" if seats else outcome.effect


def _in_time(row: Changed) -> tuple[str, str]:
    return stamp(row.at), row.id
