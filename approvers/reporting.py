"""Fold audit records into an access report for a period: who had what, who said yes, how it ended, what changed. Pure.

Grants are those that were open at some moment of the period, whenever they were asked for; the summary counts requests
that were asked for in it. What came of either is told as far as the records that were fed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from approvers.audit import SYSTEM
from approvers.reporting_case import ASKED, Case, asked
from approvers.reporting_row import Row, row
from approvers.reporting_summary import Summary, summed
from approvers.storytelling import STRANGE, line_of
from approvers.times import stamp

CHANGES = frozenset({"policy.applied", "roster.applied", "key.made", "key.revoked", "away.set", "away.ended"})
STOPS = frozenset({"freeze.set", "freeze.lifted", "revocation.requested"})
ALSO = ("key.", "log.", "text.", "export.")
"""Kinds under `sys` that change the ground: what they begin with."""


class Change(NamedTuple):
    """One record under `sys` that a report tells: when, by whom, of which kind, in plain words."""

    at: str
    by: str
    kind: str
    said: str
    n: int


class Report:
    """Take records, the chain of each subject in order; records that were taken already change nothing."""

    def __init__(self, since: datetime, until: datetime) -> None:
        """Report on the time from `since` (included) to `until` (excluded)."""
        self._period = since, until
        self._since, self._until = stamp(since), stamp(until)
        self._cases: dict[str, Case] = {}
        self._system = 0
        self.changes: list[Change] = []
        """What changed the rules, keys or stand-ins in the period, in order."""
        self.stops: list[Change] = []
        """Freezes and revocations of many in the period, in order."""
        self._strange: dict[str, None] = {}
        self._torn: dict[str, bool] = {}

    def anew(self) -> Report:
        """Return a report on the same time to which nothing was fed."""
        return Report(*self._period)

    @property
    def strange(self) -> list[str]:
        """Subject and number of records that have another shape than this version knows; they count for nothing."""
        return list(self._strange)

    @property
    def torn(self) -> list[str]:
        """Requests of the period of which only later records are left in the log; they count for nothing."""
        return sorted(one for one, counts in self._torn.items() if counts)

    def lacks(self, subject: str, n: int) -> bool:
        """Tell whether the records of a request before number `n` have to be fed first."""
        return n > 1 and subject.startswith("req_") and subject not in self._cases and subject not in self._torn

    def fed(self, subject: str) -> int:
        """Return the number of a request's last record that was fed; 0: its ask was not."""
        return self._cases[subject].n if subject in self._cases else 0

    def tear(self, subject: str, moments: Iterable[str], *, lives: bool) -> None:
        """Take it that not all records of a request are in the log any more; those that are have these moments.

        What was fed of it counts no more: how it went on is not known.
        """
        inside = any(self._since <= one < self._until for one in moments)
        known = self._cases.pop(subject, None) is not None
        self._torn[subject] = known or lives or inside or self._torn.get(subject, False)

    def feed(self, record: Mapping[str, Any]) -> None:
        """Take one record, whose texts are in place where the log has them apart."""
        try:
            self._take(record, record["subject"])
        except STRANGE:
            self._strange[f"{record.get('subject')} {record.get('n')}"] = None

    def _take(self, record: Mapping[str, Any], subject: str) -> None:
        if subject == SYSTEM:
            self._take_system(record)
        elif (case := self._cases.get(subject)) is not None:
            case.feed(record)
        elif record["type"] == ASKED and record["at"] < self._until:
            self._cases[subject] = asked(record)

    def unfinished(self) -> list[str]:
        """Return the requests whose end has not been fed: what came of them stands further on in their chains."""
        return [one.request for one in self._cases.values() if not one.over]

    def rows(self) -> Iterator[Row]:
        """Yield a row for each grant that was open in the period, by the time of the ask."""
        for case in sorted(self._cases.values(), key=lambda one: (one.asked_at, one.request)):
            if self._had_grant(case):
                yield row(case)

    def owed(self) -> Iterator[Row]:
        """Yield the uses of break-glass that still wait for their after-review."""
        return (one for one in self.rows() if one.after_review == "owed")

    def summary(self) -> Summary:
        """Count the requests asked for in the period: in all, and by actor, principal, person, role and approver."""
        inside = [one for one in self._cases.values() if self._since <= one.asked_at < self._until]
        return summed(inside)

    def _had_grant(self, case: Case) -> bool:
        if not case.grant or case.opened_at >= self._until:
            return False
        return not case.ended_at or case.ended_at >= self._since

    def _take_system(self, record: Mapping[str, Any]) -> None:
        if record["n"] <= self._system or not self._since <= record["at"] < self._until:
            return
        self._system = record["n"]
        kind = record["type"]
        kept = self.changes if kind in CHANGES or kind.startswith(ALSO) else self.stops if kind in STOPS else None
        if kept is not None:
            line = line_of(record)
            kept.append(Change(record["at"], line.who, kind, line.words, record["n"]))
