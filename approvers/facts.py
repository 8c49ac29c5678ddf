"""Hold everything that a ruling looks at, as values: the whole evaluated input, so that any ruling can be replayed.

Facts are written into the audit record of a decision; they hold no float and read no clock, store or table.
"""

from __future__ import annotations

from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

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


class Facts(BaseModel):
    """Everything about one ask that rules, risk and limits read.

    `environment` is the strictest of `environments`: what is proven (the account's), and what the caller's claim adds
    where it is stricter or nothing is proven. `actions` and `resources` are the headline and everything in `access`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: Moment
    principal: str
    principal_kind: PrincipalKind
    owners: tuple[str, ...]
    actor: str
    on_behalf_of: str | None
    model: str | None
    project: str | None
    stage: str | None
    urgency: str
    actions: tuple[str, ...]
    access_levels: tuple[str, ...]
    risk_lists: tuple[str, ...]
    resources: tuple[str, ...]
    role: str | None
    account: str | None
    environment: str
    environments: tuple[str, ...]
    data_classes: tuple[str, ...]
    ttl_seconds: int
    reason: str
    ticket: str | None
    claimed_risk: RiskLevel | None
    has_access: bool
