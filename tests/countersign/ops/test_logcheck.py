"""What a doctor says of the log: signed, late, another one, half truncated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from countersign.ops.logcheck import look
from tests.countersign.ops.export_world import World
from workers.stores import layout
from workers.stores.memory import memory_store
from workers.stores.port import Commit
from workers.stores.signed import Rollback, Rollbacks
from workers.stores.truncated import TRUNCATED, Truncation


class Time:
    """A clock that a test moves."""

    now = datetime(2026, 11, 21, 9, tzinfo=UTC)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def world(time: Time) -> World:
    world = World(memory_store(lambda: time.now))
    await world.rules()
    return world


async def told(world: World) -> list[tuple[str, str]]:
    return [(one.verdict, one.words) for one in await look(world.store)]


async def keep(world: World, key: str, json: str) -> None:
    now = await world.store.records.now()
    await world.store.records.commit(Commit(at=now, expects={key: 0}, puts={key: json}))


async def test_nothing_is_there() -> None:
    assert await told(World(memory_store())) == [("ok", "0 records, signed up to 0")]


async def test_what_is_signed_and_what_waits_a_moment_is_well(world: World, time: Time) -> None:
    assert await told(world) == [("ok", "1 records, signed up to 0")]
    await world.sign()
    time.now += timedelta(hours=3)
    await world.rules()
    assert await told(world) == [("ok", "2 records, signed up to 1")]
    time.now += timedelta(seconds=61)
    assert await told(world) == [("warn", "1 of 2 records are signed, the next one has waited 1 min 1 s")]


async def test_another_log_fails(world: World) -> None:
    await world.sign()
    await keep(world, layout.ROLLBACK, Rollbacks(found=(Rollback(size=9, root="a", found=1),)).model_dump_json())
    assert await told(world) == [("fail", "it is not the one that was signed")]


async def test_a_truncation_that_is_half_done_is_named(world: World, time: Time) -> None:
    await world.sign()
    left = Truncation(size=1, root="a", until=time.now, manifest_sha256="b", signed=1)
    await keep(world, TRUNCATED, left.model_dump_json())
    assert await told(world) == [("warn", "a truncation is half done: 0 of 1 records are out")]
