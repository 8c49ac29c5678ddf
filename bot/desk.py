"""The review desk: take an ask, take a review, withdraw, consume. Each is one commit, or an error that says why not.

The desk knows ports and pure rules; it does not know HTTP, chat, Redis or AWS.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any

from approvers import request as requests
from approvers.action import Action, action_digest
from approvers.audit import By, Draft
from approvers.errors import CountersignError, Expired, Forbidden
from approvers.grant import Plan
from approvers.ids import handle, request_id
from approvers.quick import made
from approvers.request import Request, RequestState
from approvers.roster import check_claims
from approvers.ruling import ActionTable, Facts, Ruling, check_limits, gather, rule, ttl_for, unevaluated
from approvers.seating import not_known
from bot.commits import MAX_WAITING, Click, refusal, refused, reviewed, submitted
from bot.directory import UNASKED, Directory, Membership
from bot.identity import Identity
from bot.reading import Reader, View
from bot.standing import decisive, groups_of, with_answer
from workers import logs
from workers.policies import Policies, Rulebook
from workers.providers.plans import plan
from workers.stores import layout
from workers.stores.port import Commit, Conflict, Full, Snapshot, Store, Taken, TooLate, transact

TRIES = 20
NOTE_TRIES = 4
"""How often the list of what a person answered lately may hold up that answer; then it is left as it is."""
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
        self, store: Store, policies: Policies, levels: ActionTable, reader: Reader, directory: Directory
    ) -> None:  # fmt: skip
        self._records, self._policies, self._levels, self._reader = store.records, policies, levels, reader
        self._directory = directory

    async def submit(self, who: Identity, action: Action, key: str) -> View:
        """Take an ask: the same key finds the first one, an identical waiting ask folds into it.

        Raises:
            Forbidden, Inadmissible: this may not be asked, by this principal or at all; nothing is stored.
            KeyReused, TooManyWaiting: the key has another body; too many wait already.
        """
        body = _fingerprint(action)
        for _ in range(TRIES):
            book = self._policies.current
            request, commit = await self._prepare(book, who, action, key, body)
            if book.frozen is not None and request.ruling.effect == "allow":
                return await self._known(book, who, key, body)
            try:
                await self._records.commit(commit)
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
                await self._policies.refresh()
        raise Conflict("request")

    async def review(self, click: Click) -> View:
        """Take one review. Every refusal is a record, too, and raises what `approvers.request.review` raises."""
        keys = [layout.request_key(click.request), layout.decided_key(click.who.principal)]
        first = await self._records.read(keys, [click.request])
        opened = self._reader.parse(first, click.request)
        found = await self._look_outside(click.who, opened)
        tries = itertools.count(1)

        def step(seen: Snapshot) -> tuple[Commit | None, CountersignError | View]:
            book = self._policies.current
            before = opened if seen is first else self._reader.parse(seen, click.request)
            try:
                after = with_answer(book, before, click, found, seen.now)
            except CountersignError as error:
                return refused(seen, click, error, found.seen), error
            note = next(tries) <= NOTE_TRIES
            version = seen.records[keys[0]].version + 1
            return reviewed(book, click, seen, after, seen_in=found.seen, note=note), _changed(after, version, seen.now)

        try:
            result = await transact(
                self._records, keys, step, chains=[click.request], refresh=self._policies.refresh, first=first
            )  # fmt: skip
        except TooLate as late:
            raise Expired("This request expired while you were answering; nobody's answer counts any more.") from late
        if isinstance(result, CountersignError):
            raise result
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

        return await self._settle(who, request, "request.cancelled", change)

    async def consume(self, who: Identity, request: str, digest: str) -> View:
        """Settle an approved action once."""
        return await self._settle(
            who, request, "request.consumed", lambda one, seen: requests.consume(one, seen.now, who.principal, digest)
        )

    async def _prepare(
        self, book: Rulebook, who: Identity, action: Action, key: str, body: str
    ) -> tuple[Request, Commit]:  # fmt: skip
        """Rule on the ask and build the one commit that stores all of it."""
        now = await self._records.now()
        check_claims(book.roster, who.principal, action.actor.id, action.actor.on_behalf_of)
        ttl_seconds = ttl_for(book.policy, action.ttl_seconds)
        if action.ttl_seconds is None:
            action = action.model_copy(update={"ttl_seconds": ttl_seconds})
        planned = plan(action, book.roster, ttl_seconds) if action.access else None
        facts = gather(
            action,
            principal=who.principal,
            caller=book.roster.caller(who.principal),
            plan=planned,
            policy=book.policy,
            levels=self._levels,
            at=now,
        )
        check_limits(book.policy, facts)
        ruling = _ruled(book, facts)
        request = _opened(who, action, planned=planned, facts=facts, ruling=ruling, key=key)
        return request, submitted(book, who, request, key, body)

    async def _look_outside(self, who: Identity, request: Request) -> Membership:
        """Ask for the members of the groups on whom this answer may hang: before the commit, that no call holds it."""
        groups = decisive(self._policies.current, request)
        return await self._directory.membership(who.principal, groups) if groups else UNASKED

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
        self, who: Identity, request: str, kind: str, change: Callable[[Request, Snapshot], Request]
    ) -> View:
        key = layout.request_key(request)

        def step(seen: Snapshot) -> tuple[Commit | None, None]:
            after = change(self._reader.parse(seen, request), seen)
            part = layout.request_changed(seen.records[key], after, at=seen.now, closed=kind == "request.cancelled")
            draft = Draft(request, kind, who.by, who.via, {"state": after.state})
            line = layout.event(kind, seen.now, request=request)
            return layout.commit(
                seen.now, part, drafts=[draft], events=[line], heads=seen.heads, expects=dict(who.proof)
            ), None  # fmt: skip

        await transact(self._records, [key], step, chains=[request])
        return await self._reader.look(request)


def _ruled(book: Rulebook, facts: Facts) -> Ruling:
    try:
        return rule(book.policy, facts, sha256=book.policy_sha256)
    except Exception as error:  # whatever broke inside the rules: nobody said no, and it is not a yes
        _log.error("policy.not_evaluated", exc_info=error)
        return unevaluated(type(error).__name__, sha256=book.policy_sha256)


def _changed(request: Request, version: int, at: datetime) -> View:
    """Return what was just stored, without reading it back; `version` is the request's."""
    if layout.opens_grant(request):
        return View(request, requests.open_grant(request, at), version, 1)
    return View(request, None, version)


def _fingerprint(action: Action) -> str:
    """Return the SHA-256 of the whole body in its canonical order of fields."""
    return hashlib.sha256(action.model_dump_json().encode()).hexdigest()


def _opened(who: Identity, action: Action, *, planned: Plan | None, facts: Facts, ruling: Ruling, key: str) -> Request:
    state, because = requests.opened_as(ruling)
    waits = state is RequestState.PENDING
    # made, not validated: every value is ours and checked already, and this runs for every ask.
    return made(
        Request,
        v=1,
        id=request_id(facts.at, secrets.token_bytes(10)),
        handle=handle(secrets.token_bytes(4)),
        state=state,
        because=because,
        principal=who.principal,
        action=action,
        action_digest=action_digest(who.principal, action),
        plan=planned,
        facts=facts,
        ruling=ruling,
        reviews=(),
        submitted_at=facts.at,
        expires_at=requests.answer_by(ruling, facts.at),
        decided_at=None if waits else facts.at,
        decided_by=None if waits else "policy",
        consumed_at=None,
        names=(layout.idem_name(who.principal, key),),
        level=0,
        level_since=None,
        reminded_at=None,
        unreached_at=None,
        empty=(),
    )
