"""Export to a locked bucket: put the folder together on this machine, then put it there, the manifest last."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

from approvers.checkpoint import Checkpoint
from countersign.commands.common import say
from countersign.ops.exporting import Exported, export
from countersign.ops.exporting_folder import MANIFEST, Folder, NotExported
from countersign.ops.recorded import bar
from countersign.ops.s3 import Bucket, Place
from countersign.ops.s3_export import folder_of, retain_until, upload
from workers.stores.port import Store

OpenBucket = Callable[[str], Bucket]
T = TypeVar("T")


class Stopped(Exception):
    """Whoever waits for the upload was interrupted: it goes no further."""


class Sent(NamedTuple):
    """Where an export lies, and what it came to; None: it was there, whole."""

    where: str
    exported: Exported | None


async def export_to(store: Store, place: Place, checkpoint: Checkpoint, *, retain: str, work: Path | None,
                    open_bucket: OpenBucket = Bucket) -> Sent:  # fmt: skip
    """Put the log up to this checkpoint there. Raises NotExported, WrongOption; run it again, it goes on.

    `work` is kept, so that the next export only fetches what is new; without it the folder is made anew each time.
    """
    until = retain_until(retain, await store.records.now())
    bucket = await asyncio.to_thread(open_bucket, place.bucket)
    await asyncio.to_thread(bucket.refuse_unlocked)
    prefix = folder_of(place, checkpoint.size)
    where = f"s3://{place.bucket}/{prefix}"
    there = await asyncio.to_thread(bucket.read, f"{prefix}{MANIFEST}")
    if there is not None:
        _same(there, checkpoint, where)
        await asyncio.to_thread(bucket.keep, prefix, until)
        return Sent(where, None)
    with _folder(work) as path:
        folder = Folder(path)
        done = await export(store, folder, checkpoint, bar)
        say(f"putting it into {where}; if that is interrupted, `--upto {checkpoint.size}` goes on there")
        await _put(bucket, prefix, folder, checkpoint, until)
    return Sent(where, done)


async def _put(bucket: Bucket, prefix: str, folder: Folder, checkpoint: Checkpoint, until: datetime) -> None:
    """Put the folder there. Nobody else writes into it meanwhile: what is put is locked for years."""
    with folder.alone():
        made = folder.manifest()
        if made is None or made["root"] != checkpoint.root.hex():
            raise NotExported(f"another export has written into {folder.path} meanwhile: run the same command again")
        files = sum(1 for one in folder.path.rglob("*") if one.is_file())
        with bar("files", files) as moved:
            await _in_thread(lambda step: upload(bucket, prefix, folder.path, until, moved, step=step))


async def _in_thread(work: Callable[[Callable[[], None]], T]) -> T:
    """Work in a thread that ends, at its next step, when this is cancelled; nothing goes on behind it."""
    stop = threading.Event()

    def step() -> None:
        if stop.is_set():
            raise Stopped

    task = asyncio.ensure_future(asyncio.to_thread(work, step))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([task])
        task.exception()  # it is stopped, or was through: nobody asks any more
        raise


def _same(manifest: bytes, checkpoint: Checkpoint, where: str) -> None:
    try:
        root = json.loads(manifest)["log"]["root"]
    except (ValueError, KeyError, TypeError):
        root = None
    if root != checkpoint.root.hex():
        raise NotExported(
            f"two exports that disagree: {where} has another root than the log here at the same size. Keep both, find "
            "out which one was changed, and export under another prefix"
        )


@contextmanager
def _folder(work: Path | None) -> Iterator[Path]:
    if work is not None:
        yield work
        return
    made = Path(tempfile.mkdtemp(prefix="countersign-export-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
