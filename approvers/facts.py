"""Hold everything that a ruling looks at, as values: the whole evaluated input, so that any ruling can be replayed.

Facts are written into the audit record of a decision; they hold no float and read no clock, store or table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

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

    def pairs(self, actions: Sequence[str]) -> tuple[str, ...]:
        """Return which of the actions lead to more rights together than each alone, in words, in order."""
        ...


WINDOWS: tuple[str, ...] = ("1m", "5m", "10m", "30m", "1h", "6h", "1d")
"""In which windows a principal's asks are counted: a closed set, so that any later policy can be tried on a record."""


class History(Recorded):
    """What this principal did before, as counted at the ask; the rules read nothing else of the past.

    `asked` counts its asks per window of `WINDOWS`, this one included. `total` counts all that are remembered, `around`
    those at this hour of the day (UTC) or the one before or after. `new` are those of the ask's actions that nobody
    has ever approved for it in this account (environment, where there is no account); `known` is how often people
    approved the least known of its actions there, since one of them last denied it.
    """

    around: int
    asked: tuple[int, ...]
    known: int
    new: tuple[str, ...]
    total: int


NO_HISTORY = History(around=0, asked=(), known=0, new=(), total=0)
"""Where nothing was counted (a record from before history was kept). Rules on history then hold: it could be any."""


EVERY_KEY = ("*",)
"""Stands for all keys of tags."""


class Facts(Recorded):
    """Everything about one ask that rules, risk and limits read: inputs only, the same under any policy.

    `actions` and `resources` are the headline and everything in `access`; `levels` has the access level of each action,
    `pairs` those of them that lead to more rights together (`iam:PassRole with lambda:CreateFunction`), `tags` the
    `key=value` tags of each resource (None: not known), as far as `tag_keys` were looked for. `environment` is the
    caller's claim, `account_environment` what the roster says of the account (None without one). `issuer`,
    `repository_id`, `ref` and `workflow` are proven by the caller's own token. `groups` are the principal's own, bare
    names, looked up only where they matter (break-glass), as is `owed`: how many of its uses of break-glass still wait
    for their after-review. What a policy makes of these is `approvers.deriving`.
    """

    account: str | None
    account_environment: str | None
    actions: tuple[str, ...]
    actor: str
    at: Moment
    break_glass: bool
    claimed_risk: RiskLevel | None
    data_classes: tuple[str, ...]
    environment: str
    extends: str | None
    groups: tuple[str, ...]
    has_access: bool
    history: History
    issuer: str | None
    levels: tuple[str, ...]
    model: str | None
    on_behalf_of: str | None
    owed: int
    owners: tuple[str, ...]
    pairs: tuple[str, ...]
    principal: str
    principal_kind: PrincipalKind
    project: str | None
    reason: str
    ref: str | None
    repository_id: str | None
    resources: tuple[str, ...]
    risk_lists: tuple[str, ...]
    role: str | None
    stage: str | None
    tag_keys: tuple[str, ...]
    tags: tuple[tuple[str, ...] | None, ...]
    ticket: str | None
    ttl_seconds: int
    urgency: str
    workflow: str | None


class Derived(NamedTuple):
    """What a policy makes of an ask (`approvers.deriving`): `environments` has the strictest last."""

    environments: tuple[str, ...]
    access_levels: tuple[str, ...]
    risk_lists: tuple[str, ...]
    tags: tuple[tuple[str, ...] | None, ...]
