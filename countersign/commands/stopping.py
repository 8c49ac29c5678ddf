"""Offer the commands for when something goes wrong: take grants away, stop all approvals and mints."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from approvers.targets import Target
from approvers.times import stamp
from countersign import ending, models
from countersign.client import AsyncClient
from countersign.commands.common import Ended, Json, Url, WrongOption, perform, put, put_json, say, seconds
from countersign.errors import OUR_FAULT
from countersign.models import Grant, Revocation

Directly = Annotated[
    bool, typer.Option("--direct", help="Ask AWS itself, with your own credentials: for when Countersign is down.")
]
RoleArn = Annotated[str | None, typer.Option(help="With --direct: the base role of the grant.")]
Role = Annotated[str | None, typer.Option(help="With --direct and --everyone: the base role to end all sessions of.")]
Everyone = Annotated[bool, typer.Option("--everyone", help="With --direct --role: yes, the sessions of everybody.")]
Profile = Annotated[str | None, typer.Option(help="With --direct: the AWS profile that writes; else the SDK's usual.")]
ProveAs = Annotated[str | None, typer.Option(help="With --direct: an AWS profile that may take the role, to prove it.")]
Region = Annotated[str | None, typer.Option(help="With --direct: the AWS region to ask in.")]
Endpoint = Annotated[str | None, typer.Option(help="With --direct: where AWS is, if not at its usual address.")]
ExternalId = Annotated[str | None, typer.Option(help="With --direct: the role's external id, to prove it.")]


def revoke(
    target: Annotated[str, typer.Argument(help="An id or handle, actor:NAME, principal:NAME, role:NAME, or all.")] = "",
    *,
    reason: Annotated[str, typer.Option(help="Why; it goes into the log.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be taken away.")] = False,
    timeout: Annotated[str, typer.Option(help="For how long the proof is waited for.")] = "2m",
    direct: Directly = False,
    role_arn: RoleArn = None,
    role: Role = None,
    everyone: Everyone = False,
    profile: Profile = None,
    prove_as: ProveAs = None,
    region: Region = None,
    endpoint_url: Endpoint = None,
    external_id: ExternalId = None,
    url: Url = None,
    json_: Json = False,
) -> None:
    """Take grants away, and wait until the end of each is proven: exit code 0 only then, else 6."""
    place = {"profile": profile, "prove_as": prove_as, "region": region, "endpoint_url": endpoint_url,
             "external_id": external_id}  # fmt: skip
    if _is_direct(direct, {**place, "role_arn": role_arn, "role": role, "everyone": everyone}):
        how = {**place, "patience_seconds": seconds("--timeout", timeout), "dry_run": dry_run, "json": json_}
        return _end_directly(target, role_arn, role, everyone, how)
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


def _is_direct(direct: bool, others: Mapping[str, Any]) -> bool:
    """Tell whether AWS is to be asked without Countersign. Raises WrongOption for an option that needs `--direct`."""
    for name, value in others.items():
        if value and not direct:
            option = f"--{name.replace('_', '-')}"
            raise WrongOption(f"{option} is for --direct, which asks AWS without Countersign", field=option)
    return direct


def _end_directly(
    target: str, role_arn: str | None, role: str | None, everyone: bool, how: Mapping[str, Any]
) -> None:  # fmt: skip
    """End one grant, or everybody on a role, at AWS. Raises WrongOption where it is not clear which."""
    if target and role_arn and not (role or everyone):
        ops = _load_direct()
        ops.end_grant(ops.Asked(role_arn=role_arn, grant=target, **how))
    elif role and everyone and not (target or role_arn):
        ops = _load_direct()
        ops.end_everyone(ops.Asked(role_arn=role, **how))
    elif role and not (everyone or target or role_arn):
        text = "that ends every older session of the role, also those of other grants: if you want that, add --everyone"
        raise WrongOption(text, field="--everyone")
    else:
        raise WrongOption(
            "write `countersign revoke GRANT --direct --role-arn ARN`, "
            "or `countersign revoke --direct --role ARN --everyone`",
            field="--direct",
        )


def _load_direct() -> Any:
    """Load what speaks to AWS, which a caller's machine need not have."""
    try:
        return importlib.import_module("countersign.ops.direct")
    except ModuleNotFoundError as error:
        missing = error.name
    raise WrongOption(f"--direct needs {missing}, which is not installed here: pip install 'countersign[aws]'")


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
