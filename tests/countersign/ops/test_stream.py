"""`countersign audit stream`: every record once it is written counts, and not before."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from approvers.audit import By, Draft
from countersign.ops.exporting_folder import NotExported
from countersign.ops.streaming import Stream, write
from tests.bot.postings_town import Sink
from tests.countersign.conftest import clean_environ
from tests.countersign.ops.conftest import Command
from tests.countersign.ops.export_world import World
from tests.workers.test_streaming import Damaged, Siem, grow
from tests.worlds.shortened import shorten
from tests.worlds.valkey import Valkey
from workers.clock.cursors import Cursor, look, move
from workers.clock.streaming import Streaming
from workers.stores.memory import memory_store
from workers.stores.port import Store
from workers.stores.redis import connect


def positions(out: bytes) -> list[int]:
    return [json.loads(line)["position"] for line in out.splitlines()]


async def streamed(store: Store, **wanted: object) -> list[int]:
    out = io.BytesIO()
    await write(store, Stream(**wanted), out)  # type: ignore[arg-type]
    return positions(out.getvalue())


async def test_it_writes_what_is_there_with_its_position(store: Store) -> None:
    await grow(store, 1_003)
    out = io.BytesIO()
    assert await write(store, Stream(), out) == 1_003
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [row["position"] for row in rows] == [*range(1, 1_004)]
    bodies = await store.log.tail(0, 2_000)
    assert [row["record"] for row in rows] == [json.loads(body) for body in bodies]
    assert await streamed(store, after=1_000) == [1_001, 1_002, 1_003]
    assert await streamed(store, after=2_000) == []
    assert await streamed(store, limit=2) == [1, 2]


async def test_a_cursor_goes_on_where_it_stopped(store: Store) -> None:
    await grow(store, 5)
    assert await streamed(store, cursor="daily", limit=3) == [1, 2, 3]
    assert await streamed(store, cursor="daily") == [4, 5]
    assert await streamed(store, cursor="daily") == []
    await grow(store, 1)
    assert await streamed(store, cursor="daily") == [6]
    assert await streamed(store, cursor="other") == [1, 2, 3, 4, 5, 6]
    assert await streamed(store, cursor="daily", after=4) == [5, 6]


async def test_a_cursor_moves_only_after_its_lines_are_out() -> None:
    store = memory_store()
    await grow(store, 1_200)

    class Breaks(io.BytesIO):
        flushed = 0

        def flush(self) -> None:
            if self.flushed == 500:
                raise BrokenPipeError
            self.flushed = len(positions(self.getvalue()))

    with pytest.raises(BrokenPipeError):
        await write(store, Stream(cursor="daily"), Breaks())
    assert (await look(store.records, "daily")).cursor.position == 500
    assert (await streamed(store, cursor="daily"))[0] == 501


async def test_two_who_read_with_one_cursor_hear_of_each_other() -> None:
    store = memory_store()
    await grow(store, 3)

    class Meddles(io.BytesIO):
        def flush(self) -> None:
            async def other() -> None:
                await move(store.records, "daily", await look(store.records, "daily"), Cursor(position=2))

            for _ in other().__await__():
                pass

    with pytest.raises(NotExported, match="somebody else reads with the cursor daily"):
        await write(store, Stream(cursor="daily"), Meddles())
    assert (await look(store.records, "daily")).cursor.position == 2


async def test_a_cursor_can_be_moved_without_reading(store: Store) -> None:
    await grow(store, 5)
    assert await streamed(store, cursor="daily", after=3, limit=0) == []
    assert await streamed(store, cursor="daily") == [4, 5]
    assert await streamed(store, cursor="daily", limit=0) == []
    assert await streamed(store, cursor="daily", after=1, limit=0) == []
    assert await streamed(store, cursor="daily", limit=1) == [2]


async def test_where_records_were_taken_out_it_says_how_to_go_on() -> None:
    store = memory_store()
    await grow(store, 5)
    await shorten(store, 3)
    with pytest.raises(NotExported, match=r"first 3 records were taken out.*--after 3"):
        await streamed(store, cursor="daily")
    assert await streamed(store, cursor="daily", after=3) == [4, 5]


async def test_what_is_no_record_is_told_by_its_position() -> None:
    store = memory_store()
    await grow(store, 3)
    with pytest.raises(NotExported, match="record 2 is no audit record"):
        await streamed(replace(store, log=Damaged(store.log)))


async def test_following_waits_for_what_comes() -> None:
    store = memory_store()
    await grow(store, 2)
    out, waited = io.BytesIO(), asyncio.Event()

    def idle() -> bool:
        first, _ = not waited.is_set(), waited.set()
        return first or len(positions(out.getvalue())) < 3

    writing = asyncio.create_task(write(store, Stream(follow=True, cursor="daily"), out, idle=idle))
    await waited.wait()
    assert positions(out.getvalue()) == [1, 2]
    await grow(store, 1)
    assert await writing == 3
    assert positions(out.getvalue()) == [1, 2, 3]


async def test_what_a_siem_never_takes_can_be_taken_by_hand(store: Store) -> None:
    await grow(store, 3)
    siem = Siem(lambda rows: 400 if any(row["position"] == 2 for row in rows) else 200)
    streaming = Streaming(store, Sink(), siem)
    for _ in range(6):
        await streaming.send()
    assert siem.taken == [1]
    assert await streamed(store, cursor="siem", limit=1) == [2]
    for _ in range(3):
        await streaming.send()
    assert siem.taken == [1, 3]


async def test_ocsf_spells_what_has_a_class_there(store: Store) -> None:
    world = World(store)
    await world.add(
        *(Draft("ask-1", kind, By("user:robin", "test", "r"), "test", {}) for kind in ("request.denied", "x.y"))
    )
    out = io.BytesIO()
    await write(store, Stream(as_ocsf=True), out)
    first, second = [json.loads(line) for line in out.getvalue().splitlines()]
    assert (first["type_uid"], first["unmapped"]["position"]) == (600303, 1)
    assert (second["position"], second["record"]["type"]) == (2, "x.y")


def test_the_command_prints_lines_and_refuses_odd_names(empty_valkey: Valkey, command: Command) -> None:
    async def some() -> None:
        store = await connect(empty_valkey.url)
        await grow(store, 2)
        await store.aclose()

    asyncio.run(some())
    told = subprocess.run(
        [sys.executable, "-m", "countersign", "audit", "stream", "--cursor", "daily"],
        env={**clean_environ(), "COUNTERSIGN_REDIS_URL": empty_valkey.url}, capture_output=True, check=False,
    )  # fmt: skip
    assert (told.returncode, positions(told.stdout), told.stderr) == (0, [1, 2], b"")
    refused = command("audit", "stream", "--cursor", "Ä b")
    assert (refused.code, "--cursor" in refused.err) == (1, True)


def test_a_reader_that_has_enough_is_no_error(empty_valkey: Valkey) -> None:
    async def some() -> None:
        store = await connect(empty_valkey.url)
        await grow(store, 2_000, text="x" * 200)
        await store.aclose()

    asyncio.run(some())
    process = subprocess.Popen(
        [sys.executable, "-m", "countersign", "audit", "stream"],
        env={**clean_environ(), "COUNTERSIGN_REDIS_URL": empty_valkey.url},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout
    assert process.stderr
    assert positions(process.stdout.readline()) == [1]
    process.stdout.close()
    assert (process.wait(timeout=20), process.stderr.read()) == (0, b"")
    process.stderr.close()
