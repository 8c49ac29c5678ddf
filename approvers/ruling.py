"""Rule on an ask: one pure function for request, click, mint and extension.

Deny beats review beats allow; break-glass only ever stands in for a review. What no rule names in full falls to the
policy's default *as well*: a rule takes the default's place only if it speaks of what is proven and matches every
element of the ask. So asking for more, or claiming more, is never answered more leniently, and the order of the rules
in the file changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from approvers.applying_ruling import apply_ruling, is_apply
from approvers.barring import barred_as, barred_by, four_eyes, may_review, no_seat
from approvers.conditions import View
from approvers.deriving import derive
from approvers.facts import ActionTable, Facts
from approvers.gathering import gather
from approvers.glass import closed
from approvers.index import Weighed
from approvers.limits import check_limits, cooling_until, default_ttl, ttl_for
from approvers.masks import KEPT
from approvers.policy import CompiledRule, Policy
from approvers.quick import made
from approvers.risk import Point, Risk, assess
from approvers.ruling_models import NOT_EVALUATED, Condition, Effect, NearMiss, RuleHit, Ruling, unevaluated

__all__ = ["NOT_EVALUATED", "ActionTable", "Condition", "Effect", "Facts", "NearMiss", "Point", "Risk", "RuleHit",
           "Ruling", "barred_as", "check_limits", "cooling_until", "default_ttl", "four_eyes", "gather", "may_review",
           "no_seat", "rule", "ttl_for", "unevaluated"]  # fmt: skip


def rule(policy: Policy, facts: Facts, *, sha256: str) -> Ruling:
    """Return the policy's answer to these facts. `sha256` is that of the policy's text, kept in the ruling.

    Whatever it raises is no answer: the caller writes down `unevaluated`, which denies and says so.
    """
    derived = derive(policy, facts)
    risk = assess(policy.risk, facts, derived)
    if policy.apply is not None and is_apply(facts):
        return apply_ruling(policy, facts, risk, sha256=sha256)
    view = View(facts, derived, risk.level, policy.zone)
    return weighed(policy, facts, view, risk, policy.index.weigh(view), sha256=sha256)


def weighed(policy: Policy, facts: Facts, view: View, risk: Risk, found: Weighed, *, sha256: str) -> Ruling:
    """Return the ruling that follows from the rules that hold."""
    effect = _effect(policy, found)
    by_default = not found.covered and not found.deny
    decisive = _decisive(found, effect, by_default)
    refused = None
    if effect == "review" and facts.break_glass:
        refused = closed(policy, facts)
        effect, decisive = ("break_glass", decisive) if refused is None else ("deny", [])
    terms = _terms(policy, effect, decisive, by_default)
    barred = barred_by(facts)
    # made, not validated: these values are ours, checked by construction, and this runs for every request and click.
    return made(
        Ruling,
        barred=tuple(barred),
        barred_as=barred,
        because=refused or terms.because,
        effect=effect,
        expires_after_seconds=terms.expires_after_seconds,
        narrow=terms.narrow,
        near_misses=_near_misses(found, view) if found.near and effect != "allow" else (),
        notes=terms.notes,
        policy_sha256=sha256,
        quorums=terms.quorums,
        risk=risk,
        rules=tuple([_hit(compiled, view) for compiled in decisive]) if decisive else (),
        seats=dict(terms.seats),
    )


class Terms(NamedTuple):
    """What follows from an effect and the rules that decided, whatever else the ask has."""

    because: str
    narrow: tuple[str, ...]
    notes: tuple[str, ...]
    quorums: tuple[str, ...]
    seats: Mapping[str, int]
    expires_after_seconds: int | None


def _terms(policy: Policy, effect: Effect, decisive: list[CompiledRule], by_default: bool) -> Terms:
    """Work the terms out once for the same rules: they decide together again."""
    kept = policy.index.told
    key = effect, by_default, *[compiled.rule.name for compiled in decisive]
    terms: Terms | None = kept.get(key)
    if terms is None:
        if len(kept) >= KEPT:
            kept.clear()
        quorums = _quorums(policy, decisive, by_default) if effect in ("review", "break_glass") else ()
        narrow = _narrow(decisive) if effect == "review" and decisive else ()
        notes = tuple(dict.fromkeys([compiled.rule.note for compiled in decisive]))
        because = _because(effect, decisive, by_default)
        terms = kept[key] = Terms(because, narrow, notes, quorums, *policy.terms(quorums))
    return terms


def _effect(policy: Policy, found: Weighed) -> Effect:
    if found.deny or (not found.covered and policy.default == "deny"):
        return "deny"
    return "review" if found.review or not found.covered else "allow"


def _decisive(found: Weighed, effect: Effect, by_default: bool) -> list[CompiledRule]:
    if effect == "deny":
        return [] if by_default else found.deny
    return found.review if effect == "review" else found.allow


def _quorums(policy: Policy, decisive: list[CompiledRule], by_default: bool) -> tuple[str, ...]:
    if not decisive:
        return (policy.default_quorum,)
    names = {compiled.rule.quorum or policy.default_quorum for compiled in decisive}
    return tuple(sorted(names | {policy.default_quorum} if by_default else names))


def _narrow(decisive: list[CompiledRule]) -> tuple[str, ...]:
    """Return what every rule that asks for the review lets a reviewer make smaller."""
    first, *others = [set[str](compiled.rule.narrow) for compiled in decisive]
    return tuple(sorted(first.intersection(*others)))


ALWAYS_NEW = frozenset({"actor", "resource", "reason_shorter_than", "tags_any", "tags_none", "first_seen"})
"""Conditions whose value few asks share; what they say is not kept."""
_VERBS = {
    "allow": "Allowed by",
    "break_glass": "Granted at once by break-glass, in place of the people asked by",
    "deny": "Denied by",
    "review": "People are asked by",
}


def _because(effect: Effect, decisive: list[CompiledRule], by_default: bool) -> str:
    if not decisive:
        told = "review, for which break-glass stands in" if effect == "break_glass" else effect
        return f"No rule speaks for all of this, so the policy's default answers: {told}."
    default = " and, as no rule speaks for all of this, by the policy's default" if by_default else ""
    return f"{_VERBS[effect]} {', '.join([compiled.rule.name for compiled in decisive])}{default}."


def _hit(compiled: CompiledRule, view: View) -> RuleHit:
    found = compiled.rule
    conditions = tuple([
        (_new if test.name in ALWAYS_NEW else _told)(test.name, test.wanted, test.got(view)) for test in compiled.tests
    ])  # fmt: skip
    return made(RuleHit, conditions=conditions, effect=found.effect, name=found.name, note=found.note)


def _near_misses(found: Weighed, view: View) -> tuple[NearMiss, ...]:
    """Name the condition that each rule lacked; what the ask has of a kind is put in words once."""
    has: dict[str, str] = {}
    misses = []
    for compiled, test in found.near:
        name = test.name
        got = has.get(name)
        if got is None:
            got = has[name] = test.got(view)
        make = _new_miss if name in ALWAYS_NEW else _told_miss
        misses.append(make(compiled.rule.name, name, test.wanted, got))
    return tuple(misses)


def _new(name: str, wanted: str, got: str) -> Condition:
    return made(Condition, got=got, name=name, wanted=wanted)


def _new_miss(rule_name: str, name: str, wanted: str, got: str) -> NearMiss:
    return made(NearMiss, condition=made(Condition, got=got, name=name, wanted=wanted), rule=rule_name)


_told, _told_miss = lru_cache(maxsize=2 * KEPT)(_new), lru_cache(maxsize=2 * KEPT)(_new_miss)
"""Made once: what these say comes back with other asks."""
