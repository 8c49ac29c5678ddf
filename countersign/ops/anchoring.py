"""Put the newest signed checkpoint where nobody here can change it: a witness, once a day, from cron."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from approvers.checkpoint import read_checkpoint
from approvers.notes import BadNote
from countersign.commands.common import put, say
from countersign.ops.connect import State, with_store
from countersign.ops.exporting_folder import NotExported, on_disk
from countersign.ops.s3_export import S3, Retain, anchor, retain_until
from countersign.ops.signed_log import Signed, newest, signed_at
from workers.stores.port import Store


def command(
    to: Annotated[str, typer.Argument(metavar="FILE|s3://BUCKET/PREFIX", help="Where the checkpoint is kept.")],
    *,
    retain: Retain = "7y",
    state: State = None,
) -> None:
    """Keep the newest signed checkpoint as a witness: in a locked bucket, or in a file that others copy away.

    A file holds the newest one; where the log is not the one that the file speaks of, it is left as it is.
    """

    async def work(store: Store) -> tuple[Signed, str]:
        found = await newest(store)
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

    def work() -> str:
        bucket = Bucket(place.bucket)
        bucket.refuse_unlocked()
        return anchor(bucket, place, found, until)

    return f"s3://{place.bucket}/{await asyncio.to_thread(work)}"


async def in_file(store: Store, found: Signed, path: Path) -> None:
    """Write the note into a file, unless the file speaks of another log. Raises NotExported."""
    before = _read(path)
    if before:
        await _same_log(store, found, before, path)
    if before != found.note:
        _write(path, found.note)


def _read(path: Path) -> str | None:
    with on_disk(path):
        return path.read_text("utf-8") if path.exists() else None


def _write(path: Path, note: str) -> None:
    with on_disk(path):
        part = path.with_name(f"{path.name}.part")
        part.write_text(note, "utf-8")
        part.replace(path)


async def _same_log(store: Store, found: Signed, before: str, path: Path) -> None:
    try:
        old = read_checkpoint(before)
    except BadNote as error:
        raise NotExported(f"{path} holds no checkpoint: name a file of its own") from error
    if old.origin != found.checkpoint.origin:
        raise NotExported(f"{path} is a witness of the log {old.origin}, this is {found.checkpoint.origin}")
    ours = await signed_at(store.records, old.size)
    if old.size > found.checkpoint.size or (ours is not None and ours.checkpoint.root != old.root):
        raise NotExported(
            f"{path} says that the log had the root {old.root.hex()[:32]}… at size {old.size:,}, and the log here has "
            f"another one, or ends at {found.checkpoint.size:,}: records were changed or cut. Keep the file as it is"
        )
