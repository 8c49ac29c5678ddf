"""Limits: the smallest cap that applies, told with the remedy."""

from __future__ import annotations

from datetime import timedelta

import pytest

from approvers.errors import Inadmissible
from approvers.limits import check_limits, cooling_until, default_ttl, ttl_for
from tests.approvers.rules_world import NOON, POLICY, edited, facts, policy

DEV = {"role": "dev", "environment": "dev"}


@pytest.mark.parametrize(
    ("asked", "cap", "seconds"),
    [
        (DEV, "default", 4 * 3600),
        ({}, "prod", 3600),
        ({"role": "dev", "environment": "prod"}, "prod", 3600),
        ({**DEV, "actions": ["iam:PassRole"]}, "Permissions management", 2700),
        ({"actions": ["iam:PassRole"]}, "Permissions management", 2700),
    ],
)
def test_the_smallest_cap_that_applies_wins(asked, cap, seconds):
    rules = policy()
    check_limits(rules, facts(rules, ttl_seconds=seconds, **asked))
    with pytest.raises(Inadmissible, match=f"ask for at most {seconds} seconds") as caught:
        check_limits(rules, facts(rules, ttl_seconds=seconds + 1, **asked))
    assert (caught.value.field, caught.value.rule) == ("ttl_seconds", f"limits.ttl_max.{cap}")


def test_a_few_seconds_are_a_ttl_too():
    check_limits(policy(), facts(policy(), ttl_seconds=4))


def test_headline_and_access_together_stay_within_the_number_of_actions():
    rules = policy()
    check_limits(rules, facts(rules, actions=["s3:GetObject", "s3:PutObject", "s3:ListBucket"]))
    with pytest.raises(Inadmissible, match="4 different actions are more than the 3") as caught:
        check_limits(
            rules, facts(rules, action="s3:DeleteObject", actions=["s3:GetObject", "s3:PutObject", "s3:ListBucket"])
        )
    assert (caught.value.field, caught.value.rule) == ("access.actions", "limits.actions_max")


CAPS = edited(POLICY, 'ttl_default = "30m"', 'ttl_default = { default = "30m", prod = "20m", "data:pii" = "10m" }')
CAPS = edited(CAPS, 'prod = "1h"', 'prod = "1h", high = "40m", "data:PII" = "25m"')


@pytest.mark.parametrize(
    ("asked", "cap", "seconds", "words"),
    [
        ({"risk": "high"}, "high", 2400, "where the risk is high or more"),
        ({"risk": "critical"}, "high", 2400, "where the risk is high or more"),
        ({"data_classes": ["x", "Pii"]}, "data:pii", 1500, "for data of class pii"),
        ({"data_classes": ["pii"], "risk": "critical"}, "data:pii", 1500, "for data of class pii"),
    ],
)
def test_sensitivity_shortens_what_may_be_asked(asked, cap, seconds, words):
    rules = policy(base=CAPS)
    check_limits(rules, facts(rules, ttl_seconds=3600))
    check_limits(rules, facts(rules, ttl_seconds=seconds, **asked))
    with pytest.raises(Inadmissible, match=f"{words}; ask for at most {seconds} seconds") as caught:
        check_limits(rules, facts(rules, ttl_seconds=seconds + 1, **asked))
    assert caught.value.rule == f"limits.ttl_max.{cap}"


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [(DEV, 1800), ({}, 1200), ({"data_classes": ["PII"]}, 600), ({**DEV, "data_classes": ["pii"]}, 600)],
)
def test_the_smallest_default_that_applies_wins(asked, seconds):
    rules = policy(base=CAPS)
    assert default_ttl(rules, facts(rules, ttl_seconds=None, **asked)) == seconds


def test_the_default_ttl_stands_in():
    assert ttl_for(policy(), None) == 1800
    assert ttl_for(policy(), 5) == 5


def test_a_denied_ask_cools_down():
    assert cooling_until(policy(), NOON) == NOON + timedelta(minutes=10)
    assert cooling_until(policy(base=edited(POLICY, 'denied_cool_down = "10m"', "")), NOON) is None
