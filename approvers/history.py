"""Count what a principal does: its asks, and what it has been approved for. Pure; the commit of an ask stores it.

Two small records, so that an agent's flood of asks never holds up the people who answer: `Past` is counted by every
ask, `Known` only by approvals, and by people's denials, which take the count back to nothing. What nobody approved
stays new, however often it is asked for.

Nothing here undercounts: an ask counts in a window until the last moment of its bucket has left it, and where the
store's time has gone backwards, the newest ask is taken for now.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any, NamedTuple

from approvers.action import Action
from approvers.facts import WINDOWS, History
from approvers.grant import Plan
from approvers.quick import made
from approvers.request import Because, Request, RequestState
from approvers.times import parse_duration

WINDOW_SECONDS = tuple(int(parse_duration(word).total_seconds()) for word in WINDOWS)
GRAINS = ((300 + 60, 5), (3_600 + 900, 60), (WINDOW_SECONDS[-1], 900))
"""(age, grain): younger than so many seconds, asks are counted in buckets of so many. At most 240 buckets in a day;
a window holds too much by one bucket at most: 5 s of 1 min and 5 min, 1 min up to 1 h, 15 min of 6 h and of the day."""
MOST_REMEMBERED = 1_000
"""From this many asks on, the count of each hour is halved, so that an old habit fades."""
MOST_KNOWN = 200
"""So many actions are kept that were approved; whatever was approved longest ago goes first, and is new again."""
KNOWN_DAYS = 90
"""An action that people approved last longer ago than this is known to nobody any more."""
DAY = 86_400


class Past(NamedTuple):
    """The asks of one principal: (start of a bucket in Unix seconds, asks), oldest first; and how many per UTC hour."""

    buckets: tuple[tuple[int, int], ...] = ()
    hours: tuple[int, ...] = (0,) * 24


class Times(NamedTuple):
    """How often people approved an action since one of them last denied it; on which day since 1970 the last time."""

    people: int
    day: int


Known = Mapping[str, Times]
"""`account:NAME action` (lower case), or `environment:NAME action` → how often; the longest unapproved first."""


def read_past(text: str) -> Past:
    """Return what a `history:PRINCIPAL` record holds; nothing where there is none (empty text)."""
    if not text:
        return Past()
    raw = _first_version(text)
    return Past(tuple([(start, count) for start, count in raw["asks"]]), tuple(raw["hours"]))


def read_known(text: str) -> Known:
    """Return what a `known:PRINCIPAL` record holds; nothing where there is none (empty text)."""
    if not text:
        return {}
    return {key: Times(people, day) for key, (people, day) in _first_version(text)["known"].items()}


def write_past(past: Past) -> str:
    """Return the record's text."""
    return json.dumps({"v": 1, "asks": past.buckets, "hours": past.hours}, separators=(",", ":"))


def write_known(known: Known) -> str:
    """Return the record's text."""
    return json.dumps({"v": 1, "known": known}, separators=(",", ":"))


def counted(past: Past, now: datetime) -> Past:
    """Return the past with one more ask in it."""
    seconds, hour = _seconds(past, now), now.astimezone(UTC).hour
    start = seconds - seconds % GRAINS[0][1]
    if past.buckets and past.buckets[-1][0] == start:
        buckets = (*past.buckets[:-1], (start, past.buckets[-1][1] + 1))
    else:
        buckets = (*_merged(past.buckets, seconds), (start, 1))
    hours = past.hours if sum(past.hours) < MOST_REMEMBERED else tuple([count // 2 for count in past.hours])
    return Past(buckets, (*hours[:hour], hours[hour] + 1, *hours[hour + 1 :]))


def facts_of(past: Past, known: Known, action: Action, plan: Plan | None, now: datetime) -> History:
    """Return what the rules read, as of an ask at `now` that is not in `past` yet; `asked` counts it."""
    seconds, hour = _seconds(past, now), now.astimezone(UTC).hour
    found = {name: known.get(key) for name, key in _keys(place(action, plan), _asked(action)).items()}
    return made(
        History,
        around=sum(past.hours[(hour + step) % 24] for step in (-1, 0, 1)),
        asked=_per_window(past.buckets, seconds),
        known=min(_credit(one, seconds // DAY) for one in found.values()),
        new=tuple([name for name, one in found.items() if one is None]),
        total=sum(past.hours),
    )


def decided(known: Known, request: Request, now: datetime) -> Known:
    """Return what is known as this request now stands; the very same object where that changes nothing.

    People's approvals count, a rule's only ends being new, and a person's denial of any part of an ask takes the count
    of all its actions back to nothing. Break-glass is no approval, nor is what a reviewer took out.
    """
    where = place(request.action, request.plan)
    match request.state, request.because:
        case RequestState.APPROVED, Because.QUORUM | Because.RULE:
            keys = _keys(where, _granted(request)).values()
            return _approved(known, keys, int(now.timestamp()) // DAY, people=request.because is Because.QUORUM)
        case RequestState.DENIED, Because.REVIEWER:
            return _denied(known, _keys(where, request.facts.actions).values())
    return known


def place(action: Action, plan: Plan | None) -> str:
    """Return where an approval of this ask counts: the plan's account, else the environment that the caller names."""
    return f"account:{plan.account}" if plan else f"environment:{action.environment}"


def _approved(known: Known, keys: Iterable[str], day: int, *, people: bool) -> Known:
    """Count these actions once more and put them last; a rule writes what it allows no more than once a day."""
    after = known
    for key in keys:
        before = known.get(key)
        if people or before is None or (before.people == 0 and before.day != day):
            rest = {other: times for other, times in after.items() if other != key}
            after = {**rest, key: Times((before.people if before else 0) + people, day)}
    return after if len(after) <= MOST_KNOWN else dict(list(after.items())[len(after) - MOST_KNOWN :])


def _denied(known: Known, keys: Iterable[str]) -> Known:
    """Take the credit of these actions; what was approved once does not become new again."""
    lost = {key: known[key]._replace(people=0) for key in keys if key in known and known[key].people}
    return {**known, **lost} if lost else known


def _first_version(text: str) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads(text)
    if raw.get("v") != 1:
        raise ValueError(f"a stored history has version {raw.get('v')}; this Countersign reads version 1")
    return raw


def _seconds(past: Past, now: datetime) -> int:
    """Return the time by which asks are counted: the store's, but never before the newest ask."""
    return max(int(now.timestamp()), past.buckets[-1][0] if past.buckets else 0)


def _merged(buckets: tuple[tuple[int, int], ...], seconds: int) -> tuple[tuple[int, int], ...]:
    """Drop what is older than a day, and put together what has grown old enough for a coarser bucket.

    A bucket never reaches further than `_grain` says for the age of its start: grains only grow with age.
    """
    oldest = seconds - GRAINS[-1][0]
    merged: dict[int, int] = {}
    for start, count in buckets:
        grain = _grain(seconds - start)
        begin = start - start % grain
        if begin + grain > oldest:
            merged[begin] = merged.get(begin, 0) + count
    return tuple(merged.items())


def _grain(age: int) -> int:
    """Return the length of the bucket that an ask of this age lies in."""
    for younger, grain in GRAINS:
        if age < younger:
            return grain
    return GRAINS[-1][1]


def _per_window(buckets: tuple[tuple[int, int], ...], seconds: int) -> tuple[int, ...]:
    """Count the asks in each window, one more for the ask itself; what may still be inside counts."""
    counts = [1, *[0] * len(WINDOW_SECONDS)]
    for start, count in buckets:
        age = seconds - start
        counts[bisect_right(WINDOW_SECONDS, age - _grain(age))] += count
    return tuple(accumulate(counts[:-1]))


def _asked(action: Action) -> Iterable[str]:
    return (action.action, *(action.access.actions if action.access else ()))


def _granted(request: Request) -> Iterable[str]:
    """Return what was really approved: all that was asked, or what a reviewer left of it."""
    return request.plan.actions if request.plan and request.narrowed else request.facts.actions


def _keys(where: str, actions: Iterable[str]) -> dict[str, str]:
    """Return action → key, each action once, whatever its letter case."""
    keys: dict[str, str] = {}
    for name in actions:
        keys.setdefault(f"{where} {name.lower()}", name)
    return {name: key for key, name in keys.items()}


def _credit(times: Times | None, today: int) -> int:
    return times.people if times and today - times.day <= KNOWN_DAYS else 0
