"""Ladders: who is asked when, until when; at the exact moments."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers.escalation import (
    alerts,
    asked_at,
    combined,
    expires_at,
    fill_in,
    ladder_for,
    level_at,
    next_level_at,
)
from approvers.policy import Ladder, Level
from tests.approvers.rules_world import DENY_DELETES, NOON, REVIEW_PII, REVIEW_READS, policy, ruled

WORK = policy().ladders["work"]
MINUTE = timedelta(minutes=1)
MS = timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("passed", "level", "following"),
    [
        (-MINUTE, 0, 15 * MINUTE), (0 * MINUTE, 0, 15 * MINUTE), (15 * MINUTE - MS, 0, 15 * MINUTE),
        (15 * MINUTE, 1, None), (90 * MINUTE, 1, None),
    ],
)  # fmt: skip
def test_a_level_begins_at_its_moment(passed, level, following):
    assert level_at(WORK, NOON, NOON + passed) == level
    assert next_level_at(WORK, NOON, NOON + passed) == (NOON + following if following else None)


def test_it_ends_when_the_policy_says():
    assert expires_at(WORK, NOON) == NOON + 30 * MINUTE


def test_later_levels_ask_more():
    assert asked_at(WORK, NOON, NOON) == ("place:console",)
    assert asked_at(WORK, NOON, NOON + 15 * MINUTE) == ("place:console", "group:security")


@given(st.integers(0, 60), st.integers(0, 60))
def test_nobody_is_ever_taken_off(first, later):
    early, late = sorted((first, later))
    before, after = (asked_at(WORK, NOON, NOON + minutes * MINUTE) for minutes in (early, late))
    assert after[: len(before)] == before


def test_two_quorums_climb_together_and_expire_with_the_first():
    rules = policy(REVIEW_READS, REVIEW_PII)
    ruling = ruled(rules, data_classes=["pii"])
    ladder = ladder_for(rules, ruling)
    assert expires_at(ladder, NOON) == NOON + timedelta(seconds=ruling.expires_after_seconds)
    assert [(level.after, level.ask) for level in ladder.levels] == [
        (0 * MINUTE, ("group:sre", "group:security", "place:console")),
        (15 * MINUTE, ("group:security",)),
    ]


def test_one_quorum_uses_its_own_ladder():
    rules = policy(REVIEW_READS)
    assert ladder_for(rules, ruled(rules)) is rules.ladders["work"]


def test_a_level_after_the_common_end_is_left_out():
    ladders = policy().ladders
    short = ladders["page"].model_copy(update={"expires_after": 10 * MINUTE})
    assert [level.after for level in combined([ladders["work"], short]).levels] == [0 * MINUTE]


def test_a_ruling_that_asks_nobody_has_no_ladder():
    rules = policy(DENY_DELETES)
    with pytest.raises(ValueError, match="asks nobody"):
        ladder_for(rules, ruled(rules, actions=["s3:DeleteObject"]))


def levels(name: str, *rows: tuple[int, tuple[str, ...], str | None, bool]) -> Ladder:
    made = tuple(Level(after=after * MINUTE, ask=ask, may_fill=fills, alert=told) for after, ask, fills, told in rows)
    return Ladder(name=name, expires_after=60 * MINUTE, levels=made)


PAGE = levels("page", (0, ("group:dba",), None, False), (10, ("group:lead", "place:prod"), "dba", True))
CALL = levels("call", (0, ("group:sre",), None, False), (10, ("group:boss", "group:sre"), "sre", False),
              (20, ("group:chief",), "sre", False))  # fmt: skip
SEATS = ("dba", "sre")


@pytest.mark.parametrize(("level", "pairs"), [(0, ()), (1, (("lead", "dba"),)), (9, (("lead", "dba"),))])
def test_from_a_level_on_its_groups_may_take_the_seats_of_another(level, pairs):
    assert fill_in(PAGE, level, SEATS) == pairs
    assert fill_in(PAGE, level, ("sre",)) == ()
    assert alerts(PAGE, level) == bool(level)


def test_ladders_that_climb_together_open_each_its_own_seats_to_its_own_groups():
    both = combined([PAGE, CALL])
    assert [one.after for one in both.levels] == [0 * MINUTE, 10 * MINUTE, 20 * MINUTE]
    assert fill_in(both, 1, SEATS) == (("lead", "dba"), ("boss", "sre"))
    assert fill_in(both, 2, SEATS) == (("lead", "dba"), ("boss", "sre"), ("chief", "sre"))
    assert [alerts(both, level) for level in range(3)] == [False, True, True]
