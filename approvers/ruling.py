"""Rule on an ask: one pure function for request, click, mint and extension.

Deny beats review beats allow. What no rule names in full falls to the policy's default *as well*: a rule takes the
default's place only if it speaks of what is proven and matches every element of the ask. So asking for more, or
claiming more, is never answered more leniently, and the order of the rules in the file changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Literal

from approvers.audit import Recorded, Sorted
from approvers.conditions import Test, View
from approvers.errors import Forbidden
from approvers.facts import ActionTable, Facts
from approvers.gathering import gather
from approvers.limits import check_limits, cooling_until, ttl_for
from approvers.policy import CompiledRule, Policy
from approvers.quick import made
from approvers.risk import Point, Risk, assess

__all__ = ["ActionTable", "Condition", "Facts", "NearMiss", "Point", "Risk", "RuleHit", "Ruling", "barred_as",
           "check_limits", "cooling_until", "four_eyes", "gather", "may_review", "no_seat", "rule",
           "ttl_for"]  # fmt: skip

Effect = Literal["allow", "deny", "review"]


NOT_EVALUATED = "not_evaluated"
"""The `because` of a ruling that could not be computed."""


class Condition(Recorded):
    """One condition of a rule: what the rule wanted, and what the ask has."""

    got: str
    name: str
    wanted: str


class RuleHit(Recorded):
    """One rule that decided."""

    conditions: tuple[Condition, ...]
    effect: Effect
    name: str
    note: str


class NearMiss(Recorded):
    """An allow rule that lacked exactly one condition. For people only; to an agent it is a recipe."""

    condition: Condition
    rule: str


class Ruling(Recorded):
    """Policy's answer, with everything that explains it.

    `seats` are counts per bare group name; `quorums` the named quorums they come from. `rules` are the rules that
    decided (none: the default did). `barred` may fill no seat (`user:NAME`, and `group:NAME` where a group owns the
    caller); `barred_as` says why: principal, actor, on_behalf_of or owner.
    """

    barred: tuple[str, ...]
    barred_as: Annotated[Mapping[str, str], Sorted]
    because: str
    effect: Effect
    expires_after_seconds: int | None
    near_misses: tuple[NearMiss, ...]
    notes: tuple[str, ...]
    policy_sha256: str
    quorums: tuple[str, ...]
    risk: Risk
    rules: tuple[RuleHit, ...]
    seats: Annotated[Mapping[str, int], Sorted]


def rule(policy: Policy, facts: Facts, *, sha256: str) -> Ruling:
    """Return the policy's answer to these facts. `sha256` is that of the policy's text, kept in the ruling."""
    risk = assess(policy.risk, facts)
    view = View(facts, risk.level, policy.zone)
    hits: dict[str, list[CompiledRule]] = {"deny": [], "review": [], "allow": []}
    covered, near = False, []
    for compiled in policy.compiled:
        if compiled.rule.until is not None and view.today > compiled.rule.until:
            continue
        if compiled.rule.effect == "allow":
            missed = _missed(compiled.tests, view)
            if not missed:
                hits["allow"].append(compiled)
                covered = True
            elif len(missed) == 1:
                near.append(_near_miss(compiled, missed[0], view))
        elif _holds(compiled.tests, view):
            hits[compiled.rule.effect].append(compiled)
            covered = covered or _covers(compiled, view)
    return _ruling(policy, facts, view, risk, hits, covered=covered, near=near, sha256=sha256)


def unevaluated(why: str, *, sha256: str) -> Ruling:
    """Return the ruling where policy could not be computed: no yes, and told apart from every no."""
    return Ruling(
        effect="deny",
        rules=(),
        near_misses=(),
        seats={},
        quorums=(),
        expires_after_seconds=None,
        because=NOT_EVALUATED,
        notes=(why,),
        risk=Risk(level="critical", score=100, points=()),
        policy_sha256=sha256,
        barred=(),
        barred_as={},
    )


def may_review(ruling: Ruling, person: str, groups: frozenset[str]) -> None:
    """Check that a person (`user:NAME`, at this moment in these groups) can fill a seat.

    Raises:
        Forbidden: `four_eyes` or `no_seat`, in a sentence for that person.
    """
    if (why := barred_as(ruling, person, groups)) is not None:
        raise four_eyes(ruling, why)
    if (refusal := no_seat(ruling, groups)) is not None:
        raise refusal


def barred_as(ruling: Ruling, person: str, groups: frozenset[str]) -> str | None:
    """Return as what a person in these groups is barred (principal, actor, on_behalf_of, owner); None if not."""
    for who in ruling.barred:
        kind, _, name = who.partition(":")
        if who == person or (kind == "group" and name in groups):
            return ruling.barred_as[who]
    return None


def four_eyes(ruling: Ruling, why: str) -> Forbidden:
    """Return the refusal of a person who is barred, by the reason that `barred_as` gave."""
    return Forbidden(f"{_BARRED[why]} Asked: {_asked(ruling)}.", code="four_eyes")


def no_seat(ruling: Ruling, groups: frozenset[str]) -> Forbidden | None:
    """Return the refusal of a person whose groups are not asked; None if one is."""
    if groups.intersection(ruling.seats):
        return None
    yours = f"You are in {', '.join(sorted(groups))}" if groups else "You are in no group"
    return Forbidden(f"{yours}; this request has no seat for you. Asked: {_asked(ruling)}.", code="no_seat")


def _asked(ruling: Ruling) -> str:
    return ", ".join(sorted(ruling.seats)) or "nobody"


_BARRED = {
    "principal": "You asked for this yourself; somebody else has to approve.",
    "actor": "You would do this yourself; somebody else has to approve.",
    "on_behalf_of": "You are the human behind this agent; somebody else has to approve.",
    "owner": "You own the caller that asks; somebody else has to approve.",
}


def _ruling(
    policy: Policy,
    facts: Facts,
    view: View,
    risk: Risk,
    hits: Mapping[str, list[CompiledRule]],
    *,
    covered: bool,
    near: list[NearMiss],
    sha256: str,
) -> Ruling:
    """Weigh the hits. `covered`: some rule speaks for the whole ask, so the default does not."""
    effect = _effect(policy, hits, covered)
    by_default = not covered and not (effect == "deny" and hits["deny"])
    decisive = [] if by_default and effect == "deny" else hits[effect]
    quorums = _quorums(policy, decisive, by_default) if effect == "review" else ()
    barred = _barred(facts)
    # made, not validated: these values are ours, checked by construction, and this runs for every request and click.
    return made(
        Ruling,
        barred=tuple(barred),
        barred_as=barred,
        because=_because(effect, [compiled.rule.name for compiled in decisive], by_default),
        effect=effect,
        expires_after_seconds=_expires_after(policy, quorums),
        near_misses=() if effect == "allow" else tuple(near),
        notes=tuple(dict.fromkeys(compiled.rule.note for compiled in decisive)),
        policy_sha256=sha256,
        quorums=quorums,
        risk=risk,
        rules=tuple([_hit(compiled, view) for compiled in decisive]),
        seats=_seats(policy, quorums),
    )


def _effect(policy: Policy, hits: Mapping[str, list[CompiledRule]], covered: bool) -> Effect:
    if hits["deny"] or (not covered and policy.default == "deny"):
        return "deny"
    return "review" if hits["review"] or not covered else "allow"


def _quorums(policy: Policy, decisive: list[CompiledRule], by_default: bool) -> tuple[str, ...]:
    names = {compiled.rule.quorum or policy.default_quorum for compiled in decisive}
    return tuple(sorted(names | {policy.default_quorum} if by_default else names))


def _seats(policy: Policy, quorums: tuple[str, ...]) -> dict[str, int]:
    """Take the largest count that any quorum wants of each group."""
    seats: dict[str, int] = {}
    for name in quorums:
        for group, count in policy.quorums[name].seats.items():
            seats[group] = max(count, seats.get(group, 0))
    return seats


def _expires_after(policy: Policy, quorums: tuple[str, ...]) -> int | None:
    ladders = [policy.ladders[policy.quorums[name].ladder] for name in quorums]
    return min((int(ladder.expires_after.total_seconds()) for ladder in ladders), default=None)


def _barred(facts: Facts) -> dict[str, str]:
    """Name who cannot fill a seat, and why; the first reason is the one that is told."""
    roles = [("principal", facts.principal), ("actor", facts.actor), ("on_behalf_of", facts.on_behalf_of or "")]
    barred: dict[str, str] = {}
    for why, who in [*roles, *(("owner", owner) for owner in facts.owners)]:
        if who.startswith(("user:", "group:")):
            barred.setdefault(who, why)
    return barred


def _holds(tests: tuple[Test, ...], view: View) -> bool:
    """Tell whether a deny or review rule holds: each condition for at least one element."""
    for test in tests:  # noqa: SIM110 - a plain loop, as this runs for every rule of every ruling
        if not test.any_(view):
            return False
    return True


def _missed(tests: tuple[Test, ...], view: View) -> list[Test]:
    """Return up to two conditions of an allow rule that fail: none is a hit, one a near miss."""
    missed = []
    for test in tests:
        if not test.all_(view):
            missed.append(test)
            if len(missed) == 2:
                break
    return missed


def _covers(compiled: CompiledRule, view: View) -> bool:
    return compiled.may_cover and all(test.all_(view) for test in compiled.tests)


def _because(effect: Effect, names: list[str], by_default: bool) -> str:
    verb = {"allow": "Allowed by", "deny": "Denied by", "review": "People are asked by"}[effect]
    if not names:
        return f"No rule speaks for all of this, so the policy's default answers: {effect}."
    default = " and, as no rule speaks for all of this, by the policy's default" if by_default else ""
    return f"{verb} {', '.join(names)}{default}."


def _hit(compiled: CompiledRule, view: View) -> RuleHit:
    found = compiled.rule
    conditions = tuple([_condition(test, view) for test in compiled.tests])
    return made(RuleHit, conditions=conditions, effect=found.effect, name=found.name, note=found.note)


def _near_miss(compiled: CompiledRule, test: Test, view: View) -> NearMiss:
    return made(NearMiss, condition=_condition(test, view), rule=compiled.rule.name)


def _condition(test: Test, view: View) -> Condition:
    return _told(test.name, test.wanted, test.got(view))


@lru_cache(maxsize=1024)
def _told(name: str, wanted: str, got: str) -> Condition:
    """Make a condition once: the same few come with every request."""
    return Condition(name=name, wanted=wanted, got=got)
