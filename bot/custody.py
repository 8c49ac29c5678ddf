"""Hand out and take back: collect a sealed credential, say that its caller lives, release a grant, revoke it.

Who approved is no longer asked here. Collecting is for the caller that asked, again and again until the grant ends, and
each time is a record; the first time is noted in the grant, which ends if it never comes. A heartbeat is noted beside
the grant, whose version stays, so that nobody who waits for a change is woken by it. Ending is one commit after which
the worker proves the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from approvers import grant as grants
from approvers import lifetime
from approvers.audit import Draft
from approvers.errors import AlreadyDecided, CountersignError, Forbidden
from approvers.grant import Grant, GrantState
from approvers.ids import request_of
from bot.identity import Identity
from bot.reading import Reader, View
from workers.stores import layout
from workers.stores.port import Commit, Snapshot, Store, transact

ENDING = frozenset({GrantState.REVOKING, GrantState.REVOKED, GrantState.FAILED})
SAME_BEAT = timedelta(seconds=1)
"""A heartbeat so soon after the last one changes nothing: a caller that beats too often costs the store nothing."""


class NotReady(CountersignError):
    """The credential is not there yet; wait for the request to settle."""

    code = "not_ready"


@dataclass(frozen=True)
class Collected:
    """A sealed credential as stored, and the grant that it belongs to."""

    grant: Grant
    ciphertext: bytes


class Custody:
    """Look after live grants."""

    def __init__(self, store: Store, reader: Reader) -> None:
        self._records, self._reader = store.records, reader

    async def collect(self, who: Identity, grant_id: str) -> Collected:
        """Return the sealed credential to the caller that asked for it, and record that it was collected."""
        key, beat, subject = layout.grant_key(grant_id), layout.beat_key(grant_id), request_of(grant_id)

        def step(seen: Snapshot) -> tuple[Commit | None, Grant]:
            grant = self._own_active(seen, grant_id, who, "collect this credential")
            told = {"grant": grant_id, "access_key_id": grant.access_key_id or ""}
            draft = Draft(subject, "credential.collected", who.by, who.via, told)
            expects = {key: seen.records[key].version, **who.proof}
            parts = [self._beaten(seen, grant)]
            if grant.handed_at is None:
                grant = lifetime.handed(lifetime.beaten(grant, seen.now), seen.now)
                parts.append(layout.grant_changed(seen.records[key], grant, at=seen.now))
            return layout.commit(seen.now, *parts, drafts=[draft], heads=seen.heads, expects=expects), grant

        grant = await transact(self._records, [key, beat], step, chains=[subject])
        ciphertext = await self._records.sealed(grant_id)
        if ciphertext is None:  # it ended between the two
            raise _gone(grant)
        return Collected(grant, ciphertext)

    async def beat(self, who: Identity, grant_id: str) -> Grant:
        """Note that the grant's caller lives, and return the grant; one that asked for no heartbeat just reads it."""
        key, beat = layout.grant_key(grant_id), layout.beat_key(grant_id)

        def step(seen: Snapshot) -> tuple[Commit | None, Grant]:
            grant = self._own_active(seen, grant_id, who, "beat for this grant")
            if not (part := self._beaten(seen, grant)):
                return None, grant
            expects = {key: seen.records[key].version, **who.proof}
            return layout.commit(seen.now, part, expects=expects, counts={"grant_life:heartbeat": 1}), grant

        return await transact(self._records, [key, beat], step)

    async def release(self, who: Identity, grant_id: str) -> View:
        """End the grant because its caller is done; releasing what has ended is no error."""
        return await self._end(who, grant_id, "release", "done")

    async def revoke(self, who: Identity, grant_id: str, reason: str) -> View:
        """Take the grant away; anybody who may review or operate can, and need not have a seat."""
        return await self._end(who, grant_id, "revoke", reason)

    def _own_active(self, seen: Snapshot, grant_id: str, who: Identity, what: str) -> Grant:
        grant = self._reader.parse_grant(seen, grant_id)
        if grant.principal != who.principal:
            raise Forbidden(f"Only the caller that asked can {what}.", code="not_your_grant")
        if grant.state is not GrantState.ACTIVE:
            raise _gone(grant) if grant.state in ENDING else NotReady(f"{grant.id} is {grant.state}; ask with wait.")
        if grant.ends_at is not None and seen.now >= grant.ends_at:  # also where the worker is late to write it down
            raise _gone(grant)
        return grant

    def _beaten(self, seen: Snapshot, grant: Grant) -> layout.Part:
        """Return the part that notes a heartbeat, and arms the grant's due time by it.

        Where something else has come to the grant already, its due time stays: no beat holds up an end.
        """
        key = layout.beat_key(grant.id)
        last = layout.beat_in(seen.records[key]) or grant.beat_at
        if last is None or grant.heartbeat_seconds is None or seen.now < last + SAME_BEAT:
            return {}
        after = lifetime.beaten(grant, seen.now)
        part = layout.beat_given(key, seen.records[key], seen.now)
        if lifetime.what_is_due(after, seen.now) is None:
            part = {**part, "due": {layout.grant_key(grant.id): lifetime.next_look(after)}}
        return part

    async def _end(self, who: Identity, grant_id: str, event: str, reason: str) -> View:
        key, subject = layout.grant_key(grant_id), request_of(grant_id)
        request_key = layout.request_key(subject)

        def step(seen: Snapshot) -> tuple[Commit | None, None]:
            grant = self._reader.parse_grant(seen, grant_id)
            if event == "release" and grant.principal != who.principal:
                raise Forbidden("Only the caller that asked can release this grant.", code="not_your_grant")
            if grant.state in ENDING:
                return None, None
            # A grant not yet live has nothing to be done with: giving it back is the caller's own revoke.
            move = "revoke" if grant.state in (GrantState.PENDING, GrantState.MINTING) else event
            after = grants.end(grant, move, seen.now, by=who.principal, reason=reason)
            request = self._reader.parse(seen, subject)
            part = layout.grant_changed(seen.records[key], after, at=seen.now, request=request)
            name = "grant.revoked" if after.state is GrantState.REVOKED else f"grant.{event}_requested"
            draft = Draft(subject, name, who.by, who.via, grants.facts(after))
            line = layout.event(name, seen.now, request=subject, grant=grant_id)
            return layout.commit(
                seen.now, part, drafts=[draft], events=[line], heads=seen.heads, expects=dict(who.proof)
            ), None  # fmt: skip

        await transact(self._records, [key, request_key], step, chains=[subject])
        return await self._reader.look(subject)


def _gone(grant: Grant) -> AlreadyDecided:
    error = AlreadyDecided(f"{grant.id} has ended; its credential is gone. Make a new request if you still need it.")
    error.code = "grant_ended"
    return error
