"""Which seats nobody is left to fill: four-eyes, people who are gone, and one person for two seats."""

from __future__ import annotations

import pytest

from approvers.filling import unfillable
from approvers.request import Request
from approvers.roster import parse_roster
from tests.worlds import samples
from tests.worlds.samples import approval

ROSTER = """
[person.dana]
[person.robin]
[person.alex]
[person.kim]
[group.sre]
people = ["dana", "robin"]
[group.security]
people = ["robin"]
[group.outside]
slack = "S02ABCDEF"
[group.alone]
people = ["dana"]
[caller.report-bot]
kind = "agent"
owners = ["user:dana"]
actors = ["agent:report-*"]
[place.console]
groups = ["sre"]
"""


def asked(**seats: int) -> Request:
    """Dana's agent asks, so dana cannot answer."""
    return samples.request(seats=seats)


@pytest.mark.parametrize(
    ("seats", "groups"),
    [
        ({"sre": 1}, ()),
        ({"sre": 2}, ("sre",)),
        ({"sre": 1, "security": 1}, ("sre",)),
        ({"gone": 1}, ("gone",)),
        ({"alone": 1}, ("alone",)),
        ({"outside": 5}, ()),
        ({"outside": 1, "alone": 1}, ("alone",)),
    ],
)
def test_each_kind_of_seat(seats: dict[str, int], groups: tuple[str, ...]):
    assert unfillable(asked(**seats), parse_roster(ROSTER)) == groups


def test_an_answer_that_was_given_counts_though_its_person_has_left_the_group():
    half = asked(sre=2).model_copy(update={"reviews": (approval("kim", groups=("sre",)),)})
    assert unfillable(half, parse_roster(ROSTER)) == ()


def test_who_has_answered_fills_no_second_seat():
    half = asked(security=2).model_copy(update={"reviews": (approval("robin", groups=("security",)),)})
    assert unfillable(half, parse_roster(ROSTER)) == ("security",)


@pytest.mark.parametrize(
    ("pair", "left"),
    [((), ("alone",)), (("sre", "alone"), ()), (("security", "alone"), ()), (("outside", "alone"), ()),
     (("alone", "alone"), ("alone",)), (("sre", "security"), ("alone",))],
    ids=["nobody", "sre", "security", "outside", "themselves", "for-others"],
)  # fmt: skip
def test_whoever_may_fill_in_is_counted(pair: tuple[str, str], left: tuple[str, ...]):
    request = asked(alone=1).model_copy(update={"fill_in": (pair,) if pair else ()})
    assert unfillable(request, parse_roster(ROSTER)) == left


def test_whoever_fills_in_takes_one_seat_only():
    request = asked(alone=1, security=1).model_copy(update={"fill_in": (("security", "alone"),)})
    assert unfillable(request, parse_roster(ROSTER)) == ("security",)
