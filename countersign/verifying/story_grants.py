"""Follow one grant: only moves that its table has, a mint in time, a TTL from the mint, and an end with its proof."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from approvers.grant import EXPIRY_SLACK, GRANT_TABLE, GrantState, ProofKind
from approvers.proving import CLOCKS_APART

END_SLACK = CLOCKS_APART
"""How much later than TTL and mint a credential may end: as far as the provider's clock and ours may differ."""
SECONDS = re.compile(r"\d{1,9}\.\d{3}")
MILLISECONDS = timedelta(milliseconds=5)
"""What two moments lose when both are cut to milliseconds."""
CLAIM_AGAIN = frozenset({"minted", "refused", "not_sent"})
EVENTS: Mapping[str, tuple[str, ...]] = {
    "grant.claimed": ("claim",),
    "grant.minted": ("minted",),
    "grant.refused": ("refused",),
    "grant.not_sent": ("not_sent",),
    "grant.lost": ("outcome_unknown", "stale"),
    "grant.overtaken": ("overtaken",),
    "grant.ended": ("ttl_elapsed",),
    "grant.never_collected": ("never_collected",),
    "grant.heartbeat_lost": ("heartbeat_lost",),
    "grant.release_requested": ("release", "revoke"),
    "grant.revoke_requested": ("revoke",),
    "grant.kill_requested": ("kill",),
    "grant.revoke_failed": ("revoke_failed",),
    "grant.revoked": ("proven", "revoke"),
}
"""By record, the moves of the grant's table that it can tell of; other records of a grant move nothing."""
ENDED = frozenset({GrantState.REVOKED, GrantState.FAILED})
Said = tuple[str, str]


class GrantLife:
    """How one grant stands."""

    __slots__ = ("claimed", "ends_at", "id", "mint_by", "minted_at", "opened_at", "requested_at", "state", "ttl")

    def __init__(self, data: Mapping[str, Any], at: datetime) -> None:
        """Begin with the record that opened it."""
        self.id, self.opened_at, self.state = data["grant"], at, GrantState.PENDING
        self.ttl = timedelta(seconds=data["plan"]["ttl_seconds"])
        self.mint_by = datetime.fromisoformat(data["mint_by"]) if "mint_by" in data else None
        self.claimed = False
        self.minted_at: datetime | None = None
        self.ends_at: datetime | None = None
        self.requested_at: datetime | None = None

    def told(self, kind: str, data: Mapping[str, Any], at: datetime, *, stopped: bool) -> Iterator[Said]:
        """Take its next record; `stopped`: nothing may be minted now."""
        if data.get("grant", self.id) != self.id:
            yield "bad_story", f"{kind} is of {data['grant']}, and the request has opened {self.id}"
        if kind not in EVENTS:
            return
        before, after = self.state, GrantState(data["state"])
        if not any(after in GRANT_TABLE[before].get(event, ()) for event in EVENTS[kind]):
            yield "bad_story", f"{kind}: a grant that is {before} cannot become {after} by it"
        self.state = after
        match kind:
            case "grant.claimed":
                yield from self._claims(at, stopped=stopped)
            case "grant.minted":
                yield from self._mints(data)
            case "grant.revoked":
                yield from self._ends(data, before)
        if "ending" in data:
            self.requested_at = datetime.fromisoformat(data["ending"]["requested_at"])

    def due(self) -> datetime | None:
        """Return when it should have ended; None: it has, or there is no telling."""
        if self.state in ENDED:
            return None
        return self.ends_at or self.mint_by

    def _claims(self, at: datetime, *, stopped: bool) -> Iterator[Said]:
        self.claimed = True
        if stopped:
            yield "bad_story", "a grant is claimed for its mint while approvals and mints are stopped"
        if self.mint_by is not None and at >= self.mint_by:
            yield "bad_story", f"it is claimed at {at:%T}, and could be minted until {self.mint_by:%T}"

    def _mints(self, data: Mapping[str, Any]) -> Iterator[Said]:
        self.minted_at = datetime.fromisoformat(data["minted_at"])
        self.ends_at = datetime.fromisoformat(data["ends_at"])
        if self.minted_at + EXPIRY_SLACK < self.opened_at:
            yield "bad_story", "it was minted before it was approved"
        over = self.ends_at - self.minted_at - self.ttl
        if over > CLOCKS_APART:
            yield "bad_story", f"its TTL is {self.ttl}, and it lives {over} longer, counted from its mint"
        elif over > EXPIRY_SLACK:
            yield "flag", f"it lives {over} longer than its TTL by the provider's clock, which ours may differ from"

    def _ends(self, data: Mapping[str, Any], before: GrantState) -> Iterator[Said]:
        proof, ending = data["proof"], data["ending"]
        kind, at = ProofKind(proof["kind"]), datetime.fromisoformat(proof["at"])
        requested = datetime.fromisoformat(ending["requested_at"])
        if (kind is ProofKind.NEVER_ISSUED) is not (before is GrantState.PENDING):
            yield "bad_story", f"it was {before} and is said to be ended with the proof {kind}"
        if kind is ProofKind.PROBE_DENIED and not 0 < proof["refused"] <= proof["asked"]:
            yield "bad_story", f"of {proof['asked']} probes {proof['refused']} were refused, which proves no end"
        if SECONDS.fullmatch(proof["seconds"]) is None:
            yield "bad_story", "the proof of its end does not say after how many seconds it came"
        elif abs(at - requested - timedelta(seconds=float(proof["seconds"]))) > MILLISECONDS:
            yield "bad_story", f"its end took {at - requested}, and the record says {proof['seconds']} s"
        if kind is ProofKind.EXPIRED and self.ends_at is not None and at < self.ends_at - CLOCKS_APART:
            yield "bad_story", f"it is said to have expired at {at:%T}, long before its end at {self.ends_at:%T}"
        if self.minted_at is not None and at > self.minted_at + self.ttl + END_SLACK:
            late = at - self.minted_at - self.ttl
            yield "flag", f"its end is shown {late} after its TTL was over ({END_SLACK} are what clocks may differ by)"
