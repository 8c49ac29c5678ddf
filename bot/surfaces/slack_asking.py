"""Let people ask from Slack: open the form, and hand what was filled in to the same intake as every other ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from approvers.errors import CountersignError, Malformed
from bot import request_form
from bot.desk import KeyReused
from bot.identity import Identity
from bot.problems import describe
from bot.surfaces import slack_views
from bot.surfaces.port import SurfaceError
from bot.surfaces.slack_incoming import Answer, Incoming
from bot.surfaces.slack_known import known
from bot.surfaces.slack_parts import SlackParts

MAX_ERROR = 300
NOT_OPENED = "Slack did not open the form. Write the command once more."

SENT = "This form was sent already, with other words. Write the command once more for another request."


class NoForm(CountersignError):
    """The form could not be shown; nothing was asked."""

    code = "not_ready"


async def open_form(parts: SlackParts, call: Incoming, *, break_glass: bool = False) -> None:
    """Open the form at once: its trigger is good for three seconds. Raises NoForm."""
    book = parts.deps.policies.current
    terms = book.policy.break_glass if break_glass else None
    view = slack_views.request_form(
        sorted(book.roster.roles),
        book.policy.environments,
        break_glass=break_glass,
        require=terms.require if terms else (),
    )
    try:
        await parts.api.open_view(call.trigger or "", view)
    except SurfaceError as error:
        raise NoForm(NOT_OPENED) from error


async def submitted(parts: SlackParts, call: Incoming) -> Answer:
    """Take a filled-in form: the dialog then says what became of it, or what is wrong with which field."""
    who = await known(parts, call, "form request")
    view_id = str((call.view or {}).get("id", ""))
    try:
        broken = (call.view or {}).get("private_metadata") == request_form.BREAK_GLASS
        action = request_form.to_action(_filled(call), who.principal, break_glass=broken)
        view = await parts.deps.desk.submit(who, action, f"slack-form:{view_id}")
    except CountersignError as error:
        await _recorded(parts, who, error)
        field, words = request_form.complaint(error)
        words = SENT if isinstance(error, KeyReused) else words
        return Answer({"response_action": "errors", "errors": {field: words[:MAX_ERROR]}})
    title, text = request_form.asked(view)
    return Answer({"response_action": "update", "view": slack_views.notice(title, text)})


async def _recorded(parts: SlackParts, who: Identity, error: CountersignError) -> None:
    """Write a refused ask down, as intake does; a slip of the pen that never became an ask is none."""
    told = describe(error)
    if not isinstance(error, Malformed) and told.kind.status < 500:
        await parts.deps.refusals.asked(who, "ask.refused", "form request", told, who.by.iss)


def _filled(call: Incoming) -> dict[str, str]:
    """Return the form's fields: block and input bear the field's name."""
    state = (call.view or {}).get("state")
    values = state.get("values") if isinstance(state, Mapping) else None
    found: dict[str, str] = {}
    for name in request_form.FIELDS:
        given: Any = values
        for part in (name, name):
            given = given.get(part) if isinstance(given, Mapping) else None
        if isinstance(given, Mapping):
            option = given.get("selected_option")
            value = option.get("value") if isinstance(option, Mapping) else given.get("value")
            found[name] = value if isinstance(value, str) else ""
    return found
