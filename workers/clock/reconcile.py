"""Compare what should stand at AWS with what stands there, once a minute, on every base role of every alias.

It is an item of the due set like any other, carried out by a worker, because only workers hold AWS rights. Accounts are
looked at side by side: one that hangs or is broken holds up no other, and is told.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from approvers.grant import Grant, Plan
from approvers.roster import Role, Roster
from approvers.upgrades import read
from workers.clock.alarms import Alarms
from workers.clock.findings import Base, settle_role
from workers.providers.port import Looked, ProviderError
from workers.rooms import catch_up, label
from workers.stores import layout
from workers.stores.port import Attempt, Commit
from workers.stores.rooms import RoomSeen, RoomsSeen, rooms_seen
from workers.tools import Tools

EVERY = timedelta(minutes=1)
TEXTS = 6
"""Denies of a role whose text is compared in one sweep: each of 59 within ten minutes, and few calls of IAM."""
PAGE, PAGES = 1_000, 100
SHARE = 0.6
"""Of the lease: what is not looked at by then is told as not looked at, and the item is done in time."""
Held = Mapping[str, Mapping[str, Grant]]


async def sweep(tools: Tools, attempt: Attempt) -> str:
    """Look at every base role once, repair what is missing, tell what is strange, and be due again in a minute."""
    await tools.policies.refresh()
    roster = tools.policies.roster
    if roster is None or not isinstance(tools.providers.get("aws"), Looked):  # what others saw stays as it is
        return await come_again(tools, attempt, EVERY)
    before, record = await rooms_seen(tools.store.records)
    if not before.indexed:
        await catch_up(tools.store.records)
    alarms, plans = Alarms(tools, before.alarms), base_plans(roster)
    seen = await _look_at_all(tools, plans, alarms) if plans else {}
    gone = {one.role_arn for one in before.alarms} - {plan.role_arn for plan in plans}
    after = RoomsSeen(roles=seen, alarms=await alarms.settle({*seen, *gone}), indexed=True)
    now = await tools.store.records.now()
    commit = layout.commit(
        now,
        layout.put(layout.ROOMS, record.version, after.model_dump_json()),
        attempt=attempt,
        due={layout.SWEEP: now + EVERY},
        counts=dict(alarms.counts),
    )
    await tools.store.records.commit(commit)
    return f"{sum(one.denies for one in seen.values())} Denies in place"


async def come_again(tools: Tools, attempt: Attempt, every: timedelta) -> str:
    """Be due again, for a worker that can: this one has nothing to look with."""
    now = await tools.store.records.now()
    await tools.store.records.commit(Commit(at=now, attempt=attempt, due={attempt.member: now + every}))
    return "nothing to look with"


def base_plans(roster: Roster) -> list[Plan]:
    """Return a plan for each base role of each AWS alias, which names it and asks for nothing."""
    plans = [probe_plan(role, roster) for role in roster.roles.values() if not role.by_command]
    return [plan.on(arn) for plan in plans for arn in plan.arns]


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
        more_arns=role.more_arns,
        revoker_arn=account.revoker,
        actions=(),
        resources=(),
        ttl_seconds=900,
    )


async def _look_at_all(tools: Tools, plans: Sequence[Plan], alarms: Alarms) -> dict[str, RoomSeen]:
    """Look at the accounts side by side; returns what was seen, by ARN."""
    held = await _held(tools)
    accounts: defaultdict[str, list[Plan]] = defaultdict(list)
    for plan in plans:
        accounts[plan.account_id].append(plan)
    seen: dict[str, RoomSeen] = {}
    looks = [_look_at_account(tools, of, held, alarms, seen) for of in accounts.values()]
    for problem in await asyncio.gather(*looks, return_exceptions=True):
        if problem is not None:
            raise problem  # the store is gone, or we are stopped: the item comes back with its lease
    return seen


async def _look_at_account(
    tools: Tools, plans: Sequence[Plan], held: Held, alarms: Alarms, seen: dict[str, RoomSeen]
) -> None:  # fmt: skip
    """Look at the roles of one account, one after the other; tell which could not be looked at."""
    open_, why = list(plans), "AWS did not answer in time"
    try:
        async with asyncio.timeout((tools.lease * SHARE).total_seconds()):
            while open_:
                try:
                    found = await _look_at(tools, open_[0], held.get(open_[0].role_arn, {}), alarms)
                    seen[found.plan.role_arn] = found.seen
                except ProviderError as error:
                    await _failed(alarms, open_[0], str(error))
                open_.pop(0)
    except TimeoutError:
        for plan in open_:
            await _failed(alarms, plan, why)


async def _look_at(tools: Tools, plan: Plan, held: Mapping[str, Grant], alarms: Alarms) -> Base:
    provider, now = tools.provider("aws"), await tools.store.records.now()
    assert isinstance(provider, Looked)
    look = await tools.ask(plan, provider.look, plan, _in_turn(sorted(held), now))
    needed = await tools.store.records.members(layout.room_of(plan.role_arn), limit=PAGE)
    seen = RoomSeen(
        role=plan.role, denies=len(look.denies), needed=len(needed), everyone=look.everyone, seen_at=now
    )  # fmt: skip
    base = Base(plan, look, seen, held)
    await settle_role(tools, base, alarms)
    return base


async def _failed(alarms: Alarms, plan: Plan, why: str) -> None:
    summary = f"The base role {plan.role_arn} could not be looked at: {why}"
    await alarms.tell("sweep_failed", label(plan), plan.role_arn, summary)


async def _held(tools: Tools) -> Held:
    """Return the grants whose Deny must stand now, by base role and id."""
    found: defaultdict[str, dict[str, Grant]] = defaultdict(dict)
    after: str | None = None
    for _ in range(PAGES):
        ids = await tools.store.records.members(layout.DENIES, limit=PAGE, after=after)
        if not ids:
            break
        seen = await tools.store.records.read([layout.grant_key(one) for one in ids])
        for grant in [read(Grant, record.json) for record in seen.records.values() if record.version]:
            if grant.collected_at is None and grant.plan.provider == "aws":  # a dry run has none
                found[grant.plan.role_arn][grant.id] = grant
        after = ids[-1]
    return found


def _in_turn(ids: Sequence[str], now: datetime) -> list[str]:
    """Return a few of the ids, others with every sweep, so that each has its turn."""
    if len(ids) <= TEXTS:
        return list(ids)
    start = int(now.timestamp() // EVERY.total_seconds()) * TEXTS
    return [ids[(start + step) % len(ids)] for step in range(TEXTS)]
