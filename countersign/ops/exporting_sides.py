"""Write what an export holds beside the records: checkpoints, receipts, texts.

These files are written anew each time. So a text that was erased since is gone from the folder, too, and a receipt that
was signed late is in it. What has to be sorted goes through a table on the disk: memory does not grow.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from approvers.audit import SYSTEM, canonical
from approvers.cases import tag_of
from countersign.ops import exporting_kept as kept
from countersign.ops import signed_log
from countersign.ops.exporting_folder import CHECKPOINTS, POLICIES, RECEIPTS, ROSTERS, TEXTS, Folder, NotExported
from countersign.ops.exporting_records import blocks
from workers.stores import layout
from workers.stores.port import Records, Snapshot, Store
from workers.stores.truncated import TRUNCATED, truncation_in

PAGE = 500
SALT_HEX = 64
_MARK = re.compile(rb'"text_sha256":"([0-9a-f]{64})"')  # a quote inside a text is escaped, so this is never inside one
REMEMBERED = 4096
"""How many commitments are remembered, so that two records of one commit name a text once."""
Moved = Callable[[int], None]


async def checkpoints(folder: Folder, store: Store, first: int, last: int) -> int:
    """Write every signed checkpoint of these sizes, the smallest first; returns how many there are."""
    count, base = 0, (await store.log.base()).size
    with _table("CREATE TABLE sizes (size INTEGER PRIMARY KEY, note TEXT)") as table:
        table.executemany("INSERT OR IGNORE INTO sizes VALUES (?, ?)", kept.notes(folder.path / CHECKPOINTS, base))
        async for some in signed_log.sizes(store.records):
            table.executemany("INSERT OR IGNORE INTO sizes VALUES (?, NULL)", [(size,) for size in some])
        found = table.execute("SELECT size, note FROM sizes WHERE size BETWEEN ? AND ? ORDER BY size", (first, last))
        with folder.writing(CHECKPOINTS) as file:
            while rows := found.fetchmany(PAGE):
                seen = await store.records.read([layout.checkpoint_key(size) for size, note in rows if note is None])
                notes = [note or _note(seen, size) for size, note in rows]
                file.add("".join(f"{note}\n" for note in notes if note).encode())
                count += sum(map(bool, notes))
    return count


async def receipts(folder: Folder, store: Store, records: Path, sizes: tuple[int, int], moved: Moved) -> int:
    """Write the receipts of the log's requests, those over a log of these sizes; returns how many there are."""
    tables = (
        "CREATE TABLE requests (id TEXT PRIMARY KEY)",
        "CREATE TABLE receipts (id TEXT PRIMARY KEY, size INTEGER, jws TEXT)",
    )
    with _table(*tables) as table:
        table.executemany("INSERT OR IGNORE INTO receipts VALUES (?, ?, ?)", kept.receipts(folder.path / RECEIPTS))
        for bodies in blocks(records):
            ids = {subject for subject, _ in map(tag_of, bodies) if subject != SYSTEM}
            table.executemany("INSERT OR IGNORE INTO requests VALUES (?)", [(one,) for one in ids])
        await _fetch(table, store.records, moved)
        table.execute(
            "DELETE FROM receipts WHERE size NOT BETWEEN ? AND ? OR id NOT IN (SELECT id FROM requests)", sizes
        )
        found = table.execute("SELECT jws FROM receipts ORDER BY size, id")
        with folder.writing(RECEIPTS) as file:
            while rows := found.fetchmany(PAGE):
                file.add("".join(f"{jws}\n" for (jws,) in rows).encode())
        return int(table.execute("SELECT count(*) FROM receipts").fetchone()[0])


async def rules_in_force(folder: Folder, records: Records) -> None:
    """Write policy and roster in force now, and where the log begins: what applied them may have been taken out."""
    kinds = {layout.POLICY: POLICIES, layout.ROSTER: ROSTERS}
    seen = await records.read([*kinds, TRUNCATED])
    known = truncation_in(seen.records[TRUNCATED])
    found = [(kind, json.loads(one.json)["text"]) for key, kind in kinds.items() if (one := seen.records[key]).version]
    found += [(POLICIES, known.policy), (ROSTERS, known.roster)] if known else []
    for kind, text in found:
        if text:
            folder.write(f"{kind}/{hashlib.sha256(text.encode()).hexdigest()}.toml", text.encode())


async def texts(folder: Folder, store: Store, records: Path, first: int, moved: Moved) -> int:
    """Write the texts that the records behind position `first` name and nobody has erased; returns how many.

    They stand in the order of the records. Those of records that were taken out of the log since are as they were.
    """
    count, position, recent = 0, 0, OrderedDict[str, None]()
    system: Mapping[str, str] | None = None
    base = (await store.log.base()).size
    with _table("CREATE TABLE texts (mark TEXT PRIMARY KEY, line BLOB)") as table, folder.writing(TEXTS) as file:
        if base > first:
            table.executemany("INSERT OR IGNORE INTO texts VALUES (?, ?)", kept.texts(folder.path / TEXTS))
        for bodies in blocks(records):
            out = min(max(base - first - position, 0), len(bodies))
            lines = [_before(table, mark) for _, mark in _marks(bodies[:out], recent)]
            marks = _marks(bodies[out:], recent)
            subjects = sorted({subject for subject, _ in marks} - {SYSTEM})
            held = await store.log.texts(subjects) if subjects else {}
            if system is None and any(subject == SYSTEM for subject, _ in marks):
                system = await store.log.texts([SYSTEM])
            lines += [_line(*mark, held.get(mark[1]) or (system or {}).get(mark[1])) for mark in marks]
            file.add(b"".join(lines))
            count += sum(map(bool, lines))
            position += len(bodies)
            moved(position)
    return count


def _note(seen: Snapshot, size: int) -> str | None:
    record = seen.records[layout.checkpoint_key(size)]
    return signed_log.note_in(record.json) if record.version else None


def _before(table: sqlite3.Connection, mark: str) -> bytes:
    """Return the line of a text as an older export has it."""
    found = table.execute("SELECT line FROM texts WHERE mark = ?", (mark,)).fetchone()
    return bytes(found[0]) if found else b""


def _marks(bodies: Sequence[bytes], recent: OrderedDict[str, None]) -> list[tuple[str, str]]:
    """Return (subject, commitment) of every text that these records name and none shortly before them did."""
    marks = []
    for body in bodies:
        for found in _MARK.findall(body):
            mark = found.decode()
            if mark not in recent:
                marks.append((tag_of(body)[0], mark))
            recent[mark] = None
            recent.move_to_end(mark)
            if len(recent) > REMEMBERED:
                recent.popitem(last=False)
    return marks


def _line(subject: str, mark: str, held: str | None) -> bytes:
    """Return one line of `texts.jsonl`; none for a text that was erased."""
    if held is None:
        return b""
    return canonical({"salt": held[:SALT_HEX], "sha256": mark, "subject": subject, "text": held[SALT_HEX:]}) + b"\n"


async def _fetch(table: sqlite3.Connection, records: Records, moved: Moved) -> None:
    """Read the receipts that are not here yet from the requests' own records."""
    done = 0
    table.execute("CREATE TABLE missing AS SELECT id FROM requests WHERE id NOT IN (SELECT id FROM receipts)")
    missing = table.execute("SELECT id FROM missing ORDER BY id")
    while rows := missing.fetchmany(PAGE):
        seen = await records.read([layout.request_key(one) for (one,) in rows])
        held = [(one, _receipt(seen.records[layout.request_key(one)].json)) for (one,) in rows]
        table.executemany("INSERT INTO receipts VALUES (?, ?, ?)", [(one, *found) for one, found in held if found])
        done += len(rows)
        moved(done)


def _receipt(record: str) -> tuple[int, str] | None:
    """Return log size and receipt that a request's record holds."""
    found = json.loads(record).get("receipt") if record else None
    return (found["size"], found["jws"]) if found else None


@contextmanager
def _table(*made: str) -> Iterator[sqlite3.Connection]:
    """Open tables in a file of their own, which nobody else sees, and which is gone with them."""
    try:
        with closing(sqlite3.connect("")) as table:
            for one in made:
                table.execute(one)
            yield table
    except sqlite3.Error as error:
        raise NotExported(f"no room to sort receipts in the folder for temporary files (TMPDIR): {error}") from error
