"""Take the log's first records out, behind an export that holds them; recorded and signed before the first one goes.

The record `log.truncated` and the note of what is to go are one commit. Once a checkpoint covers that, the log's
beginning moves on in small steps, each of them whole: with the records go their texts, the requests of which nothing is
left, and older checkpoints. Whoever is interrupted runs the same command again, and it goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from approvers.audit import SYSTEM, Base, By, Draft, Head
from approvers.cases import decoded
from approvers.ids import grant_of
from approvers.texts import marks_in
from approvers.times import stamp
from approvers.tree import Frontier
from countersign.ops import signed_log
from countersign.ops.exporting_records import Moved
from countersign.ops.truncating_plan import MEANWHILE, Held, NotTruncated, Plan
from workers.stores import layout
from workers.stores.cutting import Cut
from workers.stores.port import Commit, Conflict, Records, Snapshot, Store, transact
from workers.stores.truncated import TRUNCATED, Truncation, truncation_in

STEP = 200
"""Records that one step takes out; the store does nothing else meanwhile (a few milliseconds)."""


@dataclass(frozen=True)
class Reason:
    """Why records are taken out, by whom, and before which moment all of them were written."""

    why: str
    by: str
    before: datetime


async def unfinished(store: Store) -> Truncation | None:
    """Return what is recorded as to be taken out and is not wholly gone; None: nothing is left over."""
    known = truncation_in((await store.records.read([TRUNCATED])).records[TRUNCATED])
    return known if known is not None and (await store.log.base()).size < known.size else None


async def begin(store: Store, plan: Plan, held: Held, reason: Reason) -> Truncation:
    """Record what is about to be taken out. Raises NotTruncated: somebody else was first."""

    def step(seen: Snapshot) -> tuple[Commit | None, Truncation]:
        record = seen.records[TRUNCATED]
        last = truncation_in(record)
        if last is not None and last.size >= plan.size:
            raise NotTruncated(MEANWHILE)
        rules = {"policy": last.policy, "roster": last.roster} if last else {}
        rules |= {kind.removesuffix(".applied"): text for kind, text in plan.rules.items()}
        told = {"manifest_sha256": held.manifest_sha256, "root": plan.root, "size": plan.size}
        after = Truncation(until=reason.before, **told, **rules)
        draft = Draft(
            SYSTEM, "log.truncated", By(reason.by, "operator", reason.by), "command",
            {**told, "until": stamp(reason.before), "why": reason.why},
        )  # fmt: skip
        part = layout.put(TRUNCATED, record.version, after.model_dump_json())
        return layout.commit(seen.now, part, drafts=[draft], heads=seen.heads), after

    return await transact(store.records, [TRUNCATED], step, chains=[SYSTEM])


async def sign(store: Store, waits: Callable[[int], None]) -> None:
    """Wait until a checkpoint covers the record of what is to be taken out, and note that. Raises NotExported."""
    size = (await signed_log.newest(store, waits=waits)).checkpoint.size

    def step(seen: Snapshot) -> tuple[Commit | None, None]:
        record = seen.records[TRUNCATED]
        known = truncation_in(record)
        if known is None or known.signed is not None:
            return None, None
        put = layout.put(TRUNCATED, record.version, known.model_copy(update={"signed": size}).model_dump_json())
        return layout.commit(seen.now, put), None

    await transact(store.records, [TRUNCATED], step)


async def take_out(store: Store, goal: Truncation, moved: Moved) -> int:
    """Move the log's beginning on to where it is to be; returns how many records went. Raises NotTruncated."""
    first = here = await store.log.base()
    while here.size < goal.size:
        bodies = await store.log.tail(here.size, min(STEP, goal.size - here.size))
        cut = await _cut(store.records, here, bodies)
        frontier = Frontier(cut.base.size, list(cut.base.peaks))
        if cut.base.size == goal.size and frontier.root().hex() != goal.root:
            raise NotTruncated(
                f"at size {goal.size:,} the log has another root than was signed: it was changed. Freeze, and keep "
                "the store as it is"
            )
        try:
            await store.log.cut(cut)
        except Conflict as conflict:
            raise NotTruncated(
                f"{conflict.key} has changed since it was looked at, or something is still to be done there. "
                f"{here.size:,} of {goal.size:,} records are out; run this again"
            ) from conflict
        here = await store.log.base()
        moved(here.size)
    return here.size - first.size


async def _cut(records: Records, base: Base, bodies: Sequence[bytes]) -> Cut:
    """Return the step that takes these records out, which are the log's first."""
    frontier = Frontier(base.size, list(base.peaks))
    frontier.extend(bodies)
    chains = _chains(bodies)
    seen = await records.read([], [*chains])
    ended = [subject for subject, (last, _) in chains.items() if subject != SYSTEM and seen.heads[subject].n == last.n]
    goes_on = {subject: chain for subject, chain in chains.items() if subject not in ended}
    checkpoints = await _checkpoints(records, frontier.size)
    return Cut(
        since=base.size,
        base=Base(frontier.size, tuple(frontier.peaks), {subject: last for subject, (last, _) in goes_on.items()}),
        ended=ended,
        idle=[member for subject in ended for member in _due(subject)],
        records=[*(key for subject in ended for key in _records(subject)), *map(layout.checkpoint_key, checkpoints)],
        leave={layout.CHECKPOINTS: [str(size) for size in checkpoints]},
        erase={subject: marks for subject, (_, marks) in goes_on.items() if marks},
    )


def _chains(bodies: Sequence[bytes]) -> Mapping[str, tuple[Head, list[str]]]:
    """Return of each subject where its chain stands after these records, and the texts that they name."""
    found: dict[str, tuple[Head, list[str]]] = {}
    for body in bodies:
        record: Mapping[str, Any] = decoded(body)
        subject = record["subject"]
        marks = found[subject][1] if subject in found else []
        marks.extend(marks_in(record["data"]))
        found[subject] = Head(record["n"], hashlib.sha256(body).hexdigest()), marks
    return found


async def _checkpoints(records: Records, size: int) -> list[int]:
    """Return checkpoints of the log before that size: the oldest ones, of which each step takes some."""
    found = await records.members(layout.CHECKPOINTS, limit=2 * STEP)
    return [int(one) for one in found if int(one) < size]


def _due(subject: str) -> list[str]:
    """Return the due members of a request: none of them may be due any more when it goes."""
    grant = grant_of(subject)
    named = layout.request_key(subject), layout.receipt_key(subject), layout.owing_key(subject)
    return [*named, layout.grant_key(grant), layout.activity_key(grant)]


def _records(subject: str) -> list[str]:
    """Return the record keys of a request and of what came of it."""
    grant = grant_of(subject)
    of_grant = layout.grant_key(grant), layout.activity_key(grant), layout.beat_key(grant)
    return [layout.request_key(subject), layout.cards_key(subject), *of_grant]
