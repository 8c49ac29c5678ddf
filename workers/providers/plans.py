"""Plan a mint: check what is asked against the role's ceiling, and say exactly what will be minted.

Pure, and no SDK: the web process plans at intake, so that what cannot be minted is refused before anybody is asked,
and so that the card shows the plan. The IAM documents made from a plan are in `documents`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from approvers.action import Access, Action
from approvers.errors import Inadmissible
from approvers.grant import Plan
from approvers.patterns import Patterns
from approvers.quick import made
from approvers.roster import Role, Roster
from approvers.times import spell
from workers.data.levels import Levels
from workers.providers.command_plans import caps_of, check_provider, command_plan
from workers.providers.documents import SESSION_POLICY_LIMIT, session_policy
from workers.providers.fitting import EVERYTHING, check_fit, check_known, check_within
from workers.providers.port import Caps

AWS_CAPS = Caps(
    min_ttl=timedelta(seconds=1),
    max_ttl=timedelta(hours=1),
    early_revoke="per_grant",
    typical_lag=timedelta(seconds=5),
)
"""One hour: a minter that is itself a role gets no longer session, and one hour is a role's own maximum unless somebody
raised it; a longer ask would fail only after it was approved. The lag is published experience, not a promise."""
MAX_ENTRIES = 20
"""Actions, and resources, in one grant: more than that nobody reads on a card."""

_ACTION = re.compile(r"[a-z0-9-]{1,40}:[A-Za-z0-9]{1,80}")
_PRINTABLE = re.compile(r"[\x21-\x7e]+")
_FRAME = 512
"""Characters of a session policy besides its entries, at most; an entry can double, where JSON escapes it."""
_SOME_END = datetime(2026, 1, 1, tzinfo=UTC)  # every stamp has the same length; only the length is used


def plan(action: Action, roster: Roster, ttl_seconds: int, levels: Levels, caps: Caps = AWS_CAPS) -> Plan:
    """Return what will be minted for this ask.

    Args:
        action: what is asked for; it must have `access`.
        roster: the roles, with ceilings, and the accounts they belong to.
        ttl_seconds: the time asked for, policy's default filled in.
        levels: the actions that AWS has, and the resources that they take.
        caps: what the provider can do.

    Raises:
        Inadmissible: with the field, the rule, and what to change.
    """
    access = action.access
    if access is None:
        raise Inadmissible("there is no access to plan: add `access`, or ask for an action approval", field="access")
    role = _role_of(access, roster)
    check_provider(access, role)
    _check_entries("actions", access.actions)
    _check_entries("resources", access.resources)
    if role.by_command:
        found = roster.providers[role.provider]
        _check_ttl(ttl_seconds, caps_of(found))
        return command_plan(access, role, found, ttl_seconds)
    account = roster.accounts[role.account]
    _check_access(access, role, account.id, levels)
    _check_ttl(ttl_seconds, caps)
    planned = made(
        Plan,
        provider=access.provider,
        role=access.role,
        role_arn=role.arn,
        external_id=role.external_id,
        account=role.account,
        account_id=account.id,
        environment=account.environment,
        ends_early=caps.early_revoke != "none",
        ends_itself=caps.native_ttl,
        lag_seconds=int(caps.typical_lag.total_seconds()),
        more_arns=role.more_arns,
        revoker_arn=account.revoker,
        actions=access.actions,
        resources=access.resources,
        ttl_seconds=ttl_seconds,
    )
    check_size(planned)
    return planned


def _role_of(access: Access, roster: Roster) -> Role:
    if role := roster.roles.get(access.role):
        return role
    known = ", ".join(sorted(roster.roles)) or "none is configured yet"
    detail = f"role {access.role!r} is not known here; ask for one of: {known}"
    raise Inadmissible(detail, field="access.role", rule="role.unknown")


def _check_access(access: Access, role: Role, account_id: str, levels: Levels) -> None:
    """Refuse what AWS does not have, what is outside the role, and what does not fit together, each by its field."""
    for number, name in enumerate(access.actions):
        _check_form(name, f"access.actions[{number}]")
    check_known(access.actions, role, levels)
    for number, name in enumerate(access.actions):
        _check_ceiling(name, f"access.actions[{number}]", access.role, role.ceiling)
    for number, arn in enumerate(access.resources):
        if access.resources != (EVERYTHING,):
            _check_resource(arn, f"access.resources[{number}]", access.role, role.arn.split(":")[1], account_id)
    check_within(access.resources, role)
    check_fit(access.actions, access.resources, levels)


def within_ceiling(name: str, ceiling: Sequence[str]) -> bool:
    """Say whether an action fits one of the ceiling's patterns: letter case ignored, `*` the only wildcard."""
    return _patterns(tuple(ceiling)).covers(name.lower())


@lru_cache(maxsize=1024)
def _patterns(ceiling: tuple[str, ...]) -> Patterns:
    return Patterns(pattern.lower() for pattern in ceiling)


def _check_entries(kind: str, entries: Sequence[str]) -> None:
    field = f"access.{kind}"
    if not entries:
        raise Inadmissible(f"name at least one of the {kind} that are needed", field=field, rule="plan.empty")
    if len(entries) > MAX_ENTRIES:
        detail = f"{len(entries)} {kind} are more than {MAX_ENTRIES}; split the work into several requests"
        raise Inadmissible(detail, field=field, rule="plan.too_many")
    seen: set[str] = set()
    for number, entry in enumerate(entries):
        known = entry.lower() if kind == "actions" else entry
        if known in seen:
            detail = f"{entry} is named twice; leave the second one out"
            raise Inadmissible(detail, field=f"{field}[{number}]", rule="plan.duplicate")
        seen.add(known)


def _check_form(name: str, field: str) -> None:
    if "*" in name or "?" in name:
        detail = f"{name} has a wildcard; name each action in full, such as s3:GetObject"
        raise Inadmissible(detail, field=field, rule="plan.action_wildcard")
    if not _ACTION.fullmatch(name):
        detail = f"{name!r} is not an AWS action; write service:Action, such as s3:GetObject"
        raise Inadmissible(detail, field=field, rule="plan.action_form")


def _check_ceiling(name: str, field: str, role: str, ceiling: Sequence[str]) -> None:
    if not within_ceiling(name, ceiling):
        detail = (
            f"{name} is outside what role {role} may ever do ({', '.join(ceiling)}); "
            "ask for another role, or have an operator raise this role's ceiling"
        )
        raise Inadmissible(detail, field=field, rule=f"role.{role}.ceiling")


def _check_resource(arn: str, field: str, role: str, partition: str, account_id: str) -> None:
    def refuse(rule: str, detail: str) -> Inadmissible:
        return Inadmissible(f"{arn!r} {detail}", field=field, rule=rule)

    if not _PRINTABLE.fullmatch(arn) or "${" in arn or "?" in arn:
        raise refuse(
            "plan.resource_form", "has characters that a policy could read otherwise; use plain ASCII, no '?' or '${'"
        )
    parts = arn.split(":", 5)
    if arn == "*" or any("*" in part for part in parts[:5]):
        raise refuse("plan.resource_wildcard", "is too wide; only the last part of an ARN may end in '*'")
    if len(parts) < 6 or parts[0] != "arn" or not parts[2] or not parts[5]:
        raise refuse("plan.resource_form", "is not an ARN; write such as arn:aws:s3:::my-bucket/2026/report.csv")
    if parts[1] != partition:
        raise refuse("plan.other_partition", f"is in partition {parts[1]}, role {role} in {partition}")
    if parts[4] not in ("", account_id):
        raise refuse(
            "plan.other_account", f"belongs to account {parts[4]}, role {role} to {account_id}; ask for a role there"
        )
    if _too_wide(parts[2], parts[4], parts[5]):
        raise refuse("plan.resource_wildcard", "covers everything of its kind; name the bucket, table or function")


def _too_wide(service: str, account_id: str, resource: str) -> bool:
    """Say whether a wildcard takes the place of a name: of a bucket, or of all that follows the resource's type."""
    if "*" not in resource:
        return False
    segments = [segment for segment in re.split("[:/]", resource) if segment]
    if service == "s3" and not account_id:
        return "*" in segments[0]
    return "*" in segments[0] or segments[1].startswith("*")


def _check_ttl(ttl_seconds: int, caps: Caps) -> None:
    asked = timedelta(seconds=ttl_seconds)
    if not caps.min_ttl <= asked <= caps.max_ttl:
        detail = (
            f"{ttl_seconds} s is not a time that can be granted here; ask for {spell(caps.min_ttl)} to "
            f"{spell(caps.max_ttl)}, and again when more is needed"
        )
        raise Inadmissible(detail, field="ttl_seconds", rule="provider.ttl")


def check_size(planned: Plan, field: str = "access") -> None:
    """Refuse a plan whose session policy AWS would not take; `field` is what the person can change.

    Only what may be too long is rendered: most asks are far below, and rendering is half the cost of a plan.
    """
    most = _FRAME + sum(2 * len(entry) + 3 for entry in (*planned.actions, *planned.resources))
    if planned.by_command:
        return
    if most > SESSION_POLICY_LIMIT and (size := len(session_policy(planned, _SOME_END))) > SESSION_POLICY_LIMIT:
        detail = (
            f"the session policy for this would have {size} characters, AWS takes {SESSION_POLICY_LIMIT}; "
            "ask for fewer actions or resources at a time, or shorten resources by a common prefix and '*'"
        )
        raise Inadmissible(detail, field=field, rule="plan.policy_size")
