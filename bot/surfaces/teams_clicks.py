"""Listen to the buttons of Teams cards: Approve, Deny, Deny because, Revoke, Details, and the way back to the card.

A client that presses by itself (a refresh) decides nothing, whatever the verb: it is shown the card as it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType

from approvers.card import DENY_PRESETS, shown_digest
from approvers.errors import Malformed
from approvers.taken_out import from_story
from bot import deciding, outcomes, telling
from bot.outcomes import Outcome
from bot.strangers import Stranger
from bot.surfaces import teams_asking, teams_card, teams_commands, teams_digest_clicks, teams_less
from bot.surfaces.teams_activities import card_message, text_message
from bot.surfaces.teams_answers import answer, card_of, mend, present, press, privately
from bot.surfaces.teams_incoming import Answer, Incoming
from bot.surfaces.teams_parts import Listen, TeamsParts

FOLLOWED = timedelta(seconds=60)
"""How long the proof of a revocation is waited for, to tell the one who asked for it; the card shows it whenever."""
OLD_REASON = "This reason is from an older version of the card, so nothing is decided. Press Deny."
NO_WORDS = "Write why it was not justified, then press Not justified; nothing is recorded yet."
NO_REASON = "Choose a reason or write one, then press Deny; nothing is decided yet."


async def approve_clicked(parts: TeamsParts, call: Incoming) -> Answer:
    """Take an approval."""
    return await answer(parts, call, await deciding.decide(parts.deps, press(parts, call), "approve"))


async def deny_clicked(parts: TeamsParts, call: Incoming) -> Answer:
    """Take a denial without words."""
    return await answer(parts, call, await deciding.decide(parts.deps, press(parts, call), "deny"))


async def deny_because(parts: TeamsParts, call: Incoming) -> Answer:
    """Take a denial with one of the ready reasons, the person's own words, or both."""
    preset, typed = (_input(call, name) for name in ("preset", "words"))
    if preset and preset not in DENY_PRESETS:
        return await answer(parts, call, outcomes.refused(Malformed(OLD_REASON)))
    reason = " ".join(one for one in (DENY_PRESETS.get(preset, ""), typed) if one)
    if not reason:
        return Answer(toast=NO_REASON)
    return await answer(parts, call, await deciding.decide(parts.deps, press(parts, call), "deny", reason))


async def justified_clicked(parts: TeamsParts, call: Incoming) -> Answer:
    """Take it that a use of break-glass was justified."""
    return await answer(parts, call, await deciding.after_review(parts.deps, press(parts, call), "justified"))


async def unjustified_clicked(parts: TeamsParts, call: Incoming) -> Answer:
    """Take it that it was not, and why."""
    why = _input(call, "words")
    if not why:
        return Answer(toast=NO_WORDS)
    return await answer(parts, call, await deciding.after_review(parts.deps, press(parts, call), "unjustified", why))


async def revoke_clicked(parts: TeamsParts, call: Incoming) -> Answer:
    """Take a grant away, and report its proof to the one who asked."""
    outcome = await deciding.revoke(parts.deps, press(parts, call))
    if outcome.title == outcomes.REVOKING:
        parts.tasks.start(_followed(parts, call, outcome.request))
    return await answer(parts, call, outcome)


async def details_clicked(parts: TeamsParts, call: Incoming) -> Answer:
    """Show everything about a request, its record included: in the card's place, to the one who asked for it."""
    request, shown = call.target()
    await deciding.known(parts.deps, press(parts, call), request, "details")
    view = await parts.deps.reader.look(request)
    parts.tasks.start(mend(parts, call, Outcome("", "", request, stale=shown != shown_digest(view.request))))
    texts = await parts.deps.store.log.texts([request])
    told = [telling.tell(body, texts) for body in await parts.deps.store.log.chain(request)]
    lines = [*([from_story(told[0].n - 1)] if told and told[0].n > 1 else []), *(line.text for line in told)]
    card = await card_of(parts, view)
    whole = teams_card.details(card, lines, parts.deps.settings.base_url)
    if call.kind == "action":
        return Answer(card=whole)
    parts.tasks.start(privately(parts, call, card_message(whole, teams_card.summary(card))))
    return Answer()


async def refreshed(parts: TeamsParts, call: Incoming) -> Answer:
    """Show the card as it stands, to people whom the roster knows; a client that asks by itself is told no more."""
    request, _ = call.target()
    try:
        await parts.people.identify(call.by, call.conversation, call.route)
    except Stranger:
        if call.verb == "refresh":
            raise
        return Answer()
    card = await present(parts, request)
    if call.kind == "action":
        return Answer(card=card)
    parts.tasks.start(privately(parts, call, card_message(card, "The request as it stands")))
    return Answer()


async def _followed(parts: TeamsParts, call: Incoming, request: str) -> None:
    async for views in parts.deps.revocations.follow([request], FOLLOWED):
        last = views
    await parts.show(call, text_message(outcomes.ended(last[0]).text))


def _input(call: Incoming, name: str) -> str:
    """Return what was filled in, and nothing else of the card."""
    value = call.data.get(name)
    return value.strip() if isinstance(value, str) else ""


def _by_hand(listen: Listen) -> Listen:
    async def run(parts: TeamsParts, call: Incoming) -> Answer:
        return await (refreshed if call.automatic else listen)(parts, call)

    return run


ACTIONS: Mapping[str, Listen] = MappingProxyType(
    {
        verb: _by_hand(listen)
        for verb, listen in {
            "approve": approve_clicked,
            "less": teams_less.less_clicked,
            "approve_less": teams_less.less_sent,
            "deny": deny_clicked,
            "deny_why": deny_because,
            "deny_many": teams_digest_clicks.deny_many,
            "revoke": revoke_clicked,
            "justified": justified_clicked,
            "unjustified": unjustified_clicked,
            "details": details_clicked,
            "refresh": refreshed,
            "show": teams_commands.shown,
            "pick": teams_commands.picked,
            "request": teams_asking.submitted,
            "break_glass": teams_asking.taken,
        }.items()
    }
)
"""Verb → what it does."""
