"""Read facts as one policy does: which environments count, which access levels and risk lists the ask holds.

Facts are the same under any policy; this is what a policy adds to them, so that a recorded ask can be ruled on again
by another version, at the mint and in a simulation.
"""

from __future__ import annotations

from functools import lru_cache

from approvers.facts import UNKNOWN, Derived, Facts
from approvers.policy_models import Policy


def derive(policy: Policy, facts: Facts) -> Derived:
    """Return what this policy makes of the facts."""
    own = {found for name in facts.actions for found in policy.risk.lists_of(name)} if policy.risk.lists else None
    lists = tuple(sorted(own.union(facts.risk_lists))) if own else facts.risk_lists
    levels = facts.levels if len(facts.levels) == 1 else tuple(sorted(set(facts.levels)))
    proven = None if facts.account is None else facts.account_environment or UNKNOWN
    return Derived(_environments(policy.environments, facts.environment, proven), levels, lists)


@lru_cache(maxsize=1024)
def _environments(known: tuple[str, ...], claim: str, account: str | None) -> tuple[str, ...]:
    """Return what counts as the environment, the strictest last.

    The account's is proven; a stricter claim counts as every step from there up to it, so that no higher claim escapes
    what a lower one meets. Without an account (None) nothing is proven: the claim counts beside `unknown`, so that deny and
    review rules see it and no allow rule can rest on it. A claim that is no environment of the policy could be any.
    """
    ranks = (*known, UNKNOWN)
    claimed = ranks.index(claim) if claim in ranks else len(ranks) - 1
    if account is None:
        return (ranks[claimed], UNKNOWN) if ranks[claimed] != UNKNOWN else ranks
    proven = ranks.index(account) if account in ranks else len(ranks) - 1
    return ranks[proven : max(proven, claimed) + 1]
