"""An export on its way into a bucket: nobody else writes into its folder, and it ends when it is interrupted."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Any

import pytest

from approvers.checkpoint import Checkpoint
from countersign.ops.exporting_bucket import _put, export_to
from countersign.ops.exporting_folder import Folder, NotExported
from countersign.ops.s3 import Bucket, Place
from tests.countersign.ops.export_world import World
from tests.countersign.ops.test_s3_export import NOW, YEAR, keys, until
from tests.worlds.ministack import Ministack, aws
from workers.stores.memory import memory_store

__all__ = ["aws"]
Sdk = Any


@pytest.fixture
def s3(aws: Ministack) -> Sdk:
    return aws.root("s3")


@pytest.fixture
def bucket(s3: Sdk) -> Bucket:
    name = f"evidence-{secrets.token_hex(6)}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return Bucket(name, s3)


@pytest.fixture
async def world() -> World:
    world = World(memory_store(lambda: NOW))
    await world.ask(2)
    await world.sign()
    return world


def on_put(s3: Sdk, do: Any) -> None:
    """Do something once, before the first file goes."""

    def once(**_: Any) -> None:
        s3.meta.events.unregister("before-call.s3.PutObject", once)
        do()

    s3.meta.events.register_first("before-call.s3.PutObject", once)


async def send(world: World, bucket: Bucket, work: Path | None = None, retain: str = "365d") -> Any:
    checkpoint = await world.sign()
    return await export_to(
        world.store, Place(bucket.name, ""), checkpoint, retain=retain, work=work, open_bucket=lambda _name: bucket
    )


async def test_nobody_else_writes_into_the_folder_while_it_is_put(
    world: World, s3: Sdk, bucket: Bucket, tmp_path: Path
) -> None:  # fmt: skip
    told: list[str] = []

    def meddle() -> None:
        with pytest.raises(NotExported, match="another export writes into") as caught, Folder(tmp_path / "w").alone():
            pass
        told.append(caught.value.detail)

    on_put(s3, meddle)
    await send(world, bucket, tmp_path / "w")
    assert len(told) == 1


async def test_a_folder_that_another_export_has_changed_is_not_put(
    world: World, s3: Sdk, bucket: Bucket, tmp_path: Path
) -> None:  # fmt: skip
    await world.export(tmp_path / "w")
    with pytest.raises(NotExported, match="run the same command again"):
        await _put(bucket, "p/", Folder(tmp_path / "w"), Checkpoint("o", 7, bytes(32)), YEAR)
    assert keys(s3, bucket) == []


async def test_interrupted_it_ends_at_the_next_file_and_goes_on_later(
    world: World, s3: Sdk, bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    loop, sending = asyncio.get_running_loop(), asyncio.create_task(send(world, bucket, tmp_path / "w"))
    cancelled = asyncio.Event()

    async def cancel() -> None:
        sending.cancel()
        await asyncio.sleep(0)
        cancelled.set()

    on_put(s3, lambda: asyncio.run_coroutine_threadsafe(cancel(), loop).result())
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert cancelled.is_set()
    assert len(keys(s3, bucket)) == 1, "the file that was on its way, and nothing behind it"
    assert "`--upto 6` goes on there" in capsys.readouterr().err
    with Folder(tmp_path / "w").alone():
        pass
    assert (await send(world, bucket, tmp_path / "w")).where == f"s3://{bucket.name}/size-000000000006/"
    assert "size-000000000006/manifest.json" in keys(s3, bucket)


async def test_one_that_is_there_is_locked_for_longer_where_that_is_asked(
    world: World, s3: Sdk, bucket: Bucket
) -> None:  # fmt: skip
    await send(world, bucket, retain="90d")
    assert (await send(world, bucket)).exported is None
    assert all(abs(until(s3, bucket, key)).total_seconds() < 60 for key in keys(s3, bucket))
