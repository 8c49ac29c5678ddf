"""Export to a locked bucket: put the folder together on this machine, then put it there, the manifest last."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from approvers.checkpoint import Checkpoint
from countersign.ops.exporting import Exported, export
from countersign.ops.exporting_folder import MANIFEST, Folder, NotExported
from countersign.ops.recorded import bar
from countersign.ops.s3 import Bucket, Place
from countersign.ops.s3_export import folder_of, retain_until, upload
from workers.stores.port import Store

OpenBucket = Callable[[str], Bucket]


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
        return Sent(where, None)
    with _folder(work) as path:
        done = await export(store, Folder(path), checkpoint, bar)
        files = sum(1 for one in path.rglob("*") if one.is_file())
        with bar("files", files) as moved:
            await asyncio.to_thread(upload, bucket, prefix, path, until, moved)
    return Sent(where, done)


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
