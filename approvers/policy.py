"""Read `policy.toml`: rules as data, with a closed set of keys; nobody's name is in it.

A policy that loads has no unknown key, no wrong type, no name that leads nowhere, no vacuous rule. What is known but
not built yet is refused by name. `check_together` then checks it against the roster.
"""

from __future__ import annotations

from approvers.faults import ConfigError, Fault, read
from approvers.policy_checks import policy_faults, together_faults
from approvers.policy_models import CompiledRule, Ladder, Level, Limits, Policy, Quorum, Rule
from approvers.roster import Roster

__all__ = ["CompiledRule", "ConfigError", "Fault", "Ladder", "Level", "Limits", "Policy", "Quorum", "Rule",
           "check_together", "parse_policy"]  # fmt: skip


def parse_policy(text: str) -> Policy:
    """Read `policy.toml`. Raises ConfigError with every mistake."""
    policy = read(text, Policy, named=("quorum", "ladder", "rule"))
    if faults := list(policy_faults(policy)):
        raise ConfigError(faults)
    return policy


def check_together(policy: Policy, roster: Roster) -> None:
    """Check a policy against the roster that it will rule with. Raises ConfigError with every mistake."""
    if faults := list(together_faults(policy, roster)):
        raise ConfigError(faults)
