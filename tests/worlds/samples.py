"""Make requests and grants as the product itself would: the demo's own policy, the pure rules, and a fixed clock."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import rfc8785

from approvers import grant as grants
from approvers.action import Action, action_digest, parse_action
from approvers.grant import Grant, Proof, ProofKind
from approvers.ids import request_id
from approvers.policy import Policy, parse_policy
from approvers.quorum import Review
from approvers.request import Request, RequestState, answer_by, open_grant, opened_as
from approvers.roster import Roster, parse_roster
from approvers.ruling import gather, rule, ttl_for
from workers.data.levels import load_levels
from workers.providers.plans import plan

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
DEMO = Path(__file__).parents[2] / "countersign" / "ops" / "data" / "demo"
POLICY_TEXT, ROSTER_TEXT = (DEMO / "policy.toml").read_text(), (DEMO / "countersign.toml").read_text()
AWS_ALONE = ROSTER_TEXT.partition("[provider.")[0]
"""The demo's roster without its database, for tests that declare a provider of their own."""
BODY: dict[str, Any] = {
    "action": "s3:GetObject",
    "resource": "arn:aws:s3:::customer-exports/2026/*",
    "environment": "prod",
    "reason": "Rebuild the weekly report, the job failed at 02:10",
    "ttl_seconds": 900,
    "data_classes": ["pii"],
    "actor": {"id": "agent:report-bot", "on_behalf_of": "user:dana"},
    "access": {"role": "analytics", "actions": ["s3:GetObject"], "resources": ["arn:aws:s3:::customer-exports/2026/*"]},
}
CALLER = "caller:report-bot"


@lru_cache(maxsize=1)
def book() -> tuple[Policy, Roster, str]:
    """Return the demo's policy, roster, and the policy's hash."""
    return parse_policy(POLICY_TEXT), parse_roster(ROSTER_TEXT), hashlib.sha256(POLICY_TEXT.encode()).hexdigest()


def action(**changes: Any) -> Action:
    """Return the sample ask with some fields changed (None drops one)."""
    body = {name: value for name, value in {**BODY, **changes}.items() if value is not None}
    return parse_action(json.dumps(body).encode(), rfc8785.dumps)


def request(*, seats: dict[str, int] | None = None, now: datetime = NOW, **changes: Any) -> Request:
    """Return a new request under the demo's policy; `seats` replaces what the policy asks for."""
    policy, roster, sha256 = book()
    asked = action(**changes)
    ttl = ttl_for(policy, asked.ttl_seconds)
    asked = asked.model_copy(update={"ttl_seconds": ttl})
    planned = plan(asked, roster, ttl, load_levels()) if asked.access else None
    facts = gather(
        asked, principal=CALLER, caller=roster.caller(CALLER), plan=planned, policy=policy, levels=load_levels(), at=now
    )
    ruling = rule(policy, facts, sha256=sha256)
    if seats is not None:
        ruling = ruling.model_copy(update={"seats": seats})
    state, because = opened_as(ruling)
    return Request(
        id=request_id(now, bytes(10)),
        handle="K7QF",
        state=state,
        because=because,
        principal=CALLER,
        action=asked,
        action_digest=action_digest(CALLER, asked),
        plan=planned,
        facts=facts,
        ruling=ruling,
        submitted_at=now,
        expires_at=answer_by(ruling, now),
        decided_at=None if state is RequestState.PENDING else now,
        names=(f"idem:{CALLER}:k1",),
    )


def approval(name: str, *, verdict: Any = "approve", at: datetime = NOW, groups: tuple[str, ...] = ("sre",)) -> Review:
    """Return one person's review."""
    return Review(reviewer=f"user:{name}", verdict=verdict, at=at, groups=groups, via="test")


def grant(state: str = "PENDING", **changes: Any) -> Grant:
    """Return the sample request's grant, moved by the rules to the state."""
    asked = request(**changes)
    fresh = open_grant(asked.model_copy(update={"reviews": (approval("robin"),)}), NOW)
    claimed = grants.claim(fresh, NOW, timedelta(seconds=920))
    ends = NOW + timedelta(seconds=fresh.plan.ttl_seconds)
    expiration = NOW + timedelta(seconds=max(900, fresh.plan.ttl_seconds))
    live = grants.minted(claimed, NOW, access_key_id="ASIAEXAMPLE", ends_at=ends, expiration=expiration)
    ending = grants.end(live, "revoke", NOW, by="user:kim", reason="enough")
    proof = Proof(kind=ProofKind.PROBE_DENIED, at=NOW, seconds="1.234", refused=3, asked=3, detail="refused")
    states = {
        "PENDING": lambda: fresh,
        "MINTING": lambda: claimed,
        "ACTIVE": lambda: live,
        "REVOKING": lambda: ending,
        "REVOKED": lambda: grants.proven(ending, proof, deny_written=True),
        "FAILED": lambda: grants.refused(claimed, "AccessDenied"),
    }
    return states[state]()
