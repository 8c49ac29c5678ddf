"""Offer auditors' commands: tell one request's story, search, report who had what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from countersign.client import AsyncClient
from countersign.commands import evidence_words as words
from countersign.commands.common import Json, Url, WrongOption, perform, put, put_json, say

report = typer.Typer(help="Report who had what in a period.", rich_markup_mode=None)
SYSTEM = "sys"


def show(
    request: Annotated[
        str, typer.Argument(metavar="ID", help="The request's id, its grant's id or its handle; or sys.")
    ],
    url: Url = None,
    json_: Json = False,
    bodies: Annotated[bool, typer.Option("--bodies", help="Print the stored bytes, one record a line.")] = False,
) -> None:
    """Tell the story of one request and its grant: who, why, on what, decided by whom, how it ended.

    The records are checked to be one chain. With --json they are printed as they are, oldest first.
    """

    async def work(client: AsyncClient) -> tuple[Mapping[str, Any], Any]:
        found = await client.evidence(request)
        receipt = None if request == SYSTEM else (await client.get(request)).receipt
        return found, receipt

    found, receipt = perform(url, work)
    if bodies:
        for body in found["bodies"]:
            typer.echo(body)
    elif json_:
        put_json(found["records"])
    else:
        for line in words.story(found, receipt):
            put(line)


def search(  # noqa: PLR0917 each option by its name
    person: Annotated[str, typer.Option(help="Who asked, decided, revoked or is behind: dana, caller:bot.")] = "",
    as_: Annotated[str, typer.Option("--as", help="That person's part: asked, decided, revoked, behind.")] = "",
    actor: Annotated[str, typer.Option(help="Who acted.")] = "",
    resource: Annotated[str, typer.Option(help="The beginning of a resource, or a pattern with *.")] = "",
    action: Annotated[str, typer.Option(help="An action, or a pattern with *.")] = "",
    role: Annotated[str, typer.Option(help="The alias of a role.")] = "",
    from_: Annotated[str, typer.Option("--from", help="Asked from this day or moment (UTC), or 90d.")] = "",
    to: Annotated[str, typer.Option("--to", help="Asked before this day or moment.")] = "",
    state: Annotated[str, typer.Option(help="Where the request, or its grant, stands.")] = "",
    because: Annotated[str, typer.Option(help="Why: rule, quorum, reviewer, nobody_answered …")] = "",
    proof: Annotated[str, typer.Option(help="How the end was shown: probe_denied, expired …")] = "",
    flagged: Annotated[bool, typer.Option("--flagged", help="Only what monitoring flagged.")] = False,
    break_glass: Annotated[bool, typer.Option("--break-glass", help="Only uses of break-glass.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 50,
    url: Url = None,
    json_: Json = False,
) -> None:  # fmt: skip
    """Search requests, newest first, by who, what, when and how they ended."""
    given = {
        "person": person, "as": as_, "actor": actor, "resource": resource, "action": action, "role": role,
        "from": from_, "to": to, "state": state, "because": because, "proof": proof,
        "flagged": "1" if flagged else "", "break_glass": "1" if break_glass else "",
    }  # fmt: skip
    query = {name: text for name, text in given.items() if text}

    async def work(client: AsyncClient) -> tuple[list[Mapping[str, Any]], str]:
        return await _all(client, query, limit)

    found, missing = perform(url, work)
    if missing:
        say(missing)
    if json_:
        put_json(found)
        return
    for one in found:
        put(words.hit(one))
    if not found:
        say("nothing found; try fewer options, the beginning of a resource or a pattern with *, or an earlier --from")
    elif len(found) == limit:
        say(f"the newest {limit} are shown; there may be more: raise --limit, or set --to")


@report.callback()
def _group() -> None:
    """Hold the kinds of report as commands."""


@report.command()
def access(
    from_: Annotated[str, typer.Option("--from", help="The first day or moment (UTC), such as 2026-10-01, or 30d.")],
    to: Annotated[str, typer.Option("--to", help="The end, which is not part of it; left out: now.")] = "",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the grants as CSV.")] = False,
    url: Url = None,
    json_: Json = False,
) -> None:
    """Report who had what: each grant with who approved it and how it ended, counts, and what changed.

    Needs a key with the scope read.
    """
    if as_csv and json_:
        raise WrongOption("--csv and --json exclude each other", field="--csv")

    async def work(client: AsyncClient) -> Mapping[str, Any]:
        return await client.access_report(from_, to)

    found = perform(url, work)
    if json_:
        put_json(found)
    elif as_csv:
        typer.echo("".join(words.csv(found)), nl=False)
    else:
        for line in words.report(found):
            put(line)


async def _all(client: AsyncClient, query: Mapping[str, str], limit: int) -> tuple[list[Mapping[str, Any]], str]:
    """Return up to `limit` hits, step by step, for each step of the server is bounded; and what cannot be found."""
    found: list[Mapping[str, Any]] = []
    missing = after = ""
    while len(found) < limit:
        step = {**query, "limit": str(min(100, limit - len(found))), **({"after": after} if after else {})}
        answer = await client.search(step)
        found += answer["found"]
        missing = words.not_searched(answer)
        after = answer.get("next") or ""
        if not after:
            break
    return found, missing
