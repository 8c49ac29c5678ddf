"""Offer the commands about what was granted: list it, end it, print its credential or its records."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import typer

from approvers.times import stamp
from countersign.client import AsyncClient
from countersign.commands.common import Json, Url, perform, put, put_json, say
from countersign.errors import outcome
from countersign.models import Credential, Grant, Request

GrantId = Annotated[str, typer.Argument(metavar="GRANT", help="The grant's id, or its request's.")]
REFRESHED_BELOW = timedelta(minutes=15)
"""SDKs refresh a credential within 15 minutes of its expiry, and fail within 10: a shorter one has no Expiration."""


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

    _put_grant(perform(url, work), json_)


def credential_process(grant: GrantId, url: Url = None) -> None:
    """Print a grant's credential, as `credential_process` in an AWS config file wants it."""

    async def work(client: AsyncClient) -> dict[str, Any]:
        request = await client.wait(grant)
        if (trouble := outcome(request)) is not None:
            raise trouble
        return process_output(request, await client.credential(request))

    put_json(perform(url, work))


def show(
    request: Annotated[str, typer.Argument(metavar="ID", help="The request's id, its grant's id or its handle.")],
    url: Url = None,
    json_: Json = False,
) -> None:
    """Print the records of one request and its grant, oldest first."""

    async def work(client: AsyncClient) -> list[dict[str, Any]]:
        return await client.audit(request)

    records = perform(url, work)
    if json_:
        put_json(records)
        return
    for record in records:
        put(_record_line(record))


def process_output(request: Request, credential: Credential) -> dict[str, Any]:
    """Return what an AWS SDK reads from a helper; without Expiration where that would make it refresh at once."""
    output: dict[str, Any] = {
        "Version": 1,
        "AccessKeyId": credential.access_key_id,
        "SecretAccessKey": credential.secret_access_key,
        "SessionToken": credential.session_token,
    }
    grant = request.grant
    ends = min((moment for moment in (grant and grant.ends_at, credential.expiration) if moment), default=None)
    lasts = timedelta(seconds=grant.ttl_seconds) if grant and grant.ttl_seconds else timedelta()
    if ends is not None and lasts >= REFRESHED_BELOW:
        output["Expiration"] = stamp(ends)
    return output


def _put_grant(grant: Grant, as_json: bool) -> None:
    put_json(grant.raw()) if as_json else put(_line(grant))


def _line(grant: Grant) -> str:
    ends = f"until {stamp(grant.ends_at)}" if grant.ends_at else ""
    proof = f"proof {grant.proof.kind} in {grant.proof.seconds} s" if grant.proof else ""
    return "  ".join(
        part for part in (grant.id, grant.handle, grant.state, grant.actor, grant.role, ends, proof) if part
    )


def _record_line(record: dict[str, Any]) -> str:
    by = record.get("by") or {}
    who = by.get("person") or by.get("sub", "")
    return f"{record.get('n', '?'):>4}  {record.get('at', '')}  {record.get('type', ''):<24}  {who}"
