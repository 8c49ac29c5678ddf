"""Counters of a principal: never too few in a window, bounded, and nobody makes itself known by asking."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers.facts import WINDOWS
from approvers.history import (
    KNOWN_DAYS,
    MOST_KNOWN,
    MOST_REMEMBERED,
    WINDOW_SECONDS,
    Past,
    Times,
    counted,
    decided,
    facts_of,
    place,
    read_known,
    read_past,
    write_known,
    write_past,
)
from approvers.request import Because, Narrowed, RequestState
from tests.worlds import samples

NOW = datetime(2026, 11, 20, 10, 0, 0, tzinfo=UTC)
ONE, TWO = "s3:GetObject", "s3:ListBucket"
GRAIN = dict(zip(WINDOWS, (5, 5, 60, 60, 60, 900, 900), strict=True))
"""By how many seconds a window may be too long: the length of the buckets at its far end."""


def after(*seconds: float, past: Past = Past()) -> Past:
    """Ask once at each of these moments after NOW."""
    for one in seconds:
        past = counted(past, NOW + timedelta(seconds=one))
    return past


def asked(past: Past, seconds: float) -> dict[str, int]:
    found = facts_of(past, {}, samples.action(), None, NOW + timedelta(seconds=seconds))
    return dict(zip(WINDOWS, found.asked, strict=True))


def test_the_first_ask_counts_itself_in_every_window():
    assert asked(Past(), 0) == dict.fromkeys(WINDOWS, 1)


def test_an_ask_leaves_one_window_after_the_other():
    past = after(0)
    for window, seconds in zip(WINDOWS, WINDOW_SECONDS, strict=True):
        assert asked(past, seconds - 1)[window] == 2
        assert asked(past, seconds + GRAIN[window])[window] == 1


@given(st.lists(st.integers(0, 90_000), min_size=1, max_size=60), st.integers(0, 90_000))
def test_no_window_ever_holds_too_few_and_at_most_one_bucket_too_many(moments, wait):
    """Against a count over the plain list of moments."""
    moments = sorted(moments)
    now = moments[-1] + wait
    found = asked(after(*moments), now)
    for window, seconds in zip(WINDOWS, WINDOW_SECONDS, strict=True):
        least = 1 + sum(now - one < seconds for one in moments)
        most = 1 + sum(now - one < seconds + GRAIN[window] for one in moments)
        assert least <= found[window] <= most


def test_time_that_goes_backwards_forgets_nothing():
    past = after(*range(0, 3_000, 10))
    back = asked(past, -7_200)
    assert back["1h"] == 301
    assert asked(after(-7_200, -7_100, past=past), -7_000)["1h"] == 303


@given(st.lists(st.integers(-90_000, 90_000), min_size=1, max_size=40), st.integers(-90_000, 90_000))
def test_no_window_holds_too_few_though_the_stores_time_goes_back_and_forth(moments, last):
    """Two servers with different clocks take turns: an ask is as old as the latest time that was told makes it."""
    latest = list(accumulate([*moments, last], max))
    found = asked(after(*moments), last)
    for window, seconds in zip(WINDOWS, WINDOW_SECONDS, strict=True):
        assert found[window] >= 1 + sum(latest[-1] - one < seconds for one in latest[:-1])


def test_an_ask_while_the_stores_time_was_behind_still_counts_when_it_is_right_again():
    behind = after(0, *[-7_200 + number for number in range(10)])
    assert asked(behind, 60)["10m"] == 12
    assert asked(behind, 700)["10m"] == 1


def test_credit_that_has_run_out_does_not_come_back_with_an_earlier_time():
    days = (KNOWN_DAYS + 1) * 86_400
    request = samples.request()
    found = facts_of(after(days), times(20), request.action, request.plan, NOW)
    assert (found.known, found.new) == (0, ())


def test_a_principal_that_never_stops_has_a_small_record():
    past = Past()
    for number in range(30_000):
        past = counted(past, NOW + timedelta(seconds=number * 5))
    assert len(past.buckets) <= 240
    assert len(write_past(past)) < 4_000
    assert sum(past.hours) <= MOST_REMEMBERED


def test_hours_are_utc_and_reach_one_hour_to_either_side_around_midnight():
    past = after(13 * 3600)  # 23:00 UTC
    berlin = datetime.fromisoformat("2026-11-22T01:30:00+01:00")

    def around(now: datetime) -> tuple[int, int]:
        found = facts_of(past, {}, samples.action(), None, now)
        return found.around, found.total

    assert around(NOW + timedelta(hours=14)) == (1, 1)
    assert around(NOW + timedelta(hours=12)) == (1, 1)
    assert around(NOW + timedelta(hours=15)) == (0, 1)
    assert around(berlin) == (1, 1)
    assert counted(Past(), berlin).hours[0] == 1


def test_an_old_habit_fades():
    past = Past(hours=(MOST_REMEMBERED, *[0] * 23))
    assert counted(past, NOW).hours[0] == MOST_REMEMBERED // 2


def test_both_records_are_read_back_as_they_were_written():
    past, known = after(0, 7, 4_000), {"account:x s3:getobject": Times(3, 20_000)}
    assert read_past(write_past(past)) == past
    assert read_known(write_known(known)) == known
    assert (read_past(""), read_known("")) == (Past(), {})


@pytest.mark.parametrize("read", [read_past, read_known])
def test_a_record_of_another_version_is_refused(read):
    with pytest.raises(ValueError, match="version 2"):
        read('{"v":2}')


# ---- approvals


def ended(state=RequestState.APPROVED, because=Because.QUORUM, **changes):
    return samples.request(**changes).model_copy(update={"state": state, "because": because})


def known_of(known, at=NOW, **changes):
    request = samples.request(**changes)
    found = facts_of(Past(), known, request.action, request.plan, at)
    return found.known, found.new


def times(number: int, **changes):
    known = {}
    for _ in range(number):
        known = decided(known, ended(**changes), NOW)
    return known


def test_what_nobody_approved_is_new_however_often_it_is_asked_for():
    assert known_of({}) == (0, (ONE,))
    for state, because in ((RequestState.PENDING, Because.WAITING), (RequestState.DENIED, Because.REVIEWER),
                           (RequestState.DENIED, Because.RULE), (RequestState.EXPIRED, Because.NOBODY_ANSWERED),
                           (RequestState.APPROVED, Because.BREAK_GLASS)):  # fmt: skip
        nothing = {}
        assert decided(nothing, ended(state, because), NOW) is nothing


def test_peoples_approvals_count_and_a_rules_only_ends_being_new():
    assert known_of(times(3)) == (3, ())
    assert known_of(times(3, because=Because.RULE)) == (0, ())
    mixed = decided(times(3), ended(because=Because.RULE), NOW)
    assert known_of(mixed) == (3, ())


def test_a_rules_approval_of_what_is_known_writes_nothing_twice_a_day():
    known = times(1, because=Because.RULE)
    assert decided(known, ended(because=Because.RULE), NOW + timedelta(hours=1)) is known
    assert decided(known, ended(because=Because.RULE), NOW + timedelta(days=1)) is not known
    assert decided(times(1), ended(because=Because.RULE), NOW + timedelta(days=1)) == times(1)


def test_the_least_known_action_of_the_set_counts_and_every_new_one_is_named():
    access = {**samples.BODY["access"], "actions": [ONE, TWO]}
    assert known_of(times(3), access=access) == (0, (TWO,))
    assert known_of({}, access=access) == (0, (ONE, TWO))
    both = decided(times(3), ended(access=access), NOW)
    assert known_of(both, access=access) == (1, ())
    assert known_of(both) == (4, ())


DENIED = {"state": RequestState.DENIED, "because": Because.REVIEWER}


def test_a_persons_denial_takes_the_credit_of_every_action_of_the_ask_and_makes_nothing_new():
    access = {**samples.BODY["access"], "actions": [ONE, TWO]}
    known = times(20, access=access)
    other = {"action": TWO, "access": {**samples.BODY["access"], "actions": [TWO]}}
    assert known_of(known, access=access) == (20, ())
    assert known_of(decided(known, ended(**DENIED, **other), NOW), **other) == (0, ())
    assert known_of(decided(known, ended(**DENIED, **other), NOW)) == (20, ())
    whole = decided(known, ended(**DENIED, access=access), NOW)
    assert (known_of(whole), known_of(whole, **other)) == ((0, ()), (0, ()))
    assert known_of(decided(whole, ended(), NOW)) == (1, ())


def test_a_denial_elsewhere_or_of_what_is_not_known_changes_nothing():
    for known in ({}, times(3), times(1, because=Because.RULE)):
        assert decided(known, ended(**DENIED, access=None), NOW) is known
    ruled = times(1, because=Because.RULE)
    assert decided(ruled, ended(**DENIED), NOW) is ruled


@pytest.mark.parametrize("because", [Because.RULE, Because.NOT_EVALUATED, Because.NOBODY_REACHED])
def test_a_denial_that_no_person_gave_takes_no_credit(because):
    known = times(20)
    assert decided(known, ended(RequestState.DENIED, because), NOW) is known


def test_what_a_reviewer_took_out_before_another_denied_is_denied_too():
    access = {**samples.BODY["access"], "actions": [ONE, TWO]}
    whole = ended(**DENIED, access=access)
    plan = whole.plan.model_copy(update={"actions": (ONE,)})
    narrowed = Narrowed(before=whole.plan, by="user:robin", at=NOW)
    after_one = decided(times(20, access=access), whole.model_copy(update={"plan": plan, "narrowed": narrowed}), NOW)
    assert {one.people for one in after_one.values()} == {0}


def test_letter_case_makes_no_action_new():
    access = {**samples.BODY["access"], "actions": ["s3:GETobject"]}
    assert known_of(times(1), action="S3:GetObject", access=access) == (1, ())


def test_an_approval_counts_in_its_account_only_and_without_one_in_the_named_environment():
    assert known_of(times(1), access=None) == (0, (ONE,))
    bare = times(1, access=None)
    assert known_of(bare, access=None) == (1, ())
    assert known_of(bare, access=None, environment="staging") == (0, (ONE,))
    assert known_of(bare) == (0, (ONE,))
    request = samples.request()
    assert place(request.action, request.plan) == f"account:{request.plan.account}"


def test_what_a_reviewer_took_out_is_not_decided():
    access = {**samples.BODY["access"], "actions": [ONE, TWO]}
    whole = ended(access=access)
    narrowed = Narrowed(before=whole.plan, by="user:robin", at=NOW)
    plan = whole.plan.model_copy(update={"actions": (ONE,)})
    known = decided({}, whole.model_copy(update={"plan": plan, "narrowed": narrowed}), NOW)
    assert known_of(known, access=access) == (0, (TWO,))


def test_people_who_approved_long_ago_are_no_credit_but_it_is_not_new_again():
    day = timedelta(days=1)
    assert known_of(times(9), NOW + KNOWN_DAYS * day) == (9, ())
    assert known_of(times(9), NOW + (KNOWN_DAYS + 1) * day) == (0, ())


def test_what_was_approved_longest_ago_is_forgotten_first():
    known = {f"account:other s3:a{number}": Times(1, 0) for number in range(MOST_KNOWN)}
    after_one = decided(known, ended(), NOW)
    assert len(after_one) == MOST_KNOWN
    assert "account:other s3:a0" not in after_one
    assert "account:other s3:a1" in after_one
    assert len(write_known(after_one)) < 10_000
