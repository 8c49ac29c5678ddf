"""Know the actions of a provider of executables, as the roster declares them, besides those of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from approvers.facts import ActionTable
from approvers.grant import Plan
from approvers.roster import Roster


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


def actions_for(plan: Plan | None, roster: Roster, table: ActionTable) -> ActionTable:
    """Return what knows the actions of an ask: for a plan of executables with what their provider declares."""
    if plan is None or not plan.by_command or plan.provider not in roster.providers:
        return table
    levels = roster.providers[plan.provider].levels
    return Declared(table, levels) if levels else table
