"""Write what an export holds beside the records: checkpoints, receipts, texts.

These files are written anew each time. So a text that was erased since is gone from the folder, too, and a receipt that
was signed late is in it. What has to be sorted goes through a table on the disk: memory does not grow.
"""

from __future__ import annotations

import base64
import json
import re
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from approvers.audit import SYSTEM, canonical
from approvers.cases import tag_of
from countersign.ops import signed_log
from countersign.ops.exporting_folder import CHECKPOINTS, POLICIES, RECEIPTS, ROSTERS, TEXTS, Folder, NotExported
from countersign.ops.exporting_records import blocks
from workers.stores import layout
from workers.stores.port import Records, Store

PAGE = 500
SALT_HEX = 64
_MARK = re.compile(rb'"text_sha256":"([0-9a-f]{64})"')  # a quote inside a text is escaped, so this is never inside one
REMEMBERED = 4096
"""How many commitments are remembered, so that two records of one commit name a text once."""
Moved = Callable[[int], None]


async def checkpoints(folder: Folder, store: Store, first: int, last: int) -> int:
    """Write every signed checkpoint of these sizes, the smallest first; returns how many there are."""
    count = 0
    with _table("CREATE TABLE sizes (size INTEGER PRIMARY KEY)") as table:
        async for some in signed_log.sizes(store.records):
            table.executemany("INSERT OR IGNORE INTO sizes VALUES (?)", [(size,) for size in some])
        found = table.execute("SELECT size FROM sizes WHERE size BETWEEN ? AND ? ORDER BY size", (first, last))
        with folder.writing(CHECKPOINTS) as file:
            while rows := found.fetchmany(PAGE):
                seen = await store.records.read([layout.checkpoint_key(size) for (size,) in rows])
                notes = [signed_log.note_in(record.json) for record in seen.records.values() if record.version]
                file.add("".join(f"{note}\n" for note in notes).encode())
                count += len(notes)
    return count


async def receipts(folder: Folder, store: Store, records: Path, size: int, moved: Moved) -> int:
    """Write the receipts of the log's requests, those over a log of at most `size`; returns how many there are."""
    tables = (
        "CREATE TABLE requests (id TEXT PRIMARY KEY)",
        "CREATE TABLE receipts (id TEXT PRIMARY KEY, size INTEGER, jws TEXT)",
    )
    with _table(*tables) as table:
        for line in _kept(folder.path / RECEIPTS):
            table.execute("INSERT OR IGNORE INTO receipts VALUES (?, ?, ?)", line)
        for bodies in blocks(records):
            ids = {subject for subject, _ in map(tag_of, bodies) if subject != SYSTEM}
            table.executemany("INSERT OR IGNORE INTO requests VALUES (?)", [(one,) for one in ids])
        await _fetch(table, store.records, moved)
        table.execute("DELETE FROM receipts WHERE size > ? OR id NOT IN (SELECT id FROM requests)", (size,))
        found = table.execute("SELECT jws FROM receipts ORDER BY size, id")
        with folder.writing(RECEIPTS) as file:
            while rows := found.fetchmany(PAGE):
                file.add("".join(f"{jws}\n" for (jws,) in rows).encode())
        return int(table.execute("SELECT count(*) FROM receipts").fetchone()[0])


async def rules_in_force(folder: Folder, records: Records) -> None:
    """Write policy and roster in force: the record that applied them may be one that was taken out of the log."""
    kinds = {layout.POLICY: POLICIES, layout.ROSTER: ROSTERS}
    seen = await records.read([*kinds])
    for key, kind in kinds.items():
        if seen.records[key].version:
            found = json.loads(seen.records[key].json)
            folder.write(f"{kind}/{found['sha256']}.toml", found["text"].encode())


async def texts(folder: Folder, store: Store, records: Path, moved: Moved) -> int:
    """Write the texts that the records name and nobody has erased, in the order of the records; returns how many."""
    count, position, recent = 0, 0, OrderedDict[str, None]()
    system: Mapping[str, str] | None = None
    with folder.writing(TEXTS) as file:
        for bodies in blocks(records):
            marks = _marks(bodies, recent)
            subjects = sorted({subject for subject, _ in marks} - {SYSTEM})
            held = await store.log.texts(subjects) if subjects else {}
            if system is None and any(subject == SYSTEM for subject, _ in marks):
                system = await store.log.texts([SYSTEM])
            lines = [_line(*mark, held.get(mark[1]) or (system or {}).get(mark[1])) for mark in marks]
            file.add(b"".join(lines))
            count += sum(map(bool, lines))
            position += len(bodies)
            moved(position)
    return count


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


def _kept(path: Path) -> Iterator[tuple[str, int, str]]:
    """Yield (request, size, receipt) of an earlier export: what the store has forgotten since is still there."""
    if not path.exists():
        return
    for lines in blocks(path):
        for line in lines:
            try:
                payload = line.split(b".")[1]
                claims = json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
                yield str(claims["sub"]), int(claims["log"]["size"]), line.decode("ascii")
            except (IndexError, KeyError, TypeError, ValueError):  # not a receipt: the store's own takes its place
                continue


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
