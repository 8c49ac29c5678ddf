"""Export the log up to a signed checkpoint: records, checkpoints, receipts, texts, keys and rules in one folder.

An export into a folder that holds half of one, or an older one of the same log, goes on from there. It is whole when
everything in it follows from one signed root, and only then gets its manifest. That it was made is a record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from approvers.audit import SYSTEM, Base, By, Draft, canonical
from approvers.checkpoint import Checkpoint
from approvers.times import stamp
from approvers.tree import Frontier
from countersign.ops import exporting_sides as sides
from countersign.ops import signed_log
from countersign.ops.exporting_folder import ABOUT, BASE, KEYS, README, RECORDS, Folder, NotExported
from countersign.ops.exporting_records import Copy, overtaken
from workers.stores.port import Commit, Snapshot, Store, Truncated, transact
from workers.stores.truncated import TRUNCATED, truncation_in

NO_BASE: Mapping[str, Any] = {"heads": {}, "peaks": [], "size": 0}
"""What lies below the first record of a log of which nothing was dropped."""
MEANWHILE = "the log was truncated while it was exported: run the same command again, into a new folder"
Bar = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Shows how far something is: what, and out of how many."""


@dataclass(frozen=True)
class Exported:
    """What an export came to."""

    checkpoint: Checkpoint
    records: int
    checkpoints: int
    receipts: int
    texts: int

    def counts(self) -> dict[str, int]:
        """Return how much there is of what."""
        names = ("records", "checkpoints", "receipts", "texts")
        return {name: getattr(self, name) for name in names}


async def export(store: Store, folder: Folder, checkpoint: Checkpoint, bar: Bar) -> Exported:
    """Bring the folder to exactly this checkpoint. Raises NotExported; what is there then is gone on with next time."""
    with folder.alone():
        try:
            return await _export(store, folder, checkpoint, bar)
        except Truncated as error:
            raise NotExported(MEANWHILE) from error


async def _export(store: Store, folder: Folder, checkpoint: Checkpoint, bar: Bar) -> Exported:
    begins = (await store.log.base()).size
    base = await _begin(store, folder, checkpoint)
    copy = Copy(folder, store.log, _frontier(base))
    with bar("records", checkpoint.size) as moved:
        copied = await copy.upto(checkpoint.size, moved)
    if copied.root != checkpoint.root:
        await copy.disagree()
    if base["size"]:
        await sides.rules_in_force(folder, store.records)
    records = folder.part(RECORDS)
    count = await sides.checkpoints(folder, store, base["size"], checkpoint.size)
    with bar("receipts", copied.records) as moved:
        receipts = await sides.receipts(folder, store, records, (base["size"], checkpoint.size), moved)
    with bar("texts", copied.records) as moved:
        texts = await sides.texts(folder, store, records, base["size"], moved)
    if (await store.log.base()).size != begins:
        raise NotExported(MEANWHILE)
    folder.write(KEYS, "".join(f"{key}\n" for key in await signed_log.keys(store.records)).encode())
    folder.write(README, ABOUT.encode())
    folder.done(RECORDS, folder.sums[RECORDS])
    made_at = stamp(await store.records.now())
    log = {"checkpoint": checkpoint.size, "records": copied.records, "root": checkpoint.root.hex()}
    folder.close(log, made_at=made_at, origin=checkpoint.origin)
    return Exported(checkpoint, copied.records, count, receipts, texts)


async def note_made(store: Store, exported: Exported, *, to: str, by: str) -> None:
    """Record that an export was made: of which size and root, to what kind of place, by whom."""

    def step(seen: Snapshot) -> tuple[Commit | None, None]:
        told = {"root": exported.checkpoint.root.hex(), "size": exported.checkpoint.size, "to": to}
        draft = Draft(SYSTEM, "export.made", By(by, "operator", by), "command", told)
        return Commit(at=seen.now, drafts=[draft], heads=seen.heads), None

    await transact(store.records, [], step, chains=[SYSTEM])


async def _begin(store: Store, folder: Folder, checkpoint: Checkpoint) -> Mapping[str, Any]:
    """Look whether what is in the folder can be gone on with; return what lies below its first record."""
    manifest = folder.manifest()
    held, there = folder.base(), await store.log.base()
    base = held or (NO_BASE if manifest is not None or folder.begun() else _told(there))
    if manifest is not None:
        await _same_log(store, folder, manifest, checkpoint, Copy(folder, store.log, _frontier(base)))
    elif folder.begun():
        _refuse_overtaken(folder, base["size"], there.size)
    elif there.size:
        await _refuse_unrecorded(store, there.size, checkpoint)
    folder.reopen()
    if base["size"]:  # first, so that half an export knows where it begins
        folder.write(BASE, canonical(base) + b"\n")
    return base


def _refuse_overtaken(folder: Folder, begins: int, base: int) -> None:
    """Raise NotExported where half an export lacks what the store no longer has."""
    whole = folder.before()
    if base > begins and (whole is None or whole["checkpoint"] < base):
        raise NotExported(
            f"{folder.path} holds half an export, and the log was truncated up to {base:,} since: export into a new "
            "folder"
        )


async def _refuse_unrecorded(store: Store, base: int, checkpoint: Checkpoint) -> None:
    """Raise NotExported where a truncation is half done, or the export would end before the record of it."""
    known = truncation_in((await store.records.read([TRUNCATED])).records[TRUNCATED])
    if known is not None and base < known.size:
        raise NotExported(
            f"the log is being truncated: {base:,} of {known.size:,} records are out. Run `countersign audit truncate` "
            "to its end, then export"
        )
    if known is not None and checkpoint.size < (known.signed or 0):
        raise NotExported(
            f"the log was truncated up to {known.size:,}, and a log of {checkpoint.size:,} records does not say so "
            f"yet: take a checkpoint of at least {known.signed:,} (`--upto`, or leave it out)"
        )


async def _same_log(
    store: Store, folder: Folder, manifest: Mapping[str, Any], checkpoint: Checkpoint, copy: Copy
) -> None:  # fmt: skip
    """Raise NotExported unless what the folder holds whole is the beginning of this log."""
    if manifest["origin"] != checkpoint.origin:
        raise NotExported(
            f"{folder.path} is an export of the log {manifest['origin']}, and this is {checkpoint.origin}: "
            "name another folder"
        )
    size = manifest["checkpoint"]
    if size > checkpoint.size:
        raise NotExported(
            f"{folder.path} holds {size:,} signed records, and this log has {checkpoint.size:,} of them: the store was "
            "restored from an older backup, or the log was cut. Keep the folder, it is a witness; if an earlier "
            "checkpoint was asked for, name another folder"
        )
    if (base := (await store.log.base()).size) > size:
        raise NotExported(overtaken(folder, size, base))
    if not folder.is_as_written(RECORDS, manifest["files"]):
        await copy.disagree(f"{folder.path / RECORDS} is not as it was written: keep it, and export into a new folder")
    ours = await signed_log.signed_at(store.records, size)
    if ours is None or ours.checkpoint.root.hex() != manifest["root"]:
        await copy.disagree()


def _told(base: Base) -> dict[str, Any]:
    heads = {subject: {"n": head.n, "prev": head.prev} for subject, head in sorted(base.heads.items())}
    return {"heads": heads, "peaks": [peak.hex() for peak in base.peaks], "size": base.size}


def _frontier(base: Mapping[str, Any]) -> Frontier:
    return Frontier.of(base["size"], base["peaks"])
