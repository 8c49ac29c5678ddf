"""Score an ask by adding points with reasons; no model, nothing hidden.

Every part can only add, and adding an action, a resource or a data class never takes a part away: asking for more is
never scored lower. Unknown is worst. The caller's own claim raises the level and never lowers it. One part takes away,
at most ten points: the credit for what people have approved many times, which every action of the ask has to earn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import chain

from approvers.audit import Recorded
from approvers.facts import RISK_LEVELS, UNKNOWN, WINDOWS, Derived, Facts, History, RiskLevel
from approvers.quick import made
from approvers.risk_table import Bands, ContextPoints, RiskTable

__all__ = ["Bands", "ContextPoints", "Point", "Risk", "RiskTable", "assess"]

LONG_SECONDS = 3_600
MANY_ACTIONS = 5
BURST_WINDOW, BURST_ASKS = "10m", 20
"""More asks of one principal than this within the window are a burst."""
HOURS_KNOWN, HOURS_RARE = 50, 50
"""An hour is unusual where at least so many asks are remembered, and at most one in so many of them was made around it:
within the same hour of the day (UTC), or the one before or after."""
WELL_KNOWN = 5
"""How often people must have approved each action of the ask, for this principal in this account."""
NEVER_KNOWN = frozenset({"Permissions management", UNKNOWN})
"""Access levels that earn no credit; nor does an action on a risk list, a pair, or an unknown environment."""
_BURST = WINDOWS.index(BURST_WINDOW)


Part = tuple[str, int, str]
"""Id, points and why."""


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


def assess(table: RiskTable, facts: Facts, derived: Derived) -> Risk:
    """Score the whole set of actions and resources at once."""
    parts = chain(_what(table, facts, derived), _where(table, derived), _around(table.context, facts),
                  _before(table.context, facts, derived))  # fmt: skip
    bands = table.bands
    added = tuple([part for part in parts if part[1]])  # parts that add nothing are left out
    return _risk(added, facts.claimed_risk, bands.medium, bands.high, bands.critical)


@lru_cache(maxsize=2048)
def _risk(parts: tuple[Part, ...], claimed: RiskLevel | None, medium: int, high: int, critical: int) -> Risk:
    """Make a risk once: the same few reasons come together with many asks."""
    points = [_point(*part) for part in parts]
    score = max(0, min(100, sum([point.points for point in points])))
    level: RiskLevel = "critical" if score >= critical else "high" if score >= high else "low"
    if level == "low" and score >= medium:
        level = "medium"
    if claimed is not None and RISK_LEVELS.index(claimed) > RISK_LEVELS.index(level):
        level = claimed
        points.append(_point("claimed", 0, f"the caller itself says {claimed}"))
    # made, not validated: these values are ours, checked by construction, and this runs for every request.
    return made(Risk, level=level, points=tuple(points), score=score)


@lru_cache(maxsize=1024)
def _point(name: str, points: int, why: str) -> Point:
    """Make a point once: the same few reasons come with every request."""
    return Point(id=name, points=points, why=why)


def _what(table: RiskTable, facts: Facts, derived: Derived) -> Iterator[Part]:
    points = table.action
    yield _worst(table.worst_levels, derived.access_levels, _level_part, table)
    for name in derived.risk_lists:
        yield name, getattr(points, name), WHY[name]
    if facts.pairs:
        yield "pair", points.pair, f"more rights together: {_few(facts.pairs)}"
    if "*" in facts.resources:
        yield "everything", points.everything, "on every resource"
    if [one for one in facts.resources if one != "*" and ("*" in one or "?" in one)]:
        yield "wildcard", points.wildcard, "a wildcard in a resource"
    if len(facts.actions) > MANY_ACTIONS:
        yield "many", points.many, f"{len(facts.actions)} different actions"


def _where(table: RiskTable, derived: Derived) -> Iterator[Part]:
    yield _worst(table.worst_environments, derived.environments, _environment_part, table)


def _worst(
    kept: dict[tuple[str, ...], Part], names: tuple[str, ...], part: Callable[..., Part], table: RiskTable
) -> Part:
    """Return the worst of these names, as it was found the first time: few combinations exist, and all come back."""
    found = kept.get(names)
    if found is None:
        found = kept[names] = part(table, names)
    return found


def _level_part(table: RiskTable, levels: tuple[str, ...]) -> Part:
    level = max(levels, key=table.access_points)
    words = "an action that no table knows" if level == UNKNOWN else f"access level {level}"
    return "access", table.access_points(level), words


def _environment_part(table: RiskTable, environments: tuple[str, ...]) -> Part:
    name = max(environments, key=table.environment_points)
    words = "in an unknown environment" if name == UNKNOWN else f"in {name}"
    return "environment", table.environment_points(name), words


def _around(points: ContextPoints, facts: Facts) -> Iterator[Part]:
    if facts.data_classes:
        yield "data", points.data, f"data in play: {', '.join(facts.data_classes)}"
    if facts.ttl_seconds > LONG_SECONDS:
        yield "long", points.long, "for more than an hour"
    if not (facts.ticket and facts.ticket.strip()):
        yield "no_ticket", points.no_ticket, "no ticket"


def _before(points: ContextPoints, facts: Facts, derived: Derived) -> Iterator[Part]:
    """Yield what the principal's history adds; where nothing was counted, nothing."""
    past = facts.history
    if not past.asked:
        return
    if past.new:
        yield "first_seen", points.first_seen, f"never approved here for {facts.principal}: {_few(past.new)}"
    if past.asked[_BURST] > BURST_ASKS:
        yield "burst", points.burst, f"more than {BURST_ASKS} asks within {BURST_WINDOW}"
    if past.total >= HOURS_KNOWN and past.around * HOURS_RARE <= past.total:
        yield "unusual_hour", points.unusual_hour, f"{facts.principal} hardly ever asks at this hour"
    if _well_known(past, facts, derived):
        yield "well_known", points.well_known, f"people approved all of this here {WELL_KNOWN} times or more"


def _well_known(past: History, facts: Facts, derived: Derived) -> bool:
    listed = derived.risk_lists or facts.pairs or UNKNOWN in derived.environments
    return past.known >= WELL_KNOWN and not listed and NEVER_KNOWN.isdisjoint(derived.access_levels)


def _few(words: tuple[str, ...]) -> str:
    return ", ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")


WHY = {
    "destructive": "destroys what it touches",
    "escalation": "can lead to more rights",
    "credentials": "hands out secrets",
    "exposure": "can open data to others",
    "evasion": "can blind monitoring",
}
