"""Hand out and take back: collect a sealed credential, release a grant, revoke it.

Who approved is no longer asked here. Collecting is for the caller that asked, again and again until the grant ends, and
each time is a record; ending is one commit after which the worker proves the end.
"""

from __future__ import annotations

from dataclasses import dataclass

from approvers import grant as grants
from approvers.audit import Draft
from approvers.errors import AlreadyDecided, CountersignError, Forbidden
from approvers.grant import Grant, GrantState
from approvers.ids import request_of
from bot.identity import Identity
from bot.reading import Reader, View
from workers.stores import layout
from workers.stores.port import Commit, Snapshot, Store, transact

ENDING = frozenset({GrantState.REVOKING, GrantState.REVOKED, GrantState.FAILED})


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
        key, subject = layout.grant_key(grant_id), request_of(grant_id)

        def step(seen: Snapshot) -> tuple[Commit | None, Grant]:
            grant = self._reader.parse_grant(seen, grant_id)
            if grant.principal != who.principal:
                raise Forbidden("Only the caller that asked can collect this credential.", code="not_your_grant")
            if grant.state is not GrantState.ACTIVE:
                raise (
                    _gone(grant) if grant.state in ENDING else NotReady(f"{grant.id} is {grant.state}; ask with wait.")
                )
            told = {"grant": grant_id, "access_key_id": grant.access_key_id or ""}
            draft = Draft(subject, "credential.collected", who.by, who.via, told)
            expects = {key: seen.records[key].version, **who.proof}
            return layout.commit(seen.now, drafts=[draft], heads=seen.heads, expects=expects), grant

        grant = await transact(self._records, [key], step, chains=[subject])
        ciphertext = await self._records.sealed(grant_id)
        if ciphertext is None:  # it ended between the two
            raise _gone(grant)
        return Collected(grant, ciphertext)

    async def release(self, who: Identity, grant_id: str) -> View:
        """End the grant because its caller is done; releasing what has ended is no error."""
        return await self._end(who, grant_id, "release", "done")

    async def revoke(self, who: Identity, grant_id: str, reason: str) -> View:
        """Take the grant away; anybody who may review or operate can, and need not have a seat."""
        return await self._end(who, grant_id, "revoke", reason)

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
