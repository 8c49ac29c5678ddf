"""Find rules that change nothing, because another rule always speaks first. Only what can be proven is reported.

Rule A shadows rule B if A holds whenever B does, for as long as B does, and whatever B adds to the answer A has added
already. A list inside another list proves it in each way of reading an ask: any element (deny and review) or all of
them (allow).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Any, get_args

from approvers.condition_models import FOLDED, LISTS, When, hours, may_cover, rate
from approvers.facts import RISK_LEVELS, UNKNOWN, AccessLevel, PrincipalKind
from approvers.faults import Fault
from approvers.patterns import matches
from approvers.policy_models import Policy, Rule

_DAY = range(24 * 60)
_WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def shadow_faults(policy: Policy, today: date | None) -> Iterator[Fault]:
    """Yield a warning for each rule that another one makes idle; of two alike, for the later name only."""
    rules = [one for one in policy.rules.values() if not (today and one.until and one.until < today)]
    for rule in sorted(rules, key=lambda one: one.name):
        if other := next((one for one in rules if one is not rule and _idle(rule, one, policy)), None):
            yield Fault(f"rule.{rule.name}", _words(rule, other),
                        "remove it, or change the conditions of one of the two", "warning")  # fmt: skip


def _words(rule: Rule, other: Rule) -> str:
    first = f"{other.name} ({other.effect}) holds whenever this rule does"
    return f"{first}, and is stronger" if other.effect != rule.effect else f"{first}, with the same answer"


def _idle(rule: Rule, other: Rule, policy: Policy) -> bool:
    """Tell whether `rule` adds nothing to what `other` says."""
    if not (_adds_nothing(rule, other, policy) and _outlives(other, rule) and implied(rule.when, other.when, policy)):
        return False
    alike = rule.effect == other.effect and _outlives(rule, other) and implied(other.when, rule.when, policy)
    return not alike or rule.name > other.name or not _adds_nothing(other, rule, policy)


def _adds_nothing(rule: Rule, other: Rule, policy: Policy) -> bool:
    """Tell whether, where both hold, the answer is the same without `rule`.

    A rule of proven things also stands in for the default (it covers), so the other has to do so as well.
    """
    if other.effect == "deny":
        return True
    covers = may_cover(other.when) or not may_cover(rule.when)
    if other.effect == "review":
        return covers and (rule.effect == "allow" or (rule.effect == "review" and _asks_as_much(other, rule, policy)))
    return rule.effect == "allow"


def _asks_as_much(other: Rule, rule: Rule, policy: Policy) -> bool:
    same = (other.quorum or policy.default_quorum) == (rule.quorum or policy.default_quorum)
    return same and set(other.narrow) == set(rule.narrow)


def _outlives(other: Rule, rule: Rule) -> bool:
    return other.until is None or (rule.until is not None and rule.until <= other.until)


def implied(narrow: When, wide: When, policy: Policy) -> bool:
    """Tell whether `wide` provably holds whenever `narrow` does."""
    return all(_implied(name, narrow, wide, policy) for name in wide.named)


def _implied(name: str, narrow: When, wide: When, policy: Policy) -> bool:
    mine, theirs = getattr(narrow, name), getattr(wide, name)
    if name in LISTS or name == "tags_any":
        return _always(name, theirs, policy) or (mine is not None and inside(mine, theirs, fold=name in FOLDED))
    if name == "risk_at_least" and theirs == RISK_LEVELS[0]:
        return True
    if name == "reason_shorter_than" and narrow.reason_missing:
        return True
    if mine is None:
        return False
    return _SCALARS[name](mine, theirs) if name in _SCALARS else bool(mine == theirs)


def inside(words: Iterable[str], others: Iterable[str], *, fold: bool = False) -> bool:
    """Tell whether each pattern lies wholly inside one of the others."""
    wide = [word.lower() for word in others] if fold else list(others)
    # A `*` of the inner pattern, read as a character, can only be taken in by a `*` of the outer one.
    return all(any(matches(one, word.lower() if fold else word) for one in wide) for word in words)


def _always(name: str, words: tuple[str, ...], policy: Policy) -> bool:
    """Tell whether a list holds for every ask: it has all that there can be, and no ask is without."""
    universe = {
        "principal_kind": get_args(PrincipalKind),
        "access_level": get_args(AccessLevel),
        "environment": (*policy.environments, UNKNOWN),
        "urgency": ("low", "normal", "high"),
        "weekday": _WEEK,
    }.get(name)
    if universe is not None:
        return all(any(matches(word, one) for word in words) for one in universe)
    return name in ("principal", "actor", "action", "resource") and "*" in words


def _covers_hours(narrow: str, wide: str) -> bool:
    inner, outer = hours(narrow), hours(wide)
    return all(_outside(outer, minute) for minute in _DAY if _outside(inner, minute))


def _outside(span: tuple[int, int], minute: int) -> bool:
    start, end = span
    return not (start <= minute < end if start < end else not end <= minute < start)


def _covers_rate(narrow: str, wide: str) -> bool:
    (count, window), (least, other) = rate(narrow), rate(wide)
    return least <= count and other == window  # windows are counted apart


_SCALARS: dict[str, Callable[[Any, Any], bool]] = {
    "ttl_over": lambda mine, theirs: mine >= theirs,
    "ttl_at_most": lambda mine, theirs: mine <= theirs,
    "risk_at_least": lambda mine, theirs: RISK_LEVELS.index(mine) >= RISK_LEVELS.index(theirs),
    "risk_below": lambda mine, theirs: RISK_LEVELS.index(mine) <= RISK_LEVELS.index(theirs),
    "reason_shorter_than": lambda mine, theirs: mine <= theirs,
    "outside_hours": _covers_hours,
    "rate_over": _covers_rate,
    "tags_none": lambda mine, theirs: set(mine) == set(theirs),
}
