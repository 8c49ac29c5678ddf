"""Listen to the buttons that decide: Approve, Deny, Deny because, Revoke. What came of it is told after the answer."""

from __future__ import annotations

from datetime import timedelta

from approvers.card import DENY_PRESETS
from approvers.errors import Malformed
from bot import outcomes
from bot.surfaces.slack_answers import answer, tell
from bot.surfaces.slack_buttons import OTHER_WORDS
from bot.surfaces.slack_deciding import decide, revoke
from bot.surfaces.slack_incoming import Incoming
from bot.surfaces.slack_modals import ask_words
from bot.surfaces.slack_parts import Listener, SlackParts

FOLLOWED = timedelta(seconds=60)
"""How long the proof of a revocation is waited for, to tell the one who asked for it; the card shows it whenever."""


async def approve_clicked(parts: SlackParts, call: Incoming) -> None:
    """Take an approval."""
    await answer(parts, call, await decide(parts, call, "approve"))


async def deny_clicked(parts: SlackParts, call: Incoming) -> None:
    """Take a denial without words."""
    await answer(parts, call, await decide(parts, call, "deny"))


async def deny_because(parts: SlackParts, call: Incoming) -> None:
    """Take a denial with one of the ready reasons, or ask for the person's own words."""
    preset = call.value.partition(".")[0]
    if preset == OTHER_WORDS:
        await ask_words(parts, call)
    elif preset in DENY_PRESETS:
        await answer(parts, call, await decide(parts, call, "deny", DENY_PRESETS[preset]))
    else:
        detail = "This reason is from an older version of the card, so nothing is decided. Press Deny."
        await answer(parts, call, outcomes.refused(Malformed(detail)))


async def revoke_clicked(parts: SlackParts, call: Incoming) -> None:
    """Take a grant away, and report its proof as long as somebody may still be looking."""
    outcome = await revoke(parts, call)
    await answer(parts, call, outcome)
    if outcome.title == outcomes.REVOKING:
        parts.tasks.start(_followed(parts, call, outcome.request))


async def _followed(parts: SlackParts, call: Incoming, request: str) -> None:
    async for views in parts.deps.revocations.follow([request], FOLLOWED):
        last = views
    await tell(parts, call, outcomes.ended(last[0]))


LISTENERS: tuple[Listener, ...] = (
    ("action", "cs_approve", approve_clicked),
    ("action", "cs_deny", deny_clicked),
    ("action", "cs_deny_why", deny_because),
    ("action", "cs_revoke", revoke_clicked),
)
