"""Weigh rules one after the other, condition by condition, as slowly and as plainly as it can be written.

What the product does with bit masks has to come to the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from approvers.condition_models import When
from approvers.conditions import View
from approvers.deriving import derive
from approvers.facts import RISK_LEVELS, WINDOWS, Facts
from approvers.patterns import Patterns
from approvers.policy import Policy
from approvers.risk import assess
from approvers.ruling import Ruling, rule, weighed

DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
FOLDED = {"action", "actor", "model", "project", "stage", "data_class"}


def fits(word: str, element: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, word.split("*"))), element, re.DOTALL) is not None


def elements(name: str, facts: Facts, policy: Policy) -> list[str]:
    derived, local = derive(policy, facts), facts.at.astimezone(policy.zone)
    found: dict[str, Any] = {
        "action": facts.actions,
        "access_level": derived.access_levels,
        "risk_list": derived.risk_lists,
        "resource": facts.resources,
        "environment": derived.environments,
        "data_class": facts.data_classes,
        "weekday": [DAYS[local.weekday()]],
    }
    values = found[name] if name in found else [getattr(facts, name)]
    return [value.lower() if name in FOLDED else value for value in values if value]


def one_holds(name: str, wanted: Any, facts: Facts, policy: Policy, *, every: bool) -> bool:  # noqa: C901
    """Tell whether a condition holds: for all elements (allow), or for any (deny, review)."""
    quantified = all if every else any
    local = facts.at.astimezone(policy.zone)
    level = RISK_LEVELS.index(assess(policy.risk, facts, derive(policy, facts)).level)
    reason, counted = facts.reason.strip(), facts.history.asked
    match name:
        case "tags_any" | "tags_none":
            answers = []
            for tags in facts.tags:
                has = any(fits(word, tag) for word in wanted for tag in tags or ())
                answers.append(not every if tags is None else has is (name == "tags_any"))
            return quantified(answers)
        case "ttl_over":
            return timedelta(seconds=facts.ttl_seconds) > wanted
        case "ttl_at_most":
            return timedelta(seconds=facts.ttl_seconds) <= wanted
        case "risk_at_least":
            return level >= RISK_LEVELS.index(wanted)
        case "risk_below":
            return level < RISK_LEVELS.index(wanted)
        case "rate_over":
            count, window = wanted.split("/")
            return not counted or counted[WINDOWS.index(window)] > int(count)
        case "outside_hours":
            start, end = wanted.split("-")
            now = f"{local.hour:02d}:{local.minute:02d}"
            return not (start <= now < end if start < end else now >= start or now < end)
        case "reason_missing":
            return reason == ""
        case "reason_shorter_than":
            return len(reason) < wanted
        case "ticket_missing":
            return not (facts.ticket or "").strip()
        case "first_seen":
            return not counted or facts.history.new != ()
    words = [word.lower() for word in wanted] if name in FOLDED else list(wanted)
    has = elements(name, facts, policy)
    if name == "resource" and not every:
        return any(Patterns(words).touches(one) for one in has)
    return bool(has) and quantified(any(fits(word, one) for word in words) for one in has)


def failed(when: When, facts: Facts, policy: Policy, *, every: bool) -> list[str]:
    return [
        name for name in when.named if not one_holds(name, getattr(when, name), facts, policy, every=every)
    ]  # fmt: skip


def plainly(policy: Policy, facts: Facts) -> tuple[dict[str, list[str]], bool, list[tuple[str, str]]]:
    """Return the rules that hold by effect, whether one speaks for all of the ask, and the near misses."""
    holds: dict[str, list[str]] = {"deny": [], "review": [], "allow": []}
    covered, near = False, []
    today = facts.at.astimezone(policy.zone).date()
    for name in sorted(policy.rules):
        one = policy.rules[name]
        if one.until is not None and today > one.until:
            continue
        lacks = failed(one.when, facts, policy, every=True)
        if one.effect == "allow":
            if not lacks:
                holds["allow"].append(name)
                covered = True
            elif len(lacks) == 1:
                near.append((name, lacks[0]))
        elif not failed(one.when, facts, policy, every=False):
            holds[one.effect].append(name)
            covered = covered or (not lacks and not CLAIMED.intersection(one.when.named))
    return holds, covered, near


CLAIMED = {"actor", "model", "project", "stage", "urgency", "data_class", "risk_list", "ttl_over", "risk_at_least",
           "rate_over", "reason_missing", "reason_shorter_than", "ticket_missing", "first_seen"}  # fmt: skip


def check_index(policy: Policy, facts: Facts, sha256: str) -> Ruling:
    """Compare the index with the plain way, and return the ruling."""
    derived = derive(policy, facts)
    risk = assess(policy.risk, facts, derived)
    view = View(facts, derived, risk.level, policy.zone)
    found = policy.index.weigh(view)
    holds, covered, near = plainly(policy, facts)
    assert {effect: _names(getattr(found, effect)) for effect in holds} == holds
    assert found.covered is covered
    assert [(compiled.rule.name, test.name) for compiled, test in found.near] == near
    ruling = rule(policy, facts, sha256=sha256)
    assert ruling == weighed(policy, facts, view, risk, found, sha256=sha256)
    return ruling


def _names(compiled: Iterable[Any]) -> list[str]:
    return [one.rule.name for one in compiled]
