"""Listen to the buttons under a use of break-glass: Justified, Not justified. The latter asks for words first."""

from __future__ import annotations

from approvers.after_review import is_owed
from approvers.card_words import status
from bot.deciding import AFTERWARDS
from bot.surfaces import slack_views
from bot.surfaces.slack_answers import answer, mend
from bot.surfaces.slack_deciding import after_review, known
from bot.surfaces.slack_dialogs import Dialog, card_of, open_dialog
from bot.surfaces.slack_incoming import Answer, Incoming
from bot.surfaces.slack_modals import typed_words
from bot.surfaces.slack_parts import Listener, SlackParts

NO_WORDS = "Say why in a few words, or close this."


async def justified_clicked(parts: SlackParts, call: Incoming) -> None:
    """Take it that a use was justified."""
    await answer(parts, call, await after_review(parts, call, "justified"))


async def unjustified_clicked(parts: SlackParts, call: Incoming) -> None:
    """Ask why it was not."""
    parts.tasks.start(open_dialog(parts, call, lambda: _form(parts, call)))


async def unjustified_sent(parts: SlackParts, call: Incoming) -> Answer:
    """Take it that a use was not justified, and why; what came of it stands in the place of the form."""
    typed = typed_words(call)
    if not typed:
        return Answer({"response_action": "errors", "errors": {"words": NO_WORDS}})
    outcome = await after_review(parts, call, "unjustified", typed)
    parts.tasks.start(mend(parts, call, outcome))
    return Answer({"response_action": "update", "view": slack_views.notice(outcome.title, outcome.text)})


async def _form(parts: SlackParts, call: Incoming) -> Dialog:
    """Return the form, to people whom the roster knows; once the use is reviewed, what was found."""
    request, _ = call.target()
    await known(parts, call, request, AFTERWARDS)
    view = await parts.deps.reader.look(request)
    if not is_owed(view.request):
        return slack_views.notice("Nothing is owed", status(view.request, view.grant))
    return slack_views.unjustified_words(await card_of(parts, view))


LISTENERS: tuple[Listener, ...] = (
    ("action", "cs_justified", justified_clicked),
    ("action", "cs_unjustified", unjustified_clicked),
    ("view", "cs_unjustified_view", unjustified_sent),
)
