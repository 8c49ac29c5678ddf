"""The first records taken out of the log, over both siblings: whole or not at all, and all that comes after goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest

from approvers.audit import Base, Head
from approvers.tree import Frontier
from tests.workers.stores.saying import draft, get, picture, put, say
from workers.stores.cutting import Cut
from workers.stores.port import Conflict, Store, Truncated

EVERYTHING = {"keys": ["request:a", "checkpoint:2"], "chains": ["a", "b", "s"], "indexes": ["checkpoints"]}


async def told(store: Store) -> list[bytes]:
    """Write six records: `a` ends with the fourth, `b` and `s` go on."""
    now = await store.records.now()
    await say(store, drafts=[draft("s"), draft("a", "review.recorded", reason="typed")])
    await put(store, "request:a", "{}", drafts=[draft("b", "review.recorded", reason="goes"), draft("a")],
              heads={"a": await head(store, "a")})  # fmt: skip
    await put(store, "checkpoint:2", "note", enter={"checkpoints": {"2": now, "4": now}})
    await say(store, drafts=[draft("b", "review.recorded", reason="stays"), draft("s")],
              heads={"b": await head(store, "b"), "s": await head(store, "s")})  # fmt: skip
    return await store.log.tail(0)


async def head(store: Store, subject: str) -> Head:
    return (await store.records.read([], [subject])).heads[subject]


def base_of(bodies: list[bytes], size: int, subjects: Mapping[str, int]) -> Base:
    """Return the base at a size; `subjects` names the position at which each chain stands there."""
    frontier = Frontier()
    frontier.extend(bodies[:size])
    heads = {
        subject: Head(json.loads(bodies[at - 1])["n"], sha256(bodies[at - 1]).hexdigest())
        for subject, at in subjects.items()
    }
    return Base(size, tuple(frontier.peaks), heads)


async def cut_of(store: Store) -> Cut:
    bodies = await told(store)
    gone = json.loads(bodies[2])["data"]["reason"]["text_sha256"]
    return Cut(
        since=0, base=base_of(bodies, 4, {"s": 1, "b": 3}), ended=["a"], idle=["request:a", "grant:a"],
        records=["request:a", "checkpoint:2"], leave={"checkpoints": ["2"]}, erase={"b": [gone]},
    )  # fmt: skip


async def test_what_is_taken_out_is_gone_with_all_that_belongs_to_it(store: Store) -> None:
    cut = await cut_of(store)
    rest = await store.log.tail(4)
    await store.log.cut(cut)
    assert await store.log.base() == cut.base
    assert await store.log.size() == 6
    assert await store.log.tail(4) == rest
    with pytest.raises(Truncated) as refused:
        await store.log.tail(3)
    assert refused.value.size == 4
    assert await store.log.chain("a") == []
    assert await store.log.chain("b") == rest[:1]
    assert await store.log.chain("s") == rest[1:]
    assert await head(store, "a") == Head()
    assert await head(store, "b") == Head(2, sha256(rest[0]).hexdigest())
    assert [held[64:] for held in (await store.log.texts(["a", "b"])).values()] == ["stays"]
    assert (await get(store, "request:a")).version == (await get(store, "checkpoint:2")).version == 0
    assert await store.records.members("checkpoints") == ["4"]


async def test_chains_go_on_and_are_taken_out_again(store: Store) -> None:
    first = await cut_of(store)
    bodies = await store.log.tail(0)
    await store.log.cut(first)
    await say(store, drafts=[draft("b"), draft("c")], heads={"b": await head(store, "b")})
    bodies += await store.log.tail(6)
    assert json.loads(bodies[6])["n"] == 3
    with pytest.raises(Conflict):
        await say(store, drafts=[draft("b")], heads={"b": Head(1, "x")})
    await store.log.cut(Cut(since=4, base=base_of(bodies, 7, {"s": 6}), ended=["b"]))
    base = await store.log.base()
    assert (base.size, set(base.heads)) == (7, {"s"})
    assert await head(store, "s") == Head(2, sha256(bodies[5]).hexdigest())  # of which no record is left
    await say(store, drafts=[draft("s")], heads={"s": await head(store, "s")})
    assert json.loads((await store.log.chain("s"))[0])["n"] == 3
    assert await store.log.tail(7) == [bodies[7], *await store.log.chain("s")]


async def test_a_resend_changes_nothing(store: Store) -> None:
    cut = await cut_of(store)
    await store.log.cut(cut)
    after = await picture_of(store)
    await store.log.cut(cut)
    assert await picture_of(store) == after


async def picture_of(store: Store) -> Mapping[str, object]:
    base = await store.log.base()
    snapshot = await store.records.read(EVERYTHING["keys"], EVERYTHING["chains"])
    return {
        "base": base, "tail": await store.log.tail(base.size), "heads": dict(snapshot.heads),
        "records": dict(snapshot.records), "texts": await store.log.texts(EVERYTHING["chains"]),
        "checkpoints": await store.records.members("checkpoints"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("base", {"since": 1}),
        ("audit:a", {"ended": []}),
        ("audit:b", {"ended": ["a", "b"], "without": ["b"]}),
        ("audit:b", {"without": ["b"]}),
        ("audit:s", {"n": 2}),
    ],
    ids=["cut_since", "forgets_one", "ends_one_that_goes_on", "forgets_one_that_goes_on", "counts_wrong"],
)
async def test_a_cut_that_is_not_what_the_log_says_changes_nothing(
    store: Store, key: str, change: dict[str, object]
) -> None:  # fmt: skip
    cut, change = await cut_of(store), dict(change)
    before = await picture(store, **EVERYTHING)
    heads = {name: one for name, one in cut.base.heads.items() if name not in change.get("without", ())}
    if "n" in change:
        heads["s"] = replace(heads["s"], n=change["n"])
    fields = {name: value for name, value in change.items() if name not in ("without", "n")}
    with pytest.raises(Conflict) as refused:
        await store.log.cut(replace(cut, base=replace(cut.base, heads=heads), **fields))
    assert refused.value.key == key
    assert await picture(store, **EVERYTHING) == before


async def test_more_than_there_is_cannot_be_taken_out(store: Store) -> None:
    cut = await cut_of(store)
    with pytest.raises(Conflict):
        await store.log.cut(replace(cut, base=replace(cut.base, size=7)))
    assert await store.log.base() == Base()


async def test_nothing_that_is_due_is_dropped(store: Store) -> None:
    cut = await cut_of(store)
    await say(store, due={"grant:a": await store.records.now() + timedelta(hours=1)})
    with pytest.raises(Conflict) as refused:
        await store.log.cut(cut)
    assert refused.value.key == "grant:a"
    assert await store.log.base() == Base()
    await say(store, undue=["grant:a"])
    await store.log.cut(cut)
    assert (await store.log.base()).size == 4


async def test_a_record_that_comes_between_is_not_lost(store: Store) -> None:
    cut = await cut_of(store)
    await say(store, drafts=[draft("a")], heads={"a": await head(store, "a")})
    with pytest.raises(Conflict) as refused:
        await store.log.cut(cut)
    assert refused.value.key == "audit:a"
    assert len(await store.log.chain("a")) == 3


async def test_a_chain_loses_as_many_as_are_taken_out(store: Store) -> None:
    await say(store, drafts=[draft("b")] * 5)
    bodies = await store.log.tail(0)
    await store.log.cut(Cut(since=0, base=base_of(bodies, 3, {"b": 3})))
    assert await store.log.chain("b") == await store.log.tail(3) == bodies[3:]
    assert (await head(store, "b")).n == 5
