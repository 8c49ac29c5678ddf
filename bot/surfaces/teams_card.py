"""Render a card as an Adaptive Card for Teams: what decides comes first, on a phone as on a desk.

Version 1.5 and few kinds of element, since phones lag. A card is always sent whole and stays below `TARGET` bytes: what
would not fit is cut, says by how much, and then the card offers Review, which opens the console, in place of Approve.
"""

from __future__ import annotations

from collections.abc import Sequence

from approvers.card import POINTS_WEIGHT, Card
from approvers.card_text import cut, visible
from bot.surfaces import teams_buttons as buttons
from bot.surfaces import teams_facts
from bot.surfaces import teams_text as text
from bot.surfaces.teams_form import request_form
from bot.surfaces.teams_text import TARGET, Block, clock, escape, marked, plain, words

__all__ = ["body", "details", "heading", "message", "notice", "request_form", "summary"]

MAX_HEADING, MAX_NOTE, MAX_SAID, MAX_SPOKEN = 150, 180, 900, 300
MAX_LINE = 600
ROOMS = (None, 3_600, teams_facts.PEEK_WEIGHT, 600, 0)
"""What the facts may take, tried in this order until the card is small enough; None takes them as they are."""
WIDE_ROOMS = (7_000, 3_600, teams_facts.PEEK_WEIGHT, 600)
"""The same for Details, which leaves as much again for the record."""


def message(card: Card, *, console: str, channel_note: str = "", said: str = "") -> Block:
    """Return the Adaptive Card of a card.

    Args:
        card: as it stands.
        console: the server's own address, for the links.
        channel_note: a line for this place only, such as that somebody answers for somebody else.
        said: a sentence for one reader, on the copy that only they are shown.
    """
    for room in ROOMS:
        blocks, whole = body(card, channel_note, room)
        top = [marked(plain(said, MAX_SAID), weight="Bolder", color="Accent")] if said else []
        made = text.card([*top, *blocks, *_actions(card, console, whole), footer(card)], summary(card))
        if text.size(made) <= TARGET:
            break
    return made


def summary(card: Card) -> str:
    """Return one plain line that stands alone, for notifications: nothing in it is escaped."""
    return text.clamp(card.push, MAX_SPOKEN)


def details(card: Card, lines: Sequence[str], console: str) -> Block:
    """Return everything about a request: where it stands, its facts, who answered, and its record in sentences."""
    head = [words(heading(card), size="Large", weight="Bolder", style="heading")]
    first = [words(card.headline)] if card.phase == "Waiting" else teams_facts.standing(card)
    head += [*first, *teams_facts.warnings(card)]
    acts = [buttons.revoke(card)] if _can(card, "revoke") else []
    acts += [buttons.back(buttons.target(card)), *buttons.link(console, f"requests/{card.request_id}")]
    below = [*buttons.row(acts, spacing="Medium"), footer(card)]
    for room in WIDE_ROOMS:
        facts, _ = teams_facts.of_card(card, room, limit=room)
        above = [*head, *teams_facts.laid(facts, teams_facts.risk(card)), *_people(card)]
        if text.size(text.card([*above, *below], summary(card))) <= TARGET * 2 // 3:
            break
    at = len(above)
    made = text.card([*above, *below], summary(card))
    made["body"][at:at] = _story(lines, TARGET - text.size(made) - 400)
    return made


def notice(said: str, *, title: str = "", back: tuple[str, str] | None = None) -> Block:
    """Return a card that says one thing, such as what came of a click.

    `back` (the request and the digest of what was shown) adds the button that brings its card back.
    """
    shown = cut(visible(said, len(said)), 3_000, 6_000, "in the console")
    first = [marked(plain(title, MAX_HEADING), weight="Bolder", size="Medium")] if title else []
    acts = buttons.row([buttons.back(back)] if back else [])
    return text.card([*first, *text.paragraphs(shown), *acts], title or said)


def heading(card: Card) -> str:
    """Return verb and object, with the state before them once it no longer waits."""
    said = card.title if card.phase == "Waiting" else f"{card.phase}: {card.title}"
    return text.clamp(said, MAX_HEADING)


def body(card: Card, note: str = "", room: int | None = None) -> tuple[list[Block], bool]:
    """Return the elements of a card without its buttons, and whether they show every fact in full length."""
    facts, whole = teams_facts.of_card(card, room)
    points = POINTS_WEIGHT if whole else POINTS_WEIGHT // 3
    blocks = [words(heading(card), size="Large", weight="Bolder", style="heading")]
    blocks += _glance(card) if card.phase == "Waiting" else teams_facts.standing(card)
    blocks += [*teams_facts.warnings(card), *teams_facts.laid(facts, teams_facts.risk(card, points))]
    lines = [card.asked, *card.answers[-2:], "; ".join(card.stand_ins)] if card.phase == "Waiting" else []
    shown = [cut(one, MAX_NOTE, 2 * MAX_NOTE, "see Details") for one in (*lines, visible(note, len(note))) if one]
    return [*blocks, *_small(shown)], whole


def _glance(card: Card) -> list[Block]:
    """Return what must be read even if nothing else is: risk, progress, until when, and what has changed since."""
    said = f"{card.risk_level.upper()} {card.risk_score} · {card.quorum} approved · answer until "
    look = {"weight": "Bolder", "color": teams_facts.COLOURS[card.risk_level]}
    more = [words(card.news, weight="Bolder", spacing="Small")] if card.news else []
    return [marked(escape(said) + clock(card.expires_at), **look), *more]


def _actions(card: Card, console: str, whole: bool) -> list[Block]:
    """Return the buttons, those that decide in a row of their own: a phone has room for three.

    A card that leads to Review needs no second link to the same page.
    """
    page, details = f"requests/{card.request_id}", buttons.details(card)
    if not _can(card, "approve"):
        revoke = [buttons.revoke(card)] if _can(card, "revoke") else []
        found = buttons.row(buttons.after_review(card), spacing="Medium")
        return [*found, *buttons.row([*revoke, details, *buttons.link(console, page)], spacing="Medium")]
    reviewed = card.review_first or not whole
    first = buttons.review(card.request_id, console) if reviewed else [buttons.approve(card)]
    answers = buttons.row([*first, buttons.deny(card), buttons.deny_because(card)], spacing="Medium")
    rest = [] if reviewed else buttons.link(console, page)
    if card.narrow and not reviewed:
        rest.insert(0, buttons.less(card))
    return [*answers, *buttons.row([details, *rest], spacing="Small")]


def _can(card: Card, verb: str) -> bool:
    return any(one.verb == verb for one in card.buttons)


def _people(card: Card) -> list[Block]:
    """Return who is asked, who answered and who may answer for whom, for Details."""
    waits = card.phase == "Waiting"
    asked = (card.asked, f"{card.quorum} approved") if waits else ()
    said = [*asked, *card.answers[-10:], *card.stand_ins[:5]]
    return _small([cut(one, 2 * MAX_NOTE, 4 * MAX_NOTE, "in the console") for one in said if one])


def _small(lines: Sequence[str]) -> list[Block]:
    return [words(one, size="Small", isSubtle=True, spacing="Small") for one in lines]


def footer(card: Card) -> Block:
    """Return the last line: by which handle and id people name this request, and until when a credential lives."""
    ends = f"ends {clock(card.ends_at)}  ·  " if card.phase == "Live" and card.ends_at else ""
    said = f"{card.handle} · {card.request_id}"
    return marked(ends + escape(said), size="Small", isSubtle=True, separator=True)


def _story(lines: Sequence[str], room: int) -> list[Block]:
    """Return the newest lines in their order, as many as fit, and how many earlier ones there are."""
    fitting = list[Block]()
    for one in reversed(lines):
        block = marked(plain(one, MAX_LINE), size="Small", spacing="Small")
        room -= text.size(block) + 1
        if room < 0:
            break
        fitting.insert(0, block)
    if earlier := len(lines) - len(fitting):
        fitting.insert(0, words(f"{earlier} earlier lines are in the console.", size="Small", isSubtle=True))
    return [words("What happened", weight="Bolder", separator=True), *fitting] if fitting else []
