"""Read the audit log from its beginning or from a day on, from the store or from exported files, as a stream.

A file holds one record per line, exactly as it is stored; a folder is all of its `*.jsonl` files, in order of name.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from approvers import reporting_period as period
from approvers.cases import SUBMITTED, NotARecord, decoded, tag_of
from approvers.errors import CountersignError
from approvers.texts import restore
from countersign.commands.common import WrongOption
from countersign.status import OFF
from workers.stores.port import Log, Store
from workers.stores.window import forwards, position_at, taken_out

BATCH = 500
TEXTS, BASE = "texts.jsonl", "base.json"
_MARK = b'"text_sha256"'
SLACK = timedelta(days=1)
"""How much earlier than asked reading begins: a store's time can have gone back a little, and back again."""
Feed = Callable[[bytes], None]


class Unreadable(CountersignError):
    """What should be replayed cannot be read; the text says where."""

    code = "unreadable"


class Batch(NamedTuple):
    """Some records in a row: how far reading has come, where the first of them stands, their bytes."""

    done: int
    name: str
    first: int
    bodies: Sequence[bytes]


class Recorded(Protocol):
    """A log to read."""

    async def size(self) -> int:
        """Return how far there is to read, in the units of `Batch.done`."""
        ...

    def batches(self) -> AsyncIterator[Batch]:
        """Yield the records in their order."""
        ...


class InStore:
    """Read the store's own log, from the first record at or after a moment (None: all of it)."""

    def __init__(self, log: Log, since: datetime | None) -> None:
        """Take the log."""
        self._log, self._since = log, since

    async def size(self) -> int:
        """Return how many records there are."""
        return await self._log.size()

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield what was there when reading began; what comes later is for the next time."""
        end = await self._log.size()
        first = (await self._log.base()).size
        here = await position_at(self._log, self._since - SLACK, end) if self._since else first
        async for page in forwards(self._log, here, end, BATCH):
            bodies = await self._restored(page.bodies)
            yield Batch(page.first + len(bodies) - 1, "the log, record", page.first, bodies)

    async def _restored(self, bodies: Sequence[bytes]) -> list[bytes]:
        """Put the texts of asks back: rules and risk may look at a reason."""
        subjects = sorted({tag_of(body)[0] for body in bodies if _asks(body)})
        texts = await self._log.texts(subjects) if subjects else {}
        return [_put_back(body, texts) if _asks(body) else body for body in bodies]


def _asks(body: bytes) -> bool:
    """Tell whether it is an ask whose texts lie outside the log."""
    return _MARK in body and tag_of(body)[1] == SUBMITTED


def _put_back(body: bytes, texts: Mapping[str, str]) -> bytes:
    return json.dumps(restore(decoded(body), texts), separators=(",", ":"), ensure_ascii=False).encode()


def _texts_of(path: Path) -> dict[str, str]:
    """Return what an export holds of the texts of its records. Raises Unreadable."""
    try:
        rows = [json.loads(line) for line in path.read_bytes().splitlines()]
        return {row["sha256"]: row["salt"] + row["text"] for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unreadable(f"{path} cannot be read as the texts of an export", field="--over") from error


class InFiles:
    """Read exported records."""

    def __init__(self, path: Path) -> None:
        """Take a file or a folder. Raises Unreadable: it is not there, or has no records."""
        found = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
        beside = found if path.is_dir() else [path.with_name(TEXTS)]
        self._texts = {
            mark: held for one in beside if one.name == TEXTS and one.is_file() for mark, held in _texts_of(one).items()
        }
        self._paths = [one for one in found if one.name != TEXTS]
        if not self._paths:
            raise Unreadable(f"{path} has no *.jsonl file", field="--over")
        if missing := [one for one in self._paths if not one.is_file()]:
            raise Unreadable(f"{missing[0]} is no file", field="--over")

    async def size(self) -> int:
        """Return how many bytes there are."""
        return sum(path.stat().st_size for path in self._paths)

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield the lines, file by file."""
        done = 0
        for path in self._paths:
            for first, bodies in _lines(path):
                done += sum(map(len, bodies))
                restored = [_put_back(body, self._texts) if _asks(body) else body for body in bodies]
                yield Batch(done, f"{path}, line", first, restored)


def _lines(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    try:
        with path.open("rb") as file:
            number = 1
            while bodies := file.readlines(1 << 20):
                yield number, bodies
                number += len(bodies)
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}", field="--over") from error


def recorded(over: Path | None, store: Store | None, since: datetime | None) -> Recorded:
    """Return what to read: the files, or the store's log."""
    if over is not None:
        return InFiles(over)
    assert store is not None
    return InStore(store.log, since)


async def unseen(store: Store | None, since: datetime | None) -> str:
    """Return in a sentence what of the time since a moment is no longer in the store's log; empty: all of it is."""
    gone = await taken_out(store.log) if store else None
    return gone.from_reading() if gone and gone.hides(since) else ""


def unseen_in(path: Path) -> str:
    """Return the same of an export; empty: it begins with the first record, or is none."""
    base = (path if path.is_dir() else path.parent) / BASE
    try:
        size = json.loads(base.read_bytes())["size"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return f"The first {size:,} records are not looked at: this export begins behind them; an older one holds them."


async def read(log: Recorded, feed: Feed, what: str) -> None:
    """Hand every record to `feed`, with a bar on stderr where a person looks. Raises Unreadable, naming the record."""
    with bar(what, await log.size()) as moved:
        async for batch in log.batches():
            for number, body in enumerate(batch.bodies, batch.first):
                try:
                    feed(body)
                except NotARecord as error:
                    raise Unreadable(f"{batch.name} {number}: {error}") from error
            moved(batch.done)


@contextmanager
def bar(what: str, total: int, environ: Mapping[str, str] = os.environ) -> Iterator[Callable[[int], None]]:
    """Show on stderr how far something is, where a person looks; gives what is to be told how much is done."""
    if not sys.stderr.isatty() or environ.get("CI", "").lower() not in OFF:
        yield lambda _done: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)


def moment(option: str, text: str, now: datetime) -> datetime:
    """Read `90d` (before now), or a day or moment such as `2026-08-01`. Raises WrongOption."""
    try:
        return period.moment(text, now)
    except ValueError as error:
        raise WrongOption(str(error), field=option) from error
