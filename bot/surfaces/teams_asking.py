"""Let people ask from Teams: give the form, and hand what was filled in to the same intake as every other ask."""

from __future__ import annotations

from typing import Any

from approvers.errors import CountersignError, Malformed
from bot import request_form
from bot.desk import KeyReused
from bot.identity import Identity
from bot.problems import describe
from bot.surfaces import teams_card
from bot.surfaces.port import SurfaceError
from bot.surfaces.teams_activities import card_message
from bot.surfaces.teams_answers import known, privately
from bot.surfaces.teams_incoming import Answer, Incoming
from bot.surfaces.teams_parts import TeamsParts
from workers import logs

SENT = "This form was sent already, with other words. Write the command once more for another request."
_log = logs.get_logger(__name__)


def form(
    parts: TeamsParts,
    values: dict[str, str] | None = None,
    problem: tuple[str, str] | None = None,
    *,
    break_glass: bool = False,
) -> dict[str, Any]:
    """Return the form's card, with what was filled in and what is wrong with which field."""
    book = parts.deps.policies.current
    terms = book.policy.break_glass if break_glass else None
    return teams_card.request_form(
        sorted(book.roster.roles),
        book.policy.environments,
        values=values,
        problem=problem,
        break_glass=break_glass,
        require=terms.require if terms else (),
    )


async def submitted(parts: TeamsParts, call: Incoming) -> Answer:
    """Take a filled-in form: what became of it stands in its place, or the form once more with what is wrong."""
    return await _submitted(parts, call, break_glass=False)


async def taken(parts: TeamsParts, call: Incoming) -> Answer:
    """Take a filled-in form that asks for break-glass."""
    return await _submitted(parts, call, break_glass=True)


async def _submitted(parts: TeamsParts, call: Incoming, *, break_glass: bool) -> Answer:
    who = await known(parts, call, "form request")
    filled = _filled(call)
    try:
        action = request_form.to_action(filled, who.principal, break_glass=break_glass)
        view = await parts.deps.desk.submit(who, action, f"teams-form:{call.conversation}/{call.message}")
    except CountersignError as error:
        await _recorded(parts, who, error)
        field, words = request_form.complaint(error)
        words = SENT if isinstance(error, KeyReused) else words
        return _answered(parts, call, form(parts, filled, (field, words), break_glass=break_glass), words)
    title, text = request_form.asked(view)
    notice = teams_card.notice(text, title=title)
    parts.tasks.start(_settled(parts, call, notice, title))
    return _answered(parts, call, notice, title)


def _answered(parts: TeamsParts, call: Incoming, card: dict[str, Any], summary: str) -> Answer:
    if call.kind == "action":
        return Answer(card=card)
    parts.tasks.start(privately(parts, call, card_message(card, summary)))
    return Answer()


async def _settled(parts: TeamsParts, call: Incoming, notice: dict[str, Any], title: str) -> None:
    """Put the notice in the form's place on the person's other devices as well."""
    if not call.personal or not call.message:
        return
    try:
        await parts.api.update(call.route, call.conversation, call.message, card_message(notice, title))
    except SurfaceError as error:
        _log.warning("teams.form_not_settled", why=str(error))


async def _recorded(parts: TeamsParts, who: Identity, error: CountersignError) -> None:
    """Write a refused ask down, as intake does; a slip of the pen that never became an ask is none."""
    told = describe(error)
    if not isinstance(error, Malformed) and told.kind.status < 500:
        await parts.deps.refusals.asked(who, "ask.refused", "form request", told, who.by.iss)


def _filled(call: Incoming) -> dict[str, str]:
    """Return the form's fields, and nothing else of what the card sent."""
    values = {name: call.data.get(name) for name in request_form.FIELDS}
    return {name: value for name, value in values.items() if isinstance(value, str)}
