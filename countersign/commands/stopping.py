"""Offer the commands for when something goes wrong: take grants away, stop all approvals and mints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from approvers.targets import Target
from approvers.times import stamp
from countersign import ending, models
from countersign.client import AsyncClient
from countersign.commands.common import Ended, Json, Url, WrongOption, perform, put, put_json, say, seconds
from countersign.errors import OUR_FAULT
from countersign.models import Grant, Revocation


def revoke(
    target: Annotated[
        str,
        typer.Argument(help="An id or handle, actor:NAME, principal:NAME, role:NAME, or all."),
    ],
    *,
    reason: Annotated[str, typer.Option(help="Why; it goes into the log.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be taken away.")] = False,
    timeout: Annotated[str, typer.Option(help="For how long the proof is waited for.")] = "2m",
    url: Url = None,
    json_: Json = False,
) -> None:
    """Take grants away, and wait until the end of each is proven: exit code 0 only then, else 6."""
    named, patience = Target.parse(target), seconds("--timeout", timeout)

    async def work(client: AsyncClient) -> tuple[Revocation, list[Grant]]:
        hit = await client.revocations(named, reason=reason, dry_run=dry_run)
        if not json_:
            _show(named, hit)
        if dry_run:
            return hit, hit.grants
        progress = _Progress(len(hit.grants), quiet=json_)
        return hit, await ending.follow(client, hit.grants, timeout_seconds=patience, on_end=progress.ended)

    hit, grants = perform(url, work)
    if json_:
        put_json({**hit.raw(), "grants": [grant.raw() for grant in grants]})
    if not dry_run:
        _judge(grants, timeout)


def freeze(
    reason: Annotated[str, typer.Argument(help="Why; everybody who is refused reads it.")] = "",
    off: Annotated[bool, typer.Option("--off", help="Let approvals and mints go on.")] = False,
    url: Url = None,
    json_: Json = False,
) -> None:
    """Stop all approvals and mints; what is live stays live (see `revoke`)."""
    if not off and not reason.strip():
        raise WrongOption("say why: `countersign freeze REASON`", field="REASON")

    async def work(client: AsyncClient) -> models.Freeze:
        return await (client.unfreeze(reason) if off else client.freeze(reason))

    stands = perform(url, work)
    put_json(stands.raw()) if json_ else put(standing(stands))


def standing(freeze: models.Freeze) -> str:
    """Say how the switch stands, in one line."""
    already = "" if freeze.changed else "already "
    since = f" (by {freeze.by}{f' at {stamp(freeze.at)}' if freeze.at else ''})" if freeze.by else ""
    if not freeze.on:
        return f"approvals and mints {already}go on{since}"
    return f"approvals and mints are {already}stopped{since}: {freeze.why}"


def table(grants: Sequence[Grant]) -> list[str]:
    """Return one aligned line for each grant: handle, id, state, actor, role, end."""
    rows = [_cells(grant) for grant in grants]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def proof(grant: Grant) -> str:
    """Say what shows that a grant has ended."""
    if grant.proof is None:
        return "nothing was issued"
    if grant.proof.kind == "never_issued":
        return "never issued"
    probes = f"refused {grant.proof.refused} of {grant.proof.asked} probes" if grant.proof.asked else grant.proof.kind
    return f"{probes}, {grant.proof.seconds} s after the request"


class _Progress:
    """Say of each grant that it is proven ended, and how many are."""

    def __init__(self, of: int, *, quiet: bool) -> None:
        self._of, self._quiet, self._done = of, quiet, 0

    def ended(self, grant: Grant) -> None:
        self._done += 1
        if not self._quiet:
            say(f"proven {self._done} of {self._of}: {_name(grant)} has ended: {proof(grant)}")


def _show(target: Target, hit: Revocation) -> None:
    count = len(hit.grants)
    grants = f"{count or 'no'} live grant{'' if count == 1 else 's'}"
    say(f"{target} {'would hit' if hit.dry_run else 'hits'} {grants}")
    for line in table(hit.grants):
        put(line)
    if hit.hint:
        say(hit.hint)


def _judge(grants: Sequence[Grant], timeout: str) -> None:
    """End with code 6, and say what is open, unless all is over."""
    if not (left := [grant for grant in grants if not grant.over]):
        return
    say(f"{len(left)} of {len(grants)} not proven ended after {timeout}; take them as alive. It is tried on for ever: "
        "look with `countersign grants --state revoking`, or do the same again.")  # fmt: skip
    for grant in left:
        say(f"{_name(grant)} is {grant.state}" + (f": {grant.trouble}" if grant.trouble else ""))
    raise Ended(OUR_FAULT)


def _cells(grant: Grant) -> tuple[str, ...]:
    ends = f"until {stamp(grant.ends_at)}" if grant.ends_at else ""
    return grant.handle or "", grant.id, grant.state, grant.actor or "", grant.role or "", ends


def _name(grant: Grant) -> str:
    return grant.handle or grant.id
