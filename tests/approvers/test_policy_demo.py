"""The demo's two files: they fit together, and answer as the README's story tells."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from approvers.action import parse_action
from approvers.declared import actions_for
from approvers.errors import Forbidden, Inadmissible
from approvers.policy import check_together, parse_policy
from approvers.quorum import Review, tally
from approvers.roster import check_claims, parse_roster
from approvers.ruling import Ruling, check_limits, gather, may_review, rule
from tests.approvers.rules_world import NOON, SHA
from workers.data.levels import load_levels
from workers.providers.plans import plan

FOLDER = files("countersign") / "ops" / "data" / "demo"
ROSTER = parse_roster((FOLDER / "countersign.toml").read_text())
POLICY = parse_policy((FOLDER / "policy.toml").read_text())
SAMPLE = {
    "action": "s3:GetObject", "resource": "arn:aws:s3:::customer-exports/2026/*", "environment": "prod",
    "reason": "Rebuild the weekly report, the job failed at 02:10", "ttl_seconds": 900, "risk": "medium",
    "project": "reports", "stage": "inference", "urgency": "normal", "data_classes": ["pii"], "ticket": "INC-42",
    "undo": "none needed, read only",
    "actor": {"id": "agent:report-bot", "on_behalf_of": "user:dana", "model": "m", "run": "r1"},
    "parameters": {"week": 46},
    "access": {"provider": "aws", "role": "analytics", "actions": ["s3:GetObject"],
               "resources": ["arn:aws:s3:::customer-exports/2026/*"]},
}  # fmt: skip


def _ruled(**changes) -> Ruling:
    action = parse_action(json.dumps({**SAMPLE, **changes}).encode(), lambda value: json.dumps(value).encode())
    check_claims(ROSTER, "caller:report-bot", action.actor.id, action.actor.on_behalf_of)
    minted = plan(action, ROSTER, action.ttl_seconds, load_levels()) if action.access else None
    facts = gather(action, principal="caller:report-bot", caller=ROSTER.caller("caller:report-bot"), plan=minted,
                   policy=POLICY, levels=actions_for(minted, ROSTER, load_levels()), at=NOON)  # fmt: skip
    check_limits(POLICY, facts)
    return rule(POLICY, facts, sha256=SHA)


def _access(*actions: str) -> dict[str, object]:
    return {"access": {**SAMPLE["access"], "actions": list(actions)}, "action": actions[0]}


def test_the_two_files_fit_together():
    check_together(POLICY, ROSTER)
    assert len(ROSTER.persons) >= 3


def test_the_designs_sample_waits_for_one_of_sre():
    ruling = _ruled()
    assert (ruling.effect, dict(ruling.seats)) == ("review", {"sre": 1})
    assert [hit.name for hit in ruling.rules] == ["review-exports", "review-pii"]


def test_the_human_behind_the_agent_is_told_why_not_and_the_others_can_approve():
    with pytest.raises(Forbidden, match="You are the human behind this agent"):
        may_review(_ruled(), "user:dana", ROSTER.groups_of("dana"))
    for name in ("robin", "alex", "kim"):
        may_review(_ruled(), f"user:{name}", ROSTER.groups_of(name))


@pytest.mark.parametrize("pair", [("robin", "alex"), ("alex", "kim"), ("kim", "robin")])
def test_any_two_of_the_others_can_approve_a_write(pair):
    ruling = _ruled(**_access("s3:PutObject"))
    assert dict(ruling.seats) == {"sre": 2}
    reviews = [
        Review(reviewer=f"user:{name}", verdict="approve", at=NOON, groups=("sre",), via="test") for name in pair
    ]
    assert tally(ruling.seats, reviews).satisfied
    assert not tally(ruling.seats, reviews[:1]).satisfied


def test_four_seconds_are_a_ttl_and_two_hours_are_too_long():
    assert _ruled(ttl_seconds=4).effect == "review"
    with pytest.raises(Inadmissible, match="at most 3600 seconds"):
        _ruled(ttl_seconds=7200, access=None)


def test_an_agents_delete_and_a_missing_reason_are_denied():
    assert _ruled(**_access("s3:DeleteObject")).notes == ("Agents do not delete in production.",)
    assert _ruled(**_access("s3:GetObject", "s3:DeleteObject")).effect == "deny"
    assert _ruled(reason="  ").notes == ("Say why: a reviewer needs a reason.",)


def test_listing_bucket_names_needs_nobody():
    action = parse_action(json.dumps({**SAMPLE, "action": "s3:ListAllMyBuckets", "resource": "*", "data_classes": [],
                                      "access": None}).encode(), lambda value: b"{}")  # fmt: skip
    facts = gather(action, principal="caller:report-bot", caller=ROSTER.caller("caller:report-bot"), plan=None,
                   policy=POLICY, levels=load_levels(), at=NOON)  # fmt: skip
    assert rule(POLICY, facts, sha256=SHA).effect == "allow"


def test_a_table_of_the_database_waits_for_one_of_sre():
    access = {"provider": "orders-db", "role": "orders-reader", "actions": ["db:select"],
              "resources": ["orders/public.customers"]}  # fmt: skip
    ruling = _ruled(access=access, action="db:select", resource="orders/public.customers", data_classes=[])
    assert (ruling.effect, dict(ruling.seats)) == ("review", {"sre": 1})
    assert [hit.name for hit in ruling.rules] == ["review-orders"]
