"""Take what people write to Countersign in Teams, and picks from its answers; each is answered to one person alone.

In a person's own chat the answer stands there. A mention in a channel is answered in that chat, too: what is said in a
channel everybody reads. The work is done before Teams is answered; what takes longer than Teams waits goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from approvers.errors import CountersignError
from bot.commands import Commands
from bot.excuses import words_for
from bot.proving import ends
from bot.replies import Reply
from bot.surfaces import teams_asking, teams_replies
from bot.surfaces.teams_activities import card_message, text_message
from bot.surfaces.teams_answers import known, privately
from bot.surfaces.teams_incoming import Answer, Incoming
from bot.surfaces.teams_parts import TeamsParts
from bot.surfaces.teams_typed import typed
from workers.stores.port import StoreError

Activity = Mapping[str, Any]
PATIENCE_SECONDS = 1.9
"""How long an answer may take before it is called a longer one."""
FOLLOWED = timedelta(minutes=2)
"""How long the end of a revocation is told here; what takes longer is on the cards."""
LONGER = "This takes a moment. It goes on, and the answer follows here."
BELOW = "The answer stands below."
NO_CHOICE = "Choose one first, then press Go."
MAX_COMMAND = 150


async def message(parts: TeamsParts, call: Incoming) -> Answer:
    """Run a command that somebody wrote. Raises StoreError."""
    try:
        await answered(parts, call, await typed(parts, call))
    except CountersignError as error:
        parts.tasks.start(privately(parts, call, text_message(error.detail)))
    return Answer()


async def picked(parts: TeamsParts, call: Incoming) -> Answer:
    """Run the command that was picked from a list."""
    command = call.data.get("command")
    if not isinstance(command, str) or not 0 < len(command) <= MAX_COMMAND:
        return Answer(toast=NO_CHOICE)
    await answered(parts, call, command)
    return Answer(toast=BELOW) if call.kind == "action" else Answer()


async def shown(parts: TeamsParts, call: Incoming) -> Answer:
    """Show the request of a row, as a message of its own."""
    request, _ = call.target()
    await answered(parts, call, f"show {request}")
    return Answer(toast=BELOW) if call.kind == "action" else Answer()


async def answered(parts: TeamsParts, call: Incoming, text: str, *, patience: float = PATIENCE_SECONDS) -> None:
    """Run a command and tell its answer to the one who gave it; after `patience` seconds, that the answer follows.

    Raises:
        CountersignError, StoreError: as the command does, if it does so in time; later it is told to the person.
    """
    work = asyncio.ensure_future(_run(parts, call, text))
    try:
        await asyncio.wait([work], timeout=patience)
    except asyncio.CancelledError:
        work.cancel()
        raise
    if work.done():
        parts.tasks.start(_told(parts, call, *work.result()))
    else:
        parts.tasks.start(_later(parts, call, work))


async def _run(parts: TeamsParts, call: Incoming, text: str) -> tuple[Activity, Reply]:
    who = await known(parts, call, "command")
    reply = await Commands(parts.deps).run(who, text)
    if reply.form:
        broken = reply.form == "break_glass"
        return card_message(teams_asking.form(parts, break_glass=broken), reply.title), reply
    return _rendered(parts, reply), reply


async def _told(parts: TeamsParts, call: Incoming, activity: Activity, reply: Reply) -> None:
    """Show the answer; then tell each end that was asked for as it is proven, in order and in a few messages."""
    if await privately(parts, call, activity) and reply.follow:
        async for one in ends(parts.deps.revocations, reply.follow, FOLLOWED):
            await parts.show(call, _rendered(parts, one))


async def _later(parts: TeamsParts, call: Incoming, work: asyncio.Future[tuple[Activity, Reply]]) -> None:
    """Tell what became of a command that took longer."""
    await privately(parts, call, text_message(LONGER))
    try:
        activity, reply = await work
    except CountersignError as error:
        await parts.show(call, text_message(error.detail))
    except StoreError as error:
        await parts.show(call, text_message(words_for(error, "Teams")))
    else:
        await _told(parts, call, activity, reply)


def _rendered(parts: TeamsParts, reply: Reply) -> Activity:
    summary = ". ".join([reply.title, *reply.lines[:1]])
    return card_message(teams_replies.render(reply, parts.deps.settings.base_url), summary[:300])
