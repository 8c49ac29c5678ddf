"""Score an ask by adding points with reasons; no model, nothing hidden.

Every part can only add, and adding an action, a resource or a data class never takes a part away: asking for more is
never scored lower. Unknown is worst. The caller's own claim raises the level and never lowers it. One part takes away,
at most ten points: the credit for what people have approved many times and denied never since, which every action of
the ask has to earn.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

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
WELL_KNOWN = 20
"""How often people must have approved each action of the ask, for this principal in this account, with no denial by a
person since."""
NEVER_KNOWN = frozenset({"Permissions management", UNKNOWN})
"""Access levels that earn no credit; nor does an action on a risk list, a pair, or an unknown environment."""
WELL_KNOWN_WHY = f"people approved all of this here {WELL_KNOWN} times or more, and denied none of it since"
KEPT = 2048
"""So many risks are remembered per policy; then all are made anew."""
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
    parts: list[Part] = []  # appended to, not yielded: generators cost more, and this runs for every ruling
    _what(parts, table, facts, derived)
    parts.append(_worst(table.worst_environments, derived.environments, _environment_part, table))
    _around(parts, table.context, facts)
    _before(parts, table.context, facts, derived)
    key = tuple([part for part in parts if part[1]]), facts.claimed_risk  # parts that add nothing are left out
    risk = table.risks.get(key)
    if risk is None:
        if len(table.risks) >= KEPT:
            table.risks.clear()
        risk = table.risks[key] = _risk(*key, table.bands)
    return risk


def _risk(parts: tuple[Part, ...], claimed: RiskLevel | None, bands: Bands) -> Risk:
    """Make a risk once: the same few reasons come together with many asks."""
    points = [_point(*part) for part in parts]
    score = max(0, min(100, sum([point.points for point in points])))
    level: RiskLevel = "critical" if score >= bands.critical else "high" if score >= bands.high else "low"
    if level == "low" and score >= bands.medium:
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


def _what(parts: list[Part], table: RiskTable, facts: Facts, derived: Derived) -> None:
    points = table.action
    parts.append(_worst(table.worst_levels, derived.access_levels, _level_part, table))
    for name in derived.risk_lists:
        parts.append((name, getattr(points, name), WHY[name]))
    if facts.pairs:
        parts.append(("pair", points.pair, f"more rights together: {_few(facts.pairs)}"))
    if "*" in facts.resources:
        parts.append(("everything", points.everything, "on every resource"))
    if _has_wildcard(facts.resources):
        parts.append(("wildcard", points.wildcard, "a wildcard in a resource"))
    if len(facts.actions) > MANY_ACTIONS:
        parts.append(("many", points.many, f"{len(facts.actions)} different actions"))


def _has_wildcard(resources: tuple[str, ...]) -> bool:
    for one in resources:  # noqa: SIM110 - a plain loop, as this runs for every ruling
        if ("*" in one or "?" in one) and one != "*":
            return True
    return False


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


def _around(parts: list[Part], points: ContextPoints, facts: Facts) -> None:
    if facts.data_classes:
        parts.append(("data", points.data, f"data in play: {', '.join(facts.data_classes)}"))
    if facts.ttl_seconds > LONG_SECONDS:
        parts.append(("long", points.long, "for more than an hour"))
    if not (facts.ticket and facts.ticket.strip()):
        parts.append(("no_ticket", points.no_ticket, "no ticket"))


def _before(parts: list[Part], points: ContextPoints, facts: Facts, derived: Derived) -> None:
    """Add what the principal's history adds; where nothing was counted, nothing."""
    past = facts.history
    if not past.asked:
        return
    if past.new:
        why = f"never approved here for {facts.principal}: {_few(past.new)}"
        parts.append(("first_seen", points.first_seen, why))
    if past.asked[_BURST] > BURST_ASKS:
        parts.append(("burst", points.burst, f"more than {BURST_ASKS} asks within {BURST_WINDOW}"))
    if past.total >= HOURS_KNOWN and past.around * HOURS_RARE <= past.total:
        parts.append(("unusual_hour", points.unusual_hour, f"{facts.principal} hardly ever asks at this hour"))
    if _well_known(past, facts, derived):
        parts.append(("well_known", points.well_known, WELL_KNOWN_WHY))


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
