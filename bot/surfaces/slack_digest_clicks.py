"""Listen to a list's buttons: look at one row, or deny several. Nothing here approves more than one at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from approvers.card import DENY_PRESETS
from approvers.errors import AlreadyDecided
from approvers.request import RequestState
from bot import digest_record, outcomes
from bot.digest import digest
from bot.excuses import TOO_SLOW
from bot.outcomes import Outcome
from bot.surfaces import slack_views
from bot.surfaces.slack_deciding import decide
from bot.surfaces.slack_dialogs import Dialog, open_dialog
from bot.surfaces.slack_digest import VIEW, deny_form
from bot.surfaces.slack_home import publish
from bot.surfaces.slack_incoming import Answer, Incoming
from bot.surfaces.slack_known import known
from bot.surfaces.slack_modals import review_clicked
from bot.surfaces.slack_parts import Listener, SlackParts

MOST = 20
DENYING_SECONDS = 2.0
"""What all rows may take together: some may be denied by then, so the answer has to be made here."""
CHOOSE = "Choose at least one, or close this."


async def row_clicked(parts: SlackParts, call: Incoming) -> None:
    """Show the whole request of a row. The list that it is in is no copy of its card."""
    await review_clicked(parts, replace(call, message=None))


async def several_clicked(parts: SlackParts, call: Incoming) -> None:
    """Show the rows of a list to choose from."""
    parts.tasks.start(open_dialog(parts, replace(call, message=None), lambda: _form(parts, call)))


async def several_sent(parts: SlackParts, call: Incoming) -> Answer:
    """Deny each chosen row for itself, with the digest that it had when it was chosen from."""
    chosen, reason = list(_chosen(call))[:MOST], DENY_PRESETS.get(_why(call), "")
    if not chosen:
        return Answer({"response_action": "errors", "errors": {"rows_0": CHOOSE}})
    until = asyncio.get_running_loop().time() + DENYING_SECONDS
    told = [await _denied(parts, replace(call, value=value, view=None), reason, until) for value in chosen]
    parts.tasks.start(publish(parts, call.user))
    return Answer({"response_action": "update", "view": slack_views.notice(*_sum(told))})


async def _denied(parts: SlackParts, call: Incoming, reason: str, until: float) -> Outcome:
    """Deny one row; what is not committed in time is cancelled, and said to be so."""
    try:
        async with asyncio.timeout_at(until):
            return await decide(parts, call, "deny", reason)
    except TimeoutError:
        return Outcome(outcomes.NOT_RECORDED, TOO_SLOW)


async def _form(parts: SlackParts, call: Incoming) -> Dialog:
    """Return the form, to people whom the roster knows."""
    await known(parts, call, "list deny")
    listing = await digest_record.find(parts.deps.store.records, call.value)
    views = await parts.deps.reader.views(listing.requests)
    shown = digest(call.value, [view.request for view in views if view.request.state is RequestState.PENDING])
    if not shown.rows:
        raise AlreadyDecided("Nothing in this list waits any more.")
    return deny_form(shown)


def _sum(told: list[Outcome]) -> tuple[str, str]:
    """Say what came of each, in one notice."""
    counted = sum(bool(one.by) for one in told)
    title = "Denied" if counted == len(told) else outcomes.NOT_RECORDED if not counted else "Denied in part"
    return title, "\n".join([f"{counted} of {len(told)} denied.", *dict.fromkeys(one.text for one in told)])


def _chosen(call: Incoming) -> Iterator[str]:
    for block in _values(call).values():
        rows = block.get("rows") if isinstance(block, dict) else None
        for option in (rows.get("selected_options") or []) if isinstance(rows, dict) else []:
            if isinstance(option, dict) and isinstance(option.get("value"), str):
                yield option["value"]


def _why(call: Incoming) -> str:
    try:
        return str(_values(call)["why"]["why"]["selected_option"]["value"])
    except (KeyError, TypeError):
        return ""


def _values(call: Incoming) -> Mapping[str, Any]:
    state = (call.view or {}).get("state")
    values = state.get("values") if isinstance(state, dict) else None
    return values if isinstance(values, dict) else {}


LISTENERS: tuple[Listener, ...] = (
    ("action", "cs_digest_review", row_clicked),
    ("action", "cs_digest_deny", several_clicked),
    ("view", VIEW, several_sent),
)
