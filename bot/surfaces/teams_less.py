"""Let a reviewer approve less from Teams: the form, for the one who asked for it, and what they filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from approvers.card import Card, shown_digest
from approvers.card_text import visible
from approvers.errors import Malformed
from approvers.narrowing import Offer
from bot import deciding, outcomes
from bot.narrow_form import ACTIONS, LABELS, MAX_TYPED, RESOURCES, TTL, field_of, offered, sentence, times, to_narrow
from bot.outcomes import Outcome
from bot.surfaces import teams_buttons as buttons
from bot.surfaces import teams_text as text
from bot.surfaces.teams_activities import card_message
from bot.surfaces.teams_answers import answer, card_of, mend, present, press, privately
from bot.surfaces.teams_fields import choice, typed
from bot.surfaces.teams_incoming import Answer, Incoming
from bot.surfaces.teams_parts import TeamsParts
from bot.surfaces.teams_text import Block

TITLE = "Approve less"
NOTHING_LEFT = "There is nothing left to approve less of: this is how it stands."


async def less_clicked(parts: TeamsParts, call: Incoming) -> Answer:
    """Show the form in the card's place, to the one who asked for it."""
    request, shown = call.target()
    await deciding.known(parts.deps, press(parts, call), request, "approve")
    view = await parts.deps.reader.look(request)
    parts.tasks.start(mend(parts, call, Outcome("", "", request, stale=shown != shown_digest(view.request))))
    card = await card_of(parts, view)
    if card.narrow is None:
        return _shown(parts, call, await present(parts, request, NOTHING_LEFT))
    return _shown(parts, call, form(card, card.narrow))


async def less_sent(parts: TeamsParts, call: Incoming) -> Answer:
    """Take an approval of less than was asked, or show the form once more with what is wrong at its field."""
    request, _ = call.target()
    await deciding.known(parts.deps, press(parts, call), request, "approve")
    card = await card_of(parts, await parts.deps.reader.look(request))
    names = offered(card.narrow) if card.narrow else [ACTIONS]
    # A client leaves out a field in which nothing is chosen: it is empty then, not as it was.
    filled = {name: _text(call.data, name) for name in names}
    try:
        wish = to_narrow(ttl=filled.get(TTL), actions=_split(filled.get(ACTIONS)), resources=filled.get(RESOURCES))
    except Malformed as error:
        outcome = outcomes.refused(error, request)
    else:
        outcome = await deciding.decide(parts.deps, press(parts, call), "approve", narrow=wish)
    if outcome.field and card.narrow:
        problem = field_of(outcome.field, names), sentence(outcome.text)
        return _shown(parts, call, form(card, card.narrow, values=filled, problem=problem))
    return await answer(parts, call, outcome)


def form(
    card: Card, offer: Offer, *, values: Mapping[str, str] | None = None, problem: tuple[str, str] | None = None
) -> Block:
    """Return the form.

    Args:
        card: of the request as it stands; the form is about this, and a click on it names it.
        offer: what may be made smaller.
        values: what was filled in before, by field.
        problem: field and sentence of a complaint, shown above that field.
    """
    fields = [_field(name, offer, values or {}) for name in offered(offer)]
    if problem:
        flag = text.marked(text.plain(problem[1], 600) or " ", weight="Bolder", color="Attention")
        fields.insert([one["id"] for one in fields].index(problem[0]), flag)
    about = buttons.target(card)
    acts = buttons.row([buttons.approve_less(card), buttons.back(about)], spacing="Medium")
    head = text.words(TITLE, size="Large", weight="Bolder", style="heading")
    return text.card([head, text.words(card.push), *fields, *acts], f"{TITLE}: {card.push}")


def _field(name: str, offer: Offer, values: Mapping[str, str]) -> Block:
    if name == TTL:
        pairs = times(offer)
        first = values.get(TTL) if values.get(TTL) in dict(pairs) else pairs[-1][0]
        return choice(TTL, LABELS[TTL], pairs, value=first or "", missing="Choose one.")
    if name == ACTIONS:
        kept = _split(values.get(ACTIONS)) if ACTIONS in values else offer.actions
        value = ",".join(one for one in offer.actions if one in (kept or ()))
        pairs = [(one, one) for one in offer.actions]
        return choice(ACTIONS, LABELS[ACTIONS], pairs, value=value, missing="Keep at least one.", several=True)
    shown = values.get(RESOURCES, "\n".join(offer.resources))
    value = text.clamp(visible(shown, MAX_TYPED), MAX_TYPED)
    missing = "Keep at least one."
    return typed(
        RESOURCES, LABELS[RESOURCES], placeholder="arn:…", most=MAX_TYPED, lines=True, value=value, missing=missing
    )


def _shown(parts: TeamsParts, call: Incoming, card: Block) -> Answer:
    if call.kind == "action":
        return Answer(card=card)
    parts.tasks.start(privately(parts, call, card_message(card, TITLE)))
    return Answer()


def _text(data: Mapping[str, object], name: str) -> str:
    value = data.get(name)
    return value.strip() if isinstance(value, str) else ""


def _split(chosen: str | None) -> Sequence[str] | None:
    return None if chosen is None else [one for one in chosen.split(",") if one]
