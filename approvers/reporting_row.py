"""Say what an access report has of each grant, and write it as CSV that no spreadsheet can be made to run."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from approvers.card_text import visible
from approvers.reporting_case import Case

PIECE = 500
"""Lines of CSV that are handed on at a time."""
FORMULA = frozenset("=+-@\t\r＝＋－＠")
"""What a cell may not begin with: a spreadsheet would take it for a formula."""
_SPLIT = re.compile(r";(?=[\s\"']*[=+\-@＝＋－＠])")
"""Where a spreadsheet that splits cells at semicolons, as in half of Europe, would begin a cell with a formula."""


class Row(NamedTuple):
    """One grant of the period. Moments are UTC; an empty text says that there is none (yet).

    `minutes_to_decision` from the ask to the answer. `held_seconds` from the mint to the end (None: it lives, or was
    never minted). `actions_used` None: nobody has looked. `after_review` is empty for all but break-glass.
    """

    request: str
    grant: str
    handle: str
    principal: str
    actor: str
    person: str
    role: str
    account: str
    environment: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    asked_at: str
    approved_by: tuple[str, ...]
    because: str
    minutes_to_decision: float | None
    minted_at: str
    collected: bool
    ended_at: str
    end: str
    ended_by: str
    proof: str
    proof_seconds: str
    ttl_asked_seconds: int
    ttl_granted_seconds: int
    held_seconds: int | None
    actions_used: tuple[str, ...] | None
    flag_points: int
    break_glass: bool
    after_review: str
    after_review_by: str
    after_review_due_at: str
    extends: str
    extended_by: str


def row(case: Case) -> Row:
    """Return the row of a request that opened a grant."""
    return Row(
        request=case.request,
        grant=case.grant,
        handle=case.handle,
        principal=case.principal,
        actor=case.actor,
        person=case.person,
        role=case.role,
        account=case.account,
        environment=case.environment,
        actions=case.actions,
        resources=case.resources,
        asked_at=case.asked_at,
        approved_by=case.decided_by,
        because=case.because,
        minutes_to_decision=minutes(case.asked_at, case.decided_at),
        minted_at=case.minted_at,
        collected=case.collected,
        ended_at=case.ended_at,
        end=case.cause,
        ended_by=case.ended_by,
        proof=case.proof,
        proof_seconds=case.proof_seconds,
        ttl_asked_seconds=case.ttl_asked,
        ttl_granted_seconds=case.ttl_granted,
        held_seconds=held(case),
        actions_used=case.used,
        flag_points=case.flag_points,
        break_glass=case.break_glass,
        after_review=(case.after_review or "owed") if case.break_glass else "",
        after_review_by=case.after_review_by,
        after_review_due_at=case.review_due_at,
        extends=case.extends,
        extended_by=case.extended_by,
    )


def held(case: Case) -> int | None:
    """Return for how many seconds the credential lived: to its proven end, or its own end if that came first."""
    if not case.minted_at or not case.ended_at:
        return None
    until = min(case.ended_at, case.ends_at or case.ended_at)
    return max(0, round(seconds(case.minted_at, until)))


def minutes(first: str, last: str) -> float | None:
    """Return the minutes between two recorded moments, to a tenth; None where one is missing."""
    return round(max(0.0, seconds(first, last)) / 60, 1) if first and last else None


def seconds(first: str, last: str) -> float:
    """Return the seconds between two recorded moments."""
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


class _Lines(list[str]):
    """Take what a CSV writer writes."""

    def write(self, line: str) -> None:
        self.append(line)


def as_csv(rows: Iterable[Sequence[object]], header: Sequence[str]) -> Iterator[str]:
    """Yield a table as CSV (RFC 4180), in pieces: lists are joined by spaces, what hides is spelled out."""
    lines = _Lines()
    write = csv.writer(lines, lineterminator="\r\n").writerow
    write(header)
    for one in rows:
        write([cell(value) for value in one])
        if len(lines) >= PIECE:
            yield "".join(lines)
            lines.clear()
    yield "".join(lines)


def cell(value: object) -> str:
    """Return a value as a cell; one that would begin a formula gets a leading apostrophe."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        value = " ".join(map(str, value))
    if not isinstance(value, str):
        return str(value)
    shown = _SPLIT.sub(";'", visible(value, len(value)))
    return f"'{shown}" if value.lstrip()[:1] in FORMULA and value.strip() else shown
