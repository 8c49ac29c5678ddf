"""A small strict cloud behind the provider port: sessions, Denies and a clock of its own, with troubles as attributes.

It enforces what the real one does: a session works while its TTL lasts and no Deny names its grant; a Deny removed
brings a living session back. Troubles are set from outside: `refuse`, `lose_answer`, `not_sent`, `deny_nobody`,
`deny_everybody`, `broken`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from approvers.grant import Plan, ProofKind
from workers.providers.port import (
    Caps,
    Handle,
    Minted,
    NotSent,
    OutcomeUnknown,
    ProofOutcome,
    ProviderError,
    Reading,
    Refused,
    Secret,
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
    during_mint: threading.Event | None = None
    minting: threading.Event = field(default_factory=threading.Event)
    sessions: list[Session] = field(default_factory=list)
    denies: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)

    def alive(self, grant_id: str) -> list[Session]:
        """Return the sessions of a grant that the cloud would still serve."""
        return [one for one in self.sessions if one.grant_id == grant_id and self._works(one)]

    def _works(self, session: Session) -> bool:
        denied = session.grant_id in self.denies and not self.deny_nobody
        return not denied and not self.deny_everybody and self.now() < min(session.ends_at, session.expiration)

    @property
    def caps(self) -> Caps:
        return Caps(timedelta(seconds=1), timedelta(hours=12), early_revoke=True, typical_lag=timedelta())

    def mint(self, grant_id: str, plan: Plan) -> Minted:
        self.calls.append("mint")
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
        return Minted(secret, session.ends_at, session.expiration, "request-1")

    def revoke(self, handle: Handle) -> None:
        self.calls.append("revoke")
        if self.broken:
            raise ProviderError(self.broken)
        self.denies.add(handle.grant_id)

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
        return sorted(self.denies)
