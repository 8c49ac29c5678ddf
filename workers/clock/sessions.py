"""Look for sessions of base roles that no grant explains: taken with the minter's keys, but not by the worker.

An account's log says who took a role and under what name. Every session of ours is named after a grant that was
claimed before AWS was called, or is a control of a proof; anything else is somebody else's. The log lags by minutes, so
that looks overlap, and each taking is told once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Literal

from pydantic import BaseModel, ConfigDict

from approvers.activity import Call
from approvers.grant import Grant, Plan
from approvers.times import Moment
from approvers.upgrades import read
from workers.alerts import Severity
from workers.clock.alarms import Alarms
from workers.clock.findings import DOCTOR
from workers.clock.reconcile import base_plans, come_again
from workers.providers.port import Events, ProviderError, Watched
from workers.stores import layout
from workers.stores.port import Attempt
from workers.stores.rooms import Alarm
from workers.tools import Tools

EVERY = timedelta(minutes=5)
OVERLAP = timedelta(minutes=20)
"""CloudTrail is typically five minutes late, and promises nothing (aws.md 13)."""
LATEST = timedelta(minutes=20)
"""How long after its claim a grant may be minted, and after its proof be asked about, at the very latest.

The longest lease, and clocks that differ; whoever comes later uses the name of a grant that was.
"""
SHARE = 0.6
REMEMBERED = 500
OURS = re.compile(r"grant-(?:probe-)?(grt_[0-9A-Z]{26})|grant-control-[0-9a-z-]+")
TRIED_BY_DOCTOR = ("countersign-doctor", "grant-countersign-doctor")
"""Names of sessions that `countersign doctor --aws` asks for, which nothing should give it."""


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AccountSeen(_Value):
    """Since when an account is looked at, and until when it was."""

    first: Moment
    last: Moment


class SessionsSeen(_Value):
    """What the last look left: how far each account was read, the events told of, and the alarms that stand."""

    v: Literal[1] = 1
    accounts: dict[str, AccountSeen] = {}
    told: tuple[str, ...] = ()
    alarms: tuple[Alarm, ...] = ()


async def sweep_sessions(tools: Tools, attempt: Attempt) -> str:
    """Look at every account's takings of base roles, tell what no grant explains, and be due again in five minutes."""
    await tools.policies.refresh()
    if tools.watched is None or tools.policies.roster is None:
        return await come_again(tools, attempt, EVERY)
    record = (await tools.store.records.read([layout.SESSIONS])).records[layout.SESSIONS]
    before = SessionsSeen.model_validate_json(record.json) if record.version else SessionsSeen()
    alarms, roster = Alarms(tools, before.alarms), tools.policies.roster
    accounts: dict[str, list[Plan]] = {}
    for plan in base_plans(roster):
        accounts.setdefault(plan.account_id, []).append(plan)
    regions = {one.id: one.regions for one in roster.accounts.values()}
    looks = [
        _look_at(tools, plans, regions.get(account, ()), before, alarms) for account, plans in accounts.items()
    ]  # fmt: skip
    found = [one for one in await asyncio.gather(*looks) if one is not None]
    seen, told = {account: how for account, how, _ in found}, [event for _, _, events in found for event in events]
    looked_at = {plan.role_arn for account in seen for plan in accounts[account]}
    gone = {one.role_arn for one in before.alarms} - {plan.role_arn for plans in accounts.values() for plan in plans}
    after = SessionsSeen(
        accounts={**{one: how for one, how in before.accounts.items() if one in accounts}, **seen},
        told=(*before.told, *told)[-REMEMBERED:],
        alarms=await alarms.settle({*looked_at, *gone}),
    )
    now = await tools.store.records.now()
    part = layout.put(layout.SESSIONS, record.version, after.model_dump_json())
    due = {layout.SESSION_SWEEP: now + EVERY}
    await tools.store.records.commit(layout.commit(now, part, attempt=attempt, due=due, counts=dict(alarms.counts)))
    return f"{len(told)} sessions that no grant explains"


async def _look_at(
    tools: Tools, plans: Sequence[Plan], regions: Sequence[str], before: SessionsSeen, alarms: Alarms
) -> tuple[str, AccountSeen, list[str]] | None:
    """Look at one account; None where it could not be read: then the next look begins where this did.

    What was too much to read is not read again: there would be more of it each time.
    """
    account, now, watched = plans[0].account_id, await tools.store.records.now(), tools.watched
    assert watched is not None
    seen = before.accounts.get(account, AccountSeen(first=now, last=now))
    try:
        async with asyncio.timeout((tools.lease * SHARE).total_seconds()):
            since = max(seen.first, seen.last - OVERLAP)
            events = await tools.lanes.log_of(plans[0]).run(partial(_read, watched, plans[0], since, regions))
    except (ProviderError, TimeoutError) as error:
        why = str(error) or "it did not answer in time"
        await alarms.tell("sessions_unread", account, plans[0].role_arn, _unread(account, why))
        return (account, seen, []) if account not in before.accounts else None
    strange = await _strange(tools, events.calls, {plan.role_arn for plan in plans}, before.told)
    for call, role_arn, why, severity in strange:
        await alarms.tell("unknown_session", call.opens or call.id, role_arn, why, severity, once=True)
    if not events.whole:
        await alarms.tell(
            "sessions_unread", account, plans[0].role_arn, _unread(account, "there were too many entries")
        )
    return account, AccountSeen(first=seen.first, last=now), [call.id for call, *_ in strange]


def _read(watched: Watched, plan: Plan, since: Moment, regions: Sequence[str]) -> Events:
    return watched.events(plan, since=since, name="AssumeRole", regions=regions)


def _unread(account: str, why: str) -> str:
    return f"Who took base roles of account {account} cannot be read whole, so strangers there would not be seen: {why}"


async def _strange(
    tools: Tools, calls: Sequence[Call], roles: Collection[str], told: Collection[str]
) -> list[tuple[Call, str, str, Severity]]:
    """Return the takings of our base roles that no grant explains, with the words and how bad it is."""
    taken = [
        (call, arn)
        for call in calls
        if not call.error and call.id not in told
        for arn in call.resources
        if arn in roles
    ]
    named = {call.opens: OURS.fullmatch(call.opens) for call, _ in taken}
    ids = sorted({match[1] for match in named.values() if match and match[1]})
    seen = await tools.store.records.read([layout.grant_key(one) for one in ids]) if ids else None
    records = seen.records if seen else {}
    grants = {one: read(Grant, records[key].json) for one in ids if records[key := layout.grant_key(one)].version}
    found = [(call, arn, *_judged(call, named[call.opens], arn, grants)) for call, arn in taken]
    return [(call, arn, why, severity) for call, arn, why, severity in found if why]


def _judged(call: Call, name: re.Match[str] | None, arn: str, grants: Mapping[str, Grant]) -> tuple[str, Severity]:
    """Say what is wrong with a taking; nothing where a grant explains it, or it is a control."""
    where = f"{arn} was taken as {call.opens or 'nobody'} from {call.address} at {call.at:%H:%M:%S} UTC"
    if call.opens in TRIED_BY_DOCTOR or (name and (name[1] or "").startswith(DOCTOR)):
        return f"{where}, as `countersign doctor` does; if nobody ran that, it is a stranger", "info"
    if name is None:
        return f"{where}: no session of ours has such a name", "critical"
    if not (grant_id := name[1]):
        return "", "info"
    if grant_id not in grants:
        return f"{where}, but no such grant is known", "critical"
    grant, asked = grants[grant_id], "probe" in call.opens
    if grant.claimed_at is None:
        return f"{where}, but {grant_id} was never claimed for a mint", "critical"
    over = grant.claimed_at if not asked else grant.proof.at if grant.proof else None
    if over and call.at > over + LATEST:
        what = "proof" if asked else "mint"
        return f"{where}, but the {what} of {grant_id} had been over since {over:%d %b %H:%M} UTC", "critical"
    return "", "info"
