"""The review desk: take an ask, take a review, withdraw, consume. Each is one commit, or an error that says why not.

The desk knows ports and pure rules; it does not know HTTP, chat, Redis or AWS.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from approvers import consuming
from approvers import request as requests
from approvers.action import Action
from approvers.audit import By, Draft
from approvers.errors import CountersignError, Expired, Forbidden
from approvers.request import Request, RequestState
from approvers.seating import not_known
from bot.asking import Asking, fingerprint
from bot.commits import MAX_WAITING, Click, overruled, refusal, refused, reviewed
from bot.directory import UNASKED, Directory, Membership
from bot.identity import Identity
from bot.reading import Reader, View
from bot.standing import groups_of, to_look_at, with_answer
from workers import logs
from workers.policies import Policies, Rulebook
from workers.stores import layout
from workers.stores.port import Commit, Conflict, Full, Snapshot, Store, Taken, TooLate, transact

TRIES = 20
NOTE_TRIES, NOTE_DENIAL_TRIES = 4, 16
"""How often what is noted beside an answer (the person's list, the asker's credit) may hold it up; then it is left as
it is. A denial takes credit away, so it tries for longer; but an agent that floods must not hold it up for ever."""
_log = logs.get_logger(__name__)


class TooManyWaiting(CountersignError):
    """The principal already waits for as many requests as it may."""

    code = "too_many_waiting"


class KeyReused(CountersignError):
    """The Idempotency-Key stands for another body."""

    code = "idempotency_key_reused"


class Desk:
    """Take what callers and reviewers say."""

    def __init__(
        self, store: Store, policies: Policies, reader: Reader, directory: Directory, asking: Asking
    ) -> None:  # fmt: skip
        self._records, self._policies, self._reader = store.records, policies, reader
        self._directory, self._asking = directory, asking

    async def submit(self, who: Identity, action: Action, key: str) -> View:
        """Take an ask: the same key finds the first one, an identical waiting ask folds into it.

        Raises:
            Forbidden, Inadmissible: this may not be asked, by this principal or at all; nothing is stored.
            KeyReused, TooManyWaiting: the key has another body; too many wait already.
        """
        body = fingerprint(action)
        for _ in range(TRIES):
            book = self._policies.current
            try:
                async with self._asking.turn(who.principal):
                    request, commit = await self._asking.prepare(book, who, action, key, body)
                    if book.frozen is not None and request.ruling.effect == "allow":
                        return await self._known(book, who, key, body)
                    await self._records.commit(commit)
                    self._asking.won(who.principal, commit)
                return _changed(request, 1, request.submitted_at)
            except Taken as taken:
                if taken.name.startswith("handle:"):
                    continue
                if taken.name.startswith("idem:"):
                    return await self._replayed(taken.value, body)
                if (found := await self._folded(who, action, (key, body), taken.value)) is not None:
                    return found
            except Full as full:
                raise TooManyWaiting(
                    f"{who.principal} already waits for {MAX_WAITING} requests; let some be decided, or cancel them."
                ) from full
            except Conflict as conflict:
                if conflict.key in who.proof:  # a revoked key: asking again in its name helps nobody
                    raise
                await self._reread(who, conflict)
        raise Conflict("request")

    async def review(self, click: Click) -> View:
        """Take one review. Every refusal is a record, too, and raises what `approvers.request.review` raises."""
        keys = [layout.request_key(click.request), layout.decided_key(click.who.principal)]
        first = await self._records.read(keys, [click.request])
        opened = self._reader.parse(first, click.request)
        if opened.state is RequestState.PENDING:  # its asker may become known for it, or lose that
            keys.append(layout.known_key(opened.principal))
            known = await self._asking.known(opened.principal)
            first = replace(first, records={**first.records, keys[-1]: known})
        found = await self._look_outside(click, opened, first.now)
        tries = itertools.count(1)

        def step(seen: Snapshot) -> tuple[Commit | None, CountersignError | View]:
            book = self._policies.current
            before = opened if seen is first else self._reader.parse(seen, click.request)
            try:
                answered = with_answer(book, before, click, found, seen.now)
            except CountersignError as error:
                return refused(seen, click, error, found.seen), error
            if answered.error is not None:
                return overruled(book, click, seen, answered, found.seen), answered.error
            most = NOTE_DENIAL_TRIES if click.verdict == "deny" else NOTE_TRIES
            note, version = next(tries) <= most, seen.records[keys[0]].version + 1
            commit = reviewed(book, click, seen, answered, seen_in=found.seen, note=note)
            return commit, _changed(answered.after, version, seen.now)

        try:
            result = await transact(
                self._records, keys, step, chains=[click.request], refresh=self._policies.refresh, first=first
            )  # fmt: skip
        except TooLate as late:
            raise Expired("This request expired while you were answering; nobody's answer counts any more.") from late
        if isinstance(result, CountersignError):
            raise result
        if result.request.state is not RequestState.PENDING:
            self._asking.forget(opened.principal)
        return result

    async def turned_away(self, by: By, via: str, request: str, error: CountersignError, verdict: str) -> None:
        """Record that somebody who is nobody here tried to answer; what there is no request for is only logged."""
        key = layout.request_key(request)
        tried = Draft(request, "review.refused", by, via, {"verdict": verdict})

        def step(seen: Snapshot) -> tuple[Commit | None, bool]:
            known = bool(seen.records[key].version)
            return (refusal(seen, error, tried) if known else None), known

        if not await transact(self._records, [key], step, chains=[request]):
            _log.warning("review.refused", code=error.code, known=False)

    async def cancel(self, who: Identity, request: str) -> View:
        """Withdraw a waiting request."""
        owners = (await self._reader.look(request)).request.facts.owners
        found = await self._directory.membership(who.principal, [one.removeprefix("group:") for one in owners])

        def change(one: Request, seen: Snapshot) -> Request:
            try:
                groups = frozenset(groups_of(self._policies.current, who.principal, found))
                return requests.cancel(one, seen.now, who.principal, groups)
            except Forbidden as refusal:
                raise (not_known(found.unknown) if found.unknown else refusal) from refusal

        def told(_: Request) -> dict[str, Any]:
            seen_in = {"seen_in": dict(found.seen)} if found.seen else {}
            return {"groups": list(groups_of(self._policies.current, who.principal, found)), **seen_in}

        return await self._settle(who, request, "request.cancelled", change, told)

    async def consume(self, who: Identity, request: str, digest: str) -> View:
        """Settle an approved action once."""
        return await self._settle(
            who,
            request,
            "request.consumed",
            lambda one, seen: consuming.consume(one, seen.now, who.principal, digest),
            lambda after: {"action_digest": after.action_digest},
        )

    async def _reread(self, who: Identity, conflict: Conflict) -> None:
        """Read again what another commit has changed: the asker's counters and, unless it was only these, the rules."""
        self._asking.forget(who.principal)
        if not conflict.key.startswith((layout.HISTORY, layout.KNOWN)):
            await self._policies.refresh()

    async def _look_outside(self, click: Click, request: Request, now: datetime) -> Membership:
        """Ask for the members of the groups on whom this answer may hang: before the commit, that no call holds it."""
        groups = to_look_at(self._policies.current, request, click.verdict, now)
        return await self._directory.membership(click.who.principal, groups) if groups else UNASKED

    async def _known(self, book: Rulebook, who: Identity, key: str, body: str) -> View:
        """Return what this key has asked for before; during a freeze a rule alone approves nothing new."""
        if (known := await self._records.find(layout.idem_name(who.principal, key))) is None:
            raise Forbidden(f"Approvals are stopped: {book.frozen}", code="frozen")
        return await self._replayed(known, body)

    async def _replayed(self, value: str, body: str) -> View:
        request, _, first = value.partition(" ")
        if first != body:
            raise KeyReused("This Idempotency-Key was used for another body; use a new key for a new ask.")
        return await self._reader.look(request)

    async def _folded(self, who: Identity, action: Action, asked: tuple[str, str], request: str) -> View | None:
        """Let the second key find the identical ask; None if that one has ended in the meantime.

        Where the two bring different public keys, neither is sealed to: both askers are the same principal, and both
        can collect what the web process's delivery key opens.
        """
        key, body = asked

        def step(seen: Snapshot) -> tuple[Commit | None, bool]:
            record = seen.records[layout.request_key(request)]
            before = self._reader.parse(seen, request)
            if before.state not in (RequestState.PENDING, RequestState.DENIED):
                return None, False
            name = layout.idem_name(who.principal, key)
            same = before.action.public_key == action.public_key
            kept = before.action if same else before.action.model_copy(update={"public_key": None})
            after = before.model_copy(update={"names": (*before.names, name), "action": kept})
            told = {"body_sha256": body, "sealed_to": "caller" if kept.public_key else "delivery"}
            draft = Draft(request, "request.folded", who.by, who.via, told)
            part = layout.put(layout.request_key(request), record.version, after.model_dump_json())
            until = seen.now + layout.IDEMPOTENCY_KEPT if before.state is RequestState.DENIED else None
            fields: dict[str, Any] = {"unique": {name: f"{request} {body}"}, "drafts": [draft], "heads": seen.heads}
            if until:
                fields["forget"] = {name: until}
            return layout.commit(seen.now, part, **fields), True

        try:
            found = await transact(self._records, [layout.request_key(request)], step, chains=[request])
        except Taken as taken:
            return await self._replayed(taken.value, body)
        return await self._reader.look(request) if found else None

    async def _settle(
        self,
        who: Identity,
        request: str,
        kind: str,
        change: Callable[[Request, Snapshot], Request],
        more: Callable[[Request], dict[str, Any]],
    ) -> View:
        """Commit one move of a request; `more` is what its record says besides the state."""
        key = layout.request_key(request)

        def step(seen: Snapshot) -> tuple[Commit | None, None]:
            after = change(self._reader.parse(seen, request), seen)
            part = layout.request_changed(seen.records[key], after, at=seen.now, closed=kind == "request.cancelled")
            draft = Draft(request, kind, who.by, who.via, {"state": after.state, **more(after)})
            line = layout.event(kind, seen.now, request=request)
            return layout.commit(
                seen.now, part, drafts=[draft], events=[line], heads=seen.heads, expects=dict(who.proof)
            ), None  # fmt: skip

        await transact(self._records, [key], step, chains=[request])
        return await self._reader.look(request)


def _changed(request: Request, version: int, at: datetime) -> View:
    """Return what was just stored, without reading it back; `version` is the request's."""
    if layout.opens_grant(request):
        return View(request, requests.open_grant(request, at), version, 1)
    return View(request, None, version)
