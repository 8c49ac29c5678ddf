"""Read facts as one policy does: which environments count, which access levels and risk lists the ask holds.

Facts are the same under any policy; this is what a policy adds to them, so that a recorded ask can be ruled on again
by another version, at the mint and in a simulation.
"""

from __future__ import annotations

from functools import lru_cache

from approvers.facts import EVERY_KEY, UNKNOWN, Derived, Facts
from approvers.policy_models import Policy


def derive(policy: Policy, facts: Facts) -> Derived:
    """Return what this policy makes of the facts."""
    own = {found for name in facts.actions for found in policy.risk.lists_of(name)} if policy.risk.lists else None
    lists = tuple(sorted(own.union(facts.risk_lists))) if own else facts.risk_lists
    levels = facts.levels if len(facts.levels) == 1 else tuple(sorted(set(facts.levels)))
    proven = None if facts.account is None else facts.account_environment or UNKNOWN
    return Derived(_environments(policy.environments, facts.environment, proven), levels, lists, _tags(policy, facts))


def _tags(policy: Policy, facts: Facts) -> tuple[tuple[str, ...] | None, ...]:
    """Return each resource's tags; none is known where nobody looked for a key that this policy names."""
    looked_for = facts.tag_keys in (policy.tag_keys, EVERY_KEY) or set(facts.tag_keys).issuperset(policy.tag_keys)
    return facts.tags if looked_for and len(facts.tags) == len(facts.resources) else (None,) * len(facts.resources)


@lru_cache(maxsize=1024)
def _environments(known: tuple[str, ...], claim: str, account: str | None) -> tuple[str, ...]:
    """Return what counts as the environment, the strictest last.

    The account's is proven; a stricter claim counts as every step from there up to it, so that no higher claim escapes
    what a lower one meets. Without an account (None) nothing is proven: the claim counts beside `unknown`, so that deny
    and review rules see it and no allow rule can rest on it. A claim that is no environment of the policy could be any.
    """
    ranks = (*known, UNKNOWN)
    claimed = ranks.index(claim) if claim in ranks else len(ranks) - 1
    if account is None:
        return (ranks[claimed], UNKNOWN) if ranks[claimed] != UNKNOWN else ranks
    proven = ranks.index(account) if account in ranks else len(ranks) - 1
    return ranks[proven : max(proven, claimed) + 1]
