"""Describe Countersign's Teams app and pack it as Teams takes it: a zip of a manifest and two icons. Pure.

It asks for no permission on messages or files: in a channel a bot hears only what mentions it, and to post, to edit and
to ask who a member is takes none.
"""

from __future__ import annotations

import io
import json
import re
import uuid
import zipfile
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from approvers.errors import CountersignError
from countersign.ops import icons

PATH = "/api/messages"
"""Where the web process takes everything that Teams sends."""
SCHEMA = "1.29"
VERSION = "1.0.0"
"""Of the package: raise it with every change below, or Teams takes an upload for what it has already."""
COMMANDS: Mapping[str, str] = {
    "list": "what waits, yours first",
    "active": "what is live, and until when",
    "revoke": "revoke ID, actor:NAME, role:NAME or all: take away, and see the proof",
    "freeze": "freeze REASON: stop all approvals and mints",
    "show": "show ID: one request, whole",
    "why": "why ID: which rules asked, and on what",
    "audit": "audit ID: its records, and whether they are whole",
    "unfreeze": "unfreeze REASON: let it go on (on-call)",
    "console": "a sign-in link, for you alone",
    "away": "away until DAY → PERSON, or off: lend your seats",
    "request": "ask for an approval yourself",
    "help": "this, and help COMMAND",
}
"""What Teams offers while somebody types to the app: at most 12."""
SCOPES = ("team", "groupChat", "personal")
PERMISSIONS: Mapping[str, str] = {
    "identity": "know who pressed a button or wrote a command",
    "messageTeamMembers": "write to a person directly, where an answer is for them alone",
}
"""Everything that people are told the app may do, and what for."""
MOST_URL = 2_048
_COLOR = "#1D3B2F"
_HOST = re.compile(r"[A-Za-z0-9.:-]+")
_PATHS = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the package, so that the same app is the same bytes."""


class NoBot(CountersignError):
    """The app's id or its address is missing, or none that Teams takes."""

    code = "teams_app"


def manifest(bot_id: str, url: str) -> dict[str, Any]:
    """Return the manifest of an app whose bot is registered under `bot_id`, with the web process at `url`.

    Raises:
        NoBot: `bot_id` is no UUID, or `url` no https address.
    """
    bot, home = bot_uuid(bot_id), address(url)
    return {
        "$schema": f"https://developer.microsoft.com/en-us/json-schemas/teams/v{SCHEMA}/MicrosoftTeams.schema.json",
        "manifestVersion": SCHEMA,
        "version": VERSION,
        "id": str(uuid.uuid5(uuid.UUID(bot), "countersign")),
        "name": {"short": "Countersign", "full": "Countersign approvals"},
        "developer": {"name": "Countersign", "websiteUrl": home, "privacyUrl": home, "termsOfUseUrl": home},
        "description": {
            "short": "The second signature on what agents and pipelines do",
            "full": "Shows what agents and pipelines ask for as cards. Reviewers approve or deny with one click; "
            "whoever is asked may revoke, see the record, and freeze everything.",
        },
        "icons": {"color": "color.png", "outline": "outline.png"},
        "accentColor": _COLOR,
        "defaultInstallScope": "team",
        "permissions": list(PERMISSIONS),
        "validDomains": [],
        "bots": [
            {
                "botId": bot,
                "scopes": list(SCOPES),
                "supportsFiles": False,
                "isNotificationOnly": False,
                "commandLists": [
                    {
                        "scopes": list(SCOPES),
                        "commands": [{"title": name, "description": words} for name, words in COMMANDS.items()],
                    }
                ],
            }
        ],
    }


def package(made: Mapping[str, Any]) -> bytes:
    """Return the zip that is uploaded to Teams, for a manifest."""
    held = {
        "manifest.json": json.dumps(made, indent=2, ensure_ascii=False).encode(),
        made["icons"]["color"]: icons.color(),
        made["icons"]["outline"]: icons.outline(),
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in held.items():
            one = zipfile.ZipInfo(name, _LONG_AGO)
            one.compress_type, one.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(one, body)
    return packed.getvalue()


def bot_uuid(text: str) -> str:
    """Return the bot's id as Microsoft writes it. Raises NoBot."""
    try:
        found = str(uuid.UUID(text))
    except ValueError:
        found = ""
    if not found or found != text.lower():
        raise NoBot(
            f"{text!r} is no application id: write the Application (client) ID of the app's registration in Entra, "
            "such as 8f1c2a40-5b7e-4d3f-9a61-0c2d4e6f8a10",
            field="--bot-id",
        )
    return found


def address(url: str) -> str:
    """Return the web process's address without a slash at its end. Raises NoBot."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise NoBot(f"{url!r} is no address", field="--url") from error
    path = parts.path.rstrip("/").removesuffix(PATH)
    bare = not (parts.query or parts.fragment or parts.username is not None or parts.password is not None)
    good = parts.scheme == "https" and bare and _HOST.fullmatch(parts.hostname or "") and _PATHS.fullmatch(path)
    if not good or len(url) > MOST_URL:
        raise NoBot(
            f"{url!r} is no address for Teams: it calls https only, so write https://countersign.example.com",
            field="--url",
        )
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    return f"https://{host}{f':{port}' if port else ''}{path}"
