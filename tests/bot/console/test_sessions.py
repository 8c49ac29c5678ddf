import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from bot.sessions import LINK_LASTS, SESSION_LASTS, LinkRefused, Sessions
from tests.worlds.texts import records_of
from workers.stores.memory import memory_store
from workers.stores.port import Commit, Conflict, Store
from workers.vault import hash_key


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, 10, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Store:
    return memory_store(clock)


@pytest.fixture
def sessions(store: Store) -> Sessions:
    return Sessions(store.records)


async def told(store: Store) -> list[dict]:
    return await records_of(store, "sys")


async def test_a_link_becomes_one_session(sessions: Sessions) -> None:
    token, link = await sessions.invite("user:dana", by="ops")
    assert (await sessions.peek(token)) == link
    assert (await sessions.peek(token)) == link  # looking uses nothing up
    who = await sessions.enter(token)
    found = await sessions.find(who.token)
    assert found is not None
    assert (found.principal, found.session.how) == ("user:dana", "link")
    for use in (sessions.peek, sessions.enter):
        with pytest.raises(LinkRefused, match=r"used at 2026-11-20T10:00:00\.000Z"):
            await use(token)


async def test_of_two_at_once_one_gets_in(sessions: Sessions, store: Store) -> None:
    token, _ = await sessions.invite("user:dana", by="ops")
    results = await asyncio.gather(*(sessions.enter(token) for _ in range(8)), return_exceptions=True)
    assert sum(not isinstance(result, LinkRefused) for result in results) == 1
    assert [record["type"] for record in await told(store)] == ["link.made", "session.started"]


async def test_a_link_ends_by_the_stores_time(sessions: Sessions, clock: Clock) -> None:
    token, _ = await sessions.invite("user:dana", by="ops")
    clock.now += LINK_LASTS - timedelta(milliseconds=1)
    await sessions.peek(token)
    clock.now += timedelta(milliseconds=1)
    with pytest.raises(LinkRefused, match="expired"):
        await sessions.enter(token)


async def test_a_session_ends_by_the_stores_time(sessions: Sessions, clock: Clock) -> None:
    who = await sessions.choose("user:dana")
    clock.now += SESSION_LASTS - timedelta(milliseconds=1)
    assert await sessions.find(who.token)
    clock.now += timedelta(milliseconds=1)
    assert await sessions.find(who.token) is None


async def test_signing_out_ends_it_everywhere(sessions: Sessions, store: Store) -> None:
    who = await sessions.choose("user:dana")
    await sessions.leave(who)
    await sessions.leave(who)
    assert await sessions.find(who.token) is None
    assert [record["type"] for record in await told(store)] == ["session.started", "session.ended"]


async def test_what_is_committed_in_a_session_needs_it_to_stand(sessions: Sessions, store: Store) -> None:
    who = await sessions.choose("user:dana")
    await sessions.leave(who)
    with pytest.raises(Conflict):
        await store.records.commit(Commit(at=await store.records.now(), expects=who.identity.proof))


async def test_guesses_open_nothing(sessions: Sessions) -> None:
    await sessions.choose("user:dana")
    for guess in ("", "css_", "csl_" + "A" * 43):
        assert await sessions.find(guess) is None
        with pytest.raises(LinkRefused, match="not a sign-in link"):
            await sessions.enter(guess)


async def test_a_link_is_no_session_and_a_session_no_link(sessions: Sessions) -> None:
    token, _ = await sessions.invite("user:dana", by="ops")
    who = await sessions.enter(token)
    assert await sessions.find(token) is None
    with pytest.raises(LinkRefused):
        await sessions.enter(who.token)


async def test_neither_secret_is_in_store_or_log(sessions: Sessions, store: Store) -> None:
    link, _ = await sessions.invite("user:dana", by="ops")
    who = await sessions.enter(link)
    keys = [f"link:{hash_key(link)}", f"session:{hash_key(who.token)}"]
    stored = [record.json.encode() for record in (await store.records.read(keys)).records.values()]
    assert all(stored)
    for held in [*stored, *await store.log.chain("sys")]:
        assert link.encode() not in held
        assert who.token.encode() not in held
    assert who.token not in who.form_token
    assert hash_key(who.token) not in who.form_token


async def test_records_name_who_and_by_which_proof(sessions: Sessions, store: Store) -> None:
    token, link = await sessions.invite("user:dana", by="ops")
    who = await sessions.enter(token)
    made, started = await told(store)
    assert made["by"] == {"iss": "operator", "person": "ops", "sub": "ops"}
    assert started["by"] == {"iss": "link", "person": "user:dana", "sub": link.id}
    assert started["data"]["session"] == who.session.id
    assert who.identity.by.sub == who.session.id


async def test_macs_belong_to_one_session(sessions: Sessions) -> None:
    one, two = await sessions.choose("user:dana"), await sessions.choose("user:dana")
    assert one.form_token != two.form_token
    assert one.mac("a") != one.mac("b")
