"""`countersign teams`: what an administrator of Microsoft Teams needs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from approvers.errors import CountersignError
from countersign.commands.common import put, say
from countersign.ops import teamsapp
from countersign.ops.teamsapp import PATH, NoBot

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

APP_ID, PUBLIC_URL = "COUNTERSIGN_TEAMS_APP_ID", "COUNTERSIGN_PUBLIC_URL"
Url = Annotated[
    str | None,
    typer.Option(help=f"Address of the web process, as Teams reaches it: https://name. Default: {PUBLIC_URL}."),
]
BotId = Annotated[
    str | None,
    typer.Option("--bot-id", help=f"The Application (client) ID of the app's registration. Default: {APP_ID}."),
]
Output = Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Where the package is written.")]
NEXT = """\
upload it in the Teams admin center (Teams apps, Manage apps, Actions, Upload new app), and add the app to each team
whose channels are to see cards. The messaging endpoint of the bot in Azure has to be
{endpoint}
Step by step: docs/teams.md. When it runs: `countersign doctor --teams`"""


class NotWritten(CountersignError):
    """The package could not be written."""

    code = "not_written"


@app.callback()
def teams() -> None:
    """Set Countersign up in Microsoft Teams."""


@app.command()
def package(url: Url = None, bot_id: BotId = None, output: Output = Path("countersign-teams.zip")) -> None:
    """Write the Teams app as a zip to upload; its name goes to stdout, what to do with it to stderr."""
    bot, home = bot_id or os.environ.get(APP_ID), url or os.environ.get(PUBLIC_URL)
    if not bot:
        raise NoBot(f"which bot? Give --bot-id, the Application (client) ID in Entra, or set {APP_ID}")
    if not home:
        raise NoBot(f"say where Teams reaches Countersign: --url https://countersign.example.com, or set {PUBLIC_URL}")
    packed = teamsapp.package(teamsapp.manifest(bot, home))
    try:
        output.write_bytes(packed)
    except OSError as error:
        raise NotWritten(f"{output} cannot be written: {error.strerror}") from error
    put(str(output))
    say(NEXT.format(endpoint=teamsapp.address(home) + PATH))
