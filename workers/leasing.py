"""Move a grant on. There is one due member per grant, and the grant's state says what to do with it.

A job may run twice or die at any line; the order makes that harmless. MINTING is committed, with the time at which it
counts as lost, before the cloud is called; what comes back is kept only while this attempt's fence still holds and the
grant is still MINTING; otherwise it is dropped, and the Deny by grant id ends a session that nobody has.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from approvers import grant as grants
from approvers import lifetime
from approvers.errors import IllegalTransition
from approvers.grant import Grant, GrantState
from approvers.ids import request_of
from approvers.proving import mint_not_after
from approvers.request import Request
from approvers.reruling import ended_early, gone, over_caps, overtaken_by
from approvers.ruling import rule
from approvers.times import gone_back
from approvers.upgrades import read
from workers import logs
from workers.ending import collect, prove
from workers.living import going_on, look
from workers.policies import Rulebook
from workers.providers.port import Minted, NotSent, OutcomeUnknown, Refused
from workers.rooms import Room, claims_room, roomiest
from workers.stores import layout
from workers.stores.port import Attempt, Commit, Fenced, Full, Sealed, Snapshot, transact
from workers.tools import NoProvider, Tools, move, moved, told
from workers.watching import first_look

MIN_SESSION = timedelta(seconds=900)
"""The shortest session that STS issues (aws.md 1)."""
PACKED_WARNING = 80
"""From so many per cent of AWS's packed room on, the next grant that is a little larger may be refused."""
_log = logs.get_logger(__name__)


async def advance(tools: Tools, attempt: Attempt) -> str:
    """Make the next move of the grant that this due item names; returns one word for the log."""
    request_id = request_of(attempt.member.partition(":")[2])
    seen = await tools.store.records.read([attempt.member, layout.request_key(request_id)], [request_id])
    grant = read(Grant, seen.records[attempt.member].json)
    # The first commit of a mint, and of an end by time, checks the fence and prolongs the lease itself.
    over = grant.state is GrantState.ACTIVE and lifetime.what_is_due(grant, seen.now) == "ttl_elapsed"
    if grant.state is not GrantState.PENDING and not over and not await tools.store.due.hold(attempt, tools.lease):
        return "fenced"
    try:
        match grant.state:
            case GrantState.PENDING:
                async with tools.lanes.of(grant.plan).turn(within=grant.mint_by - seen.now):
                    return await _mint(tools, attempt, request_id, seen)
            case GrantState.MINTING:  # an attempt was lost between the claim and its outcome
                why = "the attempt to mint it was lost"
                return await move(tools, attempt, "stale", lambda one, now: _lost(one, now, "stale", why))
            case GrantState.ACTIVE:
                return await (_end_by_time(tools, attempt, seen) if over else look(tools, attempt))
            case GrantState.REVOKING:
                return await prove(tools, attempt, grant)
            case GrantState.REVOKED | GrantState.FAILED:
                return await collect(tools, attempt, grant)
    except Fenced:
        return "fenced"  # somebody else has the item, or a person re-armed it; our result is dropped
    except IllegalTransition:
        return "overtaken"  # the grant has moved on while the provider was being asked; our result is dropped


async def _mint(tools: Tools, attempt: Attempt, request_id: str, seen: Snapshot) -> str:
    claimed = await _claim(tools, attempt, request_id, seen)
    if claimed is None:
        return "overtaken"
    try:
        mint, not_after = tools.provider(claimed.plan.provider).mint, mint_not_after(claimed, tools.lease)
        issued = await tools.ask(claimed.plan, mint, claimed.id, claimed.plan, not_after)
    except Refused as error:
        why = str(error)
        who = claimed.plan.account if claimed.plan.by_command else "AWS"
        await tools.alert("mint_refused", claimed, f"{who} refused to mint {claimed.id}: {why}")
        return await move(tools, attempt, "refused", lambda one, _: grants.refused(one, why))
    except NotSent as error:
        why = str(error)
        if isinstance(error, NoProvider):
            await tools.alert("no_provider", claimed, f"{claimed.id} cannot be minted: {why}")
        return await move(tools, attempt, "not_sent", lambda one, _: grants.not_sent(one, why))
    except OutcomeUnknown as error:
        why = str(error)
        return await move(tools, attempt, "outcome_unknown", lambda one, now: _lost(one, now, "outcome_unknown", why))
    return await _deliver(tools, attempt, claimed, issued)


async def _claim(tools: Tools, attempt: Attempt, request_id: str, first: Snapshot) -> Grant | None:
    """Commit MINTING on the base role with room, looking again where another claim took the last of it."""
    plan, full = read(Grant, first.records[attempt.member].json).plan, set[str]()
    while True:
        room = await roomiest(tools, plan, full)
        try:
            return await _claim_on(tools, attempt, request_id, first, room)
        except Full as error:
            full.add(error.index)


async def _claim_on(tools: Tools, attempt: Attempt, request_id: str, first: Snapshot, room: Room) -> Grant | None:
    """Commit MINTING before the cloud is called; None if policy, a freeze, time or a person came first."""
    if tools.policies.roster is None:  # later: the commit names the versions it relied on, and a Conflict refreshes
        await tools.policies.refresh()

    def step(seen: Snapshot) -> tuple[Commit | None, Grant | None]:
        book = tools.policies.current
        grant = read(Grant, seen.records[attempt.member].json)
        if grant.state is not GrantState.PENDING:
            return None, None
        request = read(Request, seen.records[layout.request_key(request_id)].json)
        # every record that was read: a grant that this one goes on with cannot be taken away in between
        expects = {**book.versions, **{key: one.version for key, one in seen.records.items()}}
        fields: dict[str, Any] = {"attempt": attempt, "expects": expects}
        if why := _stopped(book, request, grant, seen):
            failed = grants.overtaken(grant, why)
            part = layout.grant_changed(seen.records[attempt.member], failed, at=seen.now, request=request)
            return told(seen, part, failed, "overtaken", **fields), None
        session = tools.lease + max(MIN_SESSION, timedelta(seconds=grant.plan.ttl_seconds))
        claimed = grants.claim(grant, seen.now, session, room.role_arn)
        part = layout.put(attempt.member, seen.records[attempt.member].version, claimed.model_dump_json())
        part |= claims_room(claimed, room)
        return told(seen, part, claimed, "claimed", lease_until=seen.now + tools.lease, **fields), claimed

    keys, refresh = [attempt.member, layout.request_key(request_id)], tools.policies.refresh
    if extends := read(Grant, first.records[attempt.member].json).extends:
        first = await tools.store.records.read([*keys, layout.grant_key(extends)], [request_id])
    return await transact(
        tools.store.records, list(first.records), step, chains=[request_id], refresh=refresh, first=first
    )  # fmt: skip


def _stopped(book: Rulebook, request: Request, grant: Grant, seen: Snapshot) -> str | None:
    """Say why this grant must not be minted now; None if it may."""
    if book.frozen is not None and not grant.break_glass:
        return f"frozen: {book.frozen}"
    if gone_back(grant.opened_at, seen.now):
        return "the store's time has gone backwards"
    if seen.now >= grant.mint_by:
        return "nobody could mint it in time"
    if why := gone(request, book.roster):
        return f"the roster has changed: {why}"
    if grant.extends and (why := ended_early(_extended(grant, seen))):
        return why
    try:
        now = rule(book.policy, request.facts, sha256=book.policy_sha256)
        over = over_caps(book.policy, request, request.facts)
    except Exception as error:  # whatever broke inside the rules: what cannot be confirmed is not minted
        return f"the policy could not be evaluated ({type(error).__name__})"
    return overtaken_by(request, now) or over


def _extended(grant: Grant, seen: Snapshot) -> Grant | None:
    """Return the grant that this one goes on with, as it is now."""
    record = seen.records[layout.grant_key(grant.extends or "")]
    return read(Grant, record.json) if record.version else None


async def _deliver(tools: Tools, attempt: Attempt, claimed: Grant, issued: Minted) -> str:
    """Seal the credential and make the grant ACTIVE in one commit."""
    if (issued.packed_percent or 0) >= PACKED_WARNING:
        _log.warning("mint.packed", grant=claimed.id, percent=issued.packed_percent)
    try:
        ciphertext = tools.seal(issued.secret, claimed)
    except ValueError:  # the recipient's key cannot be sealed to: nobody could ever open it
        why = "the credential could not be sealed to the caller's public key"
        return await move(tools, attempt, "outcome_unknown", lambda one, now: _lost(one, now, "outcome_unknown", why))
    sealed = {claimed.id: Sealed(ciphertext, issued.expiration)}
    rules = tools.policies.current.policy.grants
    return await move(
        tools,
        attempt,
        "minted",
        lambda one, now: lifetime.under(
            _minted(one, now, issued), collect_within=rules.collect_within, warn_before=rules.warn_before
        ),
        beside=going_on(claimed),
        sealed=sealed,
        due=first_look(tools, claimed),
    )


def _minted(grant: Grant, now: datetime, issued: Minted) -> Grant:
    key = issued.secret.access_key_id
    live = grants.minted(grant, now, access_key_id=key, ends_at=issued.ends_at, expiration=issued.expiration)
    return live.model_copy(update={"packed_percent": issued.packed_percent})


async def _end_by_time(tools: Tools, attempt: Attempt, seen: Snapshot) -> str:
    """Leave ACTIVE because the TTL is over: AWS has ended it by itself. Prove it too, if that can be had now."""
    before, after, goes_on = await moved(
        tools,
        attempt,
        "ttl_elapsed",
        lambda one, now: lifetime.ended(one, "ttl_elapsed", now),
        first=seen,
        stay=True,
    )
    told_first = f"{before.state} → {after.state}"
    return f"{told_first}, {await prove(tools, attempt, after)}" if goes_on else told_first


def _lost(grant: Grant, now: datetime, event: str, why: str) -> Grant:
    return grants.end(grant, event, now, by="worker", reason=why)
