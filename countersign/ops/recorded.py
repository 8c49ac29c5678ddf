"""Read the audit log from its beginning or from a day on, from the store or from exported files, as a stream.

A file holds one record per line, exactly as it is stored; a folder is all of its `*.jsonl` files, in order of name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from approvers.cases import NotARecord, decoded
from approvers.errors import CountersignError
from approvers.times import parse_duration, stamp
from countersign.commands.common import WrongOption
from countersign.status import OFF
from workers.stores.port import Log, Store

BATCH = 500
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
        here = await self._start(end)
        while here < end:
            bodies = await self._log.tail(here, min(BATCH, end - here))
            if not bodies:
                return
            yield Batch(here + len(bodies), "the log, record", here + 1, bodies)
            here += len(bodies)

    async def _start(self, end: int) -> int:
        """Return the position before the first record that is young enough, by halving."""
        if self._since is None:
            return 0
        wanted, low, high = stamp(self._since - SLACK), 0, end
        while low < high:
            middle = (low + high) // 2
            (body,) = await self._log.tail(middle, 1)
            if decoded(body)["at"] < wanted:
                low = middle + 1
            else:
                high = middle
        return low


class InFiles:
    """Read exported records."""

    def __init__(self, path: Path) -> None:
        """Take a file or a folder. Raises Unreadable: it is not there, or has no records."""
        self._paths = sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]
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
                yield Batch(done, f"{path}, line", first, bodies)


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


async def read(log: Recorded, feed: Feed, what: str) -> None:
    """Hand every record to `feed`, with a bar on stderr where a person looks. Raises Unreadable, naming the record."""
    with _bar(what, await log.size()) as moved:
        async for batch in log.batches():
            for number, body in enumerate(batch.bodies, batch.first):
                try:
                    feed(body)
                except NotARecord as error:
                    raise Unreadable(f"{batch.name} {number}: {error}") from error
            moved(batch.done)


@contextmanager
def _bar(what: str, total: int, environ: Mapping[str, str] = os.environ) -> Iterator[Callable[[int], None]]:
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
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise WrongOption(f"{text!r} is no time: write 90d, or a day such as 2026-08-01", field=option) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
