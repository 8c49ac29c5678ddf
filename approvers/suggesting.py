"""Find what people are asked for and always approve quickly, and write the allow rule that would cover just that.

A habit is what one principal asks in one account under the same review rules. Fed with audit records like a
simulation. A rule is only ever proposed: whoever applies it has tried it on the same history first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import Any, NamedTuple

from approvers.cases import SUBMITTED, Case, NotReplayable, decoded, read_case, tag_of
from approvers.deriving import derive
from approvers.facts import RISK_LEVELS, UNKNOWN
from approvers.policy import Policy
from approvers.simulating import ENDED, EVER, REVIEWED
from approvers.times import spell

LEAST = 10
"""How many answers make a habit."""
QUICK = timedelta(minutes=5)
REVIEWERS = 2
MOST_RESOURCES = 200
NARROWED = "request.narrowed"
_ANSWERS = frozenset({*ENDED, REVIEWED, NARROWED})
_ALLOWABLE = RISK_LEVELS[:2]


class Key(NamedTuple):
    """What makes asks one habit: the review rules that decide (none: the default), who asks, and where."""

    rules: tuple[str, ...]
    principal: str
    account: str | None
    environment: str | None


@dataclass
class Habit:
    """What was asked under one key, and how people answered."""

    key: Key
    approved: int = 0
    denied: int = 0
    expired: int = 0
    narrowed: int = 0
    seconds: list[float] = field(default_factory=list)
    reviewers: set[str] = field(default_factory=set)
    actions: set[str] = field(default_factory=set)
    levels: set[str] = field(default_factory=set)
    listed: set[str] = field(default_factory=set)
    resources: set[str] = field(default_factory=set)
    longest: int = 0
    risk: int = 0

    @property
    def answered(self) -> int:
        """Return how many came to an end that people, or their silence, gave it."""
        return self.approved + self.denied + self.expired

    @property
    def median(self) -> timedelta:
        """Return how long an approval takes."""
        return timedelta(seconds=median(self.seconds)) if self.seconds else timedelta(0)

    @property
    def always(self) -> bool:
        """Tell whether people always approve this, whole and quickly."""
        yes = self.approved >= LEAST and self.approved == self.answered and not self.narrowed
        return yes and self.median <= QUICK

    def add(self, case: Case, lists: tuple[str, ...]) -> None:
        """Take in what one ask holds; `lists` are the risk lists of its actions."""
        facts = case.facts
        self.actions.update(facts.actions)
        self.levels.update(facts.levels)
        self.listed.update(lists)
        self.longest = max(self.longest, facts.ttl_seconds)
        self.risk = max(self.risk, RISK_LEVELS.index(case.risk))
        if len(self.resources) <= MOST_RESOURCES:
            self.resources.update(facts.resources)


class Habits:
    """Collect habits from audit records."""

    def __init__(self, policy: Policy, since: datetime = EVER[0]) -> None:
        """Begin with none; the policy says which actions are on risk lists of its own."""
        self._policy, self._since = policy, since
        self._habits: dict[Key, Habit] = {}
        self._open: dict[str, tuple[Habit, datetime]] = {}

    def feed(self, body: bytes) -> None:
        """Take one audit record. Raises NotARecord."""
        subject, kind = tag_of(body)
        if kind == SUBMITTED:
            self._asked(body)
        elif kind in _ANSWERS and subject in self._open:
            self._answered(kind, decoded(body))

    def always(self) -> list[Habit]:
        """Return what people always approve, whole and quickly: the most frequent first."""
        found = [habit for habit in self._habits.values() if habit.always]
        return sorted(found, key=lambda habit: (-habit.approved, str(habit.key)))

    def _asked(self, body: bytes) -> None:
        try:
            case = read_case(body)
        except NotReplayable:
            return
        if case.before.effect != "review" or case.facts.at < self._since:
            return
        key = Key(case.rules, case.facts.principal, case.facts.account, case.facts.account_environment)
        habit = self._habits.setdefault(key, Habit(key))
        habit.add(case, derive(self._policy, case.facts).risk_lists)
        self._open[case.id] = habit, case.facts.at

    def _answered(self, kind: str, record: dict[str, Any]) -> None:
        habit, asked_at = self._open[record["subject"]]
        if kind == REVIEWED:
            habit.reviewers.add(record["by"]["person"] or record["by"]["sub"])
        elif kind == NARROWED:
            habit.narrowed += 1
        else:
            del self._open[record["subject"]]
            end = ENDED[kind]
            habit.approved += end == "approved"
            habit.denied += end == "denied"
            habit.expired += end == "expired"
            if end == "approved":
                habit.seconds.append((datetime.fromisoformat(record["at"]) - asked_at).total_seconds())


def objections(habit: Habit) -> Iterator[str]:
    """Yield why no rule should allow this, however often it was approved."""
    if len(habit.key.rules) > 1:
        yield f"several rules ask for it: {', '.join(habit.key.rules)}"
    if len(habit.reviewers) < REVIEWERS:
        yield "one person alone answers it"
    if RISK_LEVELS[habit.risk] not in _ALLOWABLE:
        yield f"its risk is {RISK_LEVELS[habit.risk]}"
    if habit.listed:
        yield f"it holds actions that are listed: {', '.join(sorted(habit.listed))}"
    if grave := habit.levels & {UNKNOWN, "Permissions management"}:
        yield f"it holds actions of access level {', '.join(sorted(grave))}"
    if habit.key.account is None or habit.key.environment is None:
        yield "no account proves where it happens"
    if not resources_of(habit):
        yield "its resources have nothing in common"


def resources_of(habit: Habit, few: int = 5) -> list[str]:
    """Return patterns for the resources: each if they are few, else what all begin with; none if that says nothing."""
    found = sorted(habit.resources)
    if "*" in found:
        return []
    if len(found) <= few:
        return found
    first, last = found[0], found[-1]  # sorted: what these two share, all share
    shared = next((place for place, (one, two) in enumerate(zip(first, last, strict=False)) if one != two), len(first))
    prefix = first[: max(first.rfind("/", 0, shared), first.rfind(":", 0, shared)) + 1]
    parts = prefix.split(":", 5)
    return [f"{prefix}*"] if len(parts) == 6 and parts[5] else []


def describe(habit: Habit) -> str:
    """Say in one line what the habit is."""
    rules = " + ".join(habit.key.rules) or "the default"
    where = habit.key.account or "no account"
    who = f"{len(habit.reviewers)} {'person' if len(habit.reviewers) == 1 else 'people'}"
    return (
        f"{rules}: {habit.key.principal} in {where}: {habit.approved} of {habit.answered} approved by {who}, "
        f"median {spell(habit.median)}"
    )
