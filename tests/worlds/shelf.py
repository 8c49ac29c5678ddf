"""Put aside on the disk what a memory store holds of ended requests, so that long logs are played in little memory.

Nothing is lost: what is read again is read from there, and what is changed again comes back.
"""

from __future__ import annotations

import pickle
import sqlite3
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from workers.stores.port import Store

BULK = ("request", "grant", "decided", "checkpoint")


class Shelf(dict[str, Any]):
    """Be a table of which a part lies on the disk."""

    def __init__(self, held: dict[str, Any], db: sqlite3.Connection, name: str, make: Callable[[], Any] | None) -> None:
        super().__init__(held)
        self._db, self._name, self._make = db, name, make
        db.execute(f"CREATE TABLE {name} (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")

    def __missing__(self, key: str) -> Any:
        found = self._aside(key)
        if found is None and self._make is None:
            raise KeyError(key)
        self._db.execute(f"DELETE FROM {self._name} WHERE key = ?", [key])
        self[key] = self._make() if found is None and self._make else found
        return self[key]

    def get(self, key: str, default: Any = None) -> Any:
        """Return what is there, in memory or on the disk."""
        if key in self:
            return self[key]
        found = self._aside(key)
        return default if found is None else found

    def put_aside(self, done: Callable[[str], bool]) -> None:
        """Move to the disk what is done with."""
        keys = [key for key in self if done(key)]
        rows = ((key, pickle.dumps(self.pop(key))) for key in keys)
        self._db.executemany(f"INSERT OR REPLACE INTO {self._name} VALUES (?, ?)", rows)

    def _aside(self, key: str) -> Any:
        row = self._db.execute(f"SELECT value FROM {self._name} WHERE key = ?", [key]).fetchone()
        return None if row is None else pickle.loads(row[0])


class Lines:
    """Be the log's list of bodies, in a file."""

    def __init__(self, file: BinaryIO, bodies: list[bytes]) -> None:
        self._file, self._ends = file, array("Q", [0])
        for body in bodies:
            self.append(body)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __iter__(self) -> Iterator[bytes]:
        return iter(self[:])

    def __getitem__(self, part: slice) -> list[bytes]:
        first, last, _ = part.indices(len(self))
        if first >= last:
            return []
        begin = self._ends[first]
        self._file.seek(begin)
        raw = self._file.read(self._ends[last] - begin)
        return [raw[self._ends[at] - begin : self._ends[at + 1] - begin] for at in range(first, last)]

    def append(self, body: bytes) -> None:
        """Take the next record."""
        self._file.seek(self._ends[-1])
        self._file.write(body)
        self._ends.append(self._ends[-1] + len(body))


class Aside:
    """Keep one memory store small."""

    def __init__(self, store: Store, folder: Path) -> None:
        """Take a store, and a folder for what is put aside."""
        folder.mkdir(parents=True, exist_ok=True)
        self._store, self._state = store, store.records._state  # type: ignore[attr-defined]
        self._db = sqlite3.connect(folder / "aside.sqlite", isolation_level=None)
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("PRAGMA journal_mode = OFF")
        self._file = (folder / "log").open("w+b")
        state = self._state
        state.log = Lines(self._file, state.log)
        state.records = Shelf(state.records, self._db, "records", None)
        state.chains = Shelf(state.chains, self._db, "chains", list)
        state.texts = Shelf(state.texts, self._db, "texts", dict)

    async def put(self, recent: set[str]) -> None:
        """Put everything of requests aside but for the recent ones, and drop events that nobody reads."""
        kept = recent | {f"grt_{one.removeprefix('req_')}" for one in recent}
        self._state.records.put_aside(lambda key: _bulk(key) and key.partition(":")[2] not in kept)
        for table in (self._state.chains, self._state.texts):
            table.put_aside(lambda subject: subject != "sys" and subject not in recent)
        self._state.outbox.clear()

    def close(self) -> None:
        """Close the files."""
        self._db.close()
        self._file.close()


def _bulk(key: str) -> bool:
    return key.partition(":")[0] in BULK
