"""`countersign audit stream`: records as JSON lines on stdout, at least once, from a cursor in the store."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from approvers import ocsf
from approvers.cases import NotARecord
from countersign.commands.common import WrongOption
from countersign.ops.connect import State, with_store
from countersign.ops.exporting_folder import NotExported
from workers.clock.cursors import Cursor, Line, look, move, page
from workers.stores.port import Conflict, Store, Truncated

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
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=0, help="Stop after so many; 0 with --cursor and --after: only move the cursor."),
    ] = None,
    as_ocsf: Annotated[bool, typer.Option("--ocsf", help="Spell what has a class there as OCSF events.")] = False,
    state: State = None,
) -> None:
    """Write the log's records to stdout, one JSON line each: {"position", "record"}.

    At least once: a cursor moves only after its lines are written.
    """
    if cursor is not None and _NAME.fullmatch(cursor) is None:
        raise WrongOption("a name is lower-case letters, digits, dots and dashes, 64 at most", field="--cursor")
    wanted = Stream(after, cursor, follow, limit, as_ocsf)
    out = sys.stdout.buffer
    _end_half_a_line(out)
    try:
        with_store(state, lambda store: write(store, wanted, out))
    except BrokenPipeError:  # whoever reads has enough; what they did not get is not counted as read
        _drop_the_rest(out)
    except NotExported:
        _drop_the_rest(out)
        raise


async def write(
    store: Store, wanted: Stream, out: BinaryIO, *, idle: Callable[[], bool] = lambda: True
) -> int:  # fmt: skip
    """Write lines until there are no more, or for ever; returns the position of the last. `idle` may end a wait."""
    stood = (await look(store.records, wanted.cursor)).cursor.position if wanted.cursor else 0
    at = stood if wanted.after is None else wanted.after
    left = wanted.limit
    if left == 0 and wanted.cursor and at != stood:
        await _move(store, wanted.cursor, stood, at)
    while left is None or left > 0:
        lines = await _page(store, at, PAGE if left is None else min(PAGE, left))
        if not lines:
            if not wanted.follow or not idle():
                break
            await asyncio.sleep(LOOK_SECONDS)
            continue
        _put(out, b"".join([_spelled(line, wanted) for line in lines]), wanted, at)
        at = lines[-1].position
        left = None if left is None else left - len(lines)
        if wanted.cursor:
            await _move(store, wanted.cursor, stood, at)
            stood = at
    return at


def _put(out: BinaryIO, lines: bytes, wanted: Stream, at: int) -> None:
    """Write lines. Raises NotExported: there is no room for them; BrokenPipeError: nobody reads any more."""
    try:
        out.write(lines)
        out.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        again = "run the same command again" if wanted.cursor else f"go on with --after {at}"
        raise NotExported(
            f"the lines behind record {at:,} could not be written: {error.strerror}. Put it right (space, rights) and "
            f"{again}; some of them may come twice"
        ) from error


def _end_half_a_line(out: BinaryIO) -> None:
    """Begin a line in a file where an earlier run, killed or out of room, has left half of one.

    That record comes again; on the same line nobody could read either.
    """
    with suppress(OSError, ValueError):  # it is no file, or one that may not be read
        number = out.fileno()
        if stat.S_ISREG(os.fstat(number).st_mode):
            with Path(f"/dev/fd/{number}").open("rb") as file:
                file.seek(-1, os.SEEK_END)
                if file.read() != b"\n":
                    out.write(b"\n")


def _drop_the_rest(out: BinaryIO) -> None:
    """Have nothing more written when the process ends."""
    with suppress(ValueError):  # a stream of this process alone, which ends with it
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


async def _page(store: Store, after: int, limit: int) -> list[Line]:
    """Return what comes next. Raises NotExported: it was taken out of the log, or it is no record."""
    try:
        return await page(store.log, after, limit)
    except Truncated as error:
        raise NotExported(f"{error}: go on behind them with `--after {error.size}`") from error
    except NotARecord as error:
        raise NotExported(f"{error}: nothing of ours writes that. Freeze, and keep the store as it is") from error


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
