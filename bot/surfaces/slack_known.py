"""Say who used a command or a form; an account that is nobody here hears why, and leaves a record."""

from __future__ import annotations

from approvers.audit import By
from approvers.errors import CountersignError
from bot.identity import Identity
from bot.problems import describe
from bot.surfaces.slack_incoming import Incoming
from bot.surfaces.slack_parts import SlackParts


async def known(parts: SlackParts, call: Incoming, route: str) -> Identity:
    """Return who this is. Raises what `People.identify` raises, once it is on the record.

    `route` is what they tried, in words of ours, such as `command list`.
    """
    try:
        return await parts.people.identify(call.user)
    except CountersignError as error:
        by = By(None, "slack", f"{call.team or '?'}/{call.user}")
        await parts.deps.refusals.outsider(by, "slack", route, describe(error))
        raise
