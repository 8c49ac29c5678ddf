"""Compare what should stand at AWS with what stands there, once a minute: Denies without a grant, grants without Deny.

It is an item of the due set like any other, carried out by a worker, because only workers hold AWS rights.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from approvers.grant import Grant, GrantState, Plan, collect_at
from approvers.roster import Role, Roster
from approvers.upgrades import read
from workers import logs
from workers.alerts import Alert
from workers.providers.port import Handle, Provider, ProviderError
from workers.stores import layout
from workers.stores.port import Attempt, Commit
from workers.tools import Tools

EVERY = timedelta(minutes=1)
DENY_BUDGET_ALERT = 45
"""A role holds 59 Denies (aws.md 4: 10,240 characters at 172 each); on-call hears of it while there is still room."""
PAGE = 1_000
_log = logs.get_logger(__name__)


async def sweep(tools: Tools, attempt: Attempt) -> str:
    """Look at every role once, repair what is missing, tell what is strange, and be due again in a minute."""
    await tools.policies.refresh()
    found = 0
    provider = tools.providers.get("aws")
    if provider and (roster := tools.policies.roster):
        for role in roster.roles.values():
            try:
                found += await _sweep_role(tools, provider, probe_plan(role, roster))
            except ProviderError as error:  # one broken account does not hold up the others
                await _tell(tools, "sweep_failed", role.name, f"The role {role.name} could not be looked at: {error}")
    now = await tools.store.records.now()
    await tools.store.records.commit(Commit(at=now, attempt=attempt, due={layout.SWEEP: now + EVERY}))
    return f"{found} Denies in place"


def probe_plan(role: Role, roster: Roster) -> Plan:
    """Return a plan that names the role and asks for nothing."""
    account = roster.accounts[role.account]
    return Plan(
        provider="aws",
        role=role.name,
        role_arn=role.arn,
        external_id=role.external_id,
        account=account.name,
        account_id=account.id,
        environment=account.environment,
        actions=(),
        resources=(),
        ttl_seconds=900,
    )


async def _sweep_role(tools: Tools, provider: Provider, plan: Plan) -> int:
    standing = set(await asyncio.to_thread(provider.leftovers, plan))
    if len(standing) >= DENY_BUDGET_ALERT:
        summary = f"{plan.role} holds {len(standing)} of about 59 Denies; early revokes will soon be refused"
        await _tell(tools, "deny_budget", plan.role, summary)
    wanted = await _wanted(tools, plan)
    for grant_id in sorted(set(wanted) - standing):
        await _put_back(tools, provider, wanted[grant_id])
    for grant_id in sorted(standing - set(wanted)):
        await _look_at_stray(tools, provider, grant_id)
    return len(standing)


async def _wanted(tools: Tools, plan: Plan) -> dict[str, Grant]:
    """Return the grants of the role whose Deny must stand now."""
    ids = await tools.store.records.members(layout.DENIES, limit=PAGE)
    seen = await tools.store.records.read([layout.grant_key(one) for one in ids])
    grants = [read(Grant, record.json) for record in seen.records.values() if record.version]
    return {one.id: one for one in grants if one.plan.role_arn == plan.role_arn and one.collected_at is None}


async def _put_back(tools: Tools, provider: Provider, grant: Grant) -> None:
    """Write a Deny again that somebody removed while a session of the grant may still be alive."""
    if await tools.store.records.now() >= collect_at(grant):
        return
    await asyncio.to_thread(provider.revoke, Handle(grant.id, grant.plan, grant.ends_at, grant.expiration))
    await tools.alert("deny_missing", grant, f"The Deny of {grant.id} was gone and has been put back", "critical")


async def _look_at_stray(tools: Tools, provider: Provider, grant_id: str) -> None:
    """Handle a Deny that no record asks for: collect it if its grant is over, else keep it and tell."""
    record = (await tools.store.records.read([layout.grant_key(grant_id)])).records[layout.grant_key(grant_id)]
    if not record.version:
        await _tell(tools, "orphan_deny", grant_id, f"A Deny for {grant_id} stands at AWS, but no such grant is known")
        return
    grant = read(Grant, record.json)
    over = grant.state is GrantState.REVOKED and grant.collected_at is not None
    if over and await tools.store.records.now() >= collect_at(grant):
        await asyncio.to_thread(provider.collect, Handle(grant.id, grant.plan, grant.ends_at, grant.expiration))
    # Otherwise an attempt wrote it and has not committed yet: the due item of that grant goes on from there.


async def _tell(tools: Tools, kind: str, key: str, summary: str) -> None:
    at = await tools.store.records.now()
    _log.warning("sweep.found", kind=kind, subject=key)
    await tools.alerts.send(Alert(f"{kind}:{key}", "warning", summary, at))
    await tools.store.records.commit(Commit(at=at, counts={f"alerts:{kind}": 1}))
