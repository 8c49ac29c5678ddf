"""Know the actions of a provider of executables, as the roster declares them, besides those of the table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from approvers.facts import UNKNOWN, ActionTable
from approvers.grant import Plan
from approvers.patterns import matches
from approvers.policy_checks_rules import Actions
from approvers.roster import Roster

ALIKE = 0.7
"""From how alike on (0 to 1) a name is taken for a misspelt one."""


class Declared:
    """Answer for a provider's own actions; everything else is asked of the table."""

    def __init__(self, table: ActionTable, levels: Mapping[str, str]) -> None:
        """Take the table, and the levels by action."""
        self._table = table
        self._levels = {name.lower(): level for name, level in levels.items()}

    def level(self, action: str) -> str:
        """Return the access level of an action, `unknown` where neither has it."""
        return self._levels.get(action.lower()) or self._table.level(action)

    def lists(self, action: str) -> frozenset[str]:
        """Return the shipped risk lists that hold the action."""
        return self._table.lists(action)

    def pairs(self, actions: Sequence[str]) -> tuple[str, ...]:
        """Return which of the actions lead to more rights together than each alone."""
        return self._table.pairs(actions)


class Named:
    """Say which actions there are: those of the table, and those that the roster's own providers have."""

    def __init__(self, table: Actions, levels: Mapping[str, str]) -> None:
        """Take the table, and the levels by action."""
        self._table = table
        self._levels = {name.lower(): level for name, level in levels.items()}

    def known(self, pattern: str) -> bool:
        """Tell whether a pattern fits at least one action."""
        return any(matches(pattern.lower(), name) for name in self._levels) or self._table.known(pattern)

    def nearest(self, action: str) -> str | None:
        """Return what a misspelt action or pattern was meant to be; None if nothing is alike."""
        close = get_close_matches(action.lower(), self._levels, n=1, cutoff=ALIKE)
        return close[0] if close else self._table.nearest(action)

    def services(self) -> Iterable[str]:
        """Return the names of all services, in lower case."""
        return {*self._table.services(), *(name.partition(":")[0] for name in self._levels)}

    def levels_of(self, pattern: str) -> frozenset[str]:
        """Return the access levels of the actions that a pattern fits."""
        own = {level for name, level in self._levels.items() if matches(pattern.lower(), name)}
        return self._table.levels_of(pattern) | own


def named(roster: Roster, table: Actions) -> Actions:
    """Return what knows every action that rules may name: what providers declare, and what their roles hold."""
    roles = [role for role in roster.roles.values() if role.by_command]
    levels = {action: UNKNOWN for role in roles for action in role.ceiling if "*" not in action}
    for provider in roster.providers.values():
        levels |= provider.levels
    return Named(table, levels) if levels else table


def actions_for(plan: Plan | None, roster: Roster, table: ActionTable) -> ActionTable:
    """Return what knows the actions of an ask: for a plan of executables with what their provider declares."""
    if plan is None or not plan.by_command or plan.provider not in roster.providers:
        return table
    levels = roster.providers[plan.provider].levels
    return Declared(table, levels) if levels else table
