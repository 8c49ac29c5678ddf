"""Put together what there is to know of each reviewer: how often they are asked, how soon and how they answer.

How often: read out of the audit log, further on at every look, so that no ask has to write anything for it. How they
answer: the record that each answer writes (`bot.reviewers`).
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from bot.deps import Deps
from bot.directory import Membership
from bot.reviewers import Answered, read
from bot.standing import groups_of
from workers.policies import Rulebook
from workers.stores import layout
from workers.stores.port import Log
from workers.stores.window import onwards

HOUR = timedelta(hours=1)
LOOK_BACK = 5_000
"""How many records are read at most, to learn what was asked since somebody last looked."""
PAGE = 500
MAX_PEOPLE = 200
SUBMITTED = b'"type":"request.submitted"'
"""Quotes inside typed text are escaped, so that none can look like this."""


class Ask(NamedTuple):
    """Whom one request asks: groups that have a seat, and who may fill none (`user:NAME`, `group:NAME`)."""

    seats: frozenset[str]
    barred: frozenset[str]


@dataclass(frozen=True)
class Figures:
    """What there is to know of one reviewer; `asked` counts the last hour's requests that they could fill a seat of."""

    name: str
    asked: int
    answered: Answered


@dataclass(frozen=True)
class Overview:
    """All reviewers, those asked most first; `at_least`: the last hour had more records than are looked through."""

    people: list[Figures]
    at_least: bool
    hidden: int


@dataclass
class Asks:
    """Remember what was asked within the last hour, by reading on in the log."""

    log: Log
    most: int = LOOK_BACK
    position: int = 0
    skipped: bool = False
    recent: deque[tuple[datetime, Ask]] = field(default_factory=deque)

    async def read_on(self, now: datetime) -> Counter[Ask]:
        """Return how many requests asked whom within the hour before `now`."""
        start = max(self.position, await self.log.size() - self.most)
        while (page := await onwards(self.log, start, PAGE)).bodies:
            if page.first > self.position + 1:  # further back there is more than is looked through, or nothing any more
                self.skipped = _moment(page.bodies[0]) > now - HOUR
            start = self.position = page.first - 1 + len(page.bodies)
            self.recent.extend(_asks(page.bodies))
        while self.recent and self.recent[0][0] <= now - HOUR:
            self.recent.popleft()
            self.skipped = False  # what was skipped came before this one, and is older still
        return Counter(ask for _, ask in self.recent)


class Reviewers:
    """Read the figures of everybody who may be asked."""

    def __init__(self, deps: Deps, *, look_back: int = LOOK_BACK) -> None:
        self._deps = deps
        self._asks = Asks(deps.store.log, look_back)

    async def look(self) -> Overview:
        """Return them as they are now."""
        book, now = self._deps.policies.current, await self._deps.store.records.now()
        asks = await self._asks.read_on(now)
        nobody = "user:"  # of everybody, not of one person: whom each group has is in the answer
        found = await self._deps.directory.membership(nobody, book.roster.outside_groups)
        asked = {name: _count(asks, f"user:{name}", groups) for name, groups in _reviewers(book, found)}
        names = sorted(asked, key=lambda name: (-asked[name], name))
        keys = [layout.decided_key(f"user:{name}") for name in names[:MAX_PEOPLE]]
        records = (await self._deps.store.records.read(keys)).records
        people = [
            Figures(name, asked[name], read(records[key])) for name, key in zip(names[:MAX_PEOPLE], keys, strict=True)
        ]
        return Overview(people, self._asks.skipped, len(names) - len(people))


def _moment(body: bytes) -> datetime:
    return datetime.fromisoformat(json.loads(body)["at"])


def _asks(bodies: Iterable[bytes]) -> Iterable[tuple[datetime, Ask]]:
    for body in bodies:
        if SUBMITTED in body:
            record = json.loads(body)
            ruling = record["data"]["ruling"]  # without seats where policy has answered by itself
            yield datetime.fromisoformat(record["at"]), Ask(frozenset(ruling["seats"]), frozenset(ruling["barred"]))


def _reviewers(book: Rulebook, found: Membership) -> Iterable[tuple[str, frozenset[str]]]:
    """Yield everybody who is in a group, with their groups: by the roster, and as seen elsewhere."""
    for name in book.roster.persons:
        if groups := groups_of(book, f"user:{name}", found):
            yield name, frozenset(groups)


def _count(asks: Counter[Ask], person: str, groups: frozenset[str]) -> int:
    names = {person, *(f"group:{group}" for group in groups)}
    return sum(count for ask, count in asks.items() if ask.seats & groups and not ask.barred & names)
