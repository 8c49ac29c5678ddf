"""Break-glass stands in for a review, on the policy's terms, and for nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from approvers.errors import Inadmissible
from approvers.limits import check_limits, default_ttl
from approvers.ruling import Ruling, rule
from tests.approvers.rules_world import (
    ALLOW_DEV,
    DENY_DELETES,
    REVIEW_READS,
    SHA,
    edited,
    facts,
    names,
    policy,
    when,
)

GLASS = """
[break_glass]
who = ["group:sre-lead", "user:kim"]
require = ["reason", "ticket"]
ttl_max = "20m"
tell = ["group:security"]
open_max = 2
"""
RULES = (REVIEW_READS, ALLOW_DEV, GLASS)
LEAD = {"principal": "user:dana", "id": "user:dana", "on_behalf_of": None, "groups": ("sre-lead",), "break_glass": True}


def broken(*rules: str, **asked: object) -> Ruling:
    loaded = policy(*(rules or RULES))
    return rule(loaded, facts(loaded, **{**LEAD, **asked}), sha256=SHA)


@pytest.mark.parametrize("who", [{}, {"principal": "user:kim", "id": "user:kim", "groups": ()}])
def test_a_review_is_stood_in_for_with_the_seats_that_it_would_have_had(who):
    asked, opened = broken(**who, break_glass=False), broken(**who)
    assert (asked.effect, opened.effect) == ("review", "break_glass")
    same = {"seats", "quorums", "expires_after_seconds", "rules", "notes", "barred", "risk"}
    assert opened.model_dump(include=same) == asked.model_dump(include=same)
    assert opened.because == "Granted at once by break-glass, in place of the people asked by review-reads."
    assert opened.narrow == ()


def test_the_defaults_review_is_stood_in_for_as_well():
    opened = broken(GLASS)
    assert (opened.effect, dict(opened.seats)) == ("break_glass", {"sre": 1})
    assert "break-glass stands in" in opened.because


def test_a_deny_stays_a_deny_and_an_allow_an_allow():
    denied = broken(GLASS, when('action = ["s3:*"]'))
    assert (denied.effect, names(denied)) == ("deny", ["probe"])
    allowed = broken(role="dev", environment="dev")
    assert (allowed.effect, names(allowed)) == ("allow", ["allow-dev"])
    assert allowed == broken(role="dev", environment="dev", break_glass=False)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"principal": "caller:report-bot", "id": "agent:report-bot"}, "for people only"),
        ({"groups": ("sre",)}, "not open to you"),
        ({"groups": ("kim", "user:kim")}, "not open to you"),
        ({"ticket": " "}, "needs a ticket; name it"),
        ({"reason": " ", "ticket": None}, "needs a reason and a ticket; name it"),
        ({"owed": 2}, "2 of your uses are not reviewed yet"),
    ],
)
def test_where_it_is_not_open_the_answer_is_no_and_says_what_to_do(asked, says):
    ruling = broken(**asked)
    assert (ruling.effect, ruling.rules, dict(ruling.seats), ruling.quorums) == ("deny", (), {}, ())
    assert says in ruling.because
    assert "ask for a review" in ruling.because


def test_a_policy_without_it_says_so():
    assert "no break-glass" in broken(REVIEW_READS).because


def test_one_open_use_is_named_as_the_last():
    glass = edited(GLASS, "open_max = 2", "open_max = 1")
    assert "your last use is not reviewed yet" in broken(glass, owed=1).because
    assert broken(glass, owed=0).effect == "break_glass"


def test_the_deletes_of_agents_stay_denied():
    ruling = broken(GLASS, DENY_DELETES, principal="caller:report-bot", id="agent:report-bot",
                    actions=["s3:DeleteObject"])  # fmt: skip
    assert names(ruling) == ["deny-deletes"]


def test_its_ttl_is_capped_and_is_the_default_where_none_is_named():
    loaded = policy(*RULES)
    check_limits(loaded, facts(loaded, **LEAD, ttl_seconds=1200))
    with pytest.raises(Inadmissible, match="20 min that the policy gives for break-glass; ask for at most") as told:
        check_limits(loaded, facts(loaded, **LEAD, ttl_seconds=1201))
    assert (told.value.field, told.value.rule) == ("ttl_seconds", "break_glass.ttl_max")
    assert default_ttl(loaded, facts(loaded, **LEAD, ttl_seconds=None)) == timedelta(minutes=20).total_seconds()
    plain = {**LEAD, "break_glass": False}
    check_limits(loaded, facts(loaded, **plain, ttl_seconds=3600))
    assert default_ttl(loaded, facts(loaded, **plain, ttl_seconds=None)) == 1800
