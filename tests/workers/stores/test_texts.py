"""Texts beside the log, over both siblings: kept with their commit, erased in one, the chain untouched."""

from __future__ import annotations

import json

import pytest

from approvers.audit import Base, Head, check_chain
from approvers.texts import ERASED, restore
from tests.workers.stores.saying import draft, say
from workers.stores.port import Commit, Conflict, Store

TYPED = "Wörter \U0001f642"


def typed(subject: str, text: str = TYPED):
    return draft(subject, "review.recorded", reason=text)


async def reasons(store: Store, subject: str) -> list[str]:
    texts = await store.log.texts([subject])
    return [restore(json.loads(body), texts)["data"]["reason"] for body in await store.log.chain(subject)]


async def test_a_text_is_kept_beside_the_log_by_subject(store: Store) -> None:
    await say(store, drafts=[typed("a"), typed("b", "other"), typed("a", "third")])
    assert await reasons(store, "a") == [TYPED, "third"]
    assert await reasons(store, "b") == ["other"]
    assert len(await store.log.texts(["a", "b", "nobody"])) == 3
    assert await store.log.texts([]) == {}
    assert not any("Wörter".encode() in body or b"other" in body for body in await store.log.tail(0))
    assert await store.log.base() == Base()


async def test_a_commit_that_is_refused_leaves_no_text(store: Store) -> None:
    with pytest.raises(Conflict):
        await say(store, drafts=[typed("a")], heads={"a": Head(3, "ab")})
    assert await store.log.texts(["a"]) == {}


async def test_a_resend_keeps_the_text_once(store: Store) -> None:
    commit = await say(store, expects={"k": 0}, puts={"k": "1"}, drafts=[typed("a")])
    await store.records.commit(commit)
    assert await reasons(store, "a") == [TYPED]
    assert len(await store.log.texts(["a"])) == 1


async def test_two_commits_of_the_same_text_have_different_marks(store: Store) -> None:
    await say(store, drafts=[typed("a"), typed("b")])
    await say(store, drafts=[typed("c")])
    assert len(await store.log.texts(["a", "b", "c"])) == 3


async def test_what_is_erased_is_gone_and_the_chain_stands(store: Store) -> None:
    await say(store, drafts=[typed("a"), typed("a", "stays"), typed("b")])
    before = await store.log.chain("a")
    mark = json.loads(before[0])["data"]["reason"]["text_sha256"]
    erased: Commit = await say(store, expects={"k": 0}, puts={"k": "1"}, erase={"a": [mark]})
    await store.records.commit(erased)
    assert await reasons(store, "a") == [ERASED * len(TYPED), "stays"]
    assert await reasons(store, "b") == [TYPED]
    assert await store.log.chain("a") == before
    check_chain("a", before)


async def test_a_refused_commit_erases_nothing(store: Store) -> None:
    await say(store, drafts=[typed("a")])
    mark = next(iter(await store.log.texts(["a"])))
    with pytest.raises(Conflict):
        await say(store, expects={"k": 7}, erase={"a": [mark]})
    assert await reasons(store, "a") == [TYPED]
