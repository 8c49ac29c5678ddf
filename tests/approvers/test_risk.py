"""Risk: named points, bands, unknown worst, a claim that only raises, and what a principal's history adds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers.deriving import derive
from approvers.facts import NO_HISTORY, WINDOWS
from approvers.risk import RiskTable, assess
from tests.approvers.rules_world import facts, past, policy, ruled

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
    asked = facts(policy())
    assert assess(table, asked, derive(policy(), asked)).level == level


def test_the_score_stops_at_a_hundred():
    everything = {"actions": ["s3:DeleteObject", "iam:PassRole", "secretsmanager:GetSecretValue"], "resources": ["*"]}
    assert ruled(policy(), data_classes=["pii"], ticket=None, **everything).risk.score == 100


def test_the_policys_lists_add_to_the_shipped_ones():
    lists = '[risk.lists]\ncredentials = ["S3:get*"]\ndestructive = ["none:None"]\n'
    found = facts(policy(lists), actions=["s3:GetObject", "s3:DeleteObject"])
    assert found.risk_lists == ("destructive",)
    assert derive(policy(lists), found).risk_lists == ("credentials", "destructive")


# ---- what the principal did before

QUIET = {"total": 100, "around": 40}
"""Somebody who often asks at this hour."""


def within(window: str, asks: int) -> tuple[int, ...]:
    """Return counts of somebody who asked so often within a window, and not before."""
    return tuple(asks if index >= WINDOWS.index(window) else 1 for index in range(len(WINDOWS)))


@pytest.mark.parametrize(
    ("history", "point", "points"),
    [
        (past(new=("s3:GetObject",)), "first_seen", 10),
        (past(asked=within("10m", 21)), "burst", 12),
        (past(asked=within("1m", 21)), "burst", 12),
        (past(total=50), "unusual_hour", 6),
        (past(total=100, around=2), "unusual_hour", 6),
        (past(known=20, **QUIET), "well_known", -10),
    ],
)
def test_history_adds_a_named_point(history, point, points):
    assert _points(history=history) == {"access": 10, "environment": 20, point: points}


@pytest.mark.parametrize(
    "history",
    [
        NO_HISTORY,
        past(),
        past(asked=within("10m", 20)),
        past(asked=within("30m", 99)),
        past(total=49),
        past(total=100, around=3),
        past(known=19, **QUIET),
    ],
)
def test_at_the_edge_history_adds_nothing(history):
    assert _points(history=history) == {"access": 10, "environment": 20}


def test_where_nothing_was_counted_history_says_nothing_at_all():
    """A record from before history was kept is ruled on as it was then."""
    assert _points(history=NO_HISTORY.model_copy(update={"new": ("s3:GetObject",), "known": 99})) == _points()


@pytest.mark.parametrize(
    "change",
    [
        {"actions": ["iam:PassRole"], **DEV},
        {"actions": ["odd:Thing"]},
        {"actions": ["s3:DeleteObject"]},
        {"actions": ["secretsmanager:GetSecretValue"]},
        {"access": None},
    ],
)
def test_no_credit_for_permissions_unknown_or_listed_actions_nor_where_no_account_proves_the_environment(change):
    assert "well_known" not in _points(history=past(known=99, **QUIET), **change)


@pytest.mark.parametrize(
    ("change", "credit"),
    [
        ({}, True),
        ({"levels": ("Permissions management",)}, False),
        ({"levels": ("Read", "Permissions management")}, False),
        ({"levels": ("unknown",)}, False),
        ({"risk_lists": ("destructive",)}, False),
        ({"pairs": ("s3:GetObject with s3:ListBucket",)}, False),
    ],
)
def test_each_of_these_alone_takes_the_credit(change, credit):
    asked = facts(policy(), history=past(known=99, **QUIET)).model_copy(update=change)
    points = {point.id for point in assess(RiskTable(), asked, derive(policy(), asked)).points}
    assert ("well_known" in points) is credit


def test_a_policys_own_list_takes_the_credit_too():
    lists = '[risk.lists]\ncredentials = ["s3:Get*"]\n'
    points = {point.id for point in ruled(policy(lists), history=past(known=99, **QUIET)).risk.points}
    assert "well_known" not in points


def test_the_credit_never_takes_the_score_below_zero():
    listing = {"action": "s3:ListBucket", "actions": ["s3:ListBucket"], **DEV}
    risk = ruled(policy(), history=past(known=20, **QUIET), **listing).risk
    assert (risk.score, risk.level) == (0, "low")


def test_the_credit_can_be_made_smaller_and_not_larger():
    smaller = policy("[risk.context]\nwell_known = -3\n")
    assert ruled(smaller, history=past(known=20, **QUIET)).risk.score == 27


def test_a_pair_counts_once_besides_its_actions():
    found = ruled(policy(), actions=["s3:PutObject", "iam:PassRole"], **DEV).risk
    pair = next(point for point in found.points if point.id == "pair")
    assert (pair.points, pair.why) == (20, "more rights together: iam:PassRole with s3:PutObject")
    assert "pair" not in _points(actions=["iam:PassRole"], **DEV)


@given(
    actions=st.lists(
        st.sampled_from(["s3:GetObject", "s3:ListBucket", "s3:PutObject", "s3:DeleteObject", "iam:PassRole", "odd:X"]),
        min_size=2,
        max_size=6,
        unique=True,
    ),
    known=st.dictionaries(st.sampled_from(["s3:GetObject", "s3:ListBucket", "s3:PutObject", "odd:X"]), st.just(99)),
)
def test_adding_an_action_never_lowers_the_score(actions, known):
    """The history of an ask is that of its least known action, as `approvers.history` counts it."""

    def score(some: list[str]) -> int:
        history = past(known=min(known.get(name, 0) for name in some), **QUIET)
        return ruled(policy(), action=some[0], actions=some, history=history, **DEV).risk.score

    assert score(actions) >= score(actions[:-1])
