"""What the app asked for when it was made: scopes, events, commands, shortcuts. Slack acts on nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DEFAULT: dict[str, Any] = {
    "features": {
        "app_home": {"home_tab_enabled": True, "messages_tab_enabled": True},
        "slash_commands": [{"command": "/countersign", "should_escape": True}],
        "shortcuts": [{"type": "message", "callback_id": "cs_show"}],
    },
    "oauth_config": {
        "scopes": {
            "bot": [
                "chat:write", "commands", "users:read", "users:read.email", "usergroups:read", "channels:read",
                "groups:read", "im:write", "team:read",
            ]
        }
    },
    "settings": {
        "event_subscriptions": {
            "bot_events": [
                "app_home_opened", "app_uninstalled", "tokens_revoked", "user_change", "subteam_updated",
                "subteam_members_changed", "channel_shared",
            ]
        },
        "interactivity": {"is_enabled": True},
        "socket_mode_enabled": False,
    },
}  # fmt: skip


@dataclass(frozen=True)
class App:
    """A manifest, read."""

    scopes: frozenset[str]
    events: frozenset[str]
    commands: Mapping[str, bool]
    """Command to should_escape."""
    shortcuts: frozenset[tuple[str, str]]
    """Kind (message, global) and callback_id."""
    home: bool
    messages: bool
    interactive: bool

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> App:
        features, settings = manifest["features"], manifest["settings"]
        home = features.get("app_home", {})
        return cls(
            scopes=frozenset(manifest["oauth_config"]["scopes"]["bot"]),
            events=frozenset(settings.get("event_subscriptions", {}).get("bot_events", ())),
            commands={it["command"]: it.get("should_escape", False) for it in features.get("slash_commands", ())},
            shortcuts=frozenset((it["type"], it["callback_id"]) for it in features.get("shortcuts", ())),
            home=bool(home.get("home_tab_enabled")),
            messages=bool(home.get("messages_tab_enabled")),
            interactive=bool(settings.get("interactivity", {}).get("is_enabled")),
        )
