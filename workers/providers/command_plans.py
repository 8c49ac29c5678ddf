"""Plan what a folder of executables will mint: what is asked against the role, and what the provider promises. Pure."""

from __future__ import annotations

import re

from approvers.action import Access
from approvers.errors import Inadmissible
from approvers.grant import Plan
from approvers.patterns import Patterns
from approvers.quick import made
from approvers.roster_models import Provider, Role
from approvers.roster_provider_checks import RESOURCE
from workers.providers.fitting import check_within
from workers.providers.port import Caps

LONGEST_RESOURCE = 512
_ACTION = re.compile(r"[a-z0-9-]{1,40}:[A-Za-z0-9]{1,80}")


def check_provider(access: Access, role: Role) -> None:
    """Refuse an ask for another provider than the role's: the digest would bind a name that mints nothing."""
    fits = access.provider == role.provider or (access.provider == "dry_run" and not role.by_command)
    if not fits:
        detail = f"role {role.name} is of provider {role.provider}, not {access.provider}; write {role.provider!r}"
        raise Inadmissible(detail, field="access.provider", rule="plan.other_provider")


def caps_of(provider: Provider) -> Caps:
    """Return what a provider's section promises."""
    return Caps(
        min_ttl=provider.min_ttl,
        max_ttl=provider.max_ttl,
        early_revoke="per_grant" if provider.ends_early else "none",
        typical_lag=provider.lag,
        native_ttl=provider.ends_itself,
    )


def command_plan(access: Access, role: Role, provider: Provider, ttl_seconds: int) -> Plan:
    """Return what will be minted for this ask; its time is checked already.

    Raises:
        Inadmissible: with the field, the rule, and what to change.
    """
    for number, name in enumerate(access.actions):
        _check_action(name, f"access.actions[{number}]", role)
    for number, resource in enumerate(access.resources):
        _check_resource(resource, f"access.resources[{number}]")
    check_within(access.resources, role)
    return made(
        Plan,
        provider=role.provider,
        role=role.name,
        role_arn=role.target,
        external_id=None,
        account=role.provider,
        account_id="",
        environment=provider.environment,
        ends_early=provider.ends_early,
        ends_itself=provider.ends_itself,
        lag_seconds=int(provider.lag.total_seconds()),
        more_arns=(),
        revoker_arn=None,
        actions=access.actions,
        resources=access.resources,
        ttl_seconds=ttl_seconds,
    )


def _check_action(name: str, field: str, role: Role) -> None:
    if not _ACTION.fullmatch(name):
        detail = f"{name!r} is not an action of an executable; write kind:word, such as db:select"
        raise Inadmissible(detail, field=field, rule="plan.action_form")
    if not Patterns(pattern.lower() for pattern in role.ceiling).covers(name.lower()):
        detail = (
            f"{name} is outside what role {role.name} may ever do ({', '.join(role.ceiling)}); "
            "ask for another role, or have an operator raise this role's ceiling"
        )
        raise Inadmissible(detail, field=field, rule=f"role.{role.name}.ceiling")


def _check_resource(resource: str, field: str) -> None:
    if not RESOURCE.fullmatch(resource) or len(resource) > LONGEST_RESOURCE:
        detail = f"{resource!r} has characters that a command could read otherwise; use letters, digits and _ . : / @ -"
        raise Inadmissible(detail, field=field, rule="plan.resource_form")
    if "*" in resource[:-1]:
        raise Inadmissible(f"{resource!r} may have a '*' at its end only", field=field, rule="plan.resource_wildcard")
