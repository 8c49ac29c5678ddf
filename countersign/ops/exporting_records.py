"""Copy the log's records into an export, go on where an earlier run stopped, and know the root of what is there."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, NoReturn

from approvers.tree import Frontier
from countersign.ops.exporting_folder import POLICIES, RECORDS, ROSTERS, Folder, NotExported, Written
from workers.stores.port import Log

PAGE = 500
APPLIED = {"policy.applied": POLICIES, "roster.applied": ROSTERS}
_APPLIED = re.compile(rb'"type":"(?:policy|roster)\.applied"')
NOT_AS_SIGNED = (
    "the log in the store is not what was signed: a record was changed or removed since. Freeze, keep the store as it "
    "is, and verify an older export against it"
)
Moved = Callable[[int], None]
"""Told how many records there are so far."""


class Copied(NamedTuple):
    """What is in `records.jsonl` now: how many records, and the root of the whole log up to the last of them."""

    records: int
    root: bytes


class Copy:
    """Write the records of one export. Its memory does not grow with the log."""

    def __init__(self, folder: Folder, log: Log, frontier: Frontier) -> None:
        """Take the folder, and the log's frontier below the first record (an empty one, unless it was truncated)."""
        self._folder, self._log, self._frontier = folder, log, frontier
        self._base = frontier.size

    async def upto(self, size: int, moved: Moved) -> Copied:
        """Keep what is there, add what is missing up to position `size`, and return what there is now.

        What was there is checked with all the rest, by the root that the caller compares; here only its ends are, so
        that another log's export is told at once. Raises NotExported.
        """
        with self._folder.appending(RECORDS) as (file, written):
            last = self._keep(file, written, moved)
            await self._compare(last)
            if self._frontier.size > size:
                raise NotExported(
                    f"{self._folder.path} holds {self._frontier.size:,} records, and the export is to end at "
                    f"{size:,}: keep this folder as a witness, and export into a new one"
                )
            while (after := self._frontier.size) < size:
                bodies = await self._log.tail(after, min(PAGE, size - after))
                if not bodies:
                    raise NotExported(f"the log ends at {after:,}, before the {size:,} that were signed: it was cut")
                written.add(b"".join([body + b"\n" for body in bodies]))
                self._take(bodies)
                moved(self._frontier.size)
        self._folder.sums[RECORDS] = written.sum
        return Copied(self._frontier.size - self._base, self._frontier.root())

    def _keep(self, file: BinaryIO, written: Written, moved: Moved) -> bytes | None:
        """Take in the records that are there, cut off what is half a line, and return the last one."""
        last, end = None, 0
        for lines in _blocks(file):
            whole = lines if lines[-1].endswith(b"\n") else lines[:-1]
            if whole:
                written.seen(b"".join(whole))
                bodies = [line[:-1] for line in whole]
                self._take(bodies)
                last = bodies[-1]
                end += sum(map(len, whole))
                moved(self._frontier.size)
        file.truncate(end)
        return last

    async def _compare(self, last: bytes | None) -> None:
        position = self._frontier.size
        if last is None:
            return
        base = await self._log.base()
        if position < base.size:
            raise NotExported(overtaken(self._folder, position, base.size))
        if position > base.size and await self._log.tail(position - 1, 1) != [last]:
            await self.disagree()

    async def disagree(self, else_: str = NOT_AS_SIGNED) -> NoReturn:
        """Say where the folder's records and the log part, or `else_`, where they do not. Raises NotExported."""
        if (parting := await self._parting()) is None:
            raise NotExported(else_)
        raise NotExported(
            f"two exports that disagree: {parting}. Keep {self._folder.path} as it is, find out which one was changed, "
            "and export into a new folder"
        )

    async def _parting(self) -> str | None:
        base = await self._log.base()
        position = self._base
        with _records_of(self._folder).open("rb") as file:
            for lines in _blocks(file):
                skip = max(0, base.size - position)
                theirs = await self._log.tail(position + skip, max(0, len(lines) - skip))
                theirs = [*(line[:-1] for line in lines[:skip]), *theirs]
                for number, line in enumerate(lines):
                    if number >= len(theirs) or line.removesuffix(b"\n") != theirs[number]:
                        here = position + number
                        return f"{file.name}, line {here - self._base + 1:,} is not record {here + 1:,} of this log"
                position += len(lines)
        return None

    def _take(self, bodies: list[bytes]) -> None:
        self._frontier.extend(bodies)
        for body in bodies:
            if _APPLIED.search(body):
                self._write_rules(body)

    def _write_rules(self, body: bytes) -> None:
        """Put the text of an applied policy or roster beside the log, under its hash."""
        record = json.loads(body)
        kind, data = APPLIED.get(record["type"]), record["data"]
        text = str(data.get("text", "")).encode()
        if kind and hashlib.sha256(text).hexdigest() == data.get("sha256"):
            self._folder.write(f"{kind}/{data['sha256']}.toml", text)


def overtaken(folder: Folder, position: int, base: int) -> str:
    """Say that the log no longer has what would come next in the folder."""
    return (
        f"{folder.path} ends at record {position:,}, and the log was truncated up to {base:,} since: keep this folder, "
        "and export into a new one"
    )


def blocks(path: Path) -> Iterator[list[bytes]]:
    """Yield a file's lines, many at a time, without their ends."""
    with path.open("rb") as file:
        for lines in _blocks(file):
            yield [line.removesuffix(b"\n") for line in lines]


def _records_of(folder: Folder) -> Path:
    whole = folder.path / RECORDS
    return whole if whole.exists() else folder.part(RECORDS)


def _blocks(file: BinaryIO) -> Iterator[list[bytes]]:
    """Yield lines as they are, at most `PAGE` at a time."""
    page: list[bytes] = []
    for line in file:
        page.append(line)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page
