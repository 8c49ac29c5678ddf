"""Listen to the buttons that open dialogs: Review, Details, a denial in words. And to what is sent from them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from approvers.card import shown_digest
from approvers.errors import Malformed
from approvers.request import RequestState
from bot import outcomes
from bot.outcomes import Outcome
from bot.reading import View
from bot.surfaces import slack_narrow, slack_views
from bot.surfaces.slack_answers import mend
from bot.surfaces.slack_deciding import decide, known
from bot.surfaces.slack_dialogs import (
    Dialog,
    details_dialog,
    open_dialog,
    outcome_dialog,
    review_dialog,
    words_dialog,
)
from bot.surfaces.slack_home import publish
from bot.surfaces.slack_incoming import Answer, Incoming
from bot.surfaces.slack_parts import Listener, SlackParts
from workers.stores.port import StoreError

Fill = Callable[[SlackParts, View], Awaitable[Dialog]]


async def review_clicked(parts: SlackParts, call: Incoming) -> None:
    """Show the whole request, with Approve and Deny in it."""
    parts.tasks.start(open_dialog(parts, call, lambda: _filled(parts, call, "review", review_dialog)))


async def details_clicked(parts: SlackParts, call: Incoming) -> None:
    """Show everything about a request, its record included."""
    parts.tasks.start(open_dialog(parts, call, lambda: _filled(parts, call, "details", details_dialog)))


async def ask_words(parts: SlackParts, call: Incoming) -> None:
    """Ask for the words of a denial."""
    parts.tasks.start(open_dialog(parts, call, lambda: _filled(parts, call, "deny", words_dialog)))


async def words_sent(parts: SlackParts, call: Incoming) -> Answer:
    """Take a denial with the person's own words; what came of it stands in the place of the form."""
    typed = typed_words(call)
    if not typed:
        return Answer({"response_action": "errors", "errors": {"words": "Say why in a few words, or close this."}})
    outcome = await decide(parts, call, "deny", typed)
    parts.tasks.start(mend(parts, call, outcome))
    parts.tasks.start(publish(parts, call.user))
    return Answer({"response_action": "update", "view": await _said(parts, outcome)})


async def less_sent(parts: SlackParts, call: Incoming) -> Answer:
    """Take an approval of less than was asked; a complaint stands at its field, what came of it in the form's place."""
    form = call.view or {}
    try:
        wish = slack_narrow.wish(form)
    except Malformed as error:
        outcome = outcomes.refused(error)
    else:
        outcome = await decide(parts, call, "approve", narrow=wish)
    if outcome.field and (errors := slack_narrow.complaint(form, outcome.field, outcome.text)):
        return Answer({"response_action": "errors", "errors": errors})
    parts.tasks.start(mend(parts, call, outcome))
    parts.tasks.start(publish(parts, call.user))
    return Answer({"response_action": "update", "view": await _said(parts, outcome)})


async def _filled(parts: SlackParts, call: Incoming, what: str, fill: Fill) -> Dialog:
    """Return the dialog, to people whom the roster knows. Raises why there is none."""
    request, shown = call.target()
    await known(parts, call, request, what)
    view = await parts.deps.reader.look(request)
    old = shown != shown_digest(view.request)
    stale = old or (what != "details" and view.request.state is not RequestState.PENDING)
    parts.tasks.start(mend(parts, call, Outcome("", "", request, stale=stale)))
    return await fill(parts, view)


async def _said(parts: SlackParts, outcome: Outcome) -> Dialog:
    try:
        return await outcome_dialog(parts, outcome)
    except StoreError:  # it is decided or refused by now; only the fresh look is missing
        return slack_views.notice(outcome.title, outcome.text)


def typed_words(call: Incoming) -> str:
    """Return the words of the form, and nothing else of it."""
    try:
        typed = (call.view or {})["state"]["values"]["words"]["words"]["value"]
    except (KeyError, TypeError):
        return ""
    return typed.strip() if isinstance(typed, str) else ""


LISTENERS: tuple[Listener, ...] = (
    ("action", "cs_review", review_clicked),
    ("action", "cs_details", details_clicked),
    ("view", "cs_deny_view", words_sent),
    ("view", "cs_review_view", less_sent),
)
