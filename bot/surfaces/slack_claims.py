"""Name where Slack's calls are claimed; see `bot.claims`."""

from bot.claims import KEPT, Claims

__all__ = ["KEPT", "Claims"]
