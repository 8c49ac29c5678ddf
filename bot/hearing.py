"""Note in the store that a web process is there to hear callers: so their silence is told from an outage of ours."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

from approvers import lifetime
from workers.stores import layout
from workers.stores.port import Commit, Records, Snapshot, StoreError, transact

NOTED_EVERY = timedelta(seconds=1)
"""Several notes fit into `lifetime.HEARD_GAP`: one that is late makes no gap."""


async def keep_hearing(records: Records) -> None:
    """Note it for ever; while the store is away nobody hears anything, and nothing is noted."""
    while True:
        with contextlib.suppress(StoreError):  # somebody else's alert
            await note(records)
        await asyncio.sleep(NOTED_EVERY.total_seconds())


async def note(records: Records) -> None:
    """Note that this process is there, unless another one just has."""

    def step(seen: Snapshot) -> tuple[Commit | None, None]:
        record = seen.records[layout.HEARING]
        before = layout.hearing_in(record)
        if before and abs(seen.now - before.until) < NOTED_EVERY / 2:
            return None, None
        after = lifetime.heard(before, seen.now)
        part = layout.put(layout.HEARING, record.version, after.model_dump_json())
        return layout.commit(seen.now, part), None

    await transact(records, [layout.HEARING], step)
