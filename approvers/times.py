"""Write and read moments and durations: UTC, to the millisecond, in one spelling."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, PlainSerializer

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])")


SLACK = timedelta(seconds=2)
"""What two readings of the store's time may differ by, the later one earlier, before it counts as having gone back."""


def gone_back(earlier: datetime, now: datetime) -> bool:
    """Tell whether the store's time has gone backwards since it was read before: nothing can be decided by it then."""
    return now + SLACK < earlier


def from_ms(milliseconds: int) -> datetime:
    """Return the moment that many milliseconds after the Unix epoch."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC) + timedelta(milliseconds=milliseconds % 1000)


def to_ms(moment: datetime) -> int:
    """Return whole milliseconds since the Unix epoch; finer digits are dropped."""
    return int(moment.timestamp()) * 1000 + moment.microsecond // 1000


@lru_cache(maxsize=1024)  # one moment is spelled many times: in a record, its audit record, its answer
def stamp(moment: datetime) -> str:
    """Spell a moment as in records: `2026-11-20T10:04:31.220Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"  # in place of `+00:00`


def parse_duration(text: str) -> timedelta:
    """Read `90s`, `15m`, `2h` or `1d`. Raises ValueError for anything else, zero included."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write 90s, 15m, 2h or 1d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def spell(duration: timedelta) -> str:
    """Spell a duration for people: `45 s`, `15 min`, `2 h`, `1 h 30 min`."""
    seconds = int(duration.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min" + (f" {rest} s" if rest else "")
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h" + (f" {minutes} min" if minutes else "")


def _to_utc_ms(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a moment needs a time zone")
    return from_ms(to_ms(moment))


Moment = Annotated[datetime, AfterValidator(_to_utc_ms), PlainSerializer(stamp, when_used="json")]
"""A point in time in a stored record: UTC, whole milliseconds, spelled by `stamp`."""
