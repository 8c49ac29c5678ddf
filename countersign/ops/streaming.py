"""`countersign audit stream`: records as JSON lines on stdout, at least once, from a cursor in the store."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, BinaryIO

import typer

from approvers import ocsf
from countersign.commands.common import WrongOption
from countersign.ops.connect import State, with_store
from countersign.ops.exporting_folder import NotExported
from workers.clock.cursors import Cursor, Line, look, move, page
from workers.stores.port import Conflict, Store

PAGE = 500
LOOK_SECONDS = 0.5
TRIES = 5
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Stream:
    """What to write: from which position on, by whose cursor, how many, and whether to wait for more."""

    after: int | None = None
    cursor: str | None = None
    follow: bool = False
    limit: int | None = None
    as_ocsf: bool = False


def command(
    *,
    after: Annotated[int | None, typer.Option("--after", min=0, metavar="N", help="Begin behind record N.")] = None,
    cursor: Annotated[
        str | None, typer.Option("--cursor", metavar="NAME", help="Go on where this name stopped; the store keeps it.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for new records.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Stop after so many.")] = None,
    as_ocsf: Annotated[bool, typer.Option("--ocsf", help="Spell what has a class there as OCSF events.")] = False,
    state: State = None,
) -> None:
    """Write the log's records to stdout, one JSON line each: {"position", "record"}.

    At least once: a cursor moves only after its lines are written.
    """
    if cursor is not None and _NAME.fullmatch(cursor) is None:
        raise WrongOption("a name is lower-case letters, digits, dots and dashes, 64 at most", field="--cursor")
    wanted = Stream(after, cursor, follow, limit, as_ocsf)
    try:
        with_store(state, lambda store: write(store, wanted, sys.stdout.buffer))
    except BrokenPipeError:  # whoever reads has enough; what they did not get is not counted as read
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def write(
    store: Store, wanted: Stream, out: BinaryIO, *, idle: Callable[[], bool] = lambda: True
) -> int:  # fmt: skip
    """Write lines until there are no more, or for ever; returns the position of the last. `idle` may end a wait."""
    stood = (await look(store.records, wanted.cursor)).cursor.position if wanted.cursor else 0
    at = stood if wanted.after is None else wanted.after
    left = wanted.limit
    while left is None or left > 0:
        lines = await page(store.log, at, PAGE if left is None else min(PAGE, left))
        if not lines:
            if not wanted.follow or not idle():
                break
            await asyncio.sleep(LOOK_SECONDS)
            continue
        out.write(b"".join([_spelled(line, wanted) for line in lines]))
        out.flush()
        at = lines[-1].position
        left = None if left is None else left - len(lines)
        if wanted.cursor:
            await _move(store, wanted.cursor, stood, at)
            stood = at
    return at


def _spelled(line: Line, wanted: Stream) -> bytes:
    event = ocsf.event(line.position, line.record) if wanted.as_ocsf else None
    return line.json() if event is None else json.dumps(event, separators=(",", ":")).encode() + b"\n"


async def _move(store: Store, name: str, before: int, position: int) -> None:
    """Move a cursor behind what was written. Raises NotExported: somebody else moved it."""
    for _ in range(TRIES):
        held = await look(store.records, name)
        if held.cursor.position != before:
            break
        try:
            await move(store.records, name, held, Cursor(position=position))
        except Conflict:
            continue
        return
    raise NotExported(
        f"somebody else reads with the cursor {name}: it no longer stands at {before:,}, and was left as it is"
    )
