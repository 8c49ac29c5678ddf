"""`countersign aws`: what an administrator of AWS accounts needs, from the roster file itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from approvers.roster import Roster, parse_roster
from countersign.commands.common import put, put_json, say
from countersign.ops.awscloudformation import template
from countersign.ops.awssetup import AccountSetup, NotSetUp, account_setup, every_account, identities
from countersign.ops.awsterraform import terraform as as_terraform

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
IDENTITIES = "countersign"
"""The name by which `--account` means the account of the worker's two identities."""

File = Annotated[Path, typer.Argument(metavar="countersign.toml", help="The roster, as you apply it.")]
IdentityAccount = Annotated[
    str, typer.Option("--identities", metavar="ACCOUNT", help="12 digits: where the worker's two identities stand.")
]
Worker = Annotated[
    str, typer.Option("--worker", metavar="ARN", help="What the worker runs as; it may take both identities.")
]
NEXT = """\
first the account of the identities ({identities}), then the others: a trust policy names roles that must exist.
Then: `countersign apply`, and `countersign doctor --aws --all`. Step by step: docs/aws.md"""


@app.callback()
def aws() -> None:
    """Set Countersign up in AWS accounts."""


@app.command()
def terraform(file: File, identities_in: IdentityAccount, worker: Worker) -> None:
    """Print Terraform for every account of the roster, on stdout alone."""
    roster = _read(file)
    for line in as_terraform(_all(roster, identities_in, worker)).splitlines():
        put(line)
    say(NEXT.format(identities=identities_in))


@app.command()
def cloudformation(
    file: File,
    identities_in: IdentityAccount,
    worker: Worker,
    account: Annotated[str, typer.Option(help=f"Whose template: an account's name, or {IDENTITIES!r}.")],
) -> None:
    """Print the CloudFormation template of one account as JSON, on stdout alone."""
    roster, first, worker_arn = _read(file), _checked(identities_in), _arn(worker)
    if account == IDENTITIES:
        put_json(template(identities(first, worker_arn, roster)))
    else:
        put_json(template(account_setup(account, roster, first)))
    say(NEXT.format(identities=identities_in))


def _all(roster: Roster, account: str, worker: str) -> list[AccountSetup]:
    first = identities(_checked(account), _arn(worker), roster)
    return [first, *(account_setup(name, roster, account) for name in every_account(roster))]


def _read(file: Path) -> Roster:
    try:
        return parse_roster(file.read_text("utf-8"))
    except OSError as error:
        raise NotSetUp(f"{file} cannot be read: {error.strerror}", field="countersign.toml") from error


def _checked(account: str) -> str:
    if re.fullmatch(r"\d{12}", account) is None:
        raise NotSetUp(f"{account!r} is no account id: write its 12 digits", field="--identities")
    return account


def _arn(worker: str) -> str:
    if re.fullmatch(r"arn:aws[a-z-]*:iam::\d{12}:(?:role|user)/[\w+=,.@/-]{1,512}", worker) is None:
        detail = f"{worker!r} is not what a worker runs as; write arn:aws:iam::123456789012:role/NAME"
        raise NotSetUp(detail, field="--worker")
    return worker
