"""An export's folder as somebody left it: odd manifests and files of others end in words, and nothing is lost."""

from __future__ import annotations

import errno
import fcntl
import json
from pathlib import Path
from typing import Any

import pytest

from countersign.ops.exporting import export
from countersign.ops.exporting_folder import Folder, NotExported
from countersign.ops.signed_log import newest
from tests.countersign.ops.export_world import World, held, no_bar
from workers.stores.memory import memory_store


@pytest.fixture
async def world(tmp_path: Path) -> World:
    """A log with an export of it in `e`."""
    world = World(memory_store())
    await world.ask(2)
    await world.sign()
    await world.export(tmp_path / "e")
    return world


@pytest.mark.parametrize(
    "log",
    [{}, {"checkpoint": "six", "root": "ab"}, {"checkpoint": 6, "root": "no hex"}, {"checkpoint": 6, "root": 6}, []],
    ids=["empty", "size", "root", "number", "list"],
)
async def test_a_manifest_that_is_none_is_told(world: World, tmp_path: Path, log: Any) -> None:
    path = tmp_path / "e" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "log": log}))
    before = held(tmp_path / "e") if isinstance(log, dict) else None
    with pytest.raises(NotExported, match=r"manifest\.json cannot be read .*: export into a new folder"):
        await world.export(tmp_path / "e")
    assert before is None or held(tmp_path / "e") == before


@pytest.mark.parametrize(
    "base",
    [{"heads": {}, "peaks": ["ab"], "size": 1}, {"heads": {}, "peaks": [], "size": 3}, {"size": 3}, []],
    ids=["short", "too_few", "missing", "list"],
)
async def test_a_base_that_is_none_is_told(world: World, tmp_path: Path, base: Any) -> None:
    (tmp_path / "e" / "base.json").write_text(json.dumps(base))
    with pytest.raises(NotExported, match=r"base\.json cannot be read .*: export into a new folder"):
        await world.export(tmp_path / "e")


async def test_what_somebody_laid_there_while_it_was_written_is_not_deleted(world: World, tmp_path: Path) -> None:
    folder, notes = Folder(tmp_path / "e"), tmp_path / "e" / "notes.txt"
    await world.ask()
    await world.sign()
    notes.write_text("mine")
    await export(world.store, folder, (await newest(world.store, patience=None)).checkpoint, no_bar)
    assert notes.read_text() == "mine"
    with pytest.raises(NotExported, match=r"notes\.txt is not part of an export"):
        Folder(tmp_path / "e")


async def test_what_lies_in_the_way_is_told(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotExported, match="file: File exists"):
        await world.export(tmp_path / "file")


async def test_a_disk_that_knows_no_locks_is_told(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    def no_locks(_handle: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(NotExported, match=r"cannot be locked .No locks available.: name a folder on a disk of this"):
        await world.export(tmp_path / "e")
