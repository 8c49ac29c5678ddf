"""Name where Slack's faults are counted; see `bot.tally`."""

from bot.tally import Tally

__all__ = ["Tally"]
