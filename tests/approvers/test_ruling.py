"""The ruling: which effect wins, who is asked, who may answer, and what is explained."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from approvers.audit import canonical
from approvers.deriving import derive
from approvers.errors import Forbidden, NotEvaluated
from approvers.facts import Facts
from approvers.ruling import Ruling, gather, may_review, rule
from tests.approvers.rules_world import (
    ALLOW_DEV,
    DENY_DELETES,
    NOON,
    POLICY,
    REVIEW_PII,
    REVIEW_READS,
    SHA,
    SmallTable,
    ask,
    edited,
    facts,
    names,
    policy,
    roster,
    ruled,
    when,
)

EVERYTHING = (DENY_DELETES, REVIEW_PII, REVIEW_READS, ALLOW_DEV)
DEV = {"role": "dev", "environment": "dev"}


def test_deny_beats_review_beats_allow():
    rules = policy(when('action = ["s3:*"]', effect="allow"), REVIEW_READS, DENY_DELETES)
    assert ruled(rules, **DEV).effect == "allow"
    assert ruled(rules).effect == "review"
    assert ruled(rules, actions=["s3:DeleteObject"]).effect == "deny"
    assert names(ruled(rules, actions=["s3:DeleteObject"])) == ["deny-deletes"]


def test_no_rule_means_the_default_and_never_nothing():
    ruling = ruled(policy())
    assert (ruling.effect, ruling.rules, dict(ruling.seats)) == ("review", (), {"sre": 1})
    assert "default" in ruling.because
    closed = ruled(policy(base=edited(POLICY, 'default = "review"', 'default = "deny"')))
    assert (closed.effect, dict(closed.seats), closed.expires_after_seconds) == ("deny", {}, None)


def test_several_review_rules_take_the_largest_count_of_each_group():
    ruling = ruled(policy(REVIEW_READS, REVIEW_PII), data_classes=["pii"])
    assert names(ruling) == ["review-pii", "review-reads"]
    assert dict(ruling.seats) == {"sre": 1, "security": 1}
    assert ruling.quorums == ("one", "two")
    assert ruling.expires_after_seconds == 20 * 60
    assert ruling.notes == ("Personal data.", "Reading in production.")


def test_the_larger_count_wins_whichever_quorum_comes_first():
    base = POLICY.replace("seats = { sre = 1, security = 1 }", "seats = { sre = 3, security = 1 }")
    for first, second in (("one", "two"), ("two", "one")):
        low = when('action = ["s3:*"]', effect="review").replace('"review"', f'"review"\nquorum = "{first}"')
        high = REVIEW_READS.replace('quorum = "one"', f'quorum = "{second}"')
        assert dict(ruled(policy(low, high, base=base)).seats) == {"sre": 3, "security": 1}
    swapped = base.replace("seats = { sre = 1 }", "seats = { sre = 2, security = 2 }")
    assert dict(ruled(policy(REVIEW_READS, REVIEW_PII, base=swapped), data_classes=["pii"]).seats) == {
        "sre": 3,
        "security": 2,
    }


def test_a_rule_on_a_claim_adds_to_the_default_and_never_takes_its_place():
    only_security = POLICY.replace("seats = { sre = 1, security = 1 }", "seats = { security = 1 }")
    assert dict(ruled(policy(REVIEW_PII, base=only_security), data_classes=["pii"]).seats) == {"sre": 1, "security": 1}
    by_action = when('action = ["s3:Get*"]', effect="review").replace(
        'effect = "review"', 'effect = "review"\nquorum = "two"'
    )
    assert dict(ruled(policy(by_action, base=only_security)).seats) == {"security": 1}
    # One action more than the rule speaks of: the default is asked again as well.
    more = ruled(policy(by_action, base=only_security), actions=["s3:GetObject", "s3:PutObject"])
    assert dict(more.seats) == {"sre": 1, "security": 1}
    assert "as no rule speaks for all of this" in more.because


def test_with_default_deny_only_a_rule_for_the_whole_ask_opens_a_review():
    closed = edited(POLICY, 'default = "review"', 'default = "deny"')
    rules = policy(when('action = ["s3:Get*"]', effect="review"), REVIEW_PII, base=closed)
    assert ruled(rules).effect == "review"
    assert ruled(rules, actions=["s3:GetObject", "s3:PutObject"]).effect == "deny"
    assert ruled(policy(REVIEW_PII, base=closed), data_classes=["pii"]).effect == "deny"


def test_a_review_rule_without_quorum_asks_the_default_one():
    ruling = ruled(policy(when('action = ["s3:*"]', effect="review")))
    assert (ruling.quorums, names(ruling)) == (("one",), ["probe"])


@pytest.mark.parametrize(
    ("at", "effect"),
    [
        (datetime(2027, 5, 31, 21, 59, tzinfo=UTC), "allow"),  # 23:59 in Berlin
        (datetime(2027, 5, 31, 22, 0, tzinfo=UTC), "review"),  # midnight
    ],
)
def test_a_rule_is_off_after_its_last_day_in_the_policys_time_zone(at, effect):
    assert ruled(policy(ALLOW_DEV), at=at, **DEV).effect == effect


def test_rules_that_end_on_different_days_end_each_on_its_own():
    rules = policy(ALLOW_DEV, edited(edited(ALLOW_DEV, "allow-dev", "allow-later"), "2027-05-31", "2028-01-31"))
    last = datetime(2027, 5, 31, 12, tzinfo=UTC)
    assert names(ruled(rules, at=last, **DEV)) == ["allow-dev", "allow-later"]
    assert names(ruled(rules, at=last + timedelta(days=1), **DEV)) == ["allow-later"]
    assert names(ruled(rules, at=last + timedelta(days=300), **DEV)) == []


def test_until_ends_any_rule():
    lapsed = when('action = ["s3:*"]').replace('effect = "deny"', 'effect = "deny"\nuntil = 2026-11-19')
    assert ruled(policy(lapsed)).effect == "review"


def test_the_order_in_the_file_changes_nothing():
    forward = ruled(policy(*EVERYTHING), data_classes=["pii"])
    assert forward == ruled(policy(*reversed(EVERYTHING)), data_classes=["pii"])


def test_conditions_are_explained_as_wanted_and_got():
    hit = ruled(policy(DENY_DELETES), actions=["s3:GetObject", "s3:DeleteObject"]).rules[0]
    told = {condition.name: (condition.wanted, condition.got) for condition in hit.conditions}
    assert told == {
        "principal_kind": ("agent", "agent"),
        "action": ("*:Delete*", "s3:getobject, s3:deleteobject"),
        "environment": ("prod", "prod"),
    }


def test_a_near_miss_is_an_allow_rule_with_one_failed_condition():
    near = ruled(policy(ALLOW_DEV), role="dev", environment="dev", ttl_seconds=7200).near_misses
    assert [(miss.rule, miss.condition.wanted, miss.condition.got) for miss in near] == [
        ("allow-dev", "at most 1 h", "2 h")
    ]
    assert ruled(policy(ALLOW_DEV), ttl_seconds=7200).near_misses == ()  # two conditions fail
    assert ruled(policy(ALLOW_DEV), **DEV).near_misses == ()  # it is allowed


def test_a_ruling_and_its_facts_survive_storage_and_fit_the_audit():
    found = facts(policy(*EVERYTHING), data_classes=["pii"], project="reports", risk="high")
    ruling = rule(policy(*EVERYTHING), found, sha256=SHA)
    assert Ruling.model_validate_json(ruling.model_dump_json()) == ruling
    assert Facts.model_validate_json(found.model_dump_json()) == found
    assert json.loads(canonical(ruling.model_dump(mode="json")))["policy_sha256"] == SHA
    assert b"2026-11-20T12:00:00.000Z" in canonical(found.model_dump(mode="json"))
    again = rule(policy(*EVERYTHING), Facts.model_validate_json(found.model_dump_json()), sha256=SHA)
    assert again == ruling


# What a reviewer may make smaller


def test_a_reviewer_may_narrow_what_every_rule_that_asks_lets_them():
    reads = REVIEW_READS.replace("when =", 'narrow = ["resources", "ttl"]\nwhen =')
    pii = REVIEW_PII.replace("when =", 'narrow = ["ttl", "actions"]\nwhen =')
    assert ruled(policy(reads)).narrow == ("resources", "ttl")
    assert ruled(policy(reads, pii), data_classes=["pii"]).narrow == ("ttl",)
    assert ruled(policy(reads, REVIEW_PII), data_classes=["pii"]).narrow == ()


def test_the_default_has_no_say_in_narrowing_and_allows_none_by_itself():
    reads = REVIEW_READS.replace("when =", 'narrow = ["ttl"]\nwhen =')
    ruling = ruled(policy(reads), actions=["s3:GetObject", "s3:PutObject"])
    assert (names(ruling), ruling.narrow) == (["review-reads"], ("ttl",))
    assert ruled(policy()).narrow == ()


def test_a_recorded_ask_has_no_known_tag_under_a_policy_that_names_another_key():
    none, seen = when('tags_none = ["data=pii"]', effect="allow"), when('tags_any = ["data=pii"]', effect="review")
    resource = "arn:aws:s3:::exports/2026/report.csv"
    other, rules = policy(when('tags_none = ["team=shop"]', effect="allow")), policy(none)
    known = {"resources": [resource], "resource": resource, "tags": {resource: ()}}
    assert ruled(rules, **known).effect == "allow"
    before = facts(other, **known)  # whoever looked for `team` has not looked for `data`
    assert (rule(other, before, sha256=SHA).effect, rule(rules, before, sha256=SHA).effect) == ("allow", "review")
    assert names(rule(policy(seen), before, sha256=SHA)) == ["probe"]
    every = facts(policy(when('tags_none = ["*=pii"]', effect="allow")), **known)
    assert rule(rules, every, sha256=SHA).effect == "allow"


# Who may answer


def _refused(ruling: Ruling, person: str) -> Forbidden | None:
    try:
        may_review(ruling, person, roster().groups_of(person))
    except Forbidden as refusal:
        return refusal
    return None


def test_four_eyes_the_human_behind_an_agent_is_told_why_not():
    refusal = _refused(ruled(policy()), "user:dana")
    assert refusal.code == "four_eyes"
    assert refusal.detail == "You are the human behind this agent; somebody else has to approve. Asked: sre."


@pytest.mark.parametrize(
    ("asked", "person", "says"),
    [
        ({"on_behalf_of": "user:robin"}, "user:dana", "You own the caller that asks"),
        ({"on_behalf_of": "user:robin"}, "user:robin", "You are the human behind this agent"),
        ({"principal": "user:robin", "id": "user:robin"}, "user:robin", "You asked for this yourself"),
        ({"id": "user:alex"}, "user:alex", "You would do this yourself"),
        ({"principal": "caller:deploy", "on_behalf_of": None}, "user:robin", "You own the caller that asks"),
    ],
)
def test_nobody_on_the_asking_side_fills_a_seat(asked, person, says):
    refusal = _refused(ruled(policy(), **asked), person)
    assert refusal.code == "four_eyes"
    assert refusal.detail.startswith(says)


def test_others_need_a_seat():
    ruling = ruled(policy())
    assert _refused(ruling, "user:robin") is None
    assert _refused(ruling, "user:alex") is None
    kim, eve = _refused(ruling, "user:kim"), _refused(ruling, "user:eve")
    assert (kim.code, kim.detail) == ("no_seat", "You are in security; this request has no seat for you. Asked: sre.")
    assert (eve.code, eve.detail[:21]) == ("no_seat", "You are in no group; ")
    assert _refused(ruled(policy(DENY_DELETES), actions=["s3:DeleteObject"]), "user:robin").code == "no_seat"


# What is proven, and what is claimed


@pytest.mark.parametrize(
    ("role", "claim", "environments"),
    [
        ("dev", "dev", ("dev",)), ("dev", "prod", ("dev", "staging", "prod")),
        ("dev", "nowhere", ("dev", "staging", "prod", "unknown")),
        ("analytics", "dev", ("prod",)), ("analytics", "unknown", ("prod", "unknown")),
        (None, "dev", ("dev", "unknown")), (None, "prodction", ("dev", "staging", "prod", "unknown")),
    ],
)  # fmt: skip
def test_a_claimed_environment_only_tightens(role, claim, environments):
    asked = {"role": role, "environment": claim} if role else {"access": None, "environment": claim}
    found = facts(policy(), **asked)
    assert derive(policy(), found).environments == environments


def test_without_an_account_no_allow_rule_can_rest_on_the_claim():
    assert ruled(policy(ALLOW_DEV), access=None, environment="dev").effect == "review"
    assert ruled(policy(DENY_DELETES), access=None, action="s3:DeleteObject", environment="prod").effect == "deny"


def test_facts_hold_headline_and_access_once_each():
    found = facts(
        policy(), action="S3:GETOBJECT", actions=["s3:GetObject", "s3:PutObject"], data_classes=["b", "a", "b"]
    )
    assert found.actions == ("S3:GETOBJECT", "s3:PutObject")
    assert found.levels == ("Read", "Write")
    assert found.data_classes == ("a", "b")
    assert found.has_access
    assert facts(policy(), ttl_seconds=None).ttl_seconds == 1800


def test_a_risk_list_that_no_rule_knows_is_no_judgement():
    class OddTable(SmallTable):
        def lists(self, action):
            return frozenset({"haunted"})

    with pytest.raises(NotEvaluated, match="haunted"):
        gather(
            ask(access=None), principal="user:dana", caller=None, plan=None, policy=policy(), levels=OddTable(), at=NOON
        )


def test_a_level_that_no_rule_knows_counts_as_unknown():
    class OddTable(SmallTable):
        def level(self, action):
            return "Haunted"

    found = gather(
        ask(access=None), principal="user:dana", caller=None, plan=None, policy=policy(), levels=OddTable(), at=NOON
    )
    assert derive(policy(), found).access_levels == ("unknown",)
