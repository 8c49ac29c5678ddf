"""Take the base role with room for Denies, where an alias has several, and make room on a full one.

A role holds 59 Denies (aws.md 4). What is live on it may all have to be ended at once, so live grants count as well.
Never is a role-wide Deny written here: it would end the sessions of others, and is a person's to write.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from approvers.grant import Grant, GrantState, Plan, collect_at
from approvers.upgrades import read
from workers.alerts import Alert
from workers.providers.port import Handle, NoRoom, Provider, ProviderError
from workers.stores import layout
from workers.stores.port import Commit, Records, Snapshot, transact
from workers.stores.rooms import ROOM
from workers.tools import Tools

PAGE, AT_ONCE = 1_000, 100
LISTED = 200
"""Grants of one role that are looked at when room is to be made: more than can hold a Deny there."""
NOW = "Until then its session lives to its TTL, unless a person ends every session of the role (docs/direct.md)."


@dataclass(frozen=True)
class Room:
    """Hold the base role that a grant is minted on; with `limits` in its claim's commit none is overbooked."""

    role_arn: str
    limits: Mapping[str, int]


async def roomiest(tools: Tools, plan: Plan, full: Collection[str] = ()) -> Room:
    """Return the base role for the next grant of this plan: the first with room for a Deny, else the one with the most.

    An alias with one role costs no look at the store. `full`: indexes whose last room another claim took meanwhile.
    """
    if len(plan.arns) == 1:
        return Room(plan.role_arn, {})
    taken: dict[str, int] = {}
    for arn in plan.arns:
        index = layout.room_of(arn)
        taken[arn] = len(await tools.store.records.members(index, limit=PAGE))
        if taken[arn] < ROOM and index not in full:
            return Room(arn, {index: ROOM})
    arn = min(taken, key=lambda one: taken[one])
    summary = (
        f"every base role of {plan.role} has {ROOM} grants or more that are live or ending ({taken[arn]} on the one "
        "taken now): more than can be ended at once. Add base roles (more_arns)"
    )
    await tell_full(tools, plan.on(arn), summary)
    return Room(arn, {})


def claims_room(claimed: Grant, room: Room) -> dict[str, Any]:
    """Return the part of a claim that counts the grant as one that may need a Deny, within the room's limits."""
    if not claimed.plan.ends_early or claimed.plan.provider != "aws":  # a dry run writes no Deny
        return {}
    return {"enter": {layout.room_of(room.role_arn): {claimed.id: claimed.opened_at}}, "limits": room.limits}


async def catch_up(records: Records) -> None:
    """Enter the grants that were claimed before there was an index of rooms; once is enough for a store."""
    for index in (layout.LIVE_INDEX, layout.DENIES):
        after: str | None = None
        while ids := await records.members(index, limit=AT_ONCE, after=after):
            await transact(records, [layout.grant_key(one) for one in ids], _entered)
            after = ids[-1]


def _entered(seen: Snapshot) -> tuple[Commit | None, None]:
    """Enter those that need room, as they are now: one that ends meanwhile is looked at again."""
    enter: defaultdict[str, dict[str, datetime]] = defaultdict(dict)
    expects = {}
    for key, record in seen.records.items():
        grant = read(Grant, record.json) if record.version else None
        if grant and layout.needs_room(grant):
            enter[layout.room_of(grant.plan.role_arn)][grant.id] = grant.opened_at
            expects[key] = record.version
    return (Commit(at=seen.now, enter=enter, expects=expects) if enter else None), None


async def end_within_room(tools: Tools, provider: Provider, handle: Handle) -> None:
    """End a grant at the provider; on a role that is full, collect first what is due, and try once more.

    Raises ProviderError. On a role that stays full on-call is told, and the grant is tried again until there is room.
    """
    try:
        return await tools.ask(handle.plan, provider.revoke, handle)
    except NoRoom as error:
        full = error
    try:
        if await make_room(tools, handle.plan):
            return await tools.ask(handle.plan, provider.revoke, handle)
    except NoRoom as error:
        full = error
    summary = (
        f"{handle.grant_id} is not ended: {full}. Nothing there may be collected yet; it is tried until there is room"
    )
    await tell_full(tools, handle.plan, f"{summary}. {NOW}")
    raise full


def handle_of(tools: Tools, grant: Grant) -> Handle:
    """Return the grant's handle, by the way to its account that the roster names today: its Deny must reach it."""
    roster, plan = tools.policies.roster, grant.plan
    account = roster.accounts.get(plan.account) if roster else None
    if account and account.id == plan.account_id and account.revoker != plan.revoker_arn:
        plan = plan.model_copy(update={"revoker_arn": account.revoker})
    return Handle(grant.id, plan, grant.ends_at, grant.expiration)


async def make_room(tools: Tools, plan: Plan) -> int:
    """Remove the Denies of the role that are no longer needed, ahead of their due time; returns how many went.

    Only what is past its `collect_at` goes: removed earlier, a Deny's end would revive a credential. Their own due
    items follow, find nothing to remove, and record it.
    """
    ids = await tools.store.records.members(layout.room_of(plan.role_arn), limit=LISTED)
    seen = await tools.store.records.read([layout.grant_key(one) for one in ids])
    grants = [read(Grant, record.json) for record in seen.records.values() if record.version]
    over = [
        one
        for one in grants
        if one.state is GrantState.REVOKED and one.deny_written and not one.collected_at and collect_at(one) <= seen.now
    ]
    gone = 0
    for one in over:
        try:
            await tools.ask(one.plan, tools.provider(one.plan.provider).collect, handle_of(tools, one))
        except ProviderError:
            break  # its own due item will say what is wrong
        gone += 1
    return gone


def label(plan: Plan) -> str:
    """Return the alias, and which of its base roles where it has several."""
    return plan.role if len(plan.arns) == 1 else f"{plan.role}/{plan.role_arn.rpartition('/')[2]}"


async def tell_full(tools: Tools, plan: Plan, summary: str) -> None:
    """Tell on-call that a role's room for Denies is used up; the sweep ends that alert under the same key."""
    at = await tools.store.records.now()
    alert = Alert(f"deny_full:{label(plan)}", "critical", summary, at, {"role": plan.role_arn})
    tools.lanes.aside(tools.alerts.send(alert))  # whoever mints or revokes does not wait for on-call's address
    await tools.store.records.commit(Commit(at=at, counts={"alerts:deny_full": 1}))
