"""Write the allow rule for a habit as TOML, and put it into a policy to be tried."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date

from approvers.facts import RISK_LEVELS
from approvers.policy import ConfigError, Policy, parse_policy
from approvers.quick import made
from approvers.suggesting import Habit, describe, resources_of


def rule_name(habit: Habit, taken: Iterable[str]) -> str:
    """Return a free name for the rule."""
    words = f"allow-{habit.key.principal.partition(':')[2]}-{habit.key.account}".lower()
    base = "".join(char if char.isalnum() and char.isascii() else "-" for char in words)[:50].rstrip("-")
    names = (base, *(f"{base}-{number}" for number in range(2, 1000)))
    return next(name for name in names if name not in set(taken))


def rule_text(habit: Habit, name: str, *, owner: str, until: date) -> str:
    """Return the rule as a table for `policy.toml`: conditions only on what is proven."""
    note = f"Was always approved: {habit.approved} asks, median {habit.median.total_seconds():.0f} s."
    when = {
        "principal": [habit.key.principal],
        "account": [habit.key.account],
        "environment": [habit.key.environment],
        "action": sorted(habit.actions, key=str.lower),
        "access_level": sorted(habit.levels),
        "resource": resources_of(habit),
        "ttl_at_most": _duration(habit.longest),
        "risk_below": RISK_LEVELS[habit.risk + 1],
    }
    lines = [f"[rule.{name}]", 'effect = "allow"', f"until  = {until.isoformat()}", f"owner  = {_quoted(owner)}"]
    lines += [f"note   = {_quoted(note)}", f"[rule.{name}.when]"]
    return "\n".join([*lines, *(f"{key} = {_quoted(value)}" for key, value in when.items())]) + "\n"


def owner_of(habit: Habit, policy: Policy) -> str:
    """Return the owner of the rule that asks now; where the default does, the first group that it asks."""
    for name in habit.key.rules:
        if name in policy.rules:
            return policy.rules[name].owner
    return min(policy.quorums[policy.default_quorum].seats)


def tried(habit: Habit, text: str, rule: str) -> Policy | str:
    """Return the policy of the text with the rule in place of the one that asks now, or why that cannot be."""
    try:
        policy = parse_policy(f"{text}\n{rule}")
    except ConfigError as error:
        return f"the rule cannot be written into this file: {error.faults[0]}"
    if gone := [name for name in habit.key.rules if name not in policy.rules]:
        return f"{gone[0]} is no rule any more"
    rules = {name: one for name, one in policy.rules.items() if name not in habit.key.rules}
    fields = {name: getattr(policy, name) for name in Policy.model_fields}
    return made(Policy, **{**fields, "rules": rules})


def headline(habit: Habit, name: str) -> str:
    """Say what to do with the rule."""
    if not habit.key.rules:
        return f"{describe(habit)}. Add [rule.{name}]."
    old = habit.key.rules[0]
    what = f"Put [rule.{name}] in the place of [rule.{old}]; what else that one spoke for falls to the default."
    return f"{describe(habit)}. {what}"


def _duration(seconds: int) -> str:
    return f"{seconds // 60}m" if seconds % 60 == 0 else f"{seconds}s"


def _quoted(value: object) -> str:
    """Spell text and lists of text as TOML, which spells them as JSON does."""
    return json.dumps(value, ensure_ascii=False)
