"""Score an ask by adding points with reasons; no model, no history, nothing hidden.

Every part can only add, and adding an action, a resource or a data class never takes a part away: asking for more is
never scored lower. Unknown is worst. The caller's own claim raises the level and never lowers it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from approvers.audit import Recorded
from approvers.facts import RISK_LEVELS, UNKNOWN, Facts, RiskLevel
from approvers.quick import made
from approvers.risk_table import Bands, ContextPoints, RiskTable

__all__ = ["Bands", "ContextPoints", "Point", "Risk", "RiskTable", "assess"]

LONG_SECONDS = 3_600
MANY_ACTIONS = 5


class Point(Recorded):
    """One reason why an ask is risky: a stable id, its points, and a sentence for people."""

    id: str
    points: int
    why: str


class Risk(Recorded):
    """The sum of the points, clamped to 0–100, and the level that the bands (or a higher claim) give it."""

    level: RiskLevel
    points: tuple[Point, ...]
    score: int


def assess(table: RiskTable, facts: Facts) -> Risk:
    """Score the whole set of actions and resources at once."""
    points = tuple([_point(name, count, why) for name, count, why in _points(table, facts)])
    score = min(100, sum(point.points for point in points))
    level = _band(table.bands, score)
    claimed = facts.claimed_risk
    if claimed is not None and RISK_LEVELS.index(claimed) > RISK_LEVELS.index(level):
        level = claimed
        points = (*points, _point("claimed", 0, f"the caller itself says {claimed}"))
    # made, not validated: these values are ours, checked by construction, and this runs for every request.
    return made(Risk, level=level, points=points, score=score)


@lru_cache(maxsize=1024)
def _point(name: str, points: int, why: str) -> Point:
    """Make a point once: the same few reasons come with every request."""
    return Point(id=name, points=points, why=why)


def _band(bands: Bands, score: int) -> RiskLevel:
    if score >= bands.critical:
        return "critical"
    if score >= bands.high:
        return "high"
    return "medium" if score >= bands.medium else "low"


def _points(table: RiskTable, facts: Facts) -> Iterator[tuple[str, int, str]]:
    """Yield id, points and why; parts that add nothing are left out."""
    for part in (*_what(table, facts), *_where(table, facts), *_around(table.context, facts)):
        if part[1]:
            yield part


def _what(table: RiskTable, facts: Facts) -> Iterator[tuple[str, int, str]]:
    points = table.action
    level = max(facts.access_levels, key=table.access_points)
    words = "an action that no table knows" if level == UNKNOWN else f"access level {level}"
    yield "access", table.access_points(level), words
    for name in facts.risk_lists:
        yield name, getattr(points, name), WHY[name]
    if "*" in facts.resources:
        yield "everything", points.everything, "on every resource"
    if any(resource != "*" and ("*" in resource or "?" in resource) for resource in facts.resources):
        yield "wildcard", points.wildcard, "a wildcard in a resource"
    if len(facts.actions) > MANY_ACTIONS:
        yield "many", points.many, f"{len(facts.actions)} different actions"


def _where(table: RiskTable, facts: Facts) -> Iterator[tuple[str, int, str]]:
    name = max(facts.environments, key=table.environment_points)
    words = "in an unknown environment" if name == UNKNOWN else f"in {name}"
    yield "environment", table.environment_points(name), words


def _around(points: ContextPoints, facts: Facts) -> Iterator[tuple[str, int, str]]:
    if facts.data_classes:
        yield "data", points.data, f"data in play: {', '.join(facts.data_classes)}"
    if facts.ttl_seconds > LONG_SECONDS:
        yield "long", points.long, "for more than an hour"
    if not (facts.ticket and facts.ticket.strip()):
        yield "no_ticket", points.no_ticket, "no ticket"


WHY = {
    "destructive": "destroys what it touches",
    "escalation": "can lead to more rights",
    "credentials": "hands out secrets",
    "exposure": "can open data to others",
    "evasion": "can blind monitoring",
}
