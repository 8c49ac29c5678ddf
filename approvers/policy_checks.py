"""Find what no single key shows: names that lead nowhere, rules that open a door, seats that nobody can fill."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import get_args

from approvers.condition_models import CLAIMS, NEVER_ALLOW, ONLY_ALLOW
from approvers.facts import RISK_LEVELS, UNKNOWN, AccessLevel
from approvers.faults import Fault, nearest
from approvers.patterns import matches
from approvers.policy_checks_terms import terms_faults
from approvers.policy_models import Ladder, Policy, Quorum, Rule
from approvers.quorum import Review, tally
from approvers.risk_table import table_faults
from approvers.roster import Roster

LEVELS: tuple[str, ...] = get_args(AccessLevel)
LEAST_COLLECT = timedelta(seconds=10)
"""A caller that polls every 5 seconds has to get round to it, and once more where its answer was lost."""
_ANY_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)


def policy_faults(policy: Policy) -> Iterator[Fault]:
    """Yield the mistakes of a policy by itself."""
    yield from _environments(policy)
    yield from _known("default_quorum", policy.default_quorum, policy.quorums, "quorum")
    for quorum in policy.quorums.values():
        yield from _known(f"quorum.{quorum.name}.ladder", quorum.ladder, policy.ladders, "ladder")
    for ladder in policy.ladders.values():
        yield from _ladder(ladder)
    yield from _limits(policy)
    if policy.grants.collect_within < LEAST_COLLECT:
        yield Fault("grants.collect_within", "leaves no caller the time to collect",
                    f'write at least "{LEAST_COLLECT.seconds}s"')  # fmt: skip
    yield from table_faults(policy.risk, policy.environments)
    for rule in policy.rules.values():
        yield from _rule(rule, policy)
    yield from terms_faults(policy)


def together_faults(policy: Policy, roster: Roster) -> Iterator[Fault]:
    """Yield what does not fit between a policy and the roster that it will rule with."""
    for quorum in policy.quorums.values():
        yield from _seats(quorum, roster)
    for ladder in policy.ladders.values():
        for index, level in enumerate(ladder.levels):
            for number, ask in enumerate(level.ask):
                kind, _, name = ask.partition(":")
                known = roster.groups if kind == "group" else roster.places
                yield from _known(f"ladder.{ladder.name}.levels[{index}].ask[{number}]", name, known, kind)
    for section, homes in (("account", roster.accounts), ("provider", roster.providers)):
        for name in homes:
            environment = roster.environments[name]
            if environment not in policy.environments:
                yield Fault(f"{section}.{name}.environment", f"the policy has no environment {environment!r}",
                            nearest(environment, policy.environments))  # fmt: skip
    for rule in policy.rules.values():
        yield from _known(f"rule.{rule.name}.owner", rule.owner, roster.groups, "group")
        yield from _fits(rule, "role", roster.roles)
        yield from _fits(rule, "account", roster.environments)
        principals = [f"caller:{name}" for name in roster.callers] + [f"user:{name}" for name in roster.persons]
        yield from _fits(rule, "principal", principals)


def _known(place: str, name: str, known: Iterable[str], kind: str) -> Iterator[Fault]:
    names = list(known)
    if name not in names:
        yield Fault(place, f"there is no {kind} {name!r}", nearest(name, names, otherwise=f"add [{kind}.{name}]"))


def _fits(rule: Rule, condition: str, known: Iterable[str]) -> Iterator[Fault]:
    """Yield the patterns of a condition that can never match anything that there is."""
    names = list(known)
    for index, pattern in enumerate(getattr(rule.when, condition) or ()):
        if not any(matches(pattern, name) for name in names):
            yield Fault(f"rule.{rule.name}.when.{condition}[{index}]", f"{pattern!r} fits no {condition} that there is",
                        nearest(pattern, names))  # fmt: skip


def _seats(quorum: Quorum, roster: Roster) -> Iterator[Fault]:
    unknown = [name for name in quorum.seats if name not in roster.groups]
    for name in unknown:
        yield from _known(f"quorum.{quorum.name}.seats.{name}", name, roster.groups, "group")
    if unknown:
        return
    everybody = [_yes(person, roster) for person in roster.persons]
    # A group that has members elsewhere can be as large as it likes: only those who stand in the file are counted.
    seats = {name: count for name, count in quorum.seats.items() if name not in roster.outside_groups}
    for group, count in tally(seats, everybody).missing.items():
        has = len(roster.groups[group].people)
        detail = f"asks for {quorum.seats[group]} of {group}, which has {has}"
        if has >= quorum.seats[group]:
            detail = f"{count} of its {group} seats can never be filled: the same people would fill the others"
        yield Fault(f"quorum.{quorum.name}.seats.{group}", detail, f"ask for fewer, or add people to [group.{group}]")


def _yes(person: str, roster: Roster) -> Review:
    groups = tuple(sorted(roster.groups_of(person)))
    return Review(reviewer=person, verdict="approve", at=_ANY_MOMENT, groups=groups, via="check")


def _environments(policy: Policy) -> Iterator[Fault]:
    for index, name in enumerate(policy.environments):
        if name in (UNKNOWN, "default", *LEVELS, *RISK_LEVELS):
            yield Fault(f"environments[{index}]", f"{name!r} has a meaning of its own", "choose another name")


def _ladder(ladder: Ladder) -> Iterator[Fault]:
    place = f"ladder.{ladder.name}.levels"
    if ladder.levels[0].after != timedelta(0):
        yield Fault(f"{place}[0].after", "nobody would be asked at first", 'write "0m"')
    for index, (earlier, later) in enumerate(zip(ladder.levels, ladder.levels[1:], strict=False), 1):
        if later.after <= earlier.after:
            yield Fault(f"{place}[{index}].after", "the levels do not ascend", "write a later time than the one before")
    if ladder.levels[-1].after >= ladder.expires_after:
        yield Fault(f"{place}[{len(ladder.levels) - 1}].after", "the request has expired by then",
                    "write an earlier time, or a longer expires_after")  # fmt: skip


def _limits(policy: Policy) -> Iterator[Fault]:
    limits, known = policy.limits, ("default", *policy.environments, UNKNOWN, *LEVELS, *RISK_LEVELS)
    for place, table in (("limits.ttl_default", limits.ttl_default), ("limits.ttl_max", limits.ttl_max)):
        if "default" not in table:
            yield Fault(f"{place}.default", "is missing", 'add the one that always applies, such as default = "2h"')
        for name in table:
            if name not in known and not (name.startswith("data:") and name[5:]):
                yield Fault(f"{place}.{name}", "is no environment, access level, risk level or data class (data:NAME)",
                            nearest(name, known))  # fmt: skip
    for name, most in limits.ttl_max.items() if "default" in limits.ttl_default else ():
        if limits.default_of(name) > most:
            yield Fault(f"limits.ttl_max.{name}", "is below ttl_default: who names no TTL would always be refused",
                        "lower ttl_default, or raise this cap")  # fmt: skip


def _rule(rule: Rule, policy: Policy) -> Iterator[Fault]:
    place, named = f"rule.{rule.name}", rule.when.named
    if not named:
        yield Fault(f"{place}.when", "has no condition, so the rule would always hold", "name at least one")
    if rule.effect == "review" and rule.quorum:
        yield from _known(f"{place}.quorum", rule.quorum, policy.quorums, "quorum")
    if rule.effect != "review" and rule.quorum:
        yield Fault(f"{place}.quorum", f"nobody is asked where the effect is {rule.effect}", "remove it")
    if rule.effect == "allow" and rule.until is None:
        yield Fault(f"{place}.until", "is missing: no rule allows for ever", "write the last day, such as 2027-05-31")
    for name in named:
        yield from _direction(f"{place}.when.{name}", name, rule)
    for index, pattern in enumerate(rule.when.environment or ()):
        if not any(matches(pattern, name) for name in (*policy.environments, UNKNOWN)):
            yield Fault(f"{place}.when.environment[{index}]", f"{pattern!r} fits no environment",
                        nearest(pattern, (*policy.environments, UNKNOWN)))  # fmt: skip


def _direction(place: str, name: str, rule: Rule) -> Iterator[Fault]:
    """Refuse a condition where it would reward claiming something, or asking for more."""
    if rule.effect == "allow" and name in CLAIMS:
        yield Fault(place, f"{name} is only the caller's claim, and a claim opens nothing", "use it in deny or review")
    elif rule.effect == "allow" and name in NEVER_ALLOW:
        yield Fault(place, f"{name} would allow those who ask for more, or say less", "use it in deny or review")
    elif rule.effect != "allow" and name in ONLY_ALLOW:
        other = {"ttl_at_most": "ttl_over", "risk_below": "risk_at_least"}[name]
        yield Fault(place, f"{name} here would be escaped by asking for more", f"use {other}, or use it in allow")
