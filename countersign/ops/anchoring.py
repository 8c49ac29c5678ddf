"""Put the newest signed checkpoint where nobody here can change it: a witness, once a day, from cron."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from approvers.checkpoint import read_checkpoint
from approvers.notes import BadNote
from countersign.commands.common import put, say
from countersign.ops.connect import State, with_store
from countersign.ops.exporting_folder import NotExported, on_disk
from countersign.ops.s3_export import S3, Retain, anchor, at_least, refuse_wrong, retain_until
from countersign.ops.signed_log import NoWait, Signed, signed_at, signed_by_now
from workers.stores.port import Store

OWN = "name a file or prefix of its own"
LONGEST = 65_536


def command(
    to: Annotated[str, typer.Argument(metavar="FILE|s3://BUCKET/PREFIX", help="Where the checkpoint is kept.")],
    *,
    retain: Retain = "7y",
    no_wait: NoWait = False,
    state: State = None,
) -> None:
    """Keep the newest signed checkpoint as a witness: in a locked bucket, or in a file that others copy away.

    A file holds the newest one; where the log is not the one that the file or the bucket speaks of, nothing is written.
    """
    if to.startswith(S3):
        refuse_wrong(to, retain)

    async def work(store: Store) -> tuple[Signed, str]:
        found = await signed_by_now(store, no_wait=no_wait)
        if to.startswith(S3):
            return found, await _in_bucket(store, found, to, retain)
        await in_file(store, found, Path(to))
        return found, to

    found, where = with_store(state, work)
    put(f"{found.checkpoint.size} {found.checkpoint.root.hex()}")
    say(f"the checkpoint of size {found.checkpoint.size:,} is kept in {where}")


async def _in_bucket(store: Store, found: Signed, to: str, retain: str) -> str:
    from countersign.ops.s3 import Bucket, Place  # noqa: PLC0415 the SDK is slow to load, and a file needs none

    place, until = Place.parse(to), retain_until(retain, await store.records.now())

    def look() -> tuple[Bucket, str | None, str]:
        bucket = Bucket(place.bucket)
        bucket.refuse_unlocked()
        held = at_least(bucket, place, found.checkpoint.size)
        return bucket, held, _text(bucket.read(held) or b"", f"s3://{place.bucket}/{held}") if held else ""

    bucket, held, before = await asyncio.to_thread(look)
    if held is not None:
        await _is_newer(store, found, before, f"s3://{place.bucket}/{held}")
    return f"s3://{place.bucket}/{await asyncio.to_thread(anchor, bucket, place, found, until)}"


async def in_file(store: Store, found: Signed, path: Path) -> None:
    """Write the note into a file, unless the file speaks of another log. Raises NotExported."""
    before = _read(path)
    if before and await _is_newer(store, found, before, str(path)):
        return
    if before != found.note:
        _write(path, found.note)


def _read(path: Path) -> str | None:
    with on_disk(path):
        if not path.exists():
            return None
        if path.is_dir():
            raise NotExported(f"{path} is a folder: name a file, such as {path / 'checkpoint.txt'}")
        with path.open("rb") as file:
            raw = file.read(LONGEST)
    return _text(raw, str(path))


def _text(raw: bytes, where: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise NotExported(f"{where} holds no checkpoint: {OWN}") from error


def _write(path: Path, note: str) -> None:
    with on_disk(path):
        part = path.with_name(f"{path.name}.part")
        with part.open("w", encoding="utf-8") as file:
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


async def _is_newer(store: Store, found: Signed, before: str, where: str) -> bool:
    """Tell whether a checkpoint that is kept is newer than ours. Raises NotExported: it is none, or of another log.

    It counts as the same log's only where the store holds what it says; of records that were taken out of the log
    nothing can be said any more.
    """
    try:
        old = read_checkpoint(before)
    except BadNote as error:
        raise NotExported(f"{where} holds no checkpoint: {OWN}") from error
    if old.origin != found.checkpoint.origin:
        raise NotExported(f"{where} is a witness of the log {old.origin}, this is {found.checkpoint.origin}: {OWN}")
    ours = await signed_at(store.records, old.size)
    if ours.checkpoint.root != old.root if ours else old.size > (await store.log.base()).size:
        raise NotExported(
            f"{where} says that the log had the root {old.root.hex()[:32]}… at size {old.size:,}, and the log here "
            f"({found.checkpoint.size:,} records are signed) knows no such checkpoint: records were changed or cut, or "
            "the store was restored from an older backup. Keep it as it is, it is a witness; anchor elsewhere now"
        )
    return old.size > found.checkpoint.size
