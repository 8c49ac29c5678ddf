"""Describe Countersign's Slack app, as Slack's page "From a manifest" takes it. Pure.

Everything that the app may do and hear stands in two tables, each line with what it is for; nothing else is asked for.
No scope reads what people write, and none posts under another name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from approvers.errors import CountersignError

PATH = "/slack/events"
"""Where the web process takes everything that Slack sends: events, clicks and commands."""
COMMAND = "/countersign"
SCOPES: Mapping[str, str] = {
    "chat:write": "post cards, edit them, answer one person privately",
    "commands": f"`{COMMAND}`, and the shortcut on a message",
    "users:read": "ask who clicked, at the click: no guest, no bot, nobody of another organisation",
    "usergroups:read": "ask who is in a user group that countersign.toml names",
    "channels:read": "see that a public channel is not shared with another organisation before a card goes there",
    "groups:read": "the same for private channels",
    "im:write": "write to a person directly, where their group looks at no channel",
}
"""Every bot scope that is always asked for, and what for."""
MATCH_EMAIL = "users:read.email"
"""Only for `[slack] match_email = true`: tell people apart by their confirmed address."""
EVENTS: Mapping[str, tuple[str | None, str]] = {
    "app_home_opened": (None, "show somebody their Home"),
    "app_uninstalled": (None, "alert: no card reaches anybody any more"),
    "tokens_revoked": (None, "the same"),
    "user_change": ("users:read", "forget what was known about an account that has changed"),
    "subteam_updated": ("usergroups:read", "forget who was in a user group"),
    "subteam_members_changed": ("usergroups:read", "the same"),
    "channel_shared": ("channels:read", "stop posting where another organisation now reads along"),
}
"""Every event that the app is told of: the scope that Slack wants for it, and what it is for."""
CONNECTIONS = "connections:write"
"""What the app-level token for Socket Mode needs; a manifest cannot ask for it."""
USAGE = "list | show | why | active | revoke | freeze | unfreeze | audit | request | away | console | help"
_COLOR = "#1d3b2f"
_PATHS = re.compile(r"(/[A-Za-z0-9._~-]+)*")


class NoAddress(CountersignError):
    """The address for Slack's calls is missing, or none that Slack can call."""

    code = "slack_url"


def manifest(url: str | None, *, match_email: bool = False) -> dict[str, Any]:
    """Return the app's manifest: for HTTP with the web process at `url`, for Socket Mode without one.

    Raises:
        NoAddress: `url` is not https, or holds more than a host and a path.
    """
    calls = {} if url is None else {"request_url": endpoint(url)}
    return {
        "_metadata": {"major_version": 2, "minor_version": 1},
        "display_information": {
            "name": "Countersign",
            "description": "The second signature on what agents and pipelines do",
            "background_color": _COLOR,
        },
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": True,
            },
            "bot_user": {"display_name": "countersign", "always_online": True},
            "slash_commands": [
                {
                    "command": COMMAND,
                    "description": "See what waits and what is live, revoke, freeze",
                    "usage_hint": USAGE,
                    "should_escape": True,
                    **({} if url is None else {"url": endpoint(url)}),
                }
            ],
            "shortcuts": [
                {
                    "name": "Show approval record",
                    "type": "message",
                    "callback_id": "cs_show",
                    "description": "Show what Countersign knows of the request on this card",
                }
            ],
        },
        "oauth_config": {"scopes": {"bot": scopes(match_email=match_email)}},
        "settings": {
            "event_subscriptions": {**calls, "bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True, **calls},
            "org_deploy_enabled": False,
            "socket_mode_enabled": url is None,
            "token_rotation_enabled": False,
        },
    }


def scopes(*, match_email: bool) -> list[str]:
    """Return the bot scopes that this installation needs."""
    return [*SCOPES, *([MATCH_EMAIL] if match_email else [])]


def endpoint(url: str) -> str:
    """Return where Slack posts to. Raises NoAddress."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as error:
        raise NoAddress(f"{url} names no port that there is", field="--url") from error
    bare = not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme != "https" or not parts.hostname or not bare or not _PATHS.fullmatch(parts.path.rstrip("/")):
        raise NoAddress(
            f"{url} is no address for Slack: it calls https only, so write https://countersign.example.com "
            "(no TLS, or not reachable from outside? then use --socket)",
            field="--url",
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"https://{host}{f':{port}' if port else ''}{parts.path.rstrip('/').removesuffix(PATH)}{PATH}"
