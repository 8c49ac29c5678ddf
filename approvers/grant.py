"""Own the lifetime of a credential: the grant's record, its one table, and every move.

Record first, then revoke by grant id: MINTING is committed, with the time at which it counts as lost, before the cloud
is called; an unknown outcome means REVOKING; REVOKED is written only with its kind of proof. A grant never holds the
secret. The functions take and return values; the caller commits them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from approvers.audit import Recorded
from approvers.machine import Table, check_move
from approvers.times import Moment, stamp

COLLECT_MARGIN = timedelta(minutes=10)
"""How long past the last possible expiry a Deny stays: collected earlier it would revive the credential (aws.md 4)."""
EXPIRY_SLACK = timedelta(seconds=2)
"""`Date` headers have whole seconds: an expiry can be read from one at most two seconds after it."""
ALERT_AFTER_ATTEMPTS = 3
BUILT_IN = ("aws", "dry_run")
"""Providers of ours; any other name is a folder of executables (docs/commands.md)."""


class GrantState(StrEnum):
    """Where a grant stands."""

    PENDING = "PENDING"
    MINTING = "MINTING"
    ACTIVE = "ACTIVE"
    REVOKING = "REVOKING"
    REVOKED = "REVOKED"
    FAILED = "FAILED"


S = GrantState
GRANT_TABLE: Table[GrantState] = {
    S.PENDING: {"claim": (S.MINTING,), "revoke": (S.REVOKED,), "overtaken": (S.FAILED,)},
    S.MINTING: {
        "minted": (S.ACTIVE,),
        "refused": (S.FAILED,),
        "not_sent": (S.PENDING,),
        "outcome_unknown": (S.REVOKING,),
        "stale": (S.REVOKING,),
        "revoke": (S.REVOKING,),
    },
    S.ACTIVE: {
        "ttl_elapsed": (S.REVOKING,),
        "release": (S.REVOKING,),
        "revoke": (S.REVOKING,),
        "kill": (S.REVOKING,),
        "never_collected": (S.REVOKING,),
        "heartbeat_lost": (S.REVOKING,),
    },
    S.REVOKING: {"revoke_failed": (S.REVOKING,), "proven": (S.REVOKED,)},
    S.REVOKED: {},
    S.FAILED: {},
}
GRANT_EVENTS: Mapping[str, str] = {
    "claim": "worker",
    "minted": "worker",
    "refused": "worker",
    "not_sent": "worker",
    "outcome_unknown": "worker",
    "stale": "worker, when the mint's lease ran out",
    "overtaken": "worker, when policy, freeze or the mint deadline came first",
    "ttl_elapsed": "worker, at the TTL's end",
    "release": "caller",
    "revoke": "reviewer or on-call",
    "kill": "monitoring",
    "never_collected": "worker, when nobody collected it in time",
    "heartbeat_lost": "worker, when the caller's heartbeat stopped",
    "revoke_failed": "worker",
    "proven": "worker",
}
LIVE = frozenset({S.PENDING, S.MINTING, S.ACTIVE, S.REVOKING})


class ProofKind(StrEnum):
    """What shows that a grant's credential is dead."""

    NEVER_ISSUED = "never_issued"
    EXPIRED = "expired"
    TTL_DENIED = "ttl_denied"
    PROBE_DENIED = "probe_denied"


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Plan(Recorded):
    """What will really be minted; made by `workers.providers.plans`, shown on the card, bound by the action digest.

    Attributes:
        account: the name that people know; `account_id` is AWS's 12 digits, `environment` the account's.
        ends_early: whether a live session can be ended before its time; False is told on the card.
        ends_itself: whether the provider's own clock ends it with everything of ours dead.
        lag_seconds: how long an early end usually takes.
        more_arns: further base roles of the same alias; the mint takes the one with the most room for Denies.
        revoker_arn: the role in the account that writes its Denies; None: the worker's own revoker does.
        role_arn: the base role. In a grant past its claim: the one that was taken.
    """

    account: str
    account_id: str
    actions: tuple[str, ...]
    ends_early: bool = True
    ends_itself: bool = True
    environment: str
    external_id: str | None
    lag_seconds: int = 5
    more_arns: tuple[str, ...] = ()
    provider: str
    resources: tuple[str, ...]
    revoker_arn: str | None = None
    role: str
    role_arn: str
    ttl_seconds: int

    @property
    def arns(self) -> tuple[str, ...]:
        """Return every base role of the alias, the one named or taken first."""
        return tuple(dict.fromkeys((self.role_arn, *self.more_arns)))

    def on(self, role_arn: str) -> Plan:
        """Return the plan on that base role of its alias."""
        return self.model_copy(
            update={"role_arn": role_arn, "more_arns": tuple(one for one in self.arns if one != role_arn)}
        )

    @property
    def by_command(self) -> bool:
        """Tell whether executables mint it, and no provider of ours."""
        return self.provider not in BUILT_IN


class Proof(_Value):
    """How the end was shown: kind, the first refusal of the final run, seconds from the request for the end to it."""

    kind: ProofKind
    at: Moment
    seconds: str
    """Seconds with three decimals, as text: audit records hold no floats."""
    refused: int
    asked: int
    detail: str


class Ending(_Value):
    """Why and by whom the grant is being ended, and since when."""

    cause: str
    by: str
    reason: str
    requested_at: Moment
    early: bool
    """True when a Deny must be written; False when time itself ends the credential."""


class Grant(_Value):
    """One grant, as stored. Ids of request and grant share their ULID."""

    v: Literal[2] = 2
    id: str
    request_id: str
    handle: str
    principal: str
    actor: str
    on_behalf_of: str | None
    approved_by: tuple[str, ...]
    state: GrantState = GrantState.PENDING
    plan: Plan
    public_key: str | None
    opened_at: Moment
    mint_by: Moment
    claimed_at: Moment | None = None
    may_live_until: Moment | None = None
    """The last moment at which any session ever minted for this grant can still be valid."""
    access_key_id: str | None = None
    minted_at: Moment | None = None
    ends_at: Moment | None = None
    expiration: Moment | None = None
    ending: Ending | None = None
    attempts: int = 0
    trouble: str | None = None
    deny_written: bool = False
    proof: Proof | None = None
    failure: str | None = None
    collected_at: Moment | None = None
    extends: str | None = None
    """The grant whose work this one goes on with; that one ends by itself."""
    break_glass: bool = False
    extended_by: str | None = None
    """The newest grant that goes on with the work of this one; their ends stay apart."""
    extended_as: str | None = None
    """That grant's short handle."""
    collect_by: Moment | None = None
    """An ACTIVE grant whose credential nobody has collected by then is ended."""
    handed_at: Moment | None = None
    """When its caller first collected the credential."""
    heartbeat_seconds: int | None = None
    beat_at: Moment | None = None
    """When the caller last said that it lives; counted from the mint on, where `heartbeat_seconds` was asked for.

    Later beats are kept apart (`approvers.lifetime.Beat`), and are in here from the next change of the grant on.
    """
    warn_at: Moment | None = None
    """When its end is warned of; None: never, for it is short."""
    warned_at: Moment | None = None
    """When its end was warned of."""
    flagged: str | None = None
    """What monitoring saw its session do that it should not; of so many points."""
    flag_points: int = 0
    packed_percent: int | None = None
    """How much of AWS's room for a session's policy and tags, packed, this one took; at 100 it refuses."""
    report: str | None = None
    """What was granted against what was used, told once its activity is no longer looked at."""

    def moved(self, event: str, target: GrantState, **changes: Any) -> Grant:
        """Return the grant after a move that the table has; raises IllegalTransition otherwise."""
        return self.model_copy(update={"state": check_move(GRANT_TABLE, self.state, event, target), **changes})


def claim(grant: Grant, now: datetime, session: timedelta, role_arn: str | None = None) -> Grant:
    """Take the grant for minting: from here on a session may exist, for at most `session` past the mint's deadline.

    `role_arn` is the base role that was taken, where the plan's alias has several.
    """
    latest = max(grant.may_live_until or now, now + session)
    plan = grant.plan.on(role_arn) if role_arn else grant.plan
    return grant.moved("claim", S.MINTING, claimed_at=now, may_live_until=latest, plan=plan)


def overtaken(grant: Grant, why: str) -> Grant:
    """Give up before anything was issued."""
    return grant.moved("overtaken", S.FAILED, failure=why)


def minted(grant: Grant, now: datetime, *, access_key_id: str, ends_at: datetime, expiration: datetime) -> Grant:
    """Record the credential's public facts; the secret travels sealed, elsewhere in the same commit."""
    latest = max(grant.may_live_until or expiration, expiration)
    return grant.moved(
        "minted",
        S.ACTIVE,
        access_key_id=access_key_id,
        minted_at=now,
        ends_at=ends_at,
        expiration=expiration,
        may_live_until=latest,
        attempts=0,
        trouble=None,
    )


def refused(grant: Grant, why: str) -> Grant:
    """Record that the provider said no and issued nothing."""
    return grant.moved("refused", S.FAILED, failure=why)


def not_sent(grant: Grant, why: str) -> Grant:
    """Go back to PENDING: nothing reached the provider."""
    return grant.moved("not_sent", S.PENDING, attempts=grant.attempts + 1, trouble=why)


def end(grant: Grant, event: str, now: datetime, *, by: str, reason: str) -> Grant:
    """Begin to end the grant, by any event of the table that leads to REVOKING.

    A PENDING grant is REVOKED at once, with the proof `never_issued`: the table leads back to PENDING only where
    nothing reached the provider.
    """
    ending = Ending(cause=event, by=by, reason=reason, requested_at=now, early=event != "ttl_elapsed")
    if grant.state is S.PENDING:
        proof = Proof(
            kind=ProofKind.NEVER_ISSUED, at=now, seconds="0.000", refused=0, asked=0, detail="nothing was ever called"
        )
        return grant.moved(event, S.REVOKED, ending=ending, proof=proof)
    return grant.moved(event, S.REVOKING, ending=ending, attempts=0, trouble=_lives_on(grant, ending))


def _lives_on(grant: Grant, ending: Ending) -> str | None:
    """Say of what cannot be ended early until when it lives."""
    if grant.plan.ends_early or not ending.early:
        return None
    until = grant.ends_at or grant.may_live_until
    return f"it cannot be ended early, and lives until {until:%H:%M:%S} UTC" if until else None


def revoke_failed(grant: Grant, why: str, *, deny_written: bool) -> Grant:
    """Stay REVOKING; nothing is called ended before it is proven."""
    return grant.moved(
        "revoke_failed",
        S.REVOKING,
        attempts=grant.attempts + 1,
        trouble=why,
        deny_written=grant.deny_written or deny_written,
    )


def proven(grant: Grant, proof: Proof, *, deny_written: bool) -> Grant:
    """Close the grant with its proof."""
    return grant.moved("proven", S.REVOKED, proof=proof, trouble=None, deny_written=grant.deny_written or deny_written)


def collected(grant: Grant, now: datetime) -> Grant:
    """Note that the Deny was removed after every session had expired; the state stays what it was."""
    return grant.model_copy(update={"collected_at": now})


def collect_at(grant: Grant) -> datetime:
    """Return when the Deny may go: after the last possible expiry, plus the margin."""
    assert grant.may_live_until is not None
    return grant.may_live_until + COLLECT_MARGIN


def backoff(attempts: int) -> timedelta:
    """Return how long to wait before the next try: 1 s, 2 s, 4 s … at most 2 minutes."""
    return timedelta(seconds=min(120, 2 ** min(attempts, 7)))


MOMENTS = ("minted_at", "handed_at", "warned_at", "collect_by", "ends_at", "expiration", "may_live_until",
           "collected_at")  # fmt: skip


def facts(grant: Grant) -> dict[str, Any]:
    """Return what audit records and events say about a grant: never more than the public handle of the credential."""
    data: dict[str, Any] = {"grant": grant.id, "state": str(grant.state), "role_arn": grant.plan.role_arn}
    if grant.access_key_id:
        data["access_key_id"] = grant.access_key_id
    if grant.extended_by:
        data["extended_by"] = grant.extended_by
    if grant.packed_percent is not None:
        data["packed_percent"] = grant.packed_percent
    for name in MOMENTS:
        if moment := getattr(grant, name):
            data[name] = stamp(moment)
    if grant.ending:
        data["ending"] = grant.ending.model_dump(mode="json")
    if grant.proof:
        data["proof"] = grant.proof.model_dump(mode="json")
    for name in ("failure", "trouble"):
        if text := getattr(grant, name):
            data[name] = text
    return data
