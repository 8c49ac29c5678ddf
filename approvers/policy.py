"""Read `policy.toml`: rules as data, with a closed set of keys; nobody's name is in it.

A policy that loads has no unknown key, no wrong type, no name that leads nowhere, no vacuous rule. What is known but
not built yet is refused by name. `check_together` then checks it against the roster.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from approvers.declared import named
from approvers.faults import ConfigError, Fault, read
from approvers.policy_checks import policy_faults, together_faults
from approvers.policy_checks_rules import Actions, action_faults, over_faults, rule_faults
from approvers.policy_checks_shadow import shadow_faults
from approvers.policy_checks_terms import people_faults
from approvers.policy_models import CompiledRule, Ladder, Level, Limits, Policy, Quorum, Rule
from approvers.roster import Roster

__all__ = ["CompiledRule", "ConfigError", "Fault", "Ladder", "Level", "Limits", "Policy", "Quorum", "Rule",
           "check_together", "findings", "parse_policy"]  # fmt: skip


def parse_policy(text: str) -> Policy:
    """Read `policy.toml`. Raises ConfigError with every mistake."""
    policy = read(text, Policy, named=("quorum", "ladder", "rule"))
    if faults := list(policy_faults(policy)):
        raise ConfigError(faults)
    return policy


def check_together(policy: Policy, roster: Roster, *, actions: Actions | None = None) -> None:
    """Check a policy against the roster that it will rule with. Raises ConfigError with every mistake."""
    if faults := [one for one in findings(policy, roster, actions=actions) if one.severity == "error"]:
        raise ConfigError(faults)


def findings(
    policy: Policy, roster: Roster, *, actions: Actions | None = None, today: date | None = None
) -> Iterator[Fault]:
    """Yield every mistake and every warning of the two files together.

    Args:
        policy: rules that load.
        roster: people that load.
        actions: which cloud actions there are; None: patterns of actions are not looked up.
        today: the day of the policy's time zone; None: last days are not looked at.
    """
    yield from together_faults(policy, roster)
    yield from people_faults(policy, roster)
    for rule in policy.rules.values():
        yield from rule_faults(rule, policy, roster)
        if today is not None:
            yield from over_faults(rule, today)
    if actions is not None:
        yield from action_faults(policy, named(roster, actions))
    yield from shadow_faults(policy, today)
