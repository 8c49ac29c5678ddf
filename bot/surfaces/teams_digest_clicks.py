"""Listen to the one button of a list in Teams that decides: deny several. Each is denied for itself, none approved."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from approvers.card import DENY_PRESETS
from bot import deciding, excuses, outcomes
from bot.outcomes import Outcome
from bot.surfaces.port import MessageRef
from bot.surfaces.teams_activities import text_message
from bot.surfaces.teams_answers import NAME, known, press, privately
from bot.surfaces.teams_digest import CHOOSE, ROWS, WHY
from bot.surfaces.teams_incoming import Answer, Incoming
from bot.surfaces.teams_parts import TeamsParts
from bot.surfaces.teams_text import clamp

MOST = 20
SECONDS = 0.8 * excuses.LIMIT_SECONDS
"""For all of them: then there is still time to say which count."""
MAX_SAID = 900
OLD_REASON = "This reason is from an older version of the list, so nothing is decided. Press Deny selected again."


async def deny_many(parts: TeamsParts, call: Incoming) -> Answer:
    """Deny each chosen row for itself, with the digest that it had when it was chosen from."""
    await known(parts, call, "list deny")
    chosen, preset = _chosen(call), call.data.get(WHY) or ""
    if not chosen:
        return Answer(toast=CHOOSE)
    if not isinstance(preset, str) or (preset and preset not in DENY_PRESETS):
        return Answer(toast=OLD_REASON)
    until = asyncio.get_running_loop().time() + SECONDS
    told = [await _denied(parts, call, one, DENY_PRESETS.get(preset, ""), until) for one in chosen]
    parts.tasks.start(_noted(parts, call, told))
    if call.kind != "action":
        parts.tasks.start(privately(parts, call, text_message(_sum(told))))
        return Answer()
    return Answer(toast=_sum(told))


async def _denied(parts: TeamsParts, call: Incoming, row: str, reason: str, until: float) -> Outcome:
    """Deny one row; what is not committed in time is cancelled, and said to be so."""
    request, _, shown = row.partition(".")
    one = replace(call, data={"rid": request, "shown": shown})
    try:
        async with asyncio.timeout_at(until):
            return await deciding.decide(parts.deps, press(parts, one), "deny", reason)
    except TimeoutError:
        return Outcome(outcomes.NOT_RECORDED, excuses.TOO_SLOW)


async def _noted(parts: TeamsParts, call: Incoming, told: Sequence[Outcome]) -> None:
    """Note who acted on this copy; have every copy show the truth of what this one did not. A list is never adopted."""
    ref = MessageRef(NAME, call.conversation, call.message or "")
    for one in told:
        if one.by and call.message:
            await parts.postings.acted(one.request, ref, one.by)
        if one.stale:
            await parts.postings.refresh(one.request)


def _chosen(call: Incoming) -> list[str]:
    """Return the rows: Teams sends the values of what was ticked with commas between."""
    ticked = call.data.get(ROWS)
    return list(dict.fromkeys(filter(None, ticked.split(","))))[:MOST] if isinstance(ticked, str) else []


def _sum(told: Sequence[Outcome]) -> str:
    """Say what came of all of them, and why some do not count."""
    counted = sum(bool(one.by) for one in told)
    why = dict.fromkeys(one.text for one in told if not one.by)
    return clamp(" ".join([f"{counted} of {len(told)} denied.", *why]), MAX_SAID)
