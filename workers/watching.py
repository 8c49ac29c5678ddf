"""Look at what a grant's session does: read its calls, flag what it should not do, end it or ask, report at the end.

Each grant that is watched has a due member of its own, `activity:grt_…`, from its mint until some time after its end.
The log of an account lags by minutes, so that looks overlap; each call counts once. What cannot be read never ends a
grant: on-call hears of it. An end by monitoring is one commit, as a revocation is, and the proof comes the same way.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from approvers.activity import Activity
from approvers.activity_flags import Scope, looked, regions_of, watched_until
from approvers.grant import Grant, GrantState
from approvers.ids import request_of
from approvers.policy_models import Monitoring
from approvers.request import Request
from approvers.upgrades import read
from workers import watching_alerts as alerts
from workers.providers.port import Busy, Events, ProviderError, Refused, Watched
from workers.stores import layout
from workers.stores.port import Attempt, Commit, Fenced, Snapshot, transact
from workers.tools import Tools
from workers.watching_news import News, news, reported

FIRST_AFTER = timedelta(seconds=30)
EVERY = timedelta(seconds=60)
SOON = timedelta(seconds=15)
"""When a look that got no turn is tried again; twice as long each time, up to eight minutes."""
BEFORE = timedelta(minutes=10)
"""How far before its mint a session's calls are looked for: the clocks of store and cloud may be that far apart."""
TELL_AFTER = 3
"""So many readings in a row have to fail before on-call hears of it, unless the account refuses outright."""
LATE = timedelta(minutes=10)
"""A log that had no turn for us for so long counts as not read."""
GIVE_UP_AFTER = timedelta(hours=1)
"""How long after the last look was due a log that cannot be read is tried again."""


@dataclass(frozen=True)
class Seen:
    """What is stored about one watched grant, as of one moment."""

    grant: Grant
    activity: Activity
    request: Request
    now: datetime

    @property
    def last_look(self) -> datetime:
        """Return when the log was last read, or since when there was something to read."""
        return self.activity.looked_at or self.grant.minted_at or self.now


def first_look(tools: Tools, grant: Grant) -> dict[str, datetime]:
    """Return the due time that a mint's commit adds; nothing where what the grant's session does cannot be seen."""
    if tools.watched is None or grant.plan.provider != "aws" or grant.claimed_at is None:
        return {}
    return {layout.activity_key(grant.id): grant.claimed_at + FIRST_AFTER}


async def look(tools: Tools, attempt: Attempt) -> str:
    """Look once at what the grant of this due item does; returns some words for the log."""
    grant_id = attempt.member.partition(":")[2]
    keys = [layout.activity_key(grant_id), layout.grant_key(grant_id), layout.request_key(request_of(grant_id))]
    seen = parse(await tools.store.records.read(keys), grant_id)
    try:
        if seen is None or tools.watched is None or seen.activity.reported_at or seen.grant.access_key_id is None:
            return await _leave(tools, attempt, seen)
        if not await tools.store.due.hold(attempt, tools.lease):
            return "fenced"
        await tools.policies.refresh()
        return await _look(tools, attempt, seen, tools.watched, keys)
    except Fenced:
        return "fenced"


async def _leave(tools: Tools, attempt: Attempt, seen: Seen | None) -> str:
    """Drop what there is nothing to watch of; what another worker can read is left to it, for as long as it tries."""
    due: dict[str, datetime] = {}
    if seen and seen.activity.reported_at and seen.activity.owes:  # who said the last word died before its alert
        await alerts.tell(tools, alerts.Subject(seen.grant, seen.request, seen.activity, closing=True))
    elif seen and not seen.activity.reported_at and seen.now < (seen.grant.may_live_until or seen.now) + GIVE_UP_AFTER:
        due = {attempt.member: seen.now + EVERY}
    await tools.store.records.commit(Commit(at=await tools.store.records.now(), attempt=attempt, due=due))
    return "nothing to watch with" if due else "nothing to watch"


async def _look(tools: Tools, attempt: Attempt, seen: Seen, watched: Watched, keys: list[str]) -> str:
    home, lane = _home(tools, seen.grant, watched), tools.lanes.log_of(seen.grant.plan)
    regions = tuple(sorted({*home, *regions_of(seen.grant.plan, home)}))
    try:
        async with lane.turn(), asyncio.timeout(tools.lease.total_seconds() / 2):
            events = await lane.run(partial(_read, watched, seen, regions))
    except Busy as error:
        if seen.now - seen.last_look < LATE:
            return await _wait(tools, attempt, keys)
        return await _unread(tools, attempt, keys, str(error), refused=False)
    except ProviderError as error:
        return await _unread(tools, attempt, keys, str(error), refused=isinstance(error, Refused))
    except TimeoutError:
        return await _unread(tools, attempt, keys, "the log of calls does not answer", refused=False)
    word, after = await transact(
        tools.store.records, keys, partial(_noted, tools, attempt, events, home), chains=[seen.request.id]
    )  # fmt: skip
    if seen.activity.failures:
        await alerts.readable(tools, seen.grant)
    if after:
        await alerts.tell(tools, after)
    return word


def _read(watched: Watched, seen: Seen, regions: tuple[str, ...]) -> Events:
    since = seen.activity.read_from or (seen.grant.minted_at or seen.now) - BEFORE
    return watched.events(seen.grant.plan, since=since, key=seen.grant.access_key_id or "", regions=regions)


def _noted(
    tools: Tools, attempt: Attempt, events: Events, home: tuple[str, ...], now: Snapshot
) -> tuple[Commit | None, tuple[str, alerts.Subject | None]]:
    """Return the commit of a look that read the log, and what on-call has to hear once it is made."""
    seen = parse(now, attempt.member.partition(":")[2])
    assert seen is not None  # records are never taken away
    rules = tools.policies.current.policy.monitoring
    activity = looked(
        seen.activity, events.calls, Scope.of(seen.grant, home), at=seen.now, whole=events.whole
    )  # fmt: skip
    last = _last(seen, rules)
    if last and seen.now >= last:
        told = reported(now, seen.grant, activity)
    else:
        told = news(now, seen.grant, seen.request, activity, rules)
    due = {attempt.member: _next(seen.now, last)}
    if told.activity.reported_at:  # looked at once more only to see that on-call was told
        due = {attempt.member: seen.now + EVERY} if told.activity.owes else {}
    commit = _commit(now, told, attempt=attempt, due=due)
    subject = alerts.Subject(told.grant, seen.request, told.activity, closing=bool(told.activity.reported_at))
    return commit, (told.word, subject)


async def _wait(tools: Tools, attempt: Attempt, keys: list[str]) -> str:
    """Come again when there may be a turn: the more sessions are watched in an account, the less often each is."""

    def step(now: Snapshot) -> tuple[Commit | None, str]:
        seen = parse(now, attempt.member.partition(":")[2])
        assert seen is not None
        activity = seen.activity.model_copy(update={"waits": seen.activity.waits + 1})
        part = layout.put(attempt.member, now.records[attempt.member].version, activity.model_dump_json())
        due = {attempt.member: seen.now + SOON * 2 ** min(seen.activity.waits, 5)}
        return layout.commit(seen.now, part, attempt=attempt, due=due), "no turn yet"

    return await transact(tools.store.records, keys, step)


async def _unread(tools: Tools, attempt: Attempt, keys: list[str], why: str, *, refused: bool) -> str:
    """Note that the log could not be read, tell on-call, and come again; long after the end, say so and leave it."""
    rules = tools.policies.current.policy.monitoring

    def step(now: Snapshot) -> tuple[Commit | None, Seen | None]:
        seen = parse(now, attempt.member.partition(":")[2])
        if seen is None:
            return Commit(at=now.now, attempt=attempt), None
        failed = {"failures": seen.activity.failures + 1, "unread_since": seen.activity.unread_since or seen.now}
        activity = seen.activity.model_copy(update=failed)
        last = _last(seen, rules)
        if last and seen.now >= last + GIVE_UP_AFTER:
            told = reported(now, seen.grant, activity)
            return _commit(now, told, attempt=attempt), Seen(told.grant, told.activity, seen.request, seen.now)
        part = layout.put(attempt.member, now.records[attempt.member].version, activity.model_dump_json())
        due = {attempt.member: seen.now + EVERY * min(activity.failures, 5)}
        return layout.commit(seen.now, part, attempt=attempt, due=due), Seen(
            seen.grant, activity, seen.request, seen.now
        )

    after = await transact(tools.store.records, keys, step, chains=[request_of(attempt.member.partition(":")[2])])
    if after and after.activity.reported_at:
        await alerts.readable(tools, after.grant, "could not be read and is not asked for any more")
    elif after and (refused or after.activity.failures >= TELL_AFTER):
        await alerts.unreadable(tools, after.grant, why)
    return f"not read: {why}"


def _commit(now: Snapshot, told: News, **fields: Any) -> Commit:
    heads = now.heads if any("drafts" in part for part in told.parts) else {}
    return layout.commit(now.now, *told.parts, heads=heads, **fields)


def parse(seen: Snapshot, grant_id: str) -> Seen | None:
    """Return what is stored; None where there is no such grant."""
    grant, record = seen.records[layout.grant_key(grant_id)], seen.records[layout.activity_key(grant_id)]
    if not grant.version:
        return None
    activity = Activity.model_validate_json(record.json) if record.version else Activity(grant_id=grant_id)
    request = read(Request, seen.records[layout.request_key(request_of(grant_id))].json)
    return Seen(read(Grant, grant.json), activity, request, seen.now)


def _last(seen: Seen, rules: Monitoring) -> datetime | None:
    """Return when the last look is; None while the grant has not ended."""
    if seen.grant.state is not GrantState.REVOKED or seen.grant.proof is None:
        return None
    return watched_until(seen.grant.proof.at, rules)


def _next(now: datetime, last: datetime | None) -> datetime:
    return now + EVERY if last is None or now + EVERY < last else last


def _home(tools: Tools, grant: Grant, watched: Watched) -> tuple[str, ...]:
    """Return the regions of the grant's account, as the roster has them; without any, the worker's own."""
    roster = tools.policies.roster
    account = roster.accounts.get(grant.plan.account) if roster else None
    return (account.regions if account else ()) or (watched.region,)
