"""Play a provider without issuing anything: for shadow running, before anybody trusts Countersign with a cloud.

Every id starts with `DRYRUN`, so that no one takes it for a credential. There is nothing to end, hence every proof is
PROVEN, and says that it is one of a dry run.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from approvers.grant import Plan, ProofKind
from workers.providers.documents import checked_grant_id
from workers.providers.plans import AWS_CAPS
from workers.providers.port import Caps, Handle, Minted, ProofOutcome, Reading, Secret, check_in_time

MIN_SESSION = timedelta(minutes=15)
"""Expiry is played as AWS does it, so that short grants take the same way through their states."""


class DryRunProvider:
    """Answer as the AWS provider would, from the clock alone."""

    caps: Caps = AWS_CAPS

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now

    def mint(self, grant_id: str, plan: Plan, not_after: datetime | None = None) -> Minted:
        """Return a marked stand-in that opens nothing anywhere."""
        name = checked_grant_id(grant_id).removeprefix("grt_")
        now = self._now().replace(microsecond=0)
        check_in_time(now, not_after)
        ttl = timedelta(seconds=plan.ttl_seconds)
        expiration = now + max(ttl, MIN_SESSION)
        secret = Secret(f"DRYRUN{name[-14:]}", f"DRYRUN-no-secret-{name}", f"DRYRUN-no-token-{name}", expiration)
        return Minted(secret, now + ttl, expiration, request_id=f"DRYRUN-{name}", packed_percent=0)

    def revoke(self, handle: Handle) -> None:
        """Do nothing: nothing was issued."""
        checked_grant_id(handle.grant_id)

    def verify(self, handle: Handle, kind: ProofKind) -> Reading:
        """Say that nothing can be alive."""
        detail = f"dry run: nothing was issued for {checked_grant_id(handle.grant_id)}, so {kind} holds"
        return Reading(ProofOutcome.PROVEN, 0, 0, self._now(), detail)

    def collect(self, handle: Handle) -> None:
        """Do nothing: no Deny was written."""
        checked_grant_id(handle.grant_id)

    def leftovers(self, plan: Plan) -> list[str]:
        """Return nothing: no Deny was written."""
        return []
