"""Hold everything that a ruling looks at, as values: the whole evaluated input, so that any ruling can be replayed.

Facts are written into the audit record of a decision; they hold no float and read no clock, store or table.
"""

from __future__ import annotations

from typing import Literal, Protocol

from approvers.audit import Recorded
from approvers.times import Moment

UNKNOWN = "unknown"
"""Stands for an environment or access level that nothing proves; it always counts as the worst."""
AccessLevel = Literal["List", "Read", "Tagging", "Write", "Permissions management", "unknown"]
RiskList = Literal["destructive", "escalation", "credentials", "exposure", "evasion"]
RiskLevel = Literal["low", "medium", "high", "critical"]
PrincipalKind = Literal["agent", "pipeline", "service", "person"]
RISK_LEVELS: tuple[RiskLevel, ...] = ("low", "medium", "high", "critical")


class ActionTable(Protocol):
    """Say what a cloud action is; generated tables are passed in (`workers.data`)."""

    def level(self, action: str) -> str:
        """Return the access level of an action, `unknown` where the table does not have it."""
        ...

    def lists(self, action: str) -> frozenset[str]:
        """Return the shipped risk lists that hold the action."""
        ...


class Facts(Recorded):
    """Everything about one ask that rules, risk and limits read.

    `environment` is the strictest of `environments`: what is proven (the account's), and what the caller's claim adds
    where it is stricter or nothing is proven. `actions` and `resources` are the headline and everything in `access`.
    """

    access_levels: tuple[str, ...]
    account: str | None
    actions: tuple[str, ...]
    actor: str
    at: Moment
    claimed_risk: RiskLevel | None
    data_classes: tuple[str, ...]
    environment: str
    environments: tuple[str, ...]
    has_access: bool
    model: str | None
    on_behalf_of: str | None
    owners: tuple[str, ...]
    principal: str
    principal_kind: PrincipalKind
    project: str | None
    reason: str
    resources: tuple[str, ...]
    risk_lists: tuple[str, ...]
    role: str | None
    stage: str | None
    ticket: str | None
    ttl_seconds: int
    urgency: str
