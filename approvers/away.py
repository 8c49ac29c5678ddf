"""Lend a seat while somebody is away: who lends to whom, until which day, and how people write that day.

A seat that is lent stays its owner's seat: whoever uses it answers for that one person, who then has answered. Nothing
is lent on: bob, who has ana's seat, can lend his own seat only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from approvers.errors import Malformed

LONGEST_AWAY = timedelta(days=60)
"""The longest that a person can lend their seats by themselves; for longer, the roster says who is in the group."""
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAYS = re.compile(r"([1-9][0-9]{0,2})d")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_USAGE = "write Mon … Sun, tomorrow, 3d or a date such as 2026-12-01"


@dataclass(frozen=True)
class Lent:
    """One person's seats (`giver`, a bare name), lent to another (`taker`) up to and including the moment `until`."""

    giver: str
    taker: str
    until: datetime


def end_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Return the last millisecond of a day in a time zone, whatever its clocks do that night."""
    midnight = datetime.combine(day + timedelta(days=1), time(), zone)
    return (midnight.astimezone(UTC) - timedelta(milliseconds=1)).astimezone(zone)


def parse_until(text: str, now: datetime, zone: ZoneInfo) -> datetime:
    """Return the end of the day that somebody typed; the day itself still counts.

    Args:
        text: `Mon` to `Sun` (the next one after today), `tomorrow`, `3d` (the day in three days), or `2026-12-01`.
        now: the store's time.
        zone: the policy's time zone, in which days begin and end.

    Raises:
        Malformed: it is no such day, it is over, or it is more than `LONGEST_AWAY` ahead.
    """
    today = now.astimezone(zone).date()
    day = _day(text.strip().lower(), today)
    if day is None:
        raise Malformed(f"{text.strip()[:40]!r} is not a day; {_USAGE}.", field="until")
    if day < today:
        raise Malformed(f"{day} is over; {_USAGE}.", field="until")
    if day - today > LONGEST_AWAY:
        raise Malformed(f"{day} is more than {LONGEST_AWAY.days} days ahead; write an earlier day.", field="until")
    return end_of_day(day, zone)


def lenders(lent: Iterable[Lent], person: str, now: datetime) -> tuple[str, ...]:
    """Return whose seats this person (bare name) may fill now, besides their own: bare names in order."""
    return tuple(sorted({one.giver for one in lent if one.taker == person and now <= one.until}))


def _day(word: str, today: date) -> date | None:
    if word == "today":
        return today
    if word == "tomorrow":
        return today + timedelta(days=1)
    if match := _DAYS.fullmatch(word):
        return today + timedelta(days=int(match[1]))
    for number, name in enumerate(WEEKDAYS):
        if word in (name, name[:3]):
            return today + timedelta(days=(number - today.weekday() - 1) % 7 + 1)
    try:
        return date.fromisoformat(word) if _DATE.fullmatch(word) else None
    except ValueError:
        return None
