"""Risk: named points, bands, unknown worst, a claim that only raises."""

from __future__ import annotations

import pytest

from approvers.risk import RiskTable, assess
from tests.approvers.rules_world import facts, policy, ruled

DEV = {"role": "dev", "environment": "dev"}


def _points(**changes):
    return {point.id: point.points for point in ruled(policy(), **changes).risk.points}


def test_a_read_in_production_is_reading_plus_production():
    risk = ruled(policy()).risk
    assert [(point.id, point.points) for point in risk.points] == [("access", 10), ("environment", 20)]
    assert (risk.score, risk.level) == (30, "medium")
    assert all(point.why for point in risk.points)


@pytest.mark.parametrize(
    ("change", "point", "points"),
    [
        ({"actions": ["s3:ListBucket"], "action": "s3:ListBucket"}, "access", 5),
        ({"actions": ["s3:PutObjectTagging"]}, "access", 15),
        ({"actions": ["s3:PutObject"]}, "access", 25),
        ({"actions": ["iam:PassRole"]}, "access", 40),
        ({"actions": ["odd:Thing"]}, "access", 40),
        ({"actions": ["s3:DeleteObject"]}, "destructive", 20),
        ({"actions": ["iam:PassRole"]}, "escalation", 30),
        ({"actions": ["secretsmanager:GetSecretValue"]}, "credentials", 25),
        ({"resources": ["arn:aws:s3:::exports/*"]}, "wildcard", 15),
        ({"resources": ["arn:aws:s3:::exports/202?/a"]}, "wildcard", 15),
        ({"resources": ["*"]}, "everything", 25),
        ({"actions": [f"s3:Get{n}" for n in range(5)]}, "many", 8),
        ({"environment": "elsewhere", **{"access": None}}, "environment", 20),
        ({"data_classes": ["pii"]}, "data", 15),
        ({"ttl_seconds": 3601}, "long", 8),
        ({"ticket": None}, "no_ticket", 5),
        ({"ticket": " "}, "no_ticket", 5),
    ],
)
def test_each_part_is_a_named_point(change, point, points):
    assert _points(**change)[point] == points
    assert point == "access" or point == "environment" or point not in _points()


@pytest.mark.parametrize(
    "change",
    [{"ttl_seconds": 3600}, {"actions": [f"s3:Get{n}" for n in range(4)]}, {"data_classes": []}],
)
def test_at_the_edge_nothing_is_added(change):
    assert not {"long", "many", "data"} & set(_points(**change))


def test_the_highest_level_of_the_set_counts():
    assert _points(actions=["s3:GetObject", "s3:ListBucket", "iam:PassRole"])["access"] == 40


def test_unknown_environment_counts_as_the_worst_and_dev_as_nothing():
    assert "environment" not in _points(**DEV)
    assert _points(access=None, environment="dev")["environment"] == 20


@pytest.mark.parametrize(
    ("claim", "level"),
    [(None, "medium"), ("low", "medium"), ("medium", "medium"), ("high", "high"), ("critical", "critical")],
)
def test_the_callers_claim_only_raises(claim, level):
    risk = ruled(policy(), risk=claim).risk
    assert (risk.level, risk.score) == (level, 30)
    assert ("claimed" in {point.id for point in risk.points}) is (level != "medium")


@pytest.mark.parametrize(
    ("score", "level"), [(29, "low"), (30, "medium"), (59, "medium"), (60, "high"), (84, "high"), (85, "critical")]
)
def test_bands_begin_at_their_number(score, level):
    table = RiskTable.model_validate({"access": {"Read": score, "unknown": 100}, "environment": {"prod": 0}})
    assert assess(table, facts(policy())).level == level


def test_the_score_stops_at_a_hundred():
    everything = {"actions": ["s3:DeleteObject", "iam:PassRole", "secretsmanager:GetSecretValue"], "resources": ["*"]}
    assert ruled(policy(), data_classes=["pii"], ticket=None, **everything).risk.score == 100


def test_the_policys_lists_add_to_the_shipped_ones():
    lists = '[risk.lists]\ncredentials = ["S3:get*"]\ndestructive = ["none:None"]\n'
    found = facts(policy(lists), actions=["s3:GetObject", "s3:DeleteObject"])
    assert found.risk_lists == ("credentials", "destructive")
