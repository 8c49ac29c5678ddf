"""Each condition by itself: when it holds, and how deny, review and allow read lists differently."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from approvers.condition_models import CLAIMS, NEVER_ALLOW, ONLY_ALLOW, When
from approvers.facts import NO_HISTORY
from tests.approvers.rules_world import NOON, POLICY, names, past, policy, ruled, when

ALL = "arn:aws:s3:::exports/2026/report.csv"
HOLDS = [
    # condition, an ask that it holds for, one that it does not hold for
    ('principal = ["caller:report-*"]', {}, {"principal": "user:dana", "id": "user:dana"}),
    ('principal_kind = ["agent", "person"]', {}, {"principal": "caller:deploy", "id": "pipeline:deploy"}),
    ('actor = ["agent:REPORT-*"]', {}, {"id": "agent:other"}),
    ('project = ["reports"]', {"project": "Reports"}, {"project": "shop"}),
    ('project = ["*"]', {"project": "any"}, {"project": None}),
    ('stage = ["training"]', {"stage": "training"}, {"stage": "inference"}),
    ('urgency = ["high"]', {"urgency": "high"}, {"urgency": "low"}),
    ('action = ["S3:get*"]', {}, {"action": "s3:PutObject", "actions": ["s3:PutObject"]}),
    ('access_level = ["Read"]', {}, {"action": "s3:PutObject", "actions": ["s3:PutObject"]}),
    ('access_level = ["unknown"]', {"action": "new:Thing"}, {}),
    ('risk_list = ["destructive"]', {"actions": ["s3:DeleteObject"]}, {}),
    ('resource = ["arn:aws:s3:::exports/*"]', {}, {"resource": "arn:aws:s3:::x/y", "resources": ["arn:aws:s3:::x/y"]}),
    ('role = ["analytics"]', {}, {"role": "dev"}),
    ('role = ["*"]', {}, {"access": None}),
    ('account = ["shop-prod"]', {}, {"role": "dev"}),
    ('environment = ["prod"]', {}, {"role": "dev", "environment": "dev"}),
    ('data_class = ["pii"]', {"data_classes": ["PII", "x"]}, {"data_classes": ["x"]}),
    ('ttl_over = "15m"', {"ttl_seconds": 901}, {"ttl_seconds": 900}),
    ('risk_at_least = "high"', {"risk": "high"}, {"risk": "medium"}),
    ('issuer = ["github"]', {"proof": {"issuer": "github"}}, {"proof": {"issuer": "gitlab"}}),
    ('issuer = ["*"]', {"proof": {"issuer": "github"}}, {}),
    ('repository_id = ["456789"]', {"proof": {"repository_id": "456789"}}, {"proof": {"repository_id": "45678"}}),
    ('ref = ["refs/heads/*"]', {"proof": {"ref": "refs/heads/main"}}, {"proof": {"ref": "refs/tags/1"}}),
    ('workflow = ["acme/shop/*"]', {"proof": {"workflow": "acme/shop/deploy.yml"}}, {"proof": {"workflow": "x"}}),
    ('model = ["gpt-*"]', {"model": "GPT-9"}, {"model": "other"}),
    ('model = ["*"]', {"model": "any"}, {}),
    ('tags_any = ["data=*", "x=y"]', {"tags": {ALL: ("a=b", "data=pii")}}, {"tags": {ALL: ("a=b", "x=z")}}),
    ('tags_any = ["data=pii"]', {"tags": {}}, {"tags": {ALL: ()}}),
    ('tags_none = ["owner=*"]', {"tags": {ALL: ("a=b",)}}, {"tags": {ALL: ("a=b", "owner=sre")}}),
    ('tags_none = ["owner=*"]', {"tags": {}}, {"tags": {ALL: ("owner=",)}}),
    ('rate_over = "20/1h"', {"history": past(asked=(0, 0, 0, 0, 21, 0, 0))}, {"history": past(asked=(20,) * 7)}),
    ('rate_over = "1/1m"', {"history": NO_HISTORY}, {"history": past()}),
    ("first_seen = true", {"history": past(new=("s3:GetObject",))}, {"history": past()}),
    ("first_seen = true", {"history": NO_HISTORY}, {"history": past()}),
    ('weekday = ["fri", "sat"]', {}, {"at": NOON + timedelta(days=2)}),
    ("reason_shorter_than = 3", {"reason": "  ab\n"}, {"reason": "abc"}),
    ("reason_missing = true", {"reason": " \n\t"}, {"reason": "x"}),
    ("ticket_missing = true", {"ticket": None}, {"ticket": "INC-1"}),
    ("ticket_missing = true", {"ticket": "  "}, {"ticket": "INC-1"}),
]  # fmt: skip
ONLY_IN_ALLOW = [
    ('ttl_at_most = "15m"', {"ttl_seconds": 900}, {"ttl_seconds": 901}),
    ('risk_below = "high"', {"risk": "medium"}, {"risk": "high"}),
]


@pytest.mark.parametrize(("condition", "yes", "no"), HOLDS)
def test_a_condition_holds_in_deny(condition, yes, no):
    rules = policy(when(condition))
    assert names(ruled(rules, **yes)) == ["probe"]
    assert names(ruled(rules, **no)) == []


@pytest.mark.parametrize(("condition", "yes", "no"), ONLY_IN_ALLOW)
def test_a_condition_of_allow_holds(condition, yes, no):
    rules = policy(when(condition, effect="allow"))
    assert ruled(rules, **yes).effect == "allow"
    assert ruled(rules, **no).effect == "review"


def test_every_condition_is_tried_here():
    tried = {text.split(" = ")[0] for text, *_ in HOLDS + ONLY_IN_ALLOW} | {"outside_hours"}
    assert tried == set(When.model_fields)
    assert CLAIMS <= NEVER_ALLOW
    assert not NEVER_ALLOW & ONLY_ALLOW


@pytest.mark.parametrize(
    ("hours", "local", "outside"),
    [
        ("08:00-19:00", "07:59", True), ("08:00-19:00", "08:00", False), ("08:00-19:00", "18:59", False),
        ("08:00-19:00", "19:00", True), ("08:00-19:00", "23:00", True),
        ("22:00-06:00", "22:00", False), ("22:00-06:00", "00:00", False), ("22:00-06:00", "05:59", False),
        ("22:00-06:00", "06:00", True), ("22:00-06:00", "12:00", True), ("22:00-06:00", "21:59", True),
    ],
)  # fmt: skip
def test_hours_are_those_of_the_policys_time_zone_and_wrap_at_midnight(hours, local, outside):
    hour, minute = map(int, local.split(":"))
    at = datetime(2026, 11, 20, hour, minute, tzinfo=UTC).replace(hour=(hour - 1) % 24)  # Berlin is UTC+1 in November
    ruling = ruled(policy(when(f'outside_hours = "{hours}"')), at=at)
    assert (ruling.effect == "deny") is outside
    if outside:
        assert ruling.rules[0].conditions[0].got == local


def test_summer_time_is_followed():
    rules = policy(when('outside_hours = "08:00-19:00"'))
    assert ruled(rules, at=datetime(2026, 7, 1, 6, 30, tzinfo=UTC)).effect == "review"  # 08:30 in Berlin
    assert ruled(rules, at=datetime(2026, 12, 1, 6, 30, tzinfo=UTC)).effect == "deny"  # 07:30


MIXED = {"actions": ["s3:GetObject", "iam:PassRole"]}


@pytest.mark.parametrize(
    ("condition", "mixed"),
    [
        ('action = ["s3:*"]', MIXED),
        ('access_level = ["Read"]', MIXED),
        ('resource = ["arn:aws:s3:::exports/2026/*"]', {"resources": [ALL, "arn:aws:s3:::other/a"]}),
        ('resource = ["arn:aws:s3:::exports/2026/*"]', {"resources": [ALL, "arn:aws:s3:::exports/*"]}),
        ('environment = ["dev"]', {"role": "dev", "environment": "prod"}),
    ],
)
def test_one_element_is_enough_to_deny_and_not_enough_to_allow(condition, mixed):
    assert ruled(policy(when(condition)), **mixed).effect == "deny"
    assert ruled(policy(when(condition, effect="review")), **mixed).rules != ()
    assert ruled(policy(when(condition, effect="allow")), **mixed).effect == "review"


OTHER = "arn:aws:s3:::other/a"
BOTH = {"resources": [ALL, OTHER]}


@pytest.mark.parametrize("condition", ['tags_any = ["team=shop"]', 'tags_none = ["data=*"]'])
@pytest.mark.parametrize("other", [None, ("team=ads", "data=pii")])
def test_tags_are_those_of_every_resource_and_what_is_not_known_is_worst(condition, other):
    fits = {ALL: ("team=shop",), OTHER: ("team=shop",)}
    allow = policy(when(condition, effect="allow"))
    assert ruled(allow, tags=fits, **BOTH).effect == "allow"
    odd = {**fits, OTHER: other} if other else {ALL: fits[ALL]}
    assert ruled(allow, tags=odd, **BOTH).effect == "review"
    assert ruled(policy(when(condition)), tags=odd, **BOTH).effect == "deny"


def test_tags_are_told_in_few_words():
    many = tuple(f"key{number}=x" for number in range(12))
    ruling = ruled(policy(when('tags_any = ["key1=*"]')), tags={ALL: many}, **BOTH)
    assert ruling.rules[0].conditions[0].got == (f"{', '.join(many[:10])}, and 2 more, unknown for 1 of 2 resources")


@pytest.mark.parametrize("zone_day", [("Asia/Tokyo", "sat"), ("America/New_York", "fri")])
def test_a_weekday_is_that_of_the_policys_time_zone(zone_day):
    zone, day = zone_day
    night = NOON.replace(hour=16)  # Friday; in Tokyo it is Saturday
    rules = policy(when(f'weekday = ["{day}"]', effect="allow"), base=POLICY.replace("Europe/Berlin", zone))
    assert ruled(rules, at=night).effect == "allow"


@pytest.mark.parametrize(
    ("condition", "asked", "got"),
    [
        ('rate_over = "2/10m"', {"history": past(asked=(0, 1, 3, 4, 5, 6, 7))}, "3 in 10m"),
        ('rate_over = "2/10m"', {}, "not counted"),
        ("first_seen = true", {"history": past(new=("s3:GetObject", "x:Y"))}, "s3:GetObject, x:Y"),
        ("first_seen = true", {}, "not counted"),
        ("reason_shorter_than = 99", {"reason": " abc "}, "3 characters"),
        ('weekday = ["fri"]', {}, "fri"),
        ('tags_none = ["a=b"]', {"tags": {ALL: ()}}, "no tags"),
        ('issuer = ["git*"]', {"proof": {"issuer": "github"}}, "github"),
    ],
)
def test_what_an_ask_has_is_told(condition, asked, got):
    assert ruled(policy(when(condition)), **asked).rules[0].conditions[0].got == got


def test_the_headline_counts_like_everything_in_access():
    assert ruled(policy(when('action = ["s3:Delete*"]')), action="s3:DeleteObject").effect == "deny"
    allow = policy(when('action = ["s3:Get*"]', effect="allow"))
    assert ruled(allow).effect == "allow"
    assert ruled(allow, action="s3:DeleteObject").effect == "review"


def test_all_of_nothing_is_no_match():
    rules = policy(when('role = ["*"]', effect="allow"))
    assert ruled(rules).effect == "allow"
    assert ruled(rules, access=None).effect == "review"


def test_all_conditions_of_a_rule_must_hold():
    rules = policy(when('principal_kind = ["agent"], action = ["s3:Get*"], ttl_over = "10m"'))
    assert ruled(rules).effect == "deny"
    assert ruled(rules, ttl_seconds=600).effect == "review"


def test_a_wider_resource_does_not_slip_past_a_narrower_rule():
    rules = policy(when('resource = ["arn:aws:s3:::exports/2026/secret*"]'))
    assert ruled(rules).effect == "review"
    for wide in ("arn:aws:s3:::exports/2026/*", "arn:aws:s3:::exports/????/s*", "*"):
        assert ruled(rules, resources=[wide]).effect == "deny"
