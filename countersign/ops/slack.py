"""`countersign slack`: what an administrator of a Slack workspace needs."""

from __future__ import annotations

from typing import Annotated

import typer

from countersign.commands.common import put_json, say
from countersign.ops import manifest as app_manifest
from countersign.ops.manifest import CONNECTIONS

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Url = Annotated[str | None, typer.Option(help="Address of the web process, as Slack reaches it: https://name.")]
Socket = Annotated[bool, typer.Option("--socket", help="Socket Mode: Slack need not reach this installation.")]
MatchEmail = Annotated[
    bool, typer.Option("--match-email", help="Also the scope that `[slack] match_email = true` needs.")
]
NEXT = """\
paste this at https://api.slack.com/apps, Create New App, From a manifest; install the app; then set
COUNTERSIGN_SLACK_BOT_TOKEN={bot}
{hears}
Step by step: docs/slack.md. When it runs: `countersign doctor --slack`"""
BOT = "xoxb-…  (page OAuth & Permissions)"
OVER_HTTP = "COUNTERSIGN_SLACK_SIGNING_SECRET=…  (page Basic Information)"
OVER_SOCKET = f"COUNTERSIGN_SLACK_APP_TOKEN=xapp-…  (page Basic Information, an app-level token with {CONNECTIONS})"


@app.callback()
def slack() -> None:
    """Set Countersign up in Slack."""


@app.command()
def manifest(url: Url = None, socket: Socket = False, match_email: MatchEmail = False) -> None:
    """Print the Slack app's manifest as JSON, on stdout alone; what to do with it goes to stderr."""
    if socket == (url is not None):
        raise app_manifest.NoAddress(
            "say how Slack speaks to Countersign: --url https://countersign.example.com for HTTP, "
            "or --socket for Socket Mode (not both)"
        )
    put_json(app_manifest.manifest(url, match_email=match_email))
    say(NEXT.format(bot=BOT, hears=OVER_SOCKET if socket else OVER_HTTP))
