"""Fill dialogs from the record: the whole request to review, its details, a denial in the reviewer's own words.

A trigger is good for three seconds and once, so a dialog is opened before anything is read. Only people whom the roster
knows are shown what belongs in it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from approvers.card import Card, render
from approvers.errors import CountersignError
from approvers.request import check_open
from bot import outcomes
from bot.outcomes import Outcome
from bot.reading import View
from bot.stories import story_of
from bot.surfaces import slack_views
from bot.surfaces.port import SurfaceError
from bot.surfaces.slack_incoming import Incoming
from bot.surfaces.slack_parts import SlackParts, private
from workers import logs
from workers.stores.port import StoreError

Dialog = dict[str, Any]
NOT_OPENED = "Slack did not open the dialog; nothing is decided. Press the button again."
_log = logs.get_logger(__name__)


async def open_dialog(parts: SlackParts, call: Incoming, fill: Callable[[], Awaitable[Dialog]]) -> None:
    """Open "Looking it up" at once, and put in its place what `fill` returns; a dialog that is open is used again.

    Whatever `fill` raises of ours or the store's is told in the dialog.
    """
    try:
        view_id = view_of(call) or await parts.api.open_view(call.trigger or "", slack_views.loading())
        await parts.api.update_view(view_id, await _filled(fill))
    except SurfaceError as error:
        _log.warning("slack.dialog_not_shown", why=str(error))
        await parts.whisper(call, NOT_OPENED)


async def _filled(fill: Callable[[], Awaitable[Dialog]]) -> Dialog:
    try:
        return await fill()
    except CountersignError as error:
        said = outcomes.refused(error)
    except StoreError:
        said = outcomes.unread()
    return slack_views.notice(said.title, said.text)


def view_of(call: Incoming) -> str | None:
    """Return the id of the dialog that the click was made in; None outside of one."""
    in_dialog = call.view is not None and call.view.get("type") == "modal"
    return str(call.view.get("id", "")) if call.view and in_dialog else None


async def card_of(parts: SlackParts, view: View) -> Card:
    """Return the card of a request as it stands, with who may answer for whom at present."""
    now = await parts.deps.store.records.now()
    stand_ins = parts.deps.policies.current.stand_ins(view.request.ruling.seats, now)
    return render(view.request, view.grant, stand_ins=stand_ins)


async def review_dialog(parts: SlackParts, view: View, note: str = "") -> Dialog:
    """Return the whole request, with a sentence on top if there is something to say."""
    dialog = slack_views.review(await card_of(parts, view), parts.deps.settings.base_url)
    if not note:
        return dialog
    said = {**private(note)["blocks"][0], "block_id": "cs_said"}
    return {**dialog, "blocks": [said, *dialog["blocks"]]}


async def details_dialog(parts: SlackParts, view: View) -> Dialog:
    """Return the request with its record, told line by line."""
    told = await story_of(parts.deps.store.log, view.request)
    lines = [line.text for line in told.story.lines]
    return slack_views.details(await card_of(parts, view), lines, parts.deps.settings.base_url)


async def words_dialog(parts: SlackParts, view: View) -> Dialog:
    """Return the form for a denial in words. Raises AlreadyDecided, Expired: there is nothing left to deny."""
    check_open(view.request, await parts.deps.store.records.now())
    return slack_views.deny_words(await card_of(parts, view))


async def outcome_dialog(parts: SlackParts, outcome: Outcome) -> Dialog:
    """Return what came of a click: a notice, or, of a request that is not what was shown, all of it as it is now."""
    if outcome.outdated:
        return await review_dialog(parts, await parts.deps.reader.look(outcome.request), outcome.text)
    return slack_views.notice(outcome.title, outcome.text)
