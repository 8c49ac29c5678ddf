"""Tell the one who clicked, where they clicked: a private line at a message, the dialog itself, or the note of Home.

And put right what their click has shown to be wrong: a copy of the card that nobody knew of, or one that is stale.
"""

from __future__ import annotations

from bot.outcomes import Outcome
from bot.postings_record import cards_in
from bot.surfaces.port import MessageRef, SurfaceError
from bot.surfaces.slack_dialogs import outcome_dialog, view_of
from bot.surfaces.slack_home import publish
from bot.surfaces.slack_incoming import Incoming
from bot.surfaces.slack_parts import SlackParts
from workers.stores import layout
from workers.stores.port import StoreError


async def answer(parts: SlackParts, call: Incoming, outcome: Outcome) -> None:
    """Say what came of a click, and look after the cards and the clicker's Home, all in the background."""
    parts.tasks.start(mend(parts, call, outcome))
    await tell(parts, call, outcome)


async def tell(parts: SlackParts, call: Incoming, outcome: Outcome) -> None:
    """Say it where the click was made, in the background."""
    if on_home(call):
        parts.tasks.start(publish(parts, call.user, note=outcome.text))
    elif view_of(call) is not None:
        parts.tasks.start(_in_dialog(parts, call, outcome))
    else:
        await parts.whisper(call, outcome.text)


async def mend(parts: SlackParts, call: Incoming, outcome: Outcome) -> None:
    """Adopt the copy that was clicked if nobody knows it; have every copy show the truth if this one did not."""
    if not outcome.request:
        return
    ref = copy_of(call)
    if ref is not None and not await _is_known(parts, outcome.request, ref):
        await parts.postings.adopt(outcome.request, ref)
    if ref is not None and outcome.by:
        await parts.postings.acted(outcome.request, ref, outcome.by)
    if outcome.stale:
        await parts.postings.refresh(outcome.request)


def on_home(call: Incoming) -> bool:
    """Tell whether the click was made in App Home."""
    return call.view is not None and call.view.get("type") == "home"


def copy_of(call: Incoming) -> MessageRef | None:
    """Return which posted card was clicked; None for a dialog, Home, or an answer that only one person sees."""
    container = call.body.get("container")
    private = isinstance(container, dict) and container.get("is_ephemeral") is True
    if private or call.view is not None or not (call.channel and call.message):
        return None
    return MessageRef("slack", call.channel, call.message)


async def _is_known(parts: SlackParts, request: str, ref: MessageRef) -> bool:
    seen = await parts.deps.store.records.read([layout.cards_key(request)])
    cards = cards_in(seen, request)
    return cards is not None and any(copy.ref == ref for copy in cards.copies)


async def _in_dialog(parts: SlackParts, call: Incoming, outcome: Outcome) -> None:
    """Put the words in the place of the dialog, and publish Home, which lies behind it."""
    try:
        await parts.api.update_view(view_of(call) or "", await outcome_dialog(parts, outcome))
    except (SurfaceError, StoreError):  # closed in the meantime, or nothing can be shown in it
        await parts.whisper(call, outcome.text)
    await publish(parts, call.user)
