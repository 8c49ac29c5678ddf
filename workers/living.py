"""Look after an ACTIVE grant: end it when its caller is not there, warn of its end, note what goes on with its work.

One due time says when to look (`approvers.lifetime.next_look`); what is done then is decided in the commit itself, by
the store's time and by the last heartbeat that it holds. Whoever came too early re-arms the due time. What a caller did
not say while no web process could hear it is not held against it.
"""

from __future__ import annotations

from approvers import lifetime
from approvers.audit import Draft
from approvers.grant import Grant, GrantState, facts
from approvers.ids import request_of
from approvers.request import Request
from approvers.upgrades import read
from workers.stores import layout
from workers.stores.port import Attempt, Commit, Snapshot, transact
from workers.tools import NOTHING_BESIDE, WORKER, Beside, Tools, told


async def look(tools: Tools, attempt: Attempt) -> str:
    """Do what has come to an ACTIVE grant by now: end it, or warn of its end; where nothing has, look again later."""
    key, grant_id = attempt.member, attempt.member.partition(":")[2]
    request_id = request_of(grant_id)
    request_key, beat_key = layout.request_key(request_id), layout.beat_key(grant_id)

    def step(seen: Snapshot) -> tuple[Commit | None, str]:
        record, beat, hearing = (seen.records[one] for one in (key, beat_key, layout.HEARING))
        before = read(Grant, record.json)
        if before.state is not GrantState.ACTIVE:
            return None, "overtaken"  # whoever moved it has armed its due time
        grant = lifetime.beaten(before, layout.beat_in(beat))
        counts_as = lifetime.excused(grant, layout.hearing_in(hearing), seen.now)
        event = lifetime.what_is_due(counts_as, seen.now)
        expects = {key: record.version, beat_key: beat.version}
        if event is None:
            due = {key: lifetime.next_look(counts_as)}
            return Commit(at=seen.now, attempt=attempt, due=due, expects=expects), "nothing has come yet"
        after = lifetime.warned(grant, seen.now) if event == "ending_soon" else lifetime.ended(grant, event, seen.now)
        request = read(Request, seen.records[request_key].json)
        part = layout.grant_changed(record, after, at=seen.now, request=request)
        counts = {f"grant_life:{event}": 1}
        commit = told(seen, part, after, event, attempt=attempt, expects=expects, counts=counts)
        return commit, f"{before.state} → {after.state}"

    keys = [key, request_key, beat_key, layout.HEARING]
    return await transact(tools.store.records, keys, step, chains=[request_id])


def going_on(grant: Grant) -> Beside:
    """Return what the mint of a grant changes beside it: the grant that it extends says so from then on.

    Nothing else of that one changes: whatever state it is in, it ends as it would have.
    """
    if grant.extends is None:
        return NOTHING_BESIDE
    key, subject = layout.grant_key(grant.extends), request_of(grant.extends)

    def part(seen: Snapshot, new: Grant) -> layout.Part:
        record = seen.records[key]
        if not record.version:
            return {}
        old = lifetime.extended(read(Grant, record.json), new)
        data = {**facts(old), "handle": new.handle, "until": facts(new)["ends_at"]}
        return {
            **layout.grant_noted(record, old),
            "drafts": [Draft(subject, "grant.extended", WORKER, "worker", data)],
            "events": [layout.event("grant.extended", seen.now, request=subject, grant=old.id)],
        }

    return Beside((key,), (subject,), part)
