"""Apply the caps of a policy: how long, how many actions, and how soon again after a denial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from approvers.deriving import derive
from approvers.errors import Inadmissible
from approvers.facts import RISK_LEVELS, Facts
from approvers.policy import Policy
from approvers.risk import assess
from approvers.times import spell

BREAK_GLASS = "break_glass"


def ttl_for(policy: Policy, asked: int | None) -> int:
    """Return the TTL in seconds to gather facts with: what was asked, else the policy's longest default."""
    return int(policy.limits.ttl_default["default"].total_seconds()) if asked is None else asked


def default_ttl(policy: Policy, facts: Facts) -> int:
    """Return the TTL in seconds of an ask that names none: the smallest default that applies to what is asked."""
    defaults = list(_applying(policy, policy.limits.ttl_default, facts))
    if facts.break_glass and policy.break_glass:
        defaults.append((policy.break_glass.ttl_max, BREAK_GLASS))
    return int(min(defaults)[0].total_seconds())


def check_limits(policy: Policy, facts: Facts) -> None:
    """Check an ask against the caps; the smallest that applies wins.

    Raises:
        Inadmissible: naming field, cap and what would fit.
    """
    cap, name = min(_caps(policy, facts))
    if facts.ttl_seconds > cap.total_seconds():
        asked = spell(timedelta(seconds=facts.ttl_seconds))
        raise Inadmissible(f"{asked} is longer than the {spell(cap)} that the policy gives{_for(name)}; "
                           f"ask for at most {int(cap.total_seconds())} seconds.", field="ttl_seconds",
                           rule="break_glass.ttl_max" if name == BREAK_GLASS else f"limits.ttl_max.{name}")  # fmt: skip
    most = policy.limits.actions_max
    if len(facts.actions) > most:
        raise Inadmissible(f"{len(facts.actions)} different actions are more than the {most} that the policy lets one "
                           "request hold; ask for fewer, or in several requests.",
                           field="access.actions", rule="limits.actions_max")  # fmt: skip


def caps(policy: Policy, facts: Facts) -> tuple[tuple[timedelta, str], ...]:
    """Return every cap on the TTL that applies, and for what; the smallest first."""
    return tuple(sorted(set(_caps(policy, facts))))


def cooling_until(policy: Policy, denied_at: datetime) -> datetime | None:
    """Return until when the same ask, denied by a person, is answered with that denial; None: it may be asked again."""
    pause = policy.limits.denied_cool_down
    return denied_at + pause if pause else None


def _for(name: str) -> str:
    """Say for what a cap applies."""
    if name == "default":
        return ""
    if name in RISK_LEVELS:
        return f" where the risk is {name} or more" if name != RISK_LEVELS[-1] else f" where the risk is {name}"
    kind, _, data = name.partition(":")
    return f" for data of class {data}" if kind == "data" and data else f" for {name.replace('_', '-')}"


def _caps(policy: Policy, facts: Facts) -> Iterator[tuple[timedelta, str]]:
    yield from _applying(policy, policy.limits.ttl_max, facts)
    if facts.break_glass and policy.break_glass:
        yield policy.break_glass.ttl_max, BREAK_GLASS


def _applying(policy: Policy, table: Mapping[str, timedelta], facts: Facts) -> Iterator[tuple[timedelta, str]]:
    """Yield the entries that apply. A risk level's holds for those above it, too: more risk is never given longer."""
    derived = derive(policy, facts)
    names = ["default", *derived.environments, *derived.access_levels]
    if not table.keys().isdisjoint(RISK_LEVELS):
        names += RISK_LEVELS[: RISK_LEVELS.index(assess(policy.risk, facts, derived).level) + 1]
    for name in (*names, *(f"data:{name.lower()}" for name in facts.data_classes)):
        if name in table:
            yield table[name], name
