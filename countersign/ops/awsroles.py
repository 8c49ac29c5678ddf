"""Try base roles for `countersign doctor --aws`: those of the applied roster, or one by its ARN and without a store."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from approvers.errors import CountersignError
from approvers.grant import Plan
from approvers.roster_models import ARN
from countersign.ops.connect import REDIS_URL, NoStore, open_store, settings_of
from countersign.ops.findings import Finding
from workers.clock.reconcile import base_plans
from workers.config import ConfigurationError, load
from workers.policies import Policies, Rulebook
from workers.providers.plans import AWS_CAPS
from workers.settings import Settings, is_loopback
from workers.stores.port import StoreError
from workers.wiring import aws_access

NOWHERE = "redis://127.0.0.1:1/0"
"""In place of the store's address where no store is looked into."""


@dataclass(frozen=True)
class Wanted:
    """Which roles: one alias with all its ARNs, every one, or an ARN that no roster names (with what it needs)."""

    role: str | None = None
    every: bool = False
    arn: str | None = None
    external_id: str | None = None
    revoker_arn: str | None = None


class NoRole(CountersignError):
    """No base role is named, or none of that name is known; the text says what to do."""

    code = "no_role"


async def examine(state: Path | None, environ: Mapping[str, str], wanted: Wanted) -> list[Finding]:
    """Return every finding about the roles; it takes some seconds for each, and several are tried at once."""
    try:
        _check(wanted)
        if wanted.arn is not None:
            settings = load({REDIS_URL: NOWHERE, **environ}) if state is None else settings_of(state, environ)
            plans, longest = [_plan_of(wanted)], AWS_CAPS.max_ttl
        else:
            settings = settings_of(state, environ)
            async with open_store(settings) as store:
                policies = Policies(store.records, store.signals)
                await policies.refresh()
                plans, longest = _plans(policies.current, wanted), _longest(policies.current)
    except (CountersignError, NoStore, StoreError, ConfigurationError) as error:
        return [Finding("fail", "aws", str(error))]
    return await asyncio.to_thread(_tried, settings, plans, longest)


def _check(wanted: Wanted) -> None:
    if sum((wanted.role is not None, wanted.every, wanted.arn is not None)) != 1:
        raise NoRole(
            "name one: `doctor --aws ROLE` (its alias), `doctor --aws --all`, or `doctor --aws --role-arn ARN`"
        )
    if wanted.arn is not None and not ARN.fullmatch(wanted.arn):
        raise NoRole(f"--role-arn {wanted.arn!r} is no role's ARN; write arn:aws:iam::123456789012:role/NAME")


def _plan_of(wanted: Wanted) -> Plan:
    arn = str(wanted.arn)
    return Plan(
        provider="aws",
        role=arn.rpartition("/")[2],
        role_arn=arn,
        external_id=wanted.external_id,
        account=arn.split(":")[4],
        account_id=arn.split(":")[4],
        environment="unknown",
        revoker_arn=wanted.revoker_arn,
        actions=(),
        resources=(),
        ttl_seconds=900,
    )


def _plans(book: Rulebook, wanted: Wanted) -> list[Plan]:
    plans = base_plans(book.roster)
    found = [plan for plan in plans if wanted.every or plan.role == wanted.role]
    if not found:
        known = ", ".join(dict.fromkeys(plan.role for plan in plans)) or "none is applied"
        raise NoRole(f"no base role is called {wanted.role!r} here; known: {known}")
    return found


def _longest(book: Rulebook) -> timedelta:
    """Return the longest TTL that policy lets anybody have, and the provider can give."""
    return min(max(book.policy.limits.ttl_max.values(), default=AWS_CAPS.max_ttl), AWS_CAPS.max_ttl)


def _tried(settings: Settings, plans: list[Plan], longest: timedelta) -> list[Finding]:
    from countersign.ops import escapes  # noqa: PLC0415 loads the SDK: only where AWS is tried

    local = is_loopback(urlsplit(settings.aws_endpoint_url or "").hostname or "")
    found = escapes.examine(aws_access(settings), plans, longest, local=local)
    unsaid = sum(one.verdict == "unknown" for one in found)
    if unsaid:
        where = "a local AWS cannot answer everything" if local else "try again, and look at what each one says"
        found.append(Finding("unknown", "not confirmed", f"{unsaid} of {len(found)} lines have no answer", where))
    return found
