"""Write a card as plain text, for the record of what an answer was given on. Pure.

It holds what the digest of the card binds and people read: every fact whole, also where a small card had to be cut
and `Review` shows the rest; not the votes, nor who stands in, which change without the card being another one.
"""

from __future__ import annotations

from collections.abc import Iterator

from approvers.card import Card, CardFact, render
from approvers.request import Request


def text_of(request: Request) -> str:
    """Return the text of a waiting request's card as it stands."""
    return "\n".join(_lines(render(request, None)))


def _lines(card: Card) -> Iterator[str]:
    yield card.headline
    yield f"Risk: {card.risk_level}, {card.risk_score} points"
    for point in card.risk_points:
        yield f"- {point}"
    for warning in (*card.warnings, *card.uncovered):
        yield f"! {warning}"
    for fact in card.facts:
        yield _fact(fact)
    yield card.asked
    yield f"Answers until {card.expires_at:%Y-%m-%d %H:%M:%S} UTC"


def _fact(fact: CardFact) -> str:
    cut = " (cut on a small card)" if fact.cut else ""
    return f"{fact.label}{cut}: {fact.whole}"
