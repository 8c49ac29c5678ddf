"""A commit is whole or refused, over both siblings."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import datetime, timedelta
from typing import Any

import pytest

from approvers.audit import Head, NotCanonical, check_chain
from approvers.times import from_ms, to_ms
from tests.workers.stores.saying import MS, SECOND, counting, draft, get, later, picture, put, say, until
from workers.stores.port import (
    Attempt,
    Commit,
    Conflict,
    Fenced,
    Full,
    Sealed,
    Store,
    StoreError,
    Taken,
    TooLate,
    Versioned,
    transact,
)

SEEN: dict[str, Any] = {
    "keys": ["request:a", "request:b", "config:policy"],
    "chains": ["a", "b"],
    "names": ["idem:x", "idem:y", "handle:K7QF"],
    "indexes": ["waiting", "recent"],
    "grants": ["g", "h"],
}


async def a_full_store(store: Store) -> Attempt:
    """Something under every heading, so that a refused commit could spoil all of it. Returns a live attempt."""
    now = await store.records.now()
    await say(
        store,
        expects={"request:a": 0, "config:policy": 0},
        puts={"request:a": "{}", "config:policy": "1"},
        drafts=[draft("a")],
        events=["one"],
        due={"grant:g": now, "request:a": later(now, 60)},
        unique={"idem:x": "a"},
        enter={"waiting": {"a": now}, "recent": {"a": now}},
        sealed={"g": Sealed(b"secret", later(now, 60))},
        counts={"requests:PENDING": 1},
    )
    handout = await store.due.claim("worker", most=1, lease=timedelta(seconds=30))
    return handout.items[0]


async def everything(store: Store, attempt: Attempt, /, **changes: Any) -> Commit:
    """A good commit that touches every heading, but for the given changes."""
    snapshot = await store.records.read(["request:a"], ["a"])
    now = snapshot.now
    fields: dict[str, Any] = {
        "at": now,
        "expects": {"request:a": 1, "request:b": 0, "config:policy": 1},
        "puts": {"request:a": '{"n":[],"big":12345678901234567}', "request:b": "ü"},
        "drafts": [draft("a"), draft("b"), draft("a", "request.ended")],
        "heads": snapshot.heads,
        "events": ["two", "three"],
        "due": {"request:b": now},
        "undue": ["request:a"],
        "attempt": attempt,
        "unique": {"idem:y": "b"},
        "forget": {"idem:x": None},
        "enter": {"waiting": {"b": now}},
        "leave": {"waiting": ["a"]},
        "limits": {"waiting": 2},
        "sealed": {"g": None, "h": Sealed(b"\x00\xff", later(now, 60))},
        "counts": {"requests:PENDING": -1, "requests:DENIED": 2},
        "before": later(now, 30),
    }
    return Commit(**fields | changes)


async def test_every_heading_of_a_commit_is_written(store: Store) -> None:
    attempt = await a_full_store(store)
    await store.records.commit(await everything(store, attempt))
    seen = await picture(store, **SEEN)
    assert seen["records"] == {
        "request:a": Versioned(2, '{"n":[],"big":12345678901234567}'),
        "request:b": Versioned(1, "ü"),
        "config:policy": Versioned(1, "1"),
    }
    assert (len(seen["chains"]["a"]), len(seen["chains"]["b"]), seen["log"][0]) == (3, 1, 4)
    assert seen["names"] == {"idem:x": None, "idem:y": "b", "handle:K7QF": None}
    assert seen["indexes"] == {"waiting": ["b"], "recent": ["a"]}
    assert seen["sealed"] == {"g": None, "h": b"\x00\xff"}
    assert seen["outbox"] == ["one", "two", "three"]
    assert seen["counts"] == {"requests:PENDING": 0, "requests:DENIED": 2, "size:waiting": 1, "size:live": 0}
    assert not await store.due.hold(attempt, SECOND), "the attempt's item is done"
    assert [item.member for item in (await store.due.claim("clock", most=9, lease=SECOND)).items] == ["request:b"]


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"expects": {"request:a": 1, "request:b": 1, "config:policy": 1}}, Conflict, {"key": "request:b"}),
        ({"expects": {"request:a": 2, "request:b": 0, "config:policy": 1}}, Conflict, {"key": "request:a"}),
        ({"expects": {"request:a": 1, "request:b": 0, "config:policy": 0}}, Conflict, {"key": "config:policy"}),
        ({"heads": {"a": Head(2, "0" * 64)}}, Conflict, {"key": "audit:a"}),
        ({"heads": {}}, Conflict, {"key": "audit:a"}),
        ({"unique": {"idem:y": "b", "idem:x": "b"}}, Taken, {"name": "idem:x", "value": "a"}),
        ({"limits": {"recent": 9, "waiting": 1}}, Full, {"index": "waiting"}),
        ({"attempt": Attempt("grant:g", 999)}, Fenced, {}),
        ({"attempt": Attempt("grant:other", 1)}, Fenced, {}),
        ({"before": from_ms(0)}, TooLate, {}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else str(value)[:40],
)
async def test_a_refusal_says_why_and_changes_nothing(
    store: Store, changes: dict[str, Any], error: type[StoreError], says: dict[str, str]
) -> None:
    attempt = await a_full_store(store)
    before = await picture(store, **SEEN)
    with pytest.raises(error) as refused:
        await store.records.commit(await everything(store, attempt, **changes))
    assert {name: getattr(refused.value, name) for name in says} == says
    assert await picture(store, **SEEN) == before
    assert await store.due.hold(attempt, SECOND), "the attempt goes on"
    assert not (await store.due.claim("clock", most=9, lease=SECOND)).items, "nothing became due"


@pytest.mark.parametrize("seconds", [-2.5, 2.5])
async def test_a_decision_at_another_time_than_the_stores_is_a_conflict(store: Store, seconds: float) -> None:
    now = await store.records.now()
    with pytest.raises(Conflict) as refused:
        await store.records.commit(Commit(at=later(now, seconds), events=["x"]))
    assert refused.value.key == "time"
    assert not await store.outbox.unread()
    await store.records.commit(Commit(at=later(now, seconds * 0.6), events=["x"]))
    assert len(await store.outbox.unread()) == 1


async def test_before_is_the_first_moment_that_is_too_late(store: Store) -> None:
    limit = later(await store.records.now(), 0.05)
    await put(store, "request:a", "in time", before=limit)
    await until(lambda: reached(store, limit))
    with pytest.raises(TooLate):
        await put(store, "request:a", "too late", 1, before=limit)
    assert await get(store, "request:a") == Versioned(1, "in time")


async def reached(store: Store, moment: datetime) -> bool:
    return (await store.records.read([])).now >= moment


async def test_a_put_without_an_expected_version_is_a_mistake_in_the_program(store: Store) -> None:
    with pytest.raises(ValueError, match="request:a"):
        await say(store, puts={"request:a": "{}"})
    assert await get(store, "request:a") == Versioned()


async def test_a_record_that_cannot_be_canonical_changes_nothing(store: Store) -> None:
    with pytest.raises(NotCanonical):
        await put(store, "request:a", "{}", drafts=[draft("a"), draft("a", risk=0.5)])
    assert await get(store, "request:a") == Versioned()
    assert await store.log.size() == 0


async def test_the_same_commit_again_is_a_success_and_is_applied_once(store: Store) -> None:
    attempt = await a_full_store(store)
    commit = await everything(store, attempt)
    await store.records.commit(commit)
    once = await picture(store, **SEEN)
    await store.records.commit(commit)
    assert await picture(store, **SEEN) == once


@pytest.mark.parametrize(
    "fields", [{"drafts": [draft("s")]}, {"events": ["x"]}, {"counts": {"n": 1}}], ids=["drafts", "events", "counts"]
)
async def test_a_resend_of_a_commit_without_records_is_known_too(store: Store, fields: dict[str, Any]) -> None:
    commit = await say(store, **fields)
    await store.records.commit(commit)
    assert await store.log.size() == len(commit.drafts)
    assert len(await store.outbox.unread()) == len(commit.events)
    assert (await store.signals.counts()).get("n", 0) == commit.counts.get("n", 0)


async def test_a_resend_is_known_after_others_have_gone_on(store: Store) -> None:
    first = await put(store, "request:a", "1")
    for version in range(1, 8):
        await put(store, "request:a", str(version + 1), version)
    await store.records.commit(first)
    assert await get(store, "request:a") == Versioned(8, "8")


async def test_another_commit_with_the_same_words_is_not_a_resend(store: Store) -> None:
    commit = await put(store, "request:a", "{}")
    with pytest.raises(Conflict):
        await store.records.commit(dataclasses.replace(commit, id=commit.id[:-1]))  # part of an id is not the id
    with pytest.raises(Conflict):
        await store.records.commit(dataclasses.replace(commit, id="another"))


async def test_of_32_committers_at_once_one_wins_each_version(store: Store) -> None:
    now = await store.records.now()
    for version in range(10):
        answers = await asyncio.gather(
            *(
                store.records.commit(
                    Commit(at=now, expects={"request:a": version}, puts={"request:a": f"{version} by {n}"})
                )
                for n in range(32)
            ),
            return_exceptions=True,
        )
        assert sum(answer is None for answer in answers) == 1
        assert all(answer is None or isinstance(answer, Conflict) for answer in answers)
        winner = answers.index(None)
        assert await get(store, "request:a") == Versioned(version + 1, f"{version} by {winner}")


async def test_transact_under_contention_loses_no_step_and_keeps_the_chain_whole(store: Store) -> None:
    numbers = await asyncio.gather(
        *(
            transact(store.records, ["request:a"], counting("request:a", "a"), chains=["a"], tries=500)
            for _ in range(32)
        )
    )
    assert sorted(numbers) == list(range(1, 33))
    assert await get(store, "request:a") == Versioned(32, "32")
    bodies = await store.log.chain("a")
    check_chain("a", bodies)
    assert len(bodies) == 32


async def test_transact_gives_up_with_the_last_conflict_and_refreshes_in_between(store: Store) -> None:
    refreshed = []

    async def refresh() -> None:
        refreshed.append(1)

    def hopeless(snapshot: Any) -> tuple[Commit, None]:
        return Commit(at=snapshot.now, expects={"config:policy": 7}), None

    with pytest.raises(Conflict, match="config:policy"):
        await transact(store.records, [], hopeless, refresh=refresh, tries=3)
    assert len(refreshed) == 2


async def test_transact_without_a_commit_writes_nothing(store: Store) -> None:
    assert await transact(store.records, ["request:a"], lambda found: (None, found.records["request:a"])) == Versioned()
    assert await store.log.size() == 0


async def test_chains_link_over_commits_and_are_told_apart(store: Store) -> None:
    for _ in range(3):
        heads = (await store.records.read([], ["a", "s"])).heads
        await say(store, drafts=[draft("a"), draft("s", text="ü 🙂"), draft("a")], heads=heads)
    for subject, length in (("a", 6), ("s", 3), ("nobody", 0)):
        bodies = await store.log.chain(subject)
        check_chain(subject, bodies)
        assert len(bodies) == length
        assert (await store.records.read([], [subject])).heads[subject].n == length


async def test_a_name_is_taken_until_it_is_forgotten(store: Store) -> None:
    await say(store, unique={"handle:K7QF": "req_1"})
    assert await store.records.find("handle:K7QF") == "req_1"
    with pytest.raises(Taken) as refused:
        await say(store, unique={"handle:K7QF": "req_2"})
    assert refused.value.value == "req_1"
    await say(store, forget={"handle:K7QF": None, "handle:NONE": None})
    assert await store.records.find("handle:K7QF") is None
    await say(store, unique={"handle:K7QF": "req_2"})
    assert await store.records.find("handle:K7QF") == "req_2"


async def test_a_name_stands_until_its_moment(store: Store) -> None:
    now = await store.records.now()
    await say(store, unique={"idem:x": "1", "idem:y": "1"}, forget={"idem:x": later(now, 0.2)})
    await say(store, forget={"idem:y": later(now, 60), "idem:none": later(now, 60)})
    assert await store.records.find("idem:x") == "1"
    await until(lambda: gone(store, "idem:x"))
    assert (await store.records.read([])).now >= later(now, 0.2)
    await say(store, unique={"idem:x": "2"})
    assert await store.records.find("idem:x") == "2", "and the old moment does not end the new one"
    assert await store.records.find("idem:y") == "1"
    assert await store.records.find("idem:none") is None


async def gone(store: Store, name: str) -> bool:
    return await store.records.find(name) is None


async def test_a_name_whose_moment_has_passed_is_free_at_once(store: Store) -> None:
    await say(store, unique={"idem:x": "1"})
    await say(store, forget={"idem:x": from_ms(1000)})
    assert await store.records.find("idem:x") is None


async def test_a_limit_counts_what_was_there_before(store: Store) -> None:
    now = await store.records.now()
    for n in range(3):
        await say(store, limits={"waiting:c": 3}, enter={"waiting:c": {f"r{n}": now}})
    with pytest.raises(Full, match="waiting:c"):
        await say(store, limits={"waiting:c": 3}, enter={"waiting:c": {"r4": now}})
    await say(store, limits={"waiting:other": 1}, enter={"waiting:other": {"r4": now}})
    assert await store.records.members("waiting:c") == ["r0", "r1", "r2"]


async def test_an_index_is_read_in_order_of_its_moments_and_page_by_page(store: Store) -> None:
    now = await store.records.now()
    await say(store, enter={"recent": {f"r{n}": now - n * MS for n in range(10)}})
    oldest_first = [f"r{n}" for n in reversed(range(10))]
    assert await store.records.members("recent") == oldest_first
    assert await store.records.members("recent", limit=4) == oldest_first[:4]
    assert await store.records.members("recent", limit=4, after="r6") == oldest_first[4:8]
    assert await store.records.members("recent", after="r0") == []
    await say(store, leave={"recent": ["r6", "unknown"]})
    assert await store.records.members("recent", limit=3, after="r6") == oldest_first[:3], "it left: start over"
    await say(store, enter={"recent": {"r9": now}, "tied": dict.fromkeys("cab", now)}, leave={"recent": ["r9"]})
    assert (await store.records.members("recent"))[-1] == "r9", "left, and entered anew"
    assert await store.records.members("tied") == ["a", "b", "c"]
    assert await store.records.members("nothing") == []


async def test_a_sealed_credential_ends_by_its_moment_or_by_a_commit(store: Store) -> None:
    now = await store.records.now()
    await say(store, sealed={"g": Sealed(b"g", later(now, 1)), "h": Sealed(b"h", later(now, 60)), "none": None})
    assert [await store.records.sealed(grant) for grant in ("g", "h", "none")] == [b"g", b"h", None]
    await say(store, sealed={"h": None})
    assert await store.records.sealed("h") is None
    await until(lambda: unsealed(store, "g"))
    assert (await store.records.read([])).now >= later(now, 1)
    await say(store, sealed={"g": Sealed(b"late", from_ms(1000))})
    assert await store.records.sealed("g") is None


async def unsealed(store: Store, grant: str) -> bool:
    return await store.records.sealed(grant) is None


async def test_now_is_the_stores_time(store: Store) -> None:
    estimates = [await store.records.now() for _ in range(3)]
    read = (await store.records.read([])).now
    assert all(abs(estimate - read) < timedelta(milliseconds=100) for estimate in estimates)
    assert read == from_ms(to_ms(read)), "whole milliseconds"
