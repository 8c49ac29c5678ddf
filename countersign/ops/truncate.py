"""`countersign audit truncate`: take old records out of the log, behind an export that holds them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from approvers.times import stamp
from countersign.commands.common import Ended, Json, WrongOption, put, put_json, say
from countersign.commands.verified import keys_of
from countersign.ops import signed_log
from countersign.ops.connect import By, State, who, with_store
from countersign.ops.recorded import bar, moment
from countersign.ops.truncating import Reason, begin, sign, take_out, unfinished
from countersign.ops.truncating_plan import Held, NotTruncated, Plan, plan
from countersign.verifying import report as reports
from countersign.verifying.checks import Checks
from countersign.verifying.core import Key
from countersign.verifying.findings import Unreadable
from countersign.verifying.folder import MANIFEST
from countersign.verifying.verify import verify
from workers.stores.port import Store

YOUNGEST = timedelta(days=7)
"""Younger records stay: callers' retries, cards in chat and late findings of AWS still refer to what they tell of."""
INTERRUPTED = 130


class Wish(NamedTuple):
    """What was asked: up to when, behind which export, and whether only to look."""

    reason: Reason
    held: Held
    dry_run: bool


class Done(NamedTuple):
    """What was taken out, or (`plan` None) what an earlier run had begun to."""

    size: int
    root: str
    records: int
    plan: Plan | None


def command(
    *,
    before: Annotated[
        str, typer.Option("--before", metavar="DATE", help="Only records older than this: 2026-05-01, 90d.")
    ],
    export: Annotated[Path, typer.Option("--export", metavar="DIR", help="An export that holds them; it is verified.")],
    key: Annotated[list[str], typer.Option(metavar="KEY", help="The log's public key, NAME+ID+BASE64, or @FILE.")],
    why: Annotated[str, typer.Option("--why", help="Why, for the log.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    by: By = None,
    json_: Json = False,
    state: State = None,
) -> None:
    """Take old records out of the store, once an export holds them and verifies; it cannot be undone.

    Only a beginning of the log can go, up to a signed checkpoint, and only where every request in it has ended. Run it
    again after an interruption: it goes on.
    """
    reason = Reason(why, who(by), moment("--before", before, datetime.now(UTC)))
    given = keys_of(key)
    try:
        with_store(state, lambda store: refuse_young(store, reason.before))  # before minutes are spent on the export
        held = held_by(export, given)
        done = with_store(state, lambda store: truncate(store, Wish(reason, held, dry_run)))
    except KeyboardInterrupt:
        say("stopped. What was begun is recorded; run the same command again, and it goes on from there")
        raise Ended(INTERRUPTED) from None
    _tell(done, held, dry_run=dry_run, as_json=json_)


def held_by(folder: Path, keys: Sequence[Key]) -> Held:
    """Verify an export, every decision with it, and return what it holds. Raises WrongOption: it is not whole."""
    again = f"see `countersign audit verify {folder} --key …`"
    try:
        with bar("verify", 100) as moved:
            checks = Checks(folder)
            found = verify(
                folder, keys, checks=checks.all, moved=lambda done, total: moved(100 * done // max(total, 1))
            )
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except Unreadable as error:
        raise WrongOption(str(error), field="--export") from error
    if not found.whole:
        raise WrongOption(f"{reports.verdict(found)}: {again}", field="--export")
    return Held(found.size, found.root, manifest["sha256"])


async def truncate(store: Store, wish: Wish, youngest: timedelta = YOUNGEST) -> Done:
    """Take out what can be, or finish what an earlier run began. Raises NotTruncated, NotExported."""
    await _same_log(store, wish.held)
    left, planned = await unfinished(store), None
    if left is None:
        await refuse_young(store, wish.reason.before, youngest)
        with bar("records", wish.held.size) as moved:
            planned = await plan(store, wish.held, wish.reason.before, moved)
        if wish.dry_run:
            return Done(planned.size, planned.root, planned.records, planned)
        left = await begin(store, planned, wish.held, wish.reason)
    elif left.size > wish.held.size:
        raise NotTruncated(
            f"a truncation up to size {left.size:,} was begun and is not finished; this export ends at "
            f"{wish.held.size:,}: name the one that it was begun with",
            field="--export",
        )
    elif wish.dry_run:
        return Done(left.size, left.root, left.size - (await store.log.base()).size, None)
    await sign(store, lambda size: say(f"waiting for the clock to sign the log up to size {size:,}"))
    with bar("records", left.size) as moved:
        count = await take_out(store, left, moved)
    return Done(left.size, left.root, count, planned)


async def refuse_young(store: Store, before: datetime, youngest: timedelta = YOUNGEST) -> None:
    """Raise NotTruncated where records would go that are not old enough."""
    newest = await store.records.now() - youngest
    if before > newest:
        raise NotTruncated(
            f"records of the last {youngest.days} days stay: name a time before {stamp(newest)}", field="--before"
        )


async def _same_log(store: Store, held: Held) -> None:
    """Raise NotTruncated unless the store's own notary has signed what the export holds."""
    ours = await signed_log.signed_at(store.records, held.size)
    if ours is None or ours.checkpoint.root.hex() != held.root:
        raise NotTruncated(
            f"this log has no signed checkpoint of size {held.size:,} with the export's root: is it an export of this "
            "log? Export again",
            field="--export",
        )


def _tell(done: Done, held: Held, *, dry_run: bool, as_json: bool) -> None:
    plan = done.plan
    if as_json:
        counts = {"requests": plan.requests, "shortened": plan.shortened, "limit": plan.limit.why} if plan else {}
        told = {"size": done.size, "root": done.root, "records": done.records, "manifest_sha256": held.manifest_sha256}
        put_json({**told, **counts, "dry_run": dry_run, "resumed": plan is None})
        return
    put(f"{done.size} {done.root}")
    verb = "would be taken out" if dry_run else "were taken out"
    say(f"{done.records:,} records {verb}; the log begins behind record {done.size:,}")
    if plan is None:
        say("an earlier run had begun this" if dry_run else "that finished what an earlier run had begun")
        return
    rest = f"; of {plan.shortened:,} more the end stays" if plan.shortened else ""
    say(f"with them {plan.requests:,} requests, their grants and texts{rest}")
    say(f"no more, because {plan.limit.why}")
