"""Days away: as people write them, to the end of the day where the policy lives, whatever clocks do that night."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from approvers.away import LONGEST_AWAY, Lent, end_of_day, lenders, parse_until
from approvers.errors import Malformed

BERLIN = ZoneInfo("Europe/Berlin")
FRIDAY = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("Mon", "2026-11-23"),
        ("monday", "2026-11-23"),
        (" SUN ", "2026-11-22"),
        ("Fri", "2026-11-27"),  # today is one: the next one is meant
        ("today", "2026-11-20"),
        ("tomorrow", "2026-11-21"),
        ("1d", "2026-11-21"),
        ("3d", "2026-11-23"),
        ("2026-11-20", "2026-11-20"),
        ("2026-12-01", "2026-12-01"),
        ("60d", "2027-01-19"),
    ],
)
def test_a_day_lasts_to_its_end_where_the_policy_lives(text, day):
    until = parse_until(text, FRIDAY, BERLIN)
    assert (until.date().isoformat(), until.tzinfo) == (day, BERLIN)
    assert (until + timedelta(milliseconds=1)).strftime("%H:%M:%S.%f") == "00:00:00.000000"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not a day"),
        ("Mo", "is not a day"),
        ("0d", "is not a day"),
        ("3h", "is not a day"),
        ("2026-02-30", "is not a day"),
        ("20261201", "is not a day"),
        ("2026-12-01T10:00", "is not a day"),
        ("Mon → bob", "is not a day"),
        ("2026-11-19", "is over"),
        ("61d", "more than 60 days"),
        ("999d", "more than 60 days"),
        ("9999-12-31", "more than 60 days"),
    ],
)
def test_anything_else_is_refused_with_its_spelling(text, says):
    with pytest.raises(Malformed, match=says) as caught:
        parse_until(text, FRIDAY, BERLIN)
    assert caught.value.field == "until"


def test_today_is_what_the_policy_zone_says_it_is():
    late = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)  # Saturday in Berlin already
    assert parse_until("tomorrow", late, BERLIN).date() == date(2026, 11, 22)
    assert parse_until("tomorrow", late, ZoneInfo("UTC")).date() == date(2026, 11, 21)


@pytest.mark.parametrize(
    ("day", "zone", "ends"),
    [
        (date(2026, 3, 29), "Europe/Berlin", "2026-03-29T21:59:59.999+00:00"),  # 23 hours long
        (date(2026, 10, 25), "Europe/Berlin", "2026-10-25T22:59:59.999+00:00"),  # 25 hours long
        (date(2026, 4, 23), "Africa/Cairo", "2026-04-23T21:59:59.999+00:00"),  # there is no next midnight
    ],
)
def test_a_day_on_which_clocks_are_changed_ends_when_the_next_begins(day, zone, ends):
    assert end_of_day(day, ZoneInfo(zone)).astimezone(UTC).isoformat(timespec="milliseconds") == ends


def test_a_seat_is_lent_to_its_last_moment_and_not_lent_on():
    until = FRIDAY + LONGEST_AWAY
    lent = [Lent("dana", "robin", until), Lent("robin", "kim", until), Lent("alex", "robin", until),
            Lent("dana", "robin", FRIDAY)]  # fmt: skip
    assert lenders(lent, "robin", until) == ("alex", "dana")
    assert lenders(lent, "kim", FRIDAY) == ("robin",)
    assert lenders(lent, "robin", until + timedelta(milliseconds=1)) == ()
    assert lenders(lent, "dana", FRIDAY) == ()
