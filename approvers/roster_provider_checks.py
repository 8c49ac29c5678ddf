"""Find what does not fit together in what executables mint: their providers, and the roles of these."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from approvers.action import MAX_TTL_SECONDS
from approvers.faults import Fault, nearest
from approvers.grant import BUILT_IN
from approvers.roster_models import ARN_PATTERN, Provider, Role, Roster

RESOURCE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/@*-]*")
"""Names that an executable is given: nothing that a shell, SQL or a path reads otherwise."""


def provider_faults(roster: Roster) -> Iterator[Fault]:
    """Yield the mistakes of the `[provider.NAME]` sections."""
    for provider in roster.providers.values():
        yield from _check_provider(provider, roster)


def role_faults(role: Role, roster: Roster) -> Iterator[Fault]:
    """Yield what a role has too much or too little of for its provider."""
    place = f"role.{role.name}"
    if role.provider not in BUILT_IN and role.provider not in roster.providers:
        remedy = nearest(role.provider, ("aws", *roster.providers), otherwise=f"add [provider.{role.provider}]")
        yield Fault(f"{place}.provider", f"there is no provider {role.provider!r}", remedy)
    if not role.by_command:
        yield from _check_aws(role, place)
        return
    for key in ("account", "arn", "external_id", "more_arns"):
        if getattr(role, key):
            yield Fault(f"{place}.{key}", f"provider {role.provider!r} has none", "remove it, or the role's provider")
    if not role.resources:
        remedy = 'name the patterns of what it may be for, such as resources = ["orders/public.*"]'
        yield Fault(f"{place}.resources", "is missing: nothing else bounds what executables are asked for", remedy)
    for index, pattern in enumerate(role.resources):
        if not RESOURCE.fullmatch(pattern):
            yield Fault(f"{place}.resources[{index}]", f"{pattern!r} is not a pattern of names",
                        "begin with a letter or digit, go on with those and _ . : / @ - *")  # fmt: skip


def _check_aws(role: Role, place: str) -> Iterator[Fault]:
    if role.provider == "dry_run":
        yield Fault(f"{place}.provider", "a dry run is asked for, not configured", "remove it: it is an AWS role")
    for key in ("account", "arn"):
        if not getattr(role, key):
            yield Fault(f"{place}.{key}", "is missing", "add it, or the `provider` of a role that is not AWS's")
    for index, pattern in enumerate(role.resources):
        if not ARN_PATTERN.fullmatch(pattern):
            yield Fault(f"{place}.resources[{index}]", f"{pattern!r} is not an ARN's pattern",
                        "write it like 'arn:aws:s3:::bucket/*'")  # fmt: skip


def _check_provider(provider: Provider, roster: Roster) -> Iterator[Fault]:
    place = f"provider.{provider.name}"
    if provider.name in BUILT_IN:
        yield Fault(place, f"{provider.name} is built in", "choose another name; built-in providers need no section")
    if provider.name in roster.accounts:
        yield Fault(place, f"[account.{provider.name}] has the same name", "choose another: rules name both alike")
    if not provider.ends_early and not provider.ends_itself:
        yield Fault(place, "nothing would end a credential, at its time or before",
                    "write ends_early = true if `revoke` ends it, ends_itself = true if its clock does")  # fmt: skip
    longest = timedelta(seconds=MAX_TTL_SECONDS)
    if not timedelta(seconds=1) <= provider.min_ttl <= provider.max_ttl <= longest:
        yield Fault(f"{place}.max_ttl", f"{provider.min_ttl} to {provider.max_ttl} is no time that can be granted",
                    "write 1s to 12h, the smaller one as min_ttl")  # fmt: skip
