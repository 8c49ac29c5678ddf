"""Explain a ruling to a person: which rules decided and on what, what nearly matched, why it is risky, whose seats.

Pure. For people only: to an agent the near misses would be a recipe.
"""

from __future__ import annotations

from collections.abc import Iterator

from approvers.card import visible
from approvers.request import Request
from approvers.ruling import Condition, Ruling
from bot.replies import BULLET

MAX_LINE = 400
_BARRED = {
    "principal": "asked for it",
    "actor": "would do it",
    "on_behalf_of": "the human behind the agent",
    "owner": "owns the caller",
}


def why(request: Request) -> tuple[str, ...]:
    """Return the lines, most decisive first."""
    return tuple(visible(line, MAX_LINE) for line in _lines(request))


def _lines(request: Request) -> Iterator[str]:
    ruling = request.ruling
    yield ruling.because if ruling.rules or ruling.because.endswith(".") else "The policy could not be evaluated."
    yield from _rules(ruling)
    yield from _risk(ruling)
    yield from _seats(request)
    yield from _near(ruling)
    yield f"Policy sha256 {ruling.policy_sha256[:16]}…"


def _rules(ruling: Ruling) -> Iterator[str]:
    for hit in ruling.rules:
        yield f"Rule {hit.name} ({hit.effect}): {hit.note}"
        for condition in hit.conditions:
            yield f"{BULLET}{_told(condition)}"


def _risk(ruling: Ruling) -> Iterator[str]:
    yield f"Risk {ruling.risk.level.upper()} {ruling.risk.score}"
    for point in ruling.risk.points:
        yield f"{BULLET}{point.points:+d} {point.why}"


def _seats(request: Request) -> Iterator[str]:
    counted = request.tally()
    for group, count in sorted(request.ruling.seats.items()):
        people = ", ".join(_bare(person) for person in counted.filled.get(group, ()))
        filled = len(counted.filled.get(group, ()))
        yield f"Needs {count} of {group}: {filled} so far" + (f" ({people})" if people else "")
    for who in request.ruling.barred:
        yield f"{BULLET}not {_bare(who)}: {_BARRED.get(request.ruling.barred_as[who], 'barred')}"


def _near(ruling: Ruling) -> Iterator[str]:
    for miss in ruling.near_misses:
        yield f"Nearly allowed by {miss.rule}, but for one condition: {_told(miss.condition)}"


def _told(condition: Condition) -> str:
    return f"{condition.name}: the rule wants {condition.wanted}, the request has {condition.got}"


def _bare(principal: str) -> str:
    return principal.removeprefix("user:")
