"""Every record reaches the SIEM, in order, at least once, whatever it answers; none is skipped, and on-call hears."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from approvers.audit import By, Draft
from countersign.ops.streaming import Stream, write
from tests.bot.postings_town import Sink
from tests.countersign.ops.export_world import Watched, World
from tests.worlds.fixtures import empty_valkey, redis_store, store, valkey
from tests.worlds.shortened import shorten
from workers.clock.cursors import cursor_key, look
from workers.clock.streaming import (
    BEHIND,
    LEASE,
    LONGEST_SECONDS,
    LOOK_SECONDS,
    NAME,
    REFUSED,
    Streaming,
    open_streaming,
)
from workers.config import load
from workers.stores.memory import memory_store
from workers.stores.port import Commit, Snapshot, Store, Unavailable, transact

__all__ = ["empty_valkey", "redis_store", "store", "valkey"]
BY = By("user:robin", "test", "robin")


class Time:
    """A store's time that only moves when a test moves it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, 10, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **time: float) -> None:
        self.now += timedelta(**time)


class Siem:
    """Take posts as an HTTP collector does: `answer` says what it thinks of one."""

    def __init__(self, answer: Callable[[list[Any]], int] = lambda _rows: 200) -> None:
        self.answer = answer
        self.posts: list[list[int]] = []
        self.taken: list[int] = []

    async def __call__(self, body: bytes) -> int:
        rows = [json.loads(line) for line in body.splitlines()]
        positions = [row["position"] for row in rows]
        self.posts.append(positions)
        status = self.answer(rows)
        if status == 200:
            self.taken += positions
        return status


async def grow(store: Store, count: int, **data: str) -> None:
    def step(seen: Snapshot) -> tuple[Commit | None, None]:
        drafts = [Draft("one", "thing.happened", BY, "test", {"number": number, **data}) for number in range(count)]
        return Commit(at=seen.now, drafts=drafts, heads=seen.heads), None

    await transact(store.records, [], step, chains=["one"])


async def turns(streaming: Streaming, most: int = 100) -> float:
    """Let it work until it wants to wait; returns for how long."""
    for _ in range(most):
        if (wait := await streaming.send()) > 0:
            return wait
    raise AssertionError("it never waits")


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def small(time: Time) -> Store:
    return memory_store(time)


async def at(store: Store) -> int:
    return (await look(store.records, NAME)).cursor.position


async def test_every_record_is_sent_once_in_order_as_it_stands_in_the_log(store: Store) -> None:
    await grow(store, 1_201)
    siem, alerts = Siem(), Sink()
    streaming = Streaming(store, alerts, siem)
    assert await turns(streaming) == LOOK_SECONDS
    assert [len(post) for post in siem.posts] == [500, 500, 201]
    assert siem.taken == [*range(1, 1_202)]
    await grow(store, 2)
    assert await turns(streaming) == LOOK_SECONDS
    assert siem.posts[3:] == [[1_202, 1_203]]
    assert (await at(store), alerts.sent) == (1_203, [])


async def test_what_was_not_taken_is_sent_again(small: Store) -> None:
    await grow(small, 3)
    answers = iter([0, 503, 429, 301, 401, 200])
    siem = Siem(lambda _rows: next(answers))
    streaming = Streaming(small, Sink(), siem)
    waits = [await streaming.send() for _ in range(6)]
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 0.0]
    assert siem.posts == [[1, 2, 3]] * 6
    assert siem.taken == [1, 2, 3]


async def test_what_people_typed_is_in_it_unless_it_was_erased(store: Store) -> None:
    world = World(store)
    await world.type("ask-1", "to see")
    await world.type("ask-2", "gone")
    await world.erase("ask-2")
    said: list[str] = []
    siem = Siem(lambda rows: said.extend(row["record"]["data"]["reason"] for row in rows) or 200)
    await turns(Streaming(store, Sink(), siem))
    assert said == ["to see", "\u25a0" * 4]


async def test_another_clock_goes_on_where_one_died(small: Store, time: Time) -> None:
    await grow(small, 600)
    first, second = Siem(), Siem()
    dies, lives = Streaming(small, Sink(), first), Streaming(small, Sink(), second)
    await dies.send()
    assert await lives.send() == LOOK_SECONDS
    assert second.posts == []
    time.pass_(seconds=LEASE.total_seconds() + 1)
    await turns(lives)
    assert first.taken + second.taken == [*range(1, 601)]
    assert await dies.send() == LOOK_SECONDS
    assert first.taken == [*range(1, 501)]


async def test_one_that_lost_its_lease_in_the_middle_of_a_post_moves_nothing(small: Store, time: Time) -> None:
    """At least once: the same records may come twice, and none is lost."""
    await grow(small, 3)
    second = Siem()
    other = Streaming(small, Sink(), second)

    class Slow(Siem):
        async def __call__(self, body: bytes) -> int:
            time.pass_(seconds=LEASE.total_seconds() + 1)
            await turns(other)
            return await super().__call__(body)

    slow = Slow()
    await Streaming(small, Sink(), slow).send()
    assert (slow.taken, second.taken, await at(small)) == ([1, 2, 3], [1, 2, 3], 3)
    await grow(small, 1)
    await turns(other)
    assert second.taken == [1, 2, 3, 4]


async def test_a_batch_that_is_too_large_is_halved_and_grows_again(small: Store) -> None:
    await grow(small, 500)
    siem = Siem(lambda rows: 413 if len(rows) > 100 else 200)
    await turns(Streaming(small, Sink(), siem))
    assert siem.taken == [*range(1, 501)]
    assert [len(post) for post in siem.posts[:4]] == [500, 250, 125, 62]


async def test_no_post_is_larger_than_a_megabyte_but_a_record_that_is_goes_alone(small: Store) -> None:
    await grow(small, 30, text="x" * 100_000)
    await grow(small, 1, text="y" * 1_500_000)
    await grow(small, 1)
    siem = Siem()
    await turns(Streaming(small, Sink(), siem))
    assert siem.taken == [*range(1, 33)]
    assert [31] in siem.posts
    assert all(len(post) < 10 for post in siem.posts)


async def test_a_record_that_it_never_takes_is_named_and_not_skipped(small: Store) -> None:
    await grow(small, 10)
    siem, alerts = Siem(lambda rows: 400 if any(row["position"] == 7 for row in rows) else 200), Sink()
    streaming = Streaming(small, alerts, siem)
    for _ in range(30):
        await streaming.send()
    assert (siem.taken, await at(small)) == ([1, 2, 3, 4, 5, 6], 6)
    told = next(one for one in alerts.sent if one.key == REFUSED)
    assert "refuses record 7 (HTTP 400)" in told.summary
    assert "audit stream --cursor siem --limit 1" in told.summary
    siem.answer = lambda _rows: 200
    await turns(streaming)
    assert siem.taken[6:] == [7, 8, 9, 10]
    assert alerts.keys[-1] == f"-{REFUSED}"


async def test_on_call_hears_when_it_is_far_behind_and_when_no_longer(small: Store, time: Time) -> None:
    await grow(small, 3)
    siem, alerts = Siem(lambda _rows: 503), Sink()
    streaming = Streaming(small, alerts, siem)
    await streaming.send()
    time.pass_(minutes=4)
    await streaming.send()
    assert alerts.sent == []
    time.pass_(minutes=2)
    await streaming.send()
    assert alerts.keys == [BEHIND]
    assert "6 min and 3 records behind the log; the last answer was HTTP 503" in alerts.sent[0].summary
    siem.answer = lambda _rows: 200
    await turns(streaming)
    assert alerts.keys[-1] == f"-{BEHIND}"


async def test_ten_thousand_records_are_far_behind_too(small: Store) -> None:
    await grow(small, 10_001)
    alerts = Sink()
    await Streaming(small, alerts, Siem(lambda _rows: 0)).send()
    assert alerts.keys == [BEHIND]
    assert "no answer" in alerts.sent[0].summary


class Damaged(Watched):
    """A log of which somebody has written over one record."""

    position = 2

    async def tail(self, after: int, limit: int = 500) -> list[bytes]:
        bodies = await super().tail(after, limit)
        return [b"{}" if at == self.position else body for at, body in enumerate(bodies, after + 1)]


async def test_a_record_that_is_none_ends_no_clock_and_on_call_hears_which(small: Store) -> None:
    """An exception here would end the clock, and with it the end of every grant."""
    await grow(small, 3)
    alerts, siem = Sink(), Siem()
    streaming = Streaming(replace(small, log=Damaged(small.log)), alerts, siem)
    assert await streaming.send() == LONGEST_SECONDS
    assert alerts.keys == [BEHIND]
    assert "record 2 is no audit record. Freeze" in alerts.sent[0].summary
    assert siem.posts == []


async def test_a_cursor_of_a_newer_version_ends_no_clock(small: Store) -> None:
    await grow(small, 1)
    seen = await small.records.read([])
    await small.records.commit(Commit(at=seen.now, puts={cursor_key(NAME): '{"v":2}'}, expects={cursor_key(NAME): 0}))
    alerts = Sink()
    assert await Streaming(small, alerts, Siem()).send() == LONGEST_SECONDS
    assert "malformed" in alerts.sent[0].summary


async def test_behind_records_that_were_taken_out_on_call_hears_how_to_go_on(small: Store) -> None:
    await grow(small, 5)
    await shorten(small, 3)
    alerts, siem = Sink(), Siem()
    streaming = Streaming(small, alerts, siem)
    assert await streaming.send() == LONGEST_SECONDS
    assert "`countersign audit stream --cursor siem --after 3 --limit 0`" in alerts.sent[0].summary
    await write(small, Stream(after=3, cursor="siem", limit=0), io.BytesIO())
    await turns(streaming)
    assert siem.taken == [4, 5]
    assert alerts.keys == [BEHIND, f"-{BEHIND}"]


async def test_a_store_that_is_away_is_left_to_the_loop(small: Store) -> None:
    await grow(small, 3)
    broken = replace(small, log=Watched(small.log, breaks_at=0, error=Unavailable("gone")))
    with pytest.raises(Unavailable):
        await Streaming(broken, Sink(), Siem()).send()


@pytest.fixture
async def collector() -> AsyncIterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """A real HTTP collector on loopback: its address, and what it was sent."""
    got: list[tuple[dict[str, str], bytes]] = []

    async def take(request: web.Request) -> web.Response:
        got.append((dict(request.headers), await request.read()))
        return (
            web.Response(status=302, headers={"Location": "/elsewhere"}) if request.path == "/moved" else web.Response()
        )

    app = web.Application()
    app.router.add_post("/{tail:.*}", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", got
    await runner.cleanup()


def settings(url: str | None) -> Any:
    siem = {"COUNTERSIGN_SIEM_URL": url, "COUNTERSIGN_SIEM_TOKEN": "s3cret-of-siem"} if url else {}
    return load({"COUNTERSIGN_REDIS_URL": "redis://localhost", **siem})


async def test_over_http_it_is_json_lines_with_the_token(small: Store, collector: Any, capfd: Any) -> None:
    url, got = collector
    await grow(small, 2)
    async with open_streaming(settings(f"{url}/in?key=abc"), small, Sink()) as streaming:
        assert streaming
        await turns(streaming)
    [(headers, body)] = got
    assert headers["Content-Type"] == "application/x-ndjson"
    assert headers["Authorization"] == "Bearer s3cret-of-siem"
    assert [json.loads(line)["record"]["data"]["number"] for line in body.splitlines()] == [0, 1]


async def test_it_follows_no_redirect_and_tells_no_secret(
    small: Store, time: Time, collector: Any, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    url, got = collector
    await grow(small, 1)
    alerts = Sink()
    async with open_streaming(settings(f"{url}/moved"), small, alerts) as streaming:
        assert streaming
        time.pass_(hours=1)
        assert await streaming.send() == 1.0
    async with open_streaming(settings("http://127.0.0.1:1/key-in-path"), small, alerts) as streaming:
        assert streaming
        time.pass_(hours=1)
        await streaming.send()
    assert len(got) == 1
    told = " ".join(one.summary for one in alerts.sent) + caplog.text + "".join(capfd.readouterr())
    assert "HTTP 302" in told
    assert "no answer" in told
    assert "s3cret" not in told
    assert "key-in-path" not in told


async def test_without_an_address_nothing_is_sent(small: Store) -> None:
    async with open_streaming(settings(None), small, Sink()) as streaming:
        assert streaming is None


async def test_it_does_not_hold_up_who_stops_the_clock(small: Store) -> None:
    started = asyncio.Event()

    async def hangs(_body: bytes) -> int:
        started.set()
        return await asyncio.Event().wait()  # type: ignore[return-value]

    await grow(small, 1)
    running = asyncio.create_task(Streaming(small, Sink(), hangs).turn())
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await at(small) == 0
    assert cursor_key(NAME) == "cursor:siem"
    assert LEASE.total_seconds() >= LONGEST_SECONDS
