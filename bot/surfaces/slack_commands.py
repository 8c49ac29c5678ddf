"""Take slash commands, picks from their answers, and the message shortcut; each answer is for one person only.

The work is done before Slack is answered. What takes longer than Slack waits (hundreds of grants to end) is not broken
off: the first answer says that it goes on, and the whole one follows.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from approvers.errors import CountersignError
from bot.commands import Commands
from bot.postings_record import cards_in
from bot.proving import ends
from bot.replies import Reply
from bot.surfaces import slack_asking
from bot.surfaces.port import MessageRef, SurfaceError
from bot.surfaces.slack_answers import on_home
from bot.surfaces.slack_dialogs import details_dialog, open_dialog
from bot.surfaces.slack_dispatch import words_for
from bot.surfaces.slack_incoming import Answer, Incoming
from bot.surfaces.slack_known import known
from bot.surfaces.slack_parts import Listener, Message, SlackParts
from bot.surfaces.slack_replies import render
from bot.surfaces.slack_typed import typed
from workers import logs
from workers.stores import layout
from workers.stores.port import StoreError

COMMAND = "/countersign"
PATIENCE_SECONDS = 1.9
"""How long an answer may take before it is called a longer one."""
FOLLOWED = timedelta(minutes=2)
"""How long the end of a revocation is told here; what takes longer is on the cards."""
LONGER = "This takes a moment. It goes on, and the answer follows here."
NOT_OURS = "Careful: the message on which you asked is none that Countersign knows. Go by what stands here instead."
_REQUEST = re.compile(r"req_[0-9A-HJKMNP-TV-Z]{26}")
_log = logs.get_logger(__name__)


async def command(parts: SlackParts, call: Incoming) -> Answer | None:
    """Run a slash command."""
    text = typed(str(call.body.get("text", "")), parts.deps.policies.current.roster, call.team)
    return Answer(await answered(parts, call, text))


async def picked(parts: SlackParts, call: Incoming) -> None:
    """Run the command that was picked from a list."""
    if message := await answered(parts, call, call.value):
        await parts.show(call, message)


async def shown(parts: SlackParts, call: Incoming) -> None:
    """Show the request of a row: in a dialog where it was clicked in Home, else as a private message."""
    request, _ = call.target()
    if on_home(call):
        await known(parts, call, "command")
        view = await parts.deps.reader.look(request)
        await open_dialog(parts, call, lambda: details_dialog(parts, view))
    elif message := await answered(parts, call, f"show {request}"):
        await parts.show(call, message)


async def record_shown(parts: SlackParts, call: Incoming) -> None:
    """Show the record that a message is about, and say so if the message is not one that we posted."""
    ids = sorted(set(_REQUEST.findall(str(call.body.get("message", "")))))
    if len(ids) == 1:
        note = "" if await _ours(parts, call, ids[0]) else NOT_OURS
        if message := await answered(parts, call, f"show {ids[0]}", note=note):
            await parts.show(call, message)
        return
    await known(parts, call, "shortcut")
    which = "more than one request" if ids else "no request"
    await parts.whisper(call, f"This message names {which} of Countersign. Write {COMMAND} show, and choose.")


async def answered(
    parts: SlackParts, call: Incoming, text: str, *, note: str = "", patience: float = PATIENCE_SECONDS
) -> Message | None:
    """Return the message that answers a command; None where the answer is a form, which is open by then.

    `note` is a sentence that stands above it. After `patience` seconds the message says that the answer follows.

    Raises:
        CountersignError, StoreError: as the command does, if it does so in time; later it is told to the person.
    """
    work = asyncio.ensure_future(_run(parts, call, text, note))
    try:
        await asyncio.wait([work], timeout=patience)
    except asyncio.CancelledError:
        work.cancel()
        raise
    if work.done():
        return work.result()
    parts.tasks.start(_later(parts, call, work))
    return render(Reply(LONGER))


async def _run(parts: SlackParts, call: Incoming, text: str, note: str) -> Message | None:
    who = await known(parts, call, "command")
    reply = await Commands(parts.deps, prefix=f"{COMMAND} ").run(who, text)
    if reply.form:
        await slack_asking.open_form(parts, call, break_glass=reply.form == "break_glass")
        return None
    if reply.follow:
        parts.tasks.start(follow(parts, call, reply.follow))
    if note:
        reply = replace(reply, title=note, lines=(reply.title, *reply.lines))
    return render(reply, console=parts.deps.settings.base_url)


async def _later(parts: SlackParts, call: Incoming, work: asyncio.Future[Message | None]) -> None:
    """Tell what became of a command that took longer."""
    try:
        if message := await work:
            await parts.show(call, message)
    except CountersignError as error:
        await parts.whisper(call, error.detail)
    except StoreError as error:
        await parts.whisper(call, words_for(error))


async def follow(parts: SlackParts, call: Incoming, requests: Sequence[str]) -> None:
    """Tell the proof of each end as it comes, in at most four messages."""
    async for reply in ends(parts.deps.revocations, requests, FOLLOWED):
        await _say(parts, call, reply)


async def _say(parts: SlackParts, call: Incoming, reply: Reply) -> None:
    """Send one more answer now, so that they stay in order."""
    message = render(reply, console=parts.deps.settings.base_url)
    if call.response_url is None:
        await parts.show(call, message)
        return
    try:
        await parts.api.respond(call.response_url, {**message, "replace_original": False})
    except SurfaceError as error:
        _log.warning("slack.not_told", why=str(error))


async def _ours(parts: SlackParts, call: Incoming, request: str) -> bool:
    """Tell whether the message is a copy of this request's card."""
    cards = cards_in(await parts.deps.store.records.read([layout.cards_key(request)]), request)
    ref = MessageRef("slack", call.channel or "", call.message or "")
    return cards is not None and any(copy.ref == ref for copy in cards.copies)


LISTENERS: tuple[Listener, ...] = (
    ("command", COMMAND, command),
    ("action", "cs_pick", picked),
    ("action", "cs_show", shown),
    ("shortcut", "cs_show", record_shown),
    ("view", "cs_request_view", slack_asking.submitted),
)
