"""Say how a grant that is being ended is ended and shown to be, and when it is worth an attempt."""

from __future__ import annotations

from datetime import datetime, timedelta

from approvers.grant import EXPIRY_SLACK, Grant, ProofKind, backoff

CLOCKS_APART = timedelta(minutes=5)
"""How far the provider's clock and the store's may differ; half of the margin before a Deny is collected."""
SLOWEST_MINT = timedelta(seconds=15)
"""What a command may take from its start to its end, its time limit included."""


def revoke_wanted(grant: Grant) -> bool:
    """Tell whether the provider has to be told to end it: before its time, or because nothing else ends it."""
    early = grant.ending is None or grant.ending.early
    return (early and grant.plan.ends_early) or not grant.plan.ends_itself


def proof_wanted(grant: Grant) -> ProofKind:
    """Say which proof fits: a Deny is probed; a TTL of the session's own length expires; a shorter one is denied.

    What cannot be ended early is shown to have ended by its time. Executables are always asked (docs/commands.md).
    """
    if not grant.plan.ends_early:
        return ProofKind.TTL_DENIED
    if grant.ending is None or grant.ending.early:
        return ProofKind.PROBE_DENIED
    own_length = grant.ends_at and grant.expiration and grant.expiration - grant.ends_at <= timedelta(seconds=60)
    return ProofKind.EXPIRED if own_length and not grant.plan.by_command else ProofKind.TTL_DENIED


def prove_at(grant: Grant, now: datetime) -> datetime:
    """Return when a REVOKING grant is worth an attempt: at once, after a backoff, or when its end can be read."""
    if grant.attempts:
        return now + backoff(grant.attempts)
    if not grant.plan.ends_early:
        return max(now, grant.ends_at or grant.may_live_until or now)
    if proof_wanted(grant) is ProofKind.EXPIRED:
        assert grant.expiration is not None
        return max(now, grant.expiration + EXPIRY_SLACK)
    return now


def mint_not_after(grant: Grant, lease: timedelta) -> datetime:
    """Return the moment, by the provider's clock, after which a claimed grant must not be minted any more.

    Whoever stood still for that long may wake up when the Deny that ended the grant has been collected. It lies well
    before that, and leaves room for clocks that differ.
    """
    assert grant.claimed_at is not None
    return grant.claimed_at + lease + CLOCKS_APART


def may_be_minting(grant: Grant, now: datetime, lease: timedelta) -> bool:
    """Tell whether a mint that nobody has heard of may still be under way, so that nothing can be proven yet.

    At AWS the Deny is there before such a session; a provider made of commands can only end what exists.
    """
    if not grant.plan.by_command or grant.minted_at is not None or grant.claimed_at is None:
        return False
    if grant.ending is not None and grant.ending.cause == "outcome_unknown":
        return False  # whoever minted has seen its process end
    return now < mint_not_after(grant, lease) + SLOWEST_MINT
