"""Lay out the facts of a card as rich text: labels are ours and bold, everything else is shown exactly as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from approvers.card import POINTS_WEIGHT, Card, CardFact, fitted
from approvers.card_text import cut
from bot.surfaces.slack_text import Block, code, emoji, line, pieces, quote, words

RISK_SIGNS = {
    "low": "large_green_circle",
    "medium": "large_yellow_circle",
    "high": "large_orange_circle",
    "critical": "red_circle",
}
PHASE_SIGNS = {
    "Approved": "white_check_mark",
    "Live": "key",
    "Revoking": "hourglass_flowing_sand",
    "Ended": "lock",
    "Failed": "x",
    "Denied": "no_entry",
    "Expired": "hourglass",
    "Withdrawn": "leftwards_arrow_with_hook",
}
BRIEF, WIDE, BETWEEN = 36, 74, "   ·   "
"""Characters of a fact that shares a line, of such a line, and what stands between."""
PEEK, PEEK_LINES, PEEK_WEIGHT = 400, 6, 1_800
"""Characters and lines of a fact, and the weight of all, on a card that cannot show everything: it stays short."""
SHORT = 60
"""Characters up to which exact values stand beside their label, and need no box of their own."""


def facts(shown: Sequence[CardFact]) -> list[Block]:
    """Return the facts as parts of rich text, in their order; brief ones share a line, since a phone has few."""
    parts: list[Block] = []
    room = 0
    for fact in shown:
        length = len(fact.label) + len(fact.text)
        if fact.kind == "line" and length <= BRIEF:
            if length + len(BETWEEN) <= room:
                parts[-1] = line(*parts[-1]["elements"], words(BETWEEN), *_told(fact))
                room -= length + len(BETWEEN)
                continue
            room = WIDE - length
        else:
            room = 0
        parts += _fact(fact)
    return parts


def of_card(card: Card) -> list[Block]:
    """Return the facts for a message: all of them, or, as Review opens them anyway, shorter ones if some are cut."""
    if is_whole(card):
        return facts(card.facts)
    rest = "under Review" if card.phase == "Waiting" else "under Details"
    return facts(list(fitted(card.facts, PEEK_WEIGHT, PEEK, lines=PEEK_LINES, rest=rest)))


def warnings(card: Card) -> list[Block]:
    """Return what a hurried reader must not miss: our own words first, marked red, then what they are about."""
    others = [text for text in card.warnings if text not in card.uncovered]
    return [*_red("Headline does not cover the credential", card.uncovered), *_red("Look closely", others)]


def is_whole(card: Card) -> bool:
    """Tell whether a message shows every fact in full length."""
    return not any(fact.cut for fact in card.facts)


def risk(card: Card, weight: int = POINTS_WEIGHT, *, sign: bool = True) -> Block:
    """Return the risk with the points that make it up; `sign` shows the level's colour too."""
    points = cut(" · ".join(card.risk_points), weight, weight)
    level = words(f"{card.risk_level.upper()} {card.risk_score}", bold=True)
    first = [emoji(RISK_SIGNS[card.risk_level]), words(" ")] if sign else []
    return line(words("Risk  ", bold=True), *first, level, *(pieces(f"   {points}") if points else []))


def standing(card: Card) -> list[Block]:
    """Return where the story stands, and beside it what was decided where that is another sentence."""
    parts = [line(emoji(PHASE_SIGNS[card.phase]), words(f" {card.status}", bold=True))]
    if card.outcome and not card.status.startswith(card.outcome):
        parts.append(line(words(card.outcome)))
    return parts


def _red(flag: str, texts: Sequence[str]) -> Iterator[Block]:
    """Slack shows inline code in red letters: the only red words that a message can have."""
    if texts:
        yield line(emoji("warning"), words(" "), words(flag, bold=True, code=True))
        yield from (line(words(text)) for text in texts)


def _fact(fact: CardFact) -> Iterator[Block]:
    boxed = fact.kind == "code" and (len(fact.text) > SHORT or "\n" in fact.text)
    if boxed or fact.kind == "quote":
        yield line(words(fact.label, bold=True))
        yield code(fact.text) if boxed else quote(fact.text)
    else:
        yield line(*_told(fact))


def _told(fact: CardFact) -> list[Block]:
    return [words(f"{fact.label}  ", bold=True), *pieces(fact.text)]
