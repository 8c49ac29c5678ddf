"""Write a small audit log as the product would: asks with what was ruled on them, reviews, ends."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from approvers.audit import By, Draft, Head, head_of, link
from approvers.facts import Facts
from approvers.policy import Policy
from approvers.ruling import Ruling, rule
from tests.approvers.rules_world import NOON, SHA, ask, facts

Change = dict[str, Any]


class Story:
    """A log that grows; `bodies` are its records in order."""

    def __init__(self, policy: Policy, at: datetime = NOON) -> None:
        self.policy, self.at = policy, at
        self.bodies: list[bytes] = []
        self._heads: dict[str, Head] = {}
        self._asked = 0

    def ask(
        self, *, after: timedelta = timedelta(minutes=1), principal: str = "caller:report-bot", **changes: Any
    ) -> str:
        """Ask as `rules_world.ask` does, some time after the last record; returns the id."""
        self.at += after
        found = facts(self.policy, principal=principal, at=self.at, **changes)
        return self.asked(found, rule(self.policy, found, sha256=SHA), action=ask(**changes).model_dump(mode="json"))

    def asked(self, found: Facts, ruling: Ruling, *, action: Change) -> str:
        """Record one ask with what was ruled on it; what policy decides is decided at once."""
        self._asked += 1
        name = f"req_{self._asked:04d}"
        plan = {"environment": found.account_environment} if found.account else None
        self._add(name, "request.submitted", found.principal, action=action, facts=found, plan=plan, ruling=ruling)
        ends = {"allow": "approved", "deny": "denied", "break_glass": "approved"}
        if ruling.effect in ends:
            because = "break_glass" if ruling.effect == "break_glass" else "rule"
            self.end(name, ends[ruling.effect], because)
        return name

    def review(self, name: str, person: str, verdict: str = "approve", reason: str = "", after: int = 30) -> None:
        """Record one person's answer, some seconds after the last record."""
        self.at += timedelta(seconds=after)
        self._add(name, "review.recorded", f"user:{person}", verdict=verdict, reason=reason)

    def end(self, name: str, how: str, because: str = "quorum") -> None:
        """Record how a request ends."""
        self._add(name, f"request.{how}", None, because=because, state=how.upper())

    def approved(self, name: str, *people: str, after: int = 30) -> None:
        """Record the approvals of these people, and the end that they bring."""
        for person in people:
            self.review(name, person, after=after)
        self.end(name, "approved")

    def denied(self, name: str, person: str, reason: str = "too wide") -> None:
        """Record a denial."""
        self.review(name, person, "deny", reason)
        self.end(name, "denied", "reviewer")

    def add(self, name: str, kind: str, person: str | None = None, **data: Any) -> None:
        """Record anything else."""
        self._add(name, kind, person, **data)

    def _add(self, subject: str, kind: str, person: str | None, **data: Any) -> None:
        draft = Draft(subject, kind, By(person, "countersign", person or "policy"), "api", data)
        (entry,) = link([draft], self.at, self._heads, None)
        self._heads[subject] = head_of(entry.body, entry.n)
        self.bodies.append(entry.body)


def fed(target: Any, bodies: Iterable[bytes]) -> Any:
    """Feed all records; returns the target."""
    for body in bodies:
        target.feed(body)
    return target
