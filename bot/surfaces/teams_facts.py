"""Lay out the facts of a card: short ones beside their labels, exact values and typed words in boxes of their own."""

from __future__ import annotations

from collections.abc import Sequence

from approvers.card import POINTS_WEIGHT, Card, CardFact, fitted
from approvers.card_text import cut
from bot.surfaces.teams_text import Block, box, pairs, paragraphs, words

COLOURS = {"low": "Good", "medium": "Warning", "high": "Attention", "critical": "Attention"}
"""A colour repeats what words say, and never says it alone: clients may not show it."""
PHASE_COLOURS = {
    "Approved": "Good",
    "Live": "Good",
    "Revoking": "Warning",
    "Failed": "Attention",
    "Denied": "Attention",
}
BESIDE = 90
"""Characters up to which a fact stands beside its label."""
PEEK, PEEK_LINES, PEEK_WEIGHT = 400, 6, 1_800
"""Characters and lines of a fact, and the weight of all, on a card that cannot show everything: it stays short."""


def of_card(card: Card, weight: int | None = None, limit: int = PEEK) -> tuple[list[CardFact], bool]:
    """Return the facts for a message, and whether that is all of them.

    All, or, as Review opens them anyway, shorter ones if some are cut.

    Args:
        card: whose facts.
        weight: what they may take; None takes those of the card as they are, if none is cut.
        limit: how many characters one may have.
    """
    if weight is None and not any(fact.cut for fact in card.facts):
        return list(card.facts), True
    rest = "under Review" if card.phase == "Waiting" else "in the console"
    lines = PEEK_LINES if limit <= PEEK else None
    shown = list(fitted(card.facts, weight or PEEK_WEIGHT, limit, lines=lines, rest=rest))
    return shown, not any(fact.cut for fact in shown)


def laid(shown: Sequence[CardFact], risk: tuple[str, str]) -> list[Block]:
    """Return the facts as elements, in their order, and the risk after them."""
    made: list[Block] = []
    beside: list[tuple[str, str]] = []
    for fact in shown:
        if _is_brief(fact):
            beside.append((fact.label, fact.text))
            continue
        made += [*([pairs(beside)] if beside else []), *_boxed(fact)]
        beside = []
    return [*made, pairs([*beside, risk])]


def risk(card: Card, weight: int = POINTS_WEIGHT) -> tuple[str, str]:
    """Return the risk with the points that make it up, as a fact."""
    points = cut(" · ".join(card.risk_points), weight, weight, "in the console")
    level = f"{card.risk_level.upper()} {card.risk_score}"
    return "Risk", f"{level}: {points}" if points else level


def warnings(card: Card) -> list[Block]:
    """Return what a hurried reader must not miss: our own words first, then what they are about."""
    others = [text for text in card.warnings if text not in card.uncovered]
    flags = [("Headline does not cover the credential", card.uncovered), ("Look closely", others)]
    told = [
        block
        for flag, texts in flags
        if texts
        for block in (words(f"⚠ {flag}", weight="Bolder", color="Attention"), *map(_below, texts))
    ]
    return [box(told, "attention")] if told else []


def standing(card: Card) -> list[Block]:
    """Return where the story stands, and beside it what was decided where that is another sentence."""
    made = [words(card.status, weight="Bolder", color=PHASE_COLOURS.get(card.phase, "Default"))]
    if card.outcome and not card.status.startswith(card.outcome):
        made.append(_below(card.outcome))
    return made


def _is_brief(fact: CardFact) -> bool:
    return fact.kind != "quote" and len(fact.text) <= BESIDE and "\n" not in fact.text


def _boxed(fact: CardFact) -> list[Block]:
    look = {"fontType": "Monospace"} if fact.kind == "code" else {}
    return [words(fact.label, weight="Bolder"), box(paragraphs(fact.text, **look), spacing="Small")]


def _below(text: str) -> Block:
    return words(text, spacing="None")
