"""Follow the audit log as it grows: one line in plain words for each record, with the time and the short handle."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from approvers.texts import marks_in, restore
from countersign.ops.telling import tell
from workers.stores import layout
from workers.stores.port import Store, Unavailable
from workers.stores.window import onwards

LOOK_EVERY_SECONDS = 0.2


async def follow(store: Store, after: int) -> AsyncIterator[str]:
    """Yield a line for each record behind that position of the log, for ever."""
    handles: dict[str, str] = {}
    while True:
        try:
            first, bodies = await onwards(store.log, after)
            for body in bodies:
                record = await _restored(store, json.loads(body))
                if words := tell(record):
                    yield f"{record['at'][11:19]}  {await _handle(store, handles, record['subject']):4}  {words}"
            after = first - 1 + len(bodies)
        except Unavailable:
            bodies = []
        if not bodies:
            await asyncio.sleep(LOOK_EVERY_SECONDS)  # what is new is told to processes that decide, not to spectators


async def _restored(store: Store, record: dict[str, Any]) -> dict[str, Any]:
    if not marks_in(record["data"]):
        return record
    found: dict[str, Any] = restore(record, await store.log.texts([record["subject"]]))
    return found


async def _handle(store: Store, known: dict[str, str], subject: str) -> str:
    if subject not in known and subject.startswith("req_"):
        key = layout.request_key(subject)
        found = (await store.records.read([key])).records[key]
        known[subject] = str(json.loads(found.json)["handle"]) if found.version else ""
    return known.get(subject, "")
