"""End a grant at the provider, and write REVOKED only with proof.

An early end writes the Deny and asks the provider three times; an end by time writes nothing and shows that AWS itself
refuses. What has no clock of its own is ended by us at its time, too; what cannot be ended early is left alone until
then. Whatever is not proof keeps the grant REVOKING, is tried again with backoff for ever, and becomes an alert.
"""

from __future__ import annotations

from datetime import timedelta

from approvers import grant as grants
from approvers.grant import ALERT_AFTER_ATTEMPTS, Grant, GrantState, Proof, ProofKind, collect_at
from approvers.proving import may_be_minting, proof_wanted, revoke_wanted
from workers.providers.port import ProofOutcome, ProviderError, Reading
from workers.rooms import end_within_room, handle_of
from workers.stores.port import Attempt, Commit
from workers.tools import Tools, move

PATIENT_ATTEMPTS = 9
"""An expiry that cannot be read yet is a difference between clocks, not a fault, for the first eight minutes."""

COLLECT_AGAIN = timedelta(minutes=1)
"""When a Deny that could not be removed is tried again: no session of the grant is alive, so nothing is urgent."""


async def prove(tools: Tools, attempt: Attempt, grant: Grant) -> str:
    """Make one attempt to end a REVOKING grant and to show it, when its account has a turn for it."""
    kind = proof_wanted(grant)
    handle = handle_of(tools, grant)
    deny_written = False
    try:
        provider = tools.provider(grant.plan.provider)
        async with tools.lanes.of(grant.plan).turn():
            if revoke_wanted(grant):
                await end_within_room(tools, provider, handle)
                deny_written = True
            reading = await tools.ask(grant.plan, provider.verify, handle, kind)
    except ProviderError as error:
        return await _failed(tools, attempt, grant, str(error), deny_written, alarming=True)
    if reading.outcome is not ProofOutcome.PROVEN:
        alarming = kind is not ProofKind.EXPIRED or grant.attempts >= PATIENT_ATTEMPTS
        return await _failed(tools, attempt, grant, reading.detail, deny_written, alarming=alarming)
    if may_be_minting(grant, await tools.store.records.now(), tools.lease):
        why = "a mint of it may still be under way; it is asked again once that is impossible"
        return await _failed(tools, attempt, grant, why, deny_written, alarming=False)
    proof = await _proof(tools, grant, kind, reading)
    word = await move(tools, attempt, "proven", lambda one, _: grants.proven(one, proof, deny_written=deny_written))
    if grant.attempts >= ALERT_AFTER_ATTEMPTS:
        await tools.clear("revoke_unproven", grant, f"{grant.id} is proven ended.", severity="critical")
    return word


async def collect(tools: Tools, attempt: Attempt, grant: Grant) -> str:
    """Remove the Deny of an ended grant, once no session of it can be alive; drop the due item if there is none."""
    if grant.state is not GrantState.REVOKED or not grant.deny_written or grant.collected_at:
        await tools.store.records.commit(Commit(at=await tools.store.records.now(), attempt=attempt))
        return "nothing to do"
    now = await tools.store.records.now()
    if now < collect_at(grant):  # collected earlier, the Deny's end would revive the credential
        await tools.store.records.commit(Commit(at=now, attempt=attempt, due={attempt.member: collect_at(grant)}))
        return "too early to collect"
    try:
        provider = tools.provider(grant.plan.provider)
        async with tools.lanes.of(grant.plan).turn():
            await tools.ask(grant.plan, provider.collect, handle_of(tools, grant))
    except ProviderError as error:
        await tools.alert("collect_failed", grant, f"The Deny of {grant.id} could not be removed: {error}")
        await tools.store.records.commit(Commit(at=now, attempt=attempt, due={attempt.member: now + COLLECT_AGAIN}))
        return "not collected"
    word = await move(tools, attempt, "collected", grants.collected)
    if now >= collect_at(grant) + COLLECT_AGAIN:  # a try may have failed before
        await tools.clear("collect_failed", grant, f"The Deny of {grant.id} has been removed.")
    return word


async def _failed(
    tools: Tools, attempt: Attempt, grant: Grant, why: str, deny_written: bool, *, alarming: bool
) -> str:  # fmt: skip
    if alarming and grant.attempts + 1 >= ALERT_AFTER_ATTEMPTS:
        summary = f"{grant.id} is not proven ended after {grant.attempts + 1} tries: {why}"
        await tools.alert("revoke_unproven", grant, summary, severity="critical")
    return await move(
        tools, attempt, "revoke_failed", lambda one, _: grants.revoke_failed(one, why, deny_written=deny_written)
    )  # fmt: skip


async def _proof(tools: Tools, grant: Grant, kind: ProofKind, reading: Reading) -> Proof:
    """Put the first refusal onto the store's clock, and count the seconds from the request for the end."""
    assert grant.ending is not None
    at, first, over = await tools.store.records.now(), reading.first_refused_at, reading.read_at
    if first and over:
        at -= over - first
    took = max(timedelta(), at - grant.ending.requested_at)
    return Proof(
        kind=kind,
        at=max(at, grant.ending.requested_at),
        seconds=f"{took.total_seconds():.3f}",
        refused=reading.refused,
        asked=reading.asked,
        detail=reading.detail,
    )
