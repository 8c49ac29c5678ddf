"""Say what a provider does: mint, revoke, verify, collect, and what it can tell about itself.

A provider is synchronous; workers call it through `asyncio.to_thread`. Planning is no part of it: `plans` is pure, so
that the web process can check and show what would be minted without any SDK.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from approvers.grant import Plan, ProofKind


class ProviderError(Exception):
    """The provider did not do it; the text is safe to log and to show."""


class Refused(ProviderError):
    """The provider said no: nothing was issued and asking again changes nothing."""


class NotSent(ProviderError):
    """Nothing reached the provider, or it said "later" before doing anything: safe to try again."""


class OutcomeUnknown(ProviderError):
    """It may have happened. For a mint this means: revoke."""


class ProofOutcome(enum.StrEnum):
    """Say what the readings showed."""

    PROVEN = "proven"
    STILL_ACTIVE = "still_active"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Caps:
    """Say what a provider can promise; the card prints it."""

    min_ttl: timedelta
    max_ttl: timedelta
    early_revoke: bool
    typical_lag: timedelta


@dataclass(frozen=True)
class Secret:
    """Hold the one thing that must never be logged; its repr says nothing."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    expiration: datetime


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

    `first_refused_at` is the moment (UTC, this process's clock read through the provider) of the first refusal of the
    final unbroken run; None while nothing is proven.
    """

    outcome: ProofOutcome
    refused: int
    asked: int
    first_refused_at: datetime | None
    detail: str


class Provider(Protocol):
    """Mint and end credentials. Every method may be called twice with the same arguments."""

    @property
    def caps(self) -> Caps:
        """Say what this provider can promise."""
        ...

    def mint(self, grant_id: str, plan: Plan) -> Minted:
        """Issue a credential for exactly the plan. Raises Refused, NotSent or OutcomeUnknown."""
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
