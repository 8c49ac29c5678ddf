"""The tally: distinct people, maximum matching, no seats never satisfied."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from approvers.quorum import Review, tally
from tests.approvers.rules_world import NOON

GROUPS = ("a", "b", "c")
PEOPLE = tuple(f"user:p{number}" for number in range(5))
seats_of = st.dictionaries(st.sampled_from(GROUPS), st.integers(1, 2), max_size=3)
members = st.fixed_dictionaries({person: st.sets(st.sampled_from(GROUPS)) for person in PEOPLE})


def _yes(person: str, *groups: str, verdict: str = "approve") -> Review:
    return Review(reviewer=person, verdict=verdict, at=NOON, groups=tuple(sorted(groups)), via="test")


def _most(seats: dict[str, int], groups: dict[str, set[str]]) -> int:
    """The most seats that can be filled at once, by trying every order of people on every seat."""
    places = [group for group, count in seats.items() for _ in range(count)]
    people = [*groups, *[None] * len(places)]
    return max(
        sum(person is not None and place in groups[person] for person, place in zip(order, places, strict=True))
        for order in set(permutations(people, len(places)))
    )


@given(seats_of, st.dictionaries(st.sampled_from(PEOPLE[:3]), st.sets(st.sampled_from(GROUPS)), max_size=3))
def test_as_many_seats_are_filled_as_can_be(seats, groups):
    found = tally(seats, [_yes(person, *held) for person, held in groups.items()])
    assert sum(map(len, found.filled.values())) == _most(seats, groups)


@given(seats_of, members, st.permutations(PEOPLE), st.integers(0, 5))
def test_seats_are_filled_by_distinct_members_and_order_decides_nothing(seats, groups, order, count):
    reviews = [_yes(person, *groups[person]) for person in order[:count]]
    found = tally(seats, reviews)
    seated = [person for people in found.filled.values() for person in people]
    assert len(seated) == len(set(seated))
    assert all(group in groups[person] for group, people in found.filled.items() for person in people)
    assert found.satisfied is (bool(seats) and not found.missing)
    assert found.satisfied is tally(seats, reversed(reviews)).satisfied
    assert found == tally(seats, reviews)


@given(seats_of, members, st.permutations(PEOPLE))
def test_one_more_approval_never_loses_a_seat(seats, groups, order):
    reviews = [_yes(person, *groups[person]) for person in order]
    filled = [sum(map(len, tally(seats, reviews[:count]).filled.values())) for count in range(6)]
    assert filled == sorted(filled)


def test_first_fit_would_refuse_this():
    both, one = _yes("user:robin", "a", "b"), _yes("user:kim", "a")
    assert tally({"a": 1, "b": 1}, [both, one]).satisfied
    assert tally({"a": 1, "b": 1}, [one, both]).filled == {"a": ("user:kim",), "b": ("user:robin",)}


def test_one_person_fills_one_seat_however_often():
    twice = [_yes("user:robin", "a", "b"), _yes("user:robin", "a", "b")]
    found = tally({"a": 1, "b": 1}, twice)
    assert (found.satisfied, dict(found.missing)) == (False, {"b": 1})


def test_no_seats_are_never_satisfied():
    assert not tally({}, []).satisfied
    assert not tally({}, [_yes("user:robin", "a")]).satisfied


def test_more_approvals_than_seats_still_satisfy():
    assert tally({"a": 1}, [_yes(person, "a") for person in PEOPLE]).satisfied


def test_a_denial_fills_no_seat_and_takes_back_a_yes():
    reviews = [_yes("user:robin", "a"), _yes("user:robin", "a", verdict="deny")]
    assert not tally({"a": 1}, reviews).satisfied
    assert not tally({"a": 1}, reviews[1:]).satisfied


def test_somebody_outside_the_groups_fills_nothing():
    assert dict(tally({"a": 2}, [_yes("user:eve", "b"), _yes("user:kim")]).missing) == {"a": 2}


def _for(person: str, lender: str, *groups: str, verdict: str = "approve") -> Review:
    return _yes(person, *groups, verdict=verdict).model_copy(update={"lent_by": lender})


def test_a_lent_seat_is_its_owners_voice_and_no_voice_fills_two_seats():
    bob_for_ana = _for("user:bob", "user:ana", "a")
    assert tally({"a": 1}, [bob_for_ana]).filled == {"a": ("user:bob",)}
    for second in (
        _yes("user:ana", "a"),
        _yes("user:bob", "a"),
        _for("user:cara", "user:ana", "a"),
        _for("user:cara", "user:bob", "a"),
    ):
        assert not tally({"a": 2}, [bob_for_ana, second]).satisfied
        assert not tally({"a": 2}, [second, bob_for_ana]).satisfied
    assert tally({"a": 2}, [bob_for_ana, _yes("user:cara", "a")]).satisfied


def test_a_denial_for_somebody_takes_back_what_either_said():
    denial = _for("user:bob", "user:ana", "a", verdict="deny")
    for earlier in (_yes("user:ana", "a"), _yes("user:bob", "a"), _for("user:cara", "user:ana", "a")):
        assert not tally({"a": 1}, [earlier, denial]).satisfied
