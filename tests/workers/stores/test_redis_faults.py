"""What a real server does to us: killed, frozen, emptied, read-only, forgetful; answers lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from approvers.audit import check_chain
from tests.workers.stores.saying import SECOND, counting, draft, get, later, put, say, until
from tests.worlds.redis_gate import LOADING, MISCONF, OOM, READONLY, RedisGate
from tests.worlds.stopwatch import own_time
from tests.worlds.valkey import Valkey
from workers.stores.port import Commit, Conflict, Store, Unavailable, Versioned, transact
from workers.stores.redis import NotDurable, connect

SOON = 6.0
"""Seconds in which a caller is told that the store cannot be had."""


@pytest.fixture
def mortal(tmp_path: Path) -> Valkey:
    """A server for this test alone, which may kill it; not started yet."""
    return Valkey(tmp_path / "data")


@pytest.fixture
async def gate(empty_valkey: Valkey) -> AsyncIterator[RedisGate]:
    with RedisGate(empty_valkey.url) as opened:
        yield opened


async def survives(mortal: Valkey, sabotage: Callable[[], None]) -> None:
    """Commit all the time while the server is sabotaged; what was acknowledged must be there, once, in order."""
    store = await connect(mortal.url)
    acknowledged: list[int] = []
    stop = asyncio.Event()

    async def count_on(n: int) -> None:
        while not stop.is_set():
            try:
                step = counting(f"request:{n}", f"{n}")
                acknowledged.append(await transact(store.records, [f"request:{n}"], step, chains=[f"{n}"], tries=9))
            except Unavailable:
                await asyncio.sleep(0.02)

    counters = [asyncio.create_task(count_on(n)) for n in range(4)]
    for _ in range(3):
        before = len(acknowledged)
        await until(lambda enough=before + 40: has(acknowledged, enough), 15)
        await asyncio.to_thread(sabotage)
    before = len(acknowledged)
    await until(lambda: has(acknowledged, before + 40), 15)
    stop.set()
    await asyncio.gather(*counters)
    total = 0
    for n in range(4):
        bodies = await store.log.chain(f"{n}")
        check_chain(f"{n}", bodies)
        assert await get(store, f"request:{n}") == Versioned(len(bodies), str(len(bodies)))
        total += len(bodies)
    assert total >= len(acknowledged)
    assert await store.log.size() == total
    await store.aclose()


async def has(items: list[int], enough: int) -> bool:
    return len(items) >= enough


async def test_a_killed_server_comes_back_with_all_that_it_acknowledged(mortal: Valkey) -> None:
    def kill_and_start() -> None:
        mortal.kill()
        mortal.start()

    with mortal:
        await survives(mortal, kill_and_start)


async def test_an_emptied_script_cache_is_filled_again(mortal: Valkey) -> None:
    def flush() -> None:
        with mortal.client() as client:
            client.script_flush()

    with mortal:
        await survives(mortal, flush)


async def test_every_pooled_connection_recovers_after_a_restart(mortal: Valkey) -> None:
    with mortal:
        store = await connect(mortal.url)
        await asyncio.gather(*(put(store, f"request:{n}", "{}") for n in range(100)))
        mortal.kill()
        with pytest.raises(Unavailable):
            await get(store, "request:1")
        mortal.start()
        found = await asyncio.gather(*(get(store, f"request:{n}") for n in range(100)))
        assert {record.version for record in found} == {1}
        await store.due.wait("worker", timedelta(milliseconds=10))
        await store.aclose()


async def test_a_frozen_server_is_unavailable_soon_and_hangs_nobody(mortal: Valkey) -> None:
    with mortal:
        store = await connect(mortal.url)
        now = await store.records.now()
        commit = Commit(at=now, expects={"request:a": 0}, puts={"request:a": "{}"}, drafts=[draft("a")])
        mortal.freeze()
        begun = own_time()
        answers = await asyncio.gather(
            store.records.commit(commit),
            *(get(store, f"request:{n}") for n in range(100)),
            store.records.find("x"),
            store.due.claim("worker", most=1, lease=SECOND),
            store.due.wait("worker", SECOND),
            store.log.size(),
            store.outbox.unread(),
            store.signals.counts(),
            return_exceptions=True,
        )
        assert own_time() - begun < SOON
        assert {type(answer) for answer in answers} == {Unavailable}
        assert all(answer.__cause__ for answer in answers)
        mortal.thaw()
        await until(lambda: answers_again(store))
        (again,) = await asyncio.gather(store.records.commit(commit), return_exceptions=True)
        assert again is None or (isinstance(again, Conflict) and again.key == "time")
        assert await store.log.size() <= 1
        await store.aclose()


async def answers_again(store: Store) -> bool:
    try:
        return await store.log.size() >= 0
    except Unavailable:
        return False


async def test_nobody_at_the_address_is_unavailable_soon(mortal: Valkey) -> None:
    begun = own_time()
    with pytest.raises(Unavailable):
        await connect(mortal.url)
    assert own_time() - begun < SOON


async def test_a_commit_whose_answer_is_lost_stands_once(gate: RedisGate, redis_store: Store) -> None:
    store = await connect(gate.url)
    for n in range(5):
        gate.cut(1, "after", only="EVALSHA:*")
        await put(store, f"request:{n}", "{}", drafts=[draft(f"{n}")], events=[str(n)], counts={"n": 1})
        gate.cut(1, "after", only="EVALSHA:*")
        await say(store, events=["more"], counts={"n": 1})
    assert await redis_store.log.size() == 5
    assert len(await redis_store.outbox.unread()) == 10
    assert (await redis_store.signals.counts())["n"] == 10
    await store.aclose()


async def test_a_batch_whose_answers_are_lost_stands_once(gate: RedisGate, redis_store: Store) -> None:
    store = await connect(gate.url)
    for n in range(5):
        gate.cut(3, "after", only="EVALSHA:*")
        await asyncio.gather(*(put(store, f"request:{n}-{m}", "{}", counts={"n": 1}) for m in range(40)))
    assert (await redis_store.signals.counts())["n"] == 200
    await store.aclose()


async def test_a_connection_cut_before_the_call_is_made_anew(gate: RedisGate, redis_store: Store) -> None:
    store = await connect(gate.url)
    gate.cut(1, "before", only="EVALSHA:*")
    await put(store, "request:a", "{}")
    assert await get(redis_store, "request:a") == Versioned(1, "{}")
    await store.aclose()


@pytest.mark.parametrize("refusal", [READONLY, MISCONF, OOM, LOADING], ids=["readonly", "misconf", "oom", "loading"])
async def test_a_server_that_refuses_to_write_is_unavailable(
    gate: RedisGate, redis_store: Store, refusal: bytes
) -> None:
    store = await connect(gate.url)
    gate.answer(None, refusal, only="EVAL*")
    with pytest.raises(Unavailable):
        await put(store, "request:a", "{}")
    gate.reset()
    await put(store, "request:a", "{}")
    assert await get(redis_store, "request:a") == Versioned(1, "{}")
    await store.aclose()


async def test_a_full_server_refuses_a_commit_whole(mortal: Valkey) -> None:
    with mortal:
        store = await connect(mortal.url)
        await say(store, due={"grant:a": await store.records.now()})
        with mortal.client() as client:
            client.config_set("maxmemory", "1mb")
        with pytest.raises(Unavailable):
            await put(store, "request:a", "{}", drafts=[draft("a")], undue=["grant:a"])
        with mortal.client() as client:
            client.config_set("maxmemory", "0")
        assert await get(store, "request:a") == Versioned()
        assert await store.log.size() == 0
        assert len((await store.due.claim("worker", most=1, lease=SECOND)).items) == 1
        await store.aclose()


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [({"appendonly": "no"}, "appendonly yes"), ({"maxmemory_policy": "allkeys-lru"}, "maxmemory-policy noeviction")],
    ids=["no append-only file", "evicts"],
)
async def test_a_forgetful_server_is_refused_unless_the_operator_vouches(
    tmp_path: Path, settings: dict[str, str], remedy: str
) -> None:
    with Valkey(tmp_path, **settings) as server:
        with pytest.raises(NotDurable, match=remedy) as refused:
            await connect(server.url)
        assert "COUNTERSIGN_REDIS_DURABILITY=attested" in str(refused.value)
        store = await connect(server.url, durability="attested")
        await put(store, "request:a", "{}")
        await store.aclose()
        with pytest.raises(ValueError, match="attested"):
            await connect(server.url, durability="probably")


async def test_a_waiter_is_woken_when_the_server_comes_back(mortal: Valkey) -> None:
    with mortal:
        store = await connect(mortal.url)
        with mortal.client() as client:
            wait = asyncio.create_task(store.signals.changed("request:a", timedelta(seconds=20)))
            await wait  # the subscription stands: everybody looks again
            wait = asyncio.create_task(store.signals.changed("request:a", timedelta(seconds=20)))
            await until(lambda: subscribed(client))
        mortal.kill()
        mortal.start()
        await asyncio.wait_for(wait, 5)
        await store.aclose()


async def subscribed(client: object) -> bool:
    return bool(client.pubsub_channels())  # type: ignore[attr-defined]


async def test_a_cancelled_caller_leaves_the_others_their_own_answers(redis_store: Store) -> None:
    now = await redis_store.records.now()
    await say(redis_store, unique={f"idem:{n}": str(n) for n in range(50)})
    for _ in range(10):
        finds = [asyncio.create_task(redis_store.records.find(f"idem:{n}")) for n in range(50)]
        await asyncio.sleep(0)
        for find in finds[::3]:
            find.cancel()
        answers = await asyncio.gather(*finds, return_exceptions=True)
        for n, answer in enumerate(answers):
            assert answer == str(n) or (n % 3 == 0 and isinstance(answer, asyncio.CancelledError))
    assert (await redis_store.records.now()) >= now


async def test_now_follows_a_server_whose_clock_was_misjudged(gate: RedisGate) -> None:
    store = await connect(gate.url)
    gate.answer(1, b"*2\r\n$10\r\n1500000000\r\n$1\r\n0\r\n", only="TIME")
    store.records._link.clock.doubt()  # type: ignore[attr-defined]  as if a second had passed
    wrong = await store.records.now()
    assert wrong.year == 2017
    with pytest.raises(Conflict, match="time"):
        await store.records.commit(Commit(at=wrong, events=["x"]))
    await store.records.commit(Commit(at=await store.records.now(), events=["x"]))
    assert abs((await store.records.read([])).now - await store.records.now()) < SECOND
    await store.aclose()


async def test_prefixes_keep_stores_apart(empty_valkey: Valkey, redis_store: Store) -> None:
    other = await connect(empty_valkey.url, prefix="{cs:other}:")
    await put(other, "request:a", "{}", due={"grant:a": later(await other.records.now(), -1)})
    assert await get(redis_store, "request:a") == Versioned()
    assert not (await redis_store.due.claim("worker", most=1, lease=SECOND)).items
    with empty_valkey.client() as client:
        assert all(key.startswith(b"{cs:other}:") for key in client.scan_iter())
    await other.aclose()


async def test_a_slow_call_keeps_no_other_waiting(gate: RedisGate) -> None:
    store = await connect(gate.url)
    hold = gate.hold(1, "before", only="GET")
    slow = asyncio.create_task(store.records.find("handle:K7QF"))
    await asyncio.to_thread(hold.wait)
    async with asyncio.timeout(1):  # less than the slow one has before it is tried again
        for _ in range(20):
            await store.log.size()
        await asyncio.gather(*(store.log.size() for _ in range(200)))
    hold.release()
    assert await slow is None
    await store.aclose()
