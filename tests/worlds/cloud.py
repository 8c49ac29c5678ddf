"""A small strict cloud behind the provider port: sessions, Denies and a clock of its own, with troubles as attributes.

It enforces what the real one does: a session works while its TTL lasts and no Deny names its grant; a Deny removed
brings a living session back. Troubles are set from outside: `refuse`, `lose_answer`, `not_sent`, `deny_nobody`,
`deny_everybody`, `broken`, `room` (Denies that one role holds), `changed` and `looks` (what a look finds amiss).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from approvers.grant import Plan, ProofKind
from workers.providers.port import (
    Caps,
    Handle,
    Minted,
    NoRoom,
    NotSent,
    OutcomeUnknown,
    ProofOutcome,
    ProviderError,
    Reading,
    Refused,
    RoleLook,
    Secret,
    check_in_time,
)


@dataclass
class Session:
    """One issued session."""

    grant_id: str
    ends_at: datetime
    expiration: datetime


@dataclass
class Cloud:
    """The world; `alive` is its own judgement, which no product code sees."""

    now: Callable[[], datetime]
    refuse: str = ""
    not_sent: str = ""
    lose_answer: bool = False
    deny_nobody: bool = False
    deny_everybody: bool = False
    broken: str = ""
    packed_percent: int | None = None
    during_mint: threading.Event | None = None
    minting: threading.Event = field(default_factory=threading.Event)
    sessions: list[Session] = field(default_factory=list)
    denies: set[str] = field(default_factory=set)
    where: dict[str, str] = field(default_factory=dict)
    """On which base role a Deny was written; one planted from outside stands wherever it is looked for."""
    room: int = 59
    changed: set[str] = field(default_factory=set)
    looks: dict[str, RoleLook | ProviderError] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def alive(self, grant_id: str) -> list[Session]:
        """Return the sessions of a grant that the cloud would still serve."""
        return [one for one in self.sessions if one.grant_id == grant_id and self._works(one)]

    def _works(self, session: Session) -> bool:
        denied = session.grant_id in self.denies and not self.deny_nobody
        return not denied and not self.deny_everybody and self.now() < min(session.ends_at, session.expiration)

    @property
    def caps(self) -> Caps:
        return Caps(timedelta(seconds=1), timedelta(hours=12), early_revoke="per_grant", typical_lag=timedelta())

    def mint(self, grant_id: str, plan: Plan, not_after: datetime | None = None) -> Minted:
        self.calls.append("mint")
        check_in_time(self.now(), not_after)
        if self.refuse:
            raise Refused(self.refuse)
        if self.not_sent:
            raise NotSent(self.not_sent)
        ttl = timedelta(seconds=plan.ttl_seconds)
        session = Session(grant_id, self.now() + ttl, self.now() + max(timedelta(seconds=900), ttl))
        self.sessions.append(session)
        self.minting.set()
        if self.during_mint:
            assert self.during_mint.wait(5)
        if self.lose_answer:
            raise OutcomeUnknown("the answer was lost")
        secret = Secret("ASIAEXAMPLE", "very-secret", "very-secret-token", session.expiration)
        return Minted(secret, session.ends_at, session.expiration, "request-1", self.packed_percent)

    def revoke(self, handle: Handle) -> None:
        self.calls.append("revoke")
        if self.broken:
            raise ProviderError(self.broken)
        role, others = handle.plan.role_arn, self.denies - {handle.grant_id}
        if sum(self.where.get(one, role) == role for one in others) >= self.room:
            raise NoRoom(f"role {role} has no room for another Deny (LimitExceeded)")
        self.denies.add(handle.grant_id)
        self.where[handle.grant_id] = role
        self.changed.discard(handle.grant_id)

    def verify(self, handle: Handle, kind: ProofKind) -> Reading:
        self.calls.append(f"verify {kind}")
        if self.broken:
            return Reading(ProofOutcome.UNKNOWN, 0, 0, None, self.broken)
        if kind is ProofKind.EXPIRED:
            over = handle.expiration is not None and self.now() > handle.expiration
            outcome = ProofOutcome.PROVEN if over else ProofOutcome.UNKNOWN
            return Reading(outcome, 0, 0, self.now() if over else None, "read from the clock")
        far = self.now() + timedelta(days=1)
        twin = Session(handle.grant_id, far if kind is ProofKind.PROBE_DENIED else handle.ends_at or far, far)
        if self._works(twin):
            return Reading(ProofOutcome.STILL_ACTIVE, 0, 1, None, "the twin is still allowed")
        if not self._works(Session("control", far, far)):
            return Reading(ProofOutcome.UNKNOWN, 1, 1, None, "the control is refused too")
        return Reading(ProofOutcome.PROVEN, 3, 3, self.now(), "refused 3 times")

    def collect(self, handle: Handle) -> None:
        self.calls.append("collect")
        if self.broken:
            raise ProviderError(self.broken)
        self.denies.discard(handle.grant_id)

    def leftovers(self, plan: Plan) -> list[str]:
        self.calls.append("leftovers")
        return sorted(one for one in self.denies if self.where.get(one, plan.role_arn) == plan.role_arn)

    def look(self, plan: Plan, texts: Sequence[str]) -> RoleLook:
        denies, amiss = self.leftovers(plan), self.looks.get(plan.role_arn, RoleLook())
        if isinstance(amiss, ProviderError):
            raise amiss
        return replace(amiss, denies=denies, changed=[one for one in texts if one in self.changed and one in denies])
