"""Look at the log as a doctor does: is it signed, is it the one that was, is a truncation half done?"""

from __future__ import annotations

from datetime import datetime, timedelta

from approvers.cases import decoded
from approvers.times import spell
from countersign.ops.findings import Finding
from countersign.ops.truncating import unfinished
from workers.stores import layout
from workers.stores.port import Store
from workers.stores.signed import rollbacks_seen, signed_so_far

SIGNED_WITHIN = timedelta(minutes=1)
"""A clock signs within seconds; after a minute it alerts, too."""


async def look(store: Store) -> list[Finding]:
    """Return what there is to say of the log: one line, or one for each thing that is not well."""
    seen = await store.records.read([layout.NOTARY, layout.ROLLBACK])
    size, signed = await store.log.size(), signed_so_far(seen.records[layout.NOTARY])
    found = []
    if rollbacks_seen(seen.records[layout.ROLLBACK]).open:
        words, remedy = "it is not the one that was signed", "docs/runbook.md, log.rolled_back; nothing is signed now"
        found.append(Finding("fail", "log", words, remedy))
    if (half := await unfinished(store)) is not None:
        out = (await store.log.base()).size
        words = f"a truncation is half done: {out:,} of {half.size:,} records are out"
        found.append(Finding("warn", "log", words, "run `countersign audit truncate` again; exports wait for it"))
    upto = signed.size if signed else 0
    if not found and (waits := await _waits(store, upto)) > SIGNED_WITHIN:
        words = f"{upto:,} of {size:,} records are signed, the next one has waited {spell(waits)}"
        found.append(Finding("warn", "log", words, "is a clock there? Else docs/runbook.md, notary.stuck"))
    return found or [Finding("ok", "log", f"{size:,} records, signed up to {upto:,}")]


async def _waits(store: Store, upto: int) -> timedelta:
    """Return how long the first record that is not signed has waited."""
    unsigned = await store.log.tail(max(upto, (await store.log.base()).size), 1)
    at = datetime.fromisoformat(decoded(unsigned[0])["at"]) if unsigned else None
    return await store.records.now() - at if at else timedelta()
