"""Whatever is said to both siblings, in whatever order, they answer alike and hold the same."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from approvers.audit import Base, Head, head_of
from approvers.times import from_ms, to_ms
from approvers.tree import Frontier
from tests.workers.stores.saying import SECOND, draft, picture
from tests.worlds.valkey import Valkey
from workers.stores.cutting import Cut
from workers.stores.memory import memory_store
from workers.stores.port import Attempt, Commit, Conflict, Sealed, Store, StoreError
from workers.stores.redis import connect

KEYS = ["request:a", "request:b", "grant:a"]
SUBJECTS = ["a", "s"]
NAMES = ["idem:x", "handle:K7QF", "fold:ü"]
INDEXES = ["waiting", "live"]
MEMBERS = ["grant:a", "grant:b", "sweep:aws", "request:a", "request:b"]
ITEMS = ["a", "b", "c"]
EVERYTHING: Mapping[str, Any] = {
    "keys": KEYS, "chains": SUBJECTS, "names": NAMES, "indexes": INDEXES, "grants": ITEMS,
}  # fmt: skip


class Shorter(NamedTuple):
    """Take out so many records; of `ended` they were the last ones; `off`: begin where the log does not."""

    most: int
    ended: set[str]
    records: list[str]
    idle: list[str]
    leave: dict[str, list[str]]
    off: int


PREFIXES = (f"{{cs{n}}}:" for n in itertools.count())
HOUR = 3600

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
moments = st.sampled_from([-2 * HOUR, -HOUR, HOUR, 2 * HOUR])
"""Seconds from now, all far from now: the two siblings' clocks differ by milliseconds."""


def tables(keys: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(keys), values, max_size=2)


def some(values: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), max_size=3)


commits = st.fixed_dictionaries(
    {
        "puts": tables(KEYS, texts),
        "behind": tables(KEYS, st.integers(-1, 1)),
        "drafts": some(SUBJECTS),
        "stale": st.sampled_from([False, False, False, True]),
        "events": st.lists(texts, max_size=2),
        "due": tables(MEMBERS, moments),
        "undue": some(MEMBERS),
        "attempt": st.sampled_from([None, None, "newest", "oldest", "forged"]),
        "lease_until": st.none() | moments,
        "unique": tables(NAMES, texts),
        "forget": tables(NAMES, st.none() | moments),
        "enter": tables(INDEXES, tables(ITEMS, moments)),
        "leave": tables(INDEXES, some(ITEMS)),
        "limits": tables(INDEXES, st.integers(0, 3)),
        "sealed": tables(ITEMS, st.none() | st.tuples(st.binary(max_size=8), moments)),
        "counts": tables(["n", "m"], st.integers(-5, 5)),
        "before": st.sampled_from([None, None, HOUR, -HOUR]),
        "at": st.sampled_from([0, 0, 0, 0, HOUR]),
        "twice": st.booleans(),
    }
)
claims = st.tuples(st.sampled_from(["worker", "clock"]), st.integers(0, 3))
cuts = st.builds(
    Shorter, st.integers(1, 4), st.sets(st.sampled_from(SUBJECTS)), some(KEYS), some(MEMBERS),
    tables(INDEXES, some(ITEMS)), st.sampled_from([0, 0, 0, 1]),
)  # fmt: skip
steps = st.lists(st.one_of(commits, commits, commits, commits, claims, cuts), min_size=1, max_size=12)


class Pair:
    """Say the same to both, and compare the answers."""

    def __init__(self, memory: Store, redis: Store) -> None:
        self.memory, self.redis = memory, redis
        self.begun = from_ms(to_ms(datetime.now(UTC)))
        self.attempts = [Attempt("grant:a", 77)]

    def moment(self, seconds: int | None) -> datetime | None:
        return None if seconds is None else self.begun + timedelta(seconds=seconds)

    async def commit(self, said: Mapping[str, Any]) -> None:
        commit = await self.build(said)
        for _ in range(1 + said["twice"]):
            answers = [await answer(store, commit) for store in (self.memory, self.redis)]
            assert answers[0] == answers[1]

    async def build(self, said: Mapping[str, Any]) -> Commit:
        snapshot = await self.memory.records.read(KEYS, SUBJECTS)
        wrong = said["behind"] if said["stale"] else {}
        attempt = {"newest": self.attempts[-1], "oldest": self.attempts[0], "forged": Attempt("grant:a", 0)}
        return Commit(
            at=self.begun + timedelta(seconds=said["at"]),
            expects={
                key: snapshot.records[key].version + wrong.get(key, 0) for key in said["puts"].keys() | wrong.keys()
            },
            puts=said["puts"],
            drafts=[draft(subject) for subject in said["drafts"]],
            heads={"a": Head(1, "")} if said["stale"] else snapshot.heads,
            events=said["events"],
            due={member: self.moment(seconds) for member, seconds in said["due"].items()},
            undue=said["undue"],
            attempt=attempt.get(said["attempt"]),
            lease_until=self.moment(said["lease_until"]),
            unique=said["unique"],
            forget={name: self.moment(seconds) for name, seconds in said["forget"].items()},
            enter={index: {item: self.moment(at) for item, at in of.items()} for index, of in said["enter"].items()},
            leave=said["leave"],
            limits=said["limits"],
            sealed={grant: it and Sealed(it[0], self.moment(it[1])) for grant, it in said["sealed"].items()},
            counts=said["counts"],
            before=self.moment(said["before"]),
        )

    async def cut(self, said: Shorter) -> None:
        base = await self.memory.log.base()
        bodies = await self.memory.log.tail(base.size, said.most)
        frontier = Frontier(base.size, list(base.peaks))
        frontier.extend(bodies)
        ends = {json.loads(body)["subject"]: body for body in bodies}
        heads = {one: head_of(body, json.loads(body)["n"]) for one, body in ends.items() if one not in said.ended}
        cut = Cut(
            since=base.size + said.off, base=Base(frontier.size, tuple(frontier.peaks), heads),
            ended=sorted(said.ended & ends.keys()), idle=said.idle, records=said.records, leave=said.leave,
        )  # fmt: skip
        answers = [await shortened(store, cut) for store in (self.memory, self.redis)]
        assert answers[0] == answers[1]

    async def claim(self, lane: Any, most: int) -> None:
        lease = timedelta(hours=1)
        handouts = [await store.due.claim(lane, most=most, lease=lease) for store in (self.memory, self.redis)]
        assert list(handouts[0].items) == list(handouts[1].items)
        assert abs(handouts[0].next_in - handouts[1].next_in) < SECOND
        self.attempts += handouts[0].items

    async def look(self) -> None:
        for attempt in self.attempts:
            holds = [await store.due.hold(attempt, timedelta(hours=1)) for store in (self.memory, self.redis)]
            assert holds[0] == holds[1]
        pictures = [await picture(store, **EVERYTHING) for store in (self.memory, self.redis)]
        assert pictures[0] == pictures[1]
        await self.claim("worker", 100)
        await self.claim("clock", 100)


async def shortened(store: Store, cut: Cut) -> str:
    try:
        await store.log.cut(cut)
    except Conflict as conflict:
        return conflict.key
    return "done"


async def answer(store: Store, commit: Commit) -> tuple[str, dict[str, str]]:
    try:
        await store.records.commit(commit)
    except StoreError as error:
        return type(error).__name__, vars(error)
    return "done", {}


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(said=steps)
async def test_both_siblings_answer_alike_and_hold_the_same(valkey: Valkey, said: list[Any]) -> None:
    redis = await connect(valkey.url, prefix=next(PREFIXES))
    pair = Pair(memory_store(), redis)
    try:
        for step in said:
            say = pair.cut if isinstance(step, Shorter) else pair.commit
            await (say(step) if isinstance(step, Shorter | dict) else pair.claim(*step))
        await pair.look()
    finally:
        await redis.aclose()
