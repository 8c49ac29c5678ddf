"""Say what a provider does: mint, revoke, verify, collect, and what it can tell about itself.

A provider is synchronous; workers call it through `asyncio.to_thread`. Planning is no part of it: `plans` is pure, so
that the web process can check and show what would be minted without any SDK.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol, runtime_checkable

from approvers.activity import Call
from approvers.grant import Plan, ProofKind


class ProviderError(Exception):
    """The provider did not do it; the text is safe to log and to show."""


class Refused(ProviderError):
    """The provider said no: nothing was issued and asking again changes nothing."""


class NotSent(ProviderError):
    """Nothing reached the provider, or it said "later" before doing anything: safe to try again."""


class Busy(NotSent):
    """So much is asked of it already that the turn of this call comes too late; ask again in a while."""


class NoRoom(ProviderError):
    """The role holds as many Denies as it can; nothing was written."""


def check_in_time(now: datetime, not_after: datetime | None) -> None:
    """Raise NotSent once `not_after` is past."""
    if not_after is not None and now > not_after:
        raise NotSent(
            f"it would be minted at {now:%H:%M:%S} UTC by the provider's clock, and its time to be minted ended "
            f"{not_after:%H:%M:%S}: a worker stood still, or clocks differ by more than five minutes"
        )


class OutcomeUnknown(ProviderError):
    """It may have happened. For a mint this means: revoke."""


class ProofOutcome(enum.StrEnum):
    """Say what the readings showed."""

    PROVEN = "proven"
    STILL_ACTIVE = "still_active"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Caps:
    """Say what a provider can promise; the card prints it.

    Attributes:
        early_revoke: `per_grant`: one session can be ended and no other; `none`: a live session cannot be ended.
        typical_lag: how long an early end usually takes.
        native_ttl: whether the provider's own clock ends a session, with every process of ours dead.
    """

    min_ttl: timedelta
    max_ttl: timedelta
    early_revoke: Literal["per_grant", "none"]
    typical_lag: timedelta
    native_ttl: bool = True


@dataclass(frozen=True)
class Secret:
    """Hold the one thing that must never be logged; its repr says nothing.

    `environment`: of what is no AWS session, the variables that its user's program gets; then `access_key_id` is the
    public handle, and the two other fields are empty.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    expiration: datetime
    environment: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Minted:
    """Hold a new credential and its times by the provider's clock: the TTL's end, and the session's own expiry."""

    secret: Secret
    ends_at: datetime
    expiration: datetime
    request_id: str
    packed_percent: int | None = None


@dataclass(frozen=True)
class Handle:
    """Name a grant at the provider; revoking needs no more than this."""

    grant_id: str
    plan: Plan
    ends_at: datetime | None = None
    expiration: datetime | None = None


@dataclass(frozen=True)
class Reading:
    """Hold what one verification found: how many probes were refused of how many asked, since when, and the words.

    `first_refused_at` is the moment of the first refusal of the final unbroken run, by any clock; None while nothing is
    proven. `read_at`: the same clock when the reading was over, so that the moment can be told by another clock; None
    where that was at once. `unanswered`: the provider was throttled, slow or out of reach.
    """

    outcome: ProofOutcome
    refused: int
    asked: int
    first_refused_at: datetime | None
    detail: str
    unanswered: bool = False
    read_at: datetime | None = None


class Provider(Protocol):
    """Mint and end credentials. Every method may be called twice with the same arguments."""

    @property
    def caps(self) -> Caps:
        """Say what this provider can promise."""
        ...

    def mint(self, grant_id: str, plan: Plan, not_after: datetime | None = None) -> Minted:
        """Issue a credential for exactly the plan. Raises Refused, NotSent or OutcomeUnknown.

        Once `not_after` is past by the provider's own clock, nothing is issued (NotSent): whoever stood still for that
        long may find the grant ended, and what ended it removed again.
        """
        ...

    def revoke(self, handle: Handle) -> None:
        """End every session of the grant before its time. Raises ProviderError; safe to repeat."""
        ...

    def verify(self, handle: Handle, kind: ProofKind) -> Reading:
        """Ask the provider itself, three times, whether the grant's sessions are refused. Never raises for a no."""
        ...

    def collect(self, handle: Handle) -> None:
        """Remove what `revoke` left behind, only after every session of the grant has expired by itself."""
        ...

    def leftovers(self, plan: Plan) -> list[str]:
        """Return the ids of grants whose `revoke` still stands on the plan's role, for the reconciler."""
        ...


@dataclass(frozen=True)
class RoleLook:
    """Hold what one look at a base role found.

    Attributes:
        gone: there is no such role; nothing else is known then.
        denies: ids of grants whose Deny stands there.
        changed: those of the Denies asked about whose text is not ours any more.
        everyone: whether a Deny on every older session stands there (`revoke --direct --role`).
        weak: what is not as it was set up, in sentences.
    """

    gone: bool = False
    denies: Sequence[str] = ()
    changed: Sequence[str] = ()
    everyone: bool = False
    weak: Sequence[str] = ()


@runtime_checkable
class Looked(Protocol):
    """Look at a base role as it is, for the reconciler. Synchronous, as a provider is."""

    def look(self, plan: Plan, texts: Sequence[str]) -> RoleLook:
        """Return what stands on the plan's role, comparing the texts of these grants' Denies. Raises ProviderError."""
        ...


@dataclass(frozen=True)
class TagReading:
    """Hold what one reading of an account's tags found.

    Attributes:
        regions: those that were read; a resource elsewhere is not known.
        buckets: the account's own buckets and their regions (a bucket's ARN says neither).
        resources: ARN → its tags, of every resource that has one of the keys asked for.
        complete: whether that is all; what has more resources than wanted is not.
    """

    regions: Sequence[str]
    buckets: Mapping[str, str]
    resources: Mapping[str, Mapping[str, str]]
    complete: bool


class Tagged(Protocol):
    """Read the tags of a whole account. Synchronous, as a provider is."""

    def tags(self, role_arn: str, keys: Sequence[str], most: int) -> TagReading:
        """Return every resource that has one of the keys (none named: any tag). Raises ProviderError.

        Where there are more than `most`, nothing of them is returned, and the reading is not complete.
        """
        ...


@dataclass(frozen=True)
class Events:
    """Hold what one reading of an account's log of calls found; `whole`: nothing of the window was left out."""

    calls: Sequence[Call]
    whole: bool


class Watched(Protocol):
    """Read the log of calls of an account. Synchronous, as a provider is."""

    @property
    def region(self) -> str:
        """Name the region that is read where none is asked for."""
        ...

    def events(
        self,
        plan: Plan,
        *,
        since: datetime,
        until: datetime | None = None,
        key: str = "",
        name: str = "",
        regions: Sequence[str] = (),
    ) -> Events:
        """Return the calls made with one access key id, or those of one event name, in the plan's account.

        Raises ProviderError; Busy where its turn does not come soon, Refused where it may not read.
        """
        ...
