"""Offer the commands about what was granted: list it, end it, print its credential."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated

import typer

from approvers.times import spell, stamp
from countersign import helper
from countersign.client import AsyncClient
from countersign.commands.common import Json, Url, perform, put, put_json, say
from countersign.models import Grant

GrantId = Annotated[str, typer.Argument(metavar="GRANT", help="The grant's id, or its request's.")]


def grants(
    state: Annotated[str, typer.Option(help="PENDING, MINTING, ACTIVE or REVOKING.")] = "ACTIVE",
    actor: Annotated[str | None, typer.Option(help="Only this actor's.")] = None,
    url: Url = None,
    json_: Json = False,
) -> None:
    """List what is live."""

    async def work(client: AsyncClient) -> list[Grant]:
        return await client.grants(state=state.upper(), actor=actor)

    found = perform(url, work)
    if json_:
        put_json([grant.raw() for grant in found])
        return
    for grant in found:
        put(_line(grant))
    if not found:
        say(f"no grant is {state.upper()}")


def release(grant: GrantId, url: Url = None, json_: Json = False) -> None:
    """End a grant early: the work is done."""

    async def work(client: AsyncClient) -> Grant:
        return await client.release(grant)

    ended = perform(url, work)
    _put_grant(ended, json_)
    if ended.extended_by:
        say(f"{ended.extended_by} goes on with its work, and ends apart: release that, too, if it is not needed")


def credential_process(
    grant: GrantId,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with the grants that extend it; SDKs then ask again.")
    ] = False,
    url: Url = None,
) -> None:
    """Print a grant's credential, as `credential_process` in an AWS config file wants it.

    The same each time, until the grant ends. Exit codes: 0 printed, 3 denied, 4 expired, 5 cancelled, 6 our fault or
    unreachable, 1 anything else, such as that it has ended.
    """
    put_json(helper.printed(grant, follow=follow, url=url))


def _put_grant(grant: Grant, as_json: bool) -> None:
    put_json(grant.raw()) if as_json else put(_line(grant))


def _line(grant: Grant) -> str:
    proof = f"proof {grant.proof.kind} in {grant.proof.seconds} s" if grant.proof else ""
    said = (grant.id, grant.handle, grant.state, grant.actor, grant.role, *_until(grant), *_kin(grant), proof)
    return "  ".join(part for part in said if part)


def _until(grant: Grant) -> Iterator[str]:
    """Say when it ends at the latest, that this was warned of, and what would end it sooner."""
    if grant.ends_at:
        yield f"until {stamp(grant.ends_at)}" + (" (warned)" if grant.warned_at and grant.active else "")
    if grant.active and grant.collect_by:
        yield f"collect by {stamp(grant.collect_by)}"
    if grant.active and grant.heartbeat_seconds:
        yield f"heartbeat {spell(timedelta(seconds=grant.heartbeat_seconds))}"


def _kin(grant: Grant) -> Iterator[str]:
    """Say which grant it goes on with, and which goes on with it."""
    if grant.extends:
        yield f"extends {grant.extends}"
    if grant.extended_by:
        yield f"extended by {grant.extended_by}"
