"""Keep how far a reader of the log has come, and read on from there: records in order, texts put back, none skipped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from approvers.cases import NotARecord, decoded
from approvers.texts import MARK, restore
from approvers.times import Moment
from workers.stores import layout
from workers.stores.port import Commit, Log, Records, Snapshot

_MARK = MARK.encode()


class Cursor(BaseModel):
    """How far one reader has come: the record `cursor:NAME`. `holder` alone reads on, until its time is over."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    v: Literal[1] = 1
    position: int = 0
    holder: str | None = None
    until: Moment | None = None


class Held(NamedTuple):
    """A cursor as read: the record's version, what it says, and the store's time."""

    version: int
    cursor: Cursor
    seen: Snapshot


class Line(NamedTuple):
    """One record to hand on."""

    position: int
    record: Mapping[str, Any]

    def json(self) -> bytes:
        """Return it as one line of JSON, with its end."""
        return json.dumps({"position": self.position, "record": self.record}, separators=(",", ":")).encode() + b"\n"


def cursor_key(name: str) -> str:
    """Return the record key of a cursor."""
    return f"cursor:{name}"


async def look(records: Records, name: str) -> Held:
    """Return where a reader stands; one that never read stands before the first record."""
    key = cursor_key(name)
    seen = await records.read([key])
    record = seen.records[key]
    cursor = Cursor.model_validate_json(record.json) if record.version else Cursor()
    return Held(record.version, cursor, seen)


async def move(records: Records, name: str, held: Held, cursor: Cursor) -> Held:
    """Write the cursor, unless it was moved since it was read. Raises Conflict."""
    part = layout.put(cursor_key(name), held.version, cursor.model_dump_json())
    await records.commit(Commit(at=held.seen.now, **part))
    return Held(held.version + 1, cursor, held.seen)


async def page(log: Log, after: int, limit: int) -> list[Line]:
    """Return up to `limit` records behind a position, with what people typed put back into them.

    Raises NotARecord: one cannot be read; it is named by its position.
    """
    bodies = await log.tail(after, limit)
    records = [_record(position, body) for position, body in enumerate(bodies, after + 1)]
    subjects = sorted({one["subject"] for body, one in zip(bodies, records, strict=True) if _MARK in body})
    if subjects:
        texts = await log.texts(subjects)
        records = [restore(one, texts) for one in records]
    return [Line(position, one) for position, one in enumerate(records, after + 1)]


def _record(position: int, body: bytes) -> dict[str, Any]:
    try:
        return decoded(body)
    except NotARecord as error:
        raise NotARecord(f"record {position} {error}") from error
