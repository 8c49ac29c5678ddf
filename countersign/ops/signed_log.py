"""Read what the notary has signed: the newest checkpoint, one of a given size, every one, the keys."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Annotated, NamedTuple

import typer

from approvers.checkpoint import Checkpoint, read_checkpoint
from countersign.commands.common import say
from countersign.ops.exporting_folder import NotExported
from workers.stores import layout
from workers.stores.port import Records, Store

PATIENCE = timedelta(seconds=30)
"""How long the clock gets to sign what the log holds; it signs within seconds."""
LOOK_AGAIN = timedelta(seconds=1)
PAGE = 500
NoWait = Annotated[bool, typer.Option("--no-wait", help="Take what is signed by now.")]


class Signed(NamedTuple):
    """A signed checkpoint: what it says, and the note that says it."""

    checkpoint: Checkpoint
    note: str


async def newest(
    store: Store, *, patience: timedelta | None = PATIENCE, waits: Callable[[int], None] = lambda _size: None,
    otherwise: str = "",
) -> Signed:  # fmt: skip
    """Return the newest signed checkpoint, once it covers what the log holds now.

    With no patience, whatever is signed by now will do; `waits` is told once that there is something to wait for, and
    `otherwise` says what else a person can do who waited in vain.
    Raises NotExported: nobody signs.
    """
    size, until = await store.log.size(), time.monotonic() + (patience.total_seconds() if patience else 0)
    told = False
    while True:
        seen = (await store.records.read([layout.NOTARY])).records[layout.NOTARY]
        note = json.loads(seen.json).get("note") if seen.version else None
        found = Signed(read_checkpoint(note), note) if note else None
        if found and (found.checkpoint.size >= size or patience is None):
            return found
        if time.monotonic() >= until:
            have = f"{found.checkpoint.size:,} of {size:,} records are" if found else f"none of {size:,} records is"
            raise NotExported(
                f"{have} under a signed checkpoint: does a clock run (`python -m workers.clock`)?{otherwise}"
            )
        if not told:
            waits(size)
            told = True
        await store.signals.changed(layout.NOTARY, LOOK_AGAIN, seen=seen.version)


async def signed_by_now(store: Store, *, no_wait: bool) -> Signed:
    """Return the newest signed checkpoint: that of all there is, once a clock has signed it, unless nobody waits."""
    if no_wait:
        return await newest(store, patience=None)
    return await newest(store, waits=_say_waiting, otherwise=" `--no-wait` takes what is signed")


def _say_waiting(size: int) -> None:
    say(f"waiting for the clock to sign the log up to size {size:,}")


async def signed_at(records: Records, size: int) -> Signed | None:
    """Return the signed checkpoint of exactly that size, if there is one."""
    key = layout.checkpoint_key(size)
    record = (await records.read([key])).records[key]
    if not record.version:
        return None
    note = note_in(record.json)
    return Signed(read_checkpoint(note), note)


async def sizes(records: Records) -> AsyncIterator[list[int]]:
    """Yield the sizes of all signed checkpoints, some at a time."""
    after: str | None = None
    while page := await records.members(layout.CHECKPOINTS, limit=PAGE, after=after):
        yield [int(member) for member in page]
        after = page[-1]


async def keys(records: Records) -> list[str]:
    """Return the public keys that ever signed the log, the oldest first."""
    seen = (await records.read([layout.NOTARY])).records[layout.NOTARY]
    return [str(one["key"]) for one in json.loads(seen.json).get("keys", ())] if seen.version else []


def note_in(json_text: str) -> str:
    """Return the note that a checkpoint's record holds, alone or beside other things."""
    return str(json.loads(json_text)["note"]) if json_text.startswith("{") else json_text
