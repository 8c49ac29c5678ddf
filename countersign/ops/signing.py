"""`countersign keys signing`: make the key that signs the log, list those that did, and say what happened to one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from approvers.audit import SYSTEM, By, Draft
from approvers.errors import CountersignError
from approvers.notes import BadNote
from countersign.commands.common import Json, put, put_json, say
from countersign.ops.connect import By as ByOption
from countersign.ops.connect import State, who, with_store
from workers.signing import SigningKey, public_of
from workers.stores import layout
from workers.stores.port import Commit, Records, Snapshot, Store, transact
from workers.stores.signed import KeySince, Signed, rollbacks_seen, signed_so_far

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The key that signs the log.")
Why = Annotated[str, typer.Option("--why", help="What happened, for the log.")]


class SigningTrouble(CountersignError):
    """There is nothing of the kind to say; the text says what there is."""

    code = "signing_trouble"


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="What it signs as, such as countersign.example.com/log.")],
) -> None:
    """Make a signing key and print it, this once: nothing is stored. Give it to the clock, and to nobody else."""
    try:
        key = SigningKey.generate(name)
    except BadNote as error:
        raise SigningTrouble(f"{name!r} is no name for a key: {error}", field="NAME") from error
    say("The private key goes into a file that only the clock can read (COUNTERSIGN_SIGNING_KEY_FILE, mode 600).")
    say(f"The public key is for everybody who verifies: {public_of(key).text}")
    put(key.text)


@app.command("list")
def list_(state: State = None, json_: Json = False) -> None:
    """List the public keys that have signed the log, and from which size on."""

    async def work(store: Store) -> tuple[KeySince, ...]:
        seen = await store.records.read([layout.NOTARY])
        signed = signed_so_far(seen.records[layout.NOTARY])
        return signed.keys if signed else ()

    keys = with_store(state, work)
    if json_:
        put_json([one.model_dump() for one in keys])
        return
    for one in keys:
        put(f"{one.key}  from size {one.since} on")
    if not keys:
        say("nothing is signed yet: start a clock")


@app.command()
def lost(why: Why, by: ByOption = None, state: State = None) -> None:
    """Say that the key which signed until now is lost: the next one then signs without it, and the log says so."""

    def step(signed: Signed) -> tuple[Signed, str, dict[str, object]]:
        if signed.lost:
            raise SigningTrouble("that is recorded already: start a clock with another key, and it signs")
        told: dict[str, object] = {"old": signed.key, "size": signed.size, "why": why}
        return signed.model_copy(update={"lost": True}), "key.lost", told

    async def work(store: Store) -> None:
        await _told(store.records, step, who(by))

    with_store(state, work)
    say("recorded: a clock with another key may sign now. Give its public key to everybody who verifies.")


@app.command("accept-rollback")
def accept_rollback(why: Why, by: ByOption = None, state: State = None) -> None:
    """Say that the log is rightly another one than was signed, such as after a restore: signing goes on from there."""

    async def work(store: Store) -> None:
        await _accepted(store.records, why, who(by))

    with_store(state, work)
    say(
        "recorded: signing goes on. What was signed before and is gone from this log can still be shown by its witness."
    )


async def _told(
    records: Records, change: Callable[[Signed], tuple[Signed, str, dict[str, object]]], by: str
) -> None:  # fmt: skip
    def step(seen: Snapshot) -> tuple[Commit, None]:
        record = seen.records[layout.NOTARY]
        signed = signed_so_far(record)
        if signed is None or signed.key is None:
            raise SigningTrouble("nothing is signed yet: no key can be lost")
        after, kind, told = change(signed)
        draft = Draft(SYSTEM, kind, By(by, "operator", by), "command", told)
        part = layout.put(layout.NOTARY, record.version, after.model_dump_json())
        return layout.commit(seen.now, part, drafts=[draft], heads=seen.heads), None

    await transact(records, [layout.NOTARY], step, chains=[SYSTEM])


async def _accepted(records: Records, why: str, by: str) -> None:
    def step(seen: Snapshot) -> tuple[Commit, None]:
        record = seen.records[layout.ROLLBACK]
        known = rollbacks_seen(record)
        if not known.open:
            raise SigningTrouble("no log was found to be another one: there is nothing to accept")
        told = [{"found": one.found, "root": one.root, "size": one.size, "why": why} for one in known.open]
        speaker = By(by, "operator", by)
        drafts = [Draft(SYSTEM, "log.rollback_accepted", speaker, "command", one) for one in told]
        after = known.model_copy(
            update={"found": tuple(one.model_copy(update={"accepted": True}) for one in known.found)}
        )
        part = layout.put(layout.ROLLBACK, record.version, after.model_dump_json())
        return layout.commit(seen.now, part, drafts=drafts, heads=seen.heads), None

    await transact(records, [layout.ROLLBACK], step, chains=[SYSTEM])
