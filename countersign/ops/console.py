"""`countersign console`: make a sign-in link for one person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from approvers.errors import CountersignError
from approvers.faults import nearest
from approvers.roster import Roster
from approvers.times import stamp
from bot.sessions import Link, Sessions
from countersign.commands.common import Json, put, put_json, say
from countersign.ops.connect import By, State, settings_of, who, with_store
from countersign.ops.folder import DEMO_JSON, read_private
from workers.policies import Policies
from workers.stores.port import Store

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Person = Annotated[str, typer.Option(help="Who will sign in, by the name in countersign.toml.")]
Url = Annotated[str | None, typer.Option(help="Address of the console. Default: COUNTERSIGN_PUBLIC_URL, or HOST:PORT.")]


class UnknownPerson(CountersignError):
    """The roster has no such person."""

    code = "unknown_person"


@app.callback()
def console() -> None:
    """Make a sign-in link for the console."""


@app.command()
def link(*, person: Person, url: Url = None, by: By = None, state: State = None, json_: Json = False) -> None:
    """Print a link that signs this person in, once, within ten minutes. Hand it to nobody else."""

    async def work(store: Store) -> tuple[str, Link]:
        policies = Policies(store.records, store.signals)
        await policies.refresh()
        return await Sessions(store.records).invite(principal_of(person, policies.current.roster), by=who(by))

    base = (url or _base_url(state)).rstrip("/")
    token, made = with_store(state, work)
    address = f"{base}/console/sign-in/{token}"
    if json_:
        put_json({"link": address, "person": made.principal, "expires_at": stamp(made.expires_at)})
        return
    say(f"For {made.principal} alone, once, until {stamp(made.expires_at)}:")
    put(address)


def principal_of(person: str, roster: Roster) -> str:
    """Return `user:NAME` for a person of the roster, written with or without its kind. Raises UnknownPerson."""
    name = person.removeprefix("user:")
    if name not in roster.persons:
        remedy = nearest(name, roster.persons, otherwise="add it to countersign.toml and apply that")
        raise UnknownPerson(f"the roster has no person {name}: {remedy}", field="--person")
    return f"user:{name}"


def _base_url(state: Path | None) -> str:
    """Return where the console of this store is: the demo's own address, or the one of the settings."""
    running = read_private(state / DEMO_JSON) if state else None
    return str(running["base_url"]) if running else settings_of(state).base_url
