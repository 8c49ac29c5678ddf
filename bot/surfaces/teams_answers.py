"""Tell the one who clicked in Teams: on their own copy of the card where it has room for it, else in their own chat.

A card that answers a click is seen by the clicker alone, so it shows what stands now with the words above it. Whoever
is nobody here gets words only. In a channel nothing is said that everybody else would read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from approvers.audit import By
from approvers.card import Card, render
from approvers.errors import CountersignError
from bot.deciding import Press
from bot.identity import Identity
from bot.outcomes import Outcome
from bot.postings_record import cards_in
from bot.problems import describe
from bot.reading import View
from bot.surfaces import teams_card
from bot.surfaces.port import MessageRef, SurfaceError
from bot.surfaces.teams_activities import text_message
from bot.surfaces.teams_incoming import Answer, Incoming
from bot.surfaces.teams_parts import TeamsParts
from workers import logs
from workers.stores import layout
from workers.stores.port import StoreError

NAME = "teams"
NO_CHAT = "My answers are private, and I cannot write to you alone yet: open a chat with me, and ask there."
"""What stands in a channel where somebody cannot be answered in private: it holds no facts."""
_log = logs.get_logger(__name__)


def press(parts: TeamsParts, call: Incoming) -> Press:
    """Return a click as the neutral deciding takes it. A card in Teams is never the whole: that is in the console."""
    return Press(
        who=lambda: parts.people.identify(call.by, call.conversation, call.route),
        by=account(call),
        via=NAME,
        target=call.target,
        whole=False,
        where="Teams",
    )


def account(call: Incoming) -> By:
    """Return how records name whoever did this, as long as it is not known who they are."""
    return By(None, NAME, f"{call.by.tenant or '?'}/{call.by.object_id or call.by.user_id or '?'}")


async def known(parts: TeamsParts, call: Incoming, route: str) -> Identity:
    """Return who used a command or a form. Raises what `People.identify` raises, once it is on the record.

    `route` is what they tried, in words of ours, such as `command`.
    """
    try:
        return await parts.people.identify(call.by, call.conversation, call.route)
    except CountersignError as error:
        await parts.deps.refusals.outsider(account(call), NAME, route, describe(error))
        raise


async def answer(parts: TeamsParts, call: Incoming, outcome: Outcome) -> Answer:
    """Say what came of a click, and look after the cards in the background."""
    parts.tasks.start(mend(parts, call, outcome))
    if call.kind != "action":
        parts.tasks.start(privately(parts, call, text_message(outcome.text)))
        return Answer()
    if outcome.stranger or not outcome.request:
        return Answer(toast=outcome.text)
    try:
        if call.personal and not await is_known(parts, outcome.request, _ref(call)):
            return Answer(toast=outcome.text)  # the answer to a command, which the card must not take away
        return Answer(card=await present(parts, outcome.request, outcome.text))
    except (CountersignError, StoreError):  # it is decided or refused by now; only the fresh look is missing
        return Answer(toast=outcome.text)


async def present(parts: TeamsParts, request: str, said: str = "") -> dict[str, Any]:
    """Return the card as it stands now, with words above it for the one who sees this copy. Raises NotFound."""
    card = await card_of(parts, await parts.deps.reader.look(request))
    return teams_card.message(card, console=parts.deps.settings.base_url, said=said)


async def card_of(parts: TeamsParts, view: View) -> Card:
    """Return the neutral card of a request, with who may answer for whom at present."""
    now = await parts.deps.store.records.now()
    stand_ins = parts.deps.policies.current.stand_ins(view.request.ruling.seats, now)
    return render(view.request, view.grant, stand_ins=stand_ins)


async def mend(parts: TeamsParts, call: Incoming, outcome: Outcome) -> None:
    """Adopt the copy that was clicked if nobody knows it; have every copy show the truth if this one did not."""
    if not outcome.request:
        return
    ref = copy_of(call)
    if ref is not None and not await is_known(parts, outcome.request, ref):
        await parts.postings.adopt(outcome.request, ref)
    if outcome.by and call.message:
        await parts.postings.acted(outcome.request, _ref(call), outcome.by)
    if outcome.stale:
        await parts.postings.refresh(outcome.request)


def copy_of(call: Incoming) -> MessageRef | None:
    """Return which posted card was clicked; None in somebody's own chat, where answers to commands stand as well."""
    return None if call.personal or not call.message else _ref(call)


async def is_known(parts: TeamsParts, request: str, ref: MessageRef) -> bool:
    """Tell whether a message is a copy of this request's card."""
    seen = await parts.deps.store.records.read([layout.cards_key(request)])
    cards = cards_in(seen, request)
    return cards is not None and any(copy.ref == ref for copy in cards.copies)


async def privately(parts: TeamsParts, call: Incoming, activity: Mapping[str, Any]) -> bool:
    """Show a message to the one who did this, alone; where that cannot be, say so in the channel, without facts."""
    if await parts.show(call, activity):
        return True
    if not call.personal:
        try:
            await parts.api.post(call.route, text_message(NO_CHAT), thread=thread_of(call))
        except SurfaceError as error:
            _log.warning("teams.not_told", why=str(error))
    return False


def thread_of(call: Incoming) -> str | None:
    """Return the message under which this was written; None outside of channels."""
    conversation = call.raw.get("conversation")
    named = str(conversation.get("id", "")) if isinstance(conversation, Mapping) else ""
    root = named.partition(";messageid=")[2]
    return (root or call.message) if call.route.kind == "channel" else None


def _ref(call: Incoming) -> MessageRef:
    return MessageRef(NAME, call.conversation, call.message or "")
