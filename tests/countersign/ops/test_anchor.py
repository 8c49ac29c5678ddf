"""An anchor replaces only what the log still holds: it is a witness against this log, and must outlive a rewrite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from countersign.ops.anchoring import in_file
from countersign.ops.exporting_folder import NotExported
from countersign.ops.signed_log import newest
from tests.countersign.ops.export_world import World
from workers.signing import SigningKey
from workers.stores.memory import memory_store

KEY = SigningKey.generate("anchor.countersign.invalid/log")


async def grown(asks: int, seat: str = "sre") -> World:
    """A log of its own of three records for each ask, signed; each call makes another one, by the same key."""
    world = World(memory_store(), key=KEY)
    await world.ask(asks, seat=seat)
    await world.sign()
    return world


async def keep(world: World, path: Path) -> None:
    await in_file(world.store, await newest(world.store, patience=None), path)


async def test_a_later_checkpoint_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    path, world = tmp_path / "anchor.txt", await grown(1)
    await keep(world, path)
    await world.ask()
    await world.sign()
    await keep(world, path)
    assert path.read_text().startswith(f"{KEY.name}\n6\n")
    assert os.listdir(tmp_path) == ["anchor.txt"]


@pytest.mark.parametrize("asks", [1, 2, 3], ids=["shorter", "as_long", "longer"])
async def test_of_a_log_that_was_written_anew_it_is_left_as_it_is(tmp_path: Path, asks: int) -> None:
    path = tmp_path / "anchor.txt"
    await keep(await grown(2), path)
    before = path.read_text()
    with pytest.raises(NotExported, match=r"at size 6, .* knows no such checkpoint.*Keep it as it is"):
        await keep(await grown(asks, "db"), path)
    assert path.read_text() == before


async def test_another_run_was_faster_and_its_later_checkpoint_stays(tmp_path: Path) -> None:
    path, world = tmp_path / "anchor.txt", await grown(1)
    slow = await newest(world.store, patience=None)
    await world.ask()
    await world.sign()
    await keep(world, path)
    await in_file(world.store, slow, path)
    assert path.read_text().startswith(f"{KEY.name}\n6\n")


@pytest.mark.parametrize("there", [b"\xff\xfe\x00", b"a letter\n", b"x" * 100_000], ids=["bytes", "letter", "long"])
async def test_what_is_no_checkpoint_is_left_as_it_is(tmp_path: Path, there: bytes) -> None:
    path = tmp_path / "anchor.txt"
    path.write_bytes(there)
    with pytest.raises(NotExported, match=r"anchor\.txt holds no checkpoint: name a file or prefix of its own"):
        await keep(await grown(1), path)
    assert path.read_bytes() == there


async def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(NotExported, match=r"is a folder: name a file, such as .*checkpoint\.txt"):
        await keep(await grown(1), tmp_path)


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotExported, match="No such file"):
        await keep(await grown(1), tmp_path / "none" / "anchor.txt")
