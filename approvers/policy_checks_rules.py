"""Find rules that can never hold, and patterns that fit nothing: what is dead says nothing, and looks as if it did.

What contradicts itself for good is an error. What only a day, a cap or the points of risk have put out of reach is a
warning: tightening one key must not force somebody in a hurry to edit ten others.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Protocol

from approvers.action import MAX_TTL_SECONDS
from approvers.facts import RISK_LEVELS, UNKNOWN
from approvers.faults import Fault, Severity, nearest
from approvers.patterns import matches
from approvers.policy_models import Policy, Rule
from approvers.roster import Roster
from approvers.times import spell

ALIKE = 0.8
"""From how alike on a service's name is taken for a misspelt one (0 to 1)."""
PROOF = ("repository_id", "ref", "workflow")


class Actions(Protocol):
    """Say which cloud actions there are; generated tables are passed in (`workers.data`)."""

    def known(self, pattern: str) -> bool:
        """Tell whether a pattern fits at least one action."""
        ...

    def nearest(self, action: str) -> str | None:
        """Return what a misspelt action or pattern was meant to be; None if nothing is alike."""
        ...

    def services(self) -> Iterable[str]:
        """Return the names of all services, in lower case."""
        ...

    def levels_of(self, pattern: str) -> frozenset[str]:
        """Return the access levels of the actions that a pattern fits."""
        ...


def rule_faults(rule: Rule, policy: Policy, roster: Roster) -> Iterator[Fault]:
    """Yield what no ask could ever meet, by the two files alone."""
    yield from _kinds(rule, roster)
    yield from _targets(rule, policy, roster)
    yield from _ttl(rule, policy)
    yield from _risk(rule, policy)
    yield from _proofs(rule, roster)


def over_faults(rule: Rule, today: date) -> Iterator[Fault]:
    """Yield a warning where the rule's last day is over."""
    if rule.until is not None and rule.until < today:
        yield Fault(f"rule.{rule.name}.until", f"{rule.until} is past, so the rule is off",
                    "remove the rule, or write a later day", "warning")  # fmt: skip


def action_faults(policy: Policy, actions: Actions) -> Iterator[Fault]:
    """Yield the action patterns that fit no known action, and access levels that none of a rule's actions has."""
    for rule in policy.rules.values():
        for index, pattern in enumerate(rule.when.action or ()):
            yield from _pattern(f"rule.{rule.name}.when.action[{index}]", pattern, actions)
        yield from _levels(rule, actions)
    for name, words in policy.risk.lists.items():
        for index, pattern in enumerate(words):
            yield from _pattern(f"risk.lists.{name}[{index}]", pattern, actions)


def _pattern(place: str, pattern: str, actions: Actions) -> Iterator[Fault]:
    """Yield what is wrong with one pattern; a service that is nothing like AWS's may be the asker's own."""
    service = pattern.partition(":")[0].lower()
    if pattern == "*" or service == "countersign" or actions.known(pattern):
        return
    services = set(actions.services())
    close = actions.nearest(pattern)
    remedy = f"did you mean {close!r}?" if close else "correct it, or remove it"
    if "*" in service or service in services or difflib.get_close_matches(service, services, 1, ALIKE):
        yield Fault(place, f"{pattern!r} fits no action that there is", remedy)
    else:
        yield Fault(place, f"AWS has no service {service!r}",
                    remedy if close else "nothing, if it is a kind of action of your own", "warning")  # fmt: skip


def _levels(rule: Rule, actions: Actions) -> Iterator[Fault]:
    """An allow rule wants all its actions in the list *and* on the level; elsewhere two actions may share the work."""
    wanted, patterns = rule.when.access_level, rule.when.action
    if not wanted or not patterns or UNKNOWN in wanted or not all(map(actions.known, patterns)):
        return
    found = frozenset[str]().union(*map(actions.levels_of, patterns))
    if not found & set(wanted):
        detail = f"no action that the rule names is {' or '.join(wanted)}; they are {', '.join(sorted(found))}"
        severity: Severity = "error" if rule.effect == "allow" else "warning"
        yield Fault(f"rule.{rule.name}.when.access_level", detail, "correct the list, or the actions", severity)


def _kinds(rule: Rule, roster: Roster) -> Iterator[Fault]:
    wanted, patterns = rule.when.principal_kind, rule.when.principal
    if not wanted or not patterns:
        return
    kinds = {f"caller:{name}": str(caller.kind) for name, caller in roster.callers.items()}
    kinds |= {f"user:{name}": "person" for name in roster.persons}
    found = {kind for name, kind in kinds.items() if _fits(patterns, name)}
    if found and not found & set(wanted):
        yield Fault(f"rule.{rule.name}.when.principal_kind", f"the rule's principals are {', '.join(sorted(found))}",
                    "correct the kind, or the principals")  # fmt: skip


def _targets(rule: Rule, policy: Policy, roster: Roster) -> Iterator[Fault]:
    """Yield where role, account and environment cannot come together in any ask."""
    when, place = rule.when, f"rule.{rule.name}.when"
    accounts = {name for name in roster.environments if when.account is None or _fits(when.account, name)}
    if when.role is not None:
        of_roles = {roster.home_of(role) for name, role in roster.roles.items() if _fits(when.role, name)}
        if of_roles and when.account is not None and accounts and not of_roles & accounts:
            yield Fault(f"{place}.account", f"the rule's roles lie in {', '.join(sorted(of_roles))}",
                        "correct the account, or the role")  # fmt: skip
            return
        accounts &= of_roles
    if when.environment is None or (when.role is None and when.account is None) or not accounts:
        return
    found = {roster.environments[name] for name in accounts}
    if not any(_reaches(rule, env, policy) for env in found):
        yield Fault(f"{place}.environment", f"the rule's accounts are {', '.join(sorted(found))}",
                    "correct the environment, or the account")  # fmt: skip


def _reaches(rule: Rule, proven: str, policy: Policy) -> bool:
    """Tell whether an ask in an account of this environment can meet the rule's: a claim may add stricter ones."""
    ranks = (*policy.environments, UNKNOWN)
    if proven not in ranks:
        return True
    place = ranks.index(proven)
    possible = ranks[place : place + 1] if rule.effect == "allow" else ranks[place:]
    return any(_fits(rule.when.environment or (), name) for name in possible)


def _ttl(rule: Rule, policy: Policy) -> Iterator[Fault]:
    over = rule.when.ttl_over
    if over is None:
        return
    cap = _longest(rule, policy)
    if over >= cap:
        yield Fault(f"rule.{rule.name}.when.ttl_over", f"nothing longer than {spell(cap)} can be asked for here",
                    "write less, or remove the rule: the cap is the stricter of the two", "warning")  # fmt: skip


def _longest(rule: Rule, policy: Policy) -> timedelta:
    """Return the longest TTL that an ask which the rule speaks of can have."""
    caps, when = policy.limits.ttl_max, rule.when
    most = min(caps.get("default", timedelta.max), timedelta(seconds=MAX_TTL_SECONDS))
    if when.environment is not None:
        names = [name for name in (*policy.environments, UNKNOWN) if _fits(when.environment, name)]
        most = min(most, max((caps.get(name, most) for name in names), default=most))
    if when.access_level is not None:
        most = min(most, max(caps.get(name, most) for name in when.access_level))
    return most


def _risk(rule: Rule, policy: Policy) -> Iterator[Fault]:
    place, below = f"rule.{rule.name}.when.risk_below", rule.when.risk_below
    if rule.when.risk_at_least == RISK_LEVELS[0]:
        yield Fault(f"rule.{rule.name}.when.risk_at_least", "every ask is low or more, so this always holds",
                    "write a higher level, or remove it", "warning")  # fmt: skip
    if below is None:
        return
    if below == RISK_LEVELS[0]:
        yield Fault(place, "nothing is below low", "write medium, high or critical")
    elif (least := _least_points(rule, policy)) >= (start := getattr(policy.risk.bands, below)):
        yield Fault(place, f"what the rule speaks of has at least {least} points, and {below} begins at {start}",
                    "write a higher level, or narrow the other conditions", "warning")  # fmt: skip


def _least_points(rule: Rule, policy: Policy) -> int:
    """Return the fewest points that an ask which this allow rule takes can have: all its levels, all its places."""
    table, when = policy.risk, rule.when
    least = -abs(int(getattr(table.context, "well_known", 0)))
    if when.access_level is not None:
        least += min(map(table.access_points, when.access_level))
    if when.environment is not None:
        names = [name for name in (*policy.environments, UNKNOWN) if _fits(when.environment, name)]
        least += min(map(table.environment_points, names), default=0)
    return least


def _proofs(rule: Rule, roster: Roster) -> Iterator[Fault]:
    when, place = rule.when, f"rule.{rule.name}.when"
    for index, pattern in enumerate(when.issuer or ()):
        if not any(matches(pattern, name) for name in roster.issuers):
            yield Fault(f"{place}.issuer[{index}]", f"{pattern!r} fits no issuer that there is",
                        nearest(pattern, roster.issuers, otherwise=f"add [issuer.{pattern}]"))  # fmt: skip
    for name in PROOF:
        if getattr(when, name) is not None and when.issuer is None and rule.effect == "allow":
            yield Fault(f"{place}.{name}", "is read without its issuer, and another issuer may use the same words",
                        "name the issuer in the same rule", "warning")  # fmt: skip
    tags = next((name for name in ("tags_any", "tags_none") if getattr(when, name) is not None), None)
    if tags and not any(account.tags for account in roster.accounts.values()):
        yield Fault(f"{place}.{tags}", "no account has `tags`, so no resource's tags are ever known",
                    'give one the role that reads them: [account.NAME] tags = "arn:…"')  # fmt: skip


def _fits(patterns: Iterable[str], name: str) -> bool:
    return any(matches(pattern, name) for pattern in patterns)
