"""Let a reviewer approve less in the console: what they filled in, and the form once more where something is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from multidict import MultiDictProxy

from approvers.card import render
from approvers.errors import CountersignError
from approvers.narrowing import Narrow, Offer
from bot import narrow_form, outcomes
from bot.narrow_form import ACTIONS, RESOURCES, TTL
from bot.reading import View
from bot.surfaces.console_guard import FORM, SIGNED_IN
from bot.surfaces.console_shell import Shell

SENT = "less"
"""The field by which the form is known from the plain one."""
Filled = Mapping[str, Any]


def is_sent(form: MultiDictProxy[Any]) -> bool:
    """Tell whether this is the form to approve less."""
    return bool(form.get(SENT))


def filled_in(form: MultiDictProxy[Any], offer: Offer | None) -> Filled:
    """Return what was filled in, by field. A field that was offered and holds nothing is empty, not as it was."""
    names = narrow_form.offered(offer) if offer else [ACTIONS]
    several = {ACTIONS: [str(one) for one in form.getall(ACTIONS, [])]}
    return {name: several.get(name, str(form.get(name, "")).strip()) for name in names}


def wish(filled: Filled) -> Narrow:
    """Return what is wanted instead. Raises Malformed, with its field."""
    return narrow_form.to_narrow(ttl=filled.get(TTL), actions=filled.get(ACTIONS), resources=filled.get(RESOURCES))


async def again(
    shell: Shell, request: web.Request, view: View, filled: Filled, error: CountersignError
) -> web.Response | None:  # fmt: skip
    """Return the form with what was filled in and what is wrong at its field; None where the form is not at fault."""
    outcome = outcomes.refused(error)
    if not outcome.field:
        return None
    context = {
        "title": f"Approve less of {view.request.handle}",
        "card": render(view.request, view.grant),
        "form_token": request[SIGNED_IN].form_token,
        "back": str(request[FORM].get("back", "")),
        "filled": filled,
        "problem": {
            "field": narrow_form.field_of(outcome.field, list(filled)),
            "words": narrow_form.sentence(outcome.text),
        },
    }
    return await shell.page(request, "less.html", context, status=422)
