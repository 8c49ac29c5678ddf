"""`countersign audit …` for operators: export the log, stream it, anchor it, forget what was typed, shorten it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from countersign.commands.common import Ended, WrongOption, put, put_json, say
from countersign.errors import OTHER
from countersign.ops import anchoring, erase, streaming, truncate
from countersign.ops.connect import By, State, who, with_store
from countersign.ops.exporting import Exported, export, note_made
from countersign.ops.exporting_folder import Folder
from countersign.ops.recorded import bar
from countersign.ops.s3_export import S3, Retain, refuse_wrong
from countersign.ops.signed_log import NoWait, Signed, signed_at, signed_by_now
from workers.stores.port import Store

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
INTERRUPTED = 130
NOTHING_LEFT = "was there already, whole"


class _Wanted(NamedTuple):
    """What was asked of `export`."""

    to: str
    upto: int | None
    no_wait: bool
    retain: str
    work: Path | None
    by: str


class _Done(NamedTuple):
    """Where an export lies, of which checkpoint; `exported` None: it was there."""

    where: str
    signed: Signed
    exported: Exported | None


@app.command("export")
def export_(
    to: Annotated[str, typer.Argument(metavar="DIR|s3://BUCKET/PREFIX", help="Where the export goes.")],
    *,
    upto: Annotated[int | None, typer.Option("--upto", metavar="SIZE", help="End at this signed checkpoint.")] = None,
    no_wait: NoWait = False,
    retain: Retain = "7y",
    work: Annotated[
        Path | None,
        typer.Option("--work", metavar="DIR", help="Where one for a bucket is put together; kept for the next."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Export nothing: see whether what is there stands.")] = False,
    by: By = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    state: State = None,
) -> None:
    """Write the whole log, up to a signed checkpoint, so that anybody can verify it.

    Run it again into the same folder: it goes on where it stopped, and adds what is new.
    """
    if check:
        _check(to, json_)
        return
    if to.startswith(S3):
        refuse_wrong(to, retain)
    wanted = _Wanted(to, upto, no_wait, retain, work, who(by))
    try:
        done = with_store(state, lambda store: _export(store, wanted))
    except KeyboardInterrupt:
        again = "again, with the `--upto` that was named," if to.startswith(S3) else "again,"
        say(f"stopped before it was done; run the same command {again} and it goes on from there: {to}")
        raise Ended(INTERRUPTED) from None
    _tell(done, json_)


app.command("stream")(streaming.command)
app.command("anchor")(anchoring.command)
app.command("erase")(erase.command)
app.command("truncate")(truncate.command)


async def _export(store: Store, wanted: _Wanted) -> _Done:
    signed = await _signed(store, wanted)
    if wanted.to.startswith(S3):
        from countersign.ops.exporting_bucket import export_to  # noqa: PLC0415 the SDK is slow to load
        from countersign.ops.s3 import Place  # noqa: PLC0415

        place = Place.parse(wanted.to)
        sent = await export_to(store, place, signed.checkpoint, retain=wanted.retain, work=wanted.work)
        done, kind = _Done(sent.where, signed, sent.exported), "s3"
    else:
        exported = await export(store, Folder(Path(wanted.to)), signed.checkpoint, bar)
        done, kind = _Done(wanted.to, signed, exported), "folder"
    if done.exported:
        await note_made(store, done.exported, to=kind, by=wanted.by)
    return done


async def _signed(store: Store, wanted: _Wanted) -> Signed:
    if wanted.upto is None:
        return await signed_by_now(store, no_wait=wanted.no_wait)
    found = await signed_at(store.records, wanted.upto)
    if found is None:
        raise WrongOption(f"no checkpoint of size {wanted.upto:,} is signed: take one that is", field="--upto")
    return found


def _tell(done: _Done, as_json: bool) -> None:
    checkpoint, made = done.signed.checkpoint, done.exported
    if as_json:
        counts = {} if made is None else made.counts()
        root = checkpoint.root.hex()
        put_json({"where": done.where, "size": checkpoint.size, "root": root, "origin": checkpoint.origin, **counts})
        return
    put(f"{checkpoint.size} {checkpoint.root.hex()}")
    if made is None:
        say(f"{done.where} {NOTHING_LEFT}")
        return
    counted = ", ".join(f"{count:,} {what}" for what, count in made.counts().items())
    say(f"{done.where} holds the log up to size {checkpoint.size:,}: {counted}")
    say("size and root stand above: keep them, or anything that was handed out, outside of here as a witness")
    say(f"check it: countersign audit verify {done.where if not done.where.startswith(S3) else 'DIR'} --key KEY")


def _check(to: str, as_json: bool) -> None:
    if not to.startswith(S3):
        raise WrongOption("--check is for buckets; a folder is checked by `countersign audit verify`", field="--check")
    from countersign.ops.s3 import Bucket, Place  # noqa: PLC0415 the SDK is slow to load
    from countersign.ops.s3_export import look  # noqa: PLC0415

    place = Place.parse(to)
    bucket = Bucket(place.bucket)
    bucket.refuse_unlocked()
    count, faults = look(bucket, place, datetime.now(UTC))
    if as_json:
        put_json({"objects": count, "faults": faults})
    else:
        for fault in faults:
            put(fault)
        say(f"{count:,} objects below {place}, {len(faults)} of these things are wrong" if faults
            else f"{count:,} objects below {place}, each there once and locked")  # fmt: skip
    if faults:
        raise Ended(OTHER)
