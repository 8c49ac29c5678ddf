"""Write messages for Teams, as plain activities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CARD = "application/vnd.microsoft.card.adaptive"
LONGEST = 4_000


def card_message(card: Mapping[str, Any], summary: str) -> dict[str, Any]:
    """Return a message that shows a card; `summary` is plain, and what a phone's notification says."""
    return {"type": "message", "summary": summary, "attachments": [{"contentType": CARD, "content": card}]}


def text_message(text: str) -> dict[str, Any]:
    """Return a message of plain words: nothing in them is parsed."""
    said = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return {"type": "message", "text": said, "textFormat": "plain"}
