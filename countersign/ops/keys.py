"""`countersign keys`: make, list and revoke API keys."""

from __future__ import annotations

from typing import Annotated

import typer

from approvers.times import parse_duration, stamp
from bot.identity import ApiKey
from countersign.commands.common import Json, put, put_json, say
from countersign.ops import signing
from countersign.ops.connect import By, State, who, with_store
from countersign.ops.keyring import (
    KeyTrouble,
    check_principal,
    check_scopes,
    is_live,
    list_keys,
    make_key,
    revoke_key,
)
from workers.policies import Policies
from workers.stores.port import Store

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(signing.app, name="signing")

Principal = Annotated[str, typer.Option(help="Who will hold it: caller:NAME or user:NAME, as in countersign.toml.")]
Scopes = Annotated[
    list[str], typer.Option("--scope", help="What it may do: request, review, operate, read; give it once for each.")
]
Expires = Annotated[
    str | None, typer.Option("--expires", help="How long it is good for, such as 90d. Default: no end.")
]


@app.command()
def new(
    *,
    principal: Principal,
    scope: Scopes,
    expires: Expires = None,
    by: By = None,
    state: State = None,
    json_: Json = False,
) -> None:
    """Make a key and print it, this once: only its hash is stored."""
    scopes = check_scopes(principal, scope)
    try:
        lifetime = parse_duration(expires) if expires else None
    except ValueError as error:
        raise KeyTrouble(str(error), field="--expires") from error

    async def work(store: Store) -> tuple[str, ApiKey]:
        policies = Policies(store.records, store.signals)
        await policies.refresh()
        check_principal(principal, policies.current.roster)
        return await make_key(store.records, principal=principal, scopes=scopes, by=who(by), lifetime=lifetime)

    secret, key = with_store(state, work)
    if json_:
        put_json({"key": secret, **key.model_dump(mode="json")})
        return
    until = f"until {stamp(key.expires_at)}" if key.expires_at else "until it is revoked"
    say(f"{key.id} is for {principal}, {until}; the key is not shown again:")
    put(secret)


@app.command("list")
def list_(
    state: State = None,
    everything: Annotated[bool, typer.Option("--all", help="Ended ones, too.")] = False,
    json_: Json = False,
) -> None:
    """List the keys that are live."""

    async def work(store: Store) -> list[tuple[ApiKey, bool]]:
        now = await store.records.now()
        return [(key, is_live(key, now)) for key in await list_keys(store.records)]

    found = [(key, live) for key, live in with_store(state, work) if live or everything]
    if json_:
        put_json([{**key.model_dump(mode="json"), "live": live} for key, live in found])
        return
    for key, live in found:
        put(_line(key, live))
    if not found:
        say("there is no key: make one with `countersign keys new`")


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID")], by: By = None, state: State = None) -> None:
    """End a key: nothing is decided in its name any more from now on."""

    async def work(store: Store) -> ApiKey:
        return await revoke_key(store.records, key_id, by=who(by))

    key = with_store(state, work)
    assert key.revoked_at is not None
    say(f"{key.id} of {key.principal} is revoked since {stamp(key.revoked_at)}")


def _line(key: ApiKey, live: bool) -> str:
    if key.revoked_at:
        ends = f"revoked {stamp(key.revoked_at)}"
    elif key.expires_at:
        ends = f"{'until' if live else 'expired'} {stamp(key.expires_at)}"
    else:
        ends = "no end"
    return f"{key.id}  {key.principal}  {','.join(key.scopes)}  made {stamp(key.made_at)}  {ends}"
