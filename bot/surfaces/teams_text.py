"""Put text into Adaptive Cards so that nothing in it becomes markup, link, image or date.

Teams reads Markdown and HTML in every text of a card, and expands `{{DATE(…)}}` before that. So everything is escaped,
our own words too: weight and colour are fields of the element, and the only token that a card holds is a time of ours.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from approvers.card_text import visible

Block = dict[str, Any]
MAX_CARD = 24_000
"""UTF-8 bytes of a card. Teams takes 100 KB counted in two bytes a character, with escapes and what is around it."""
TARGET = 22_000
"""What a card that we make takes at most: so much of the limit is left for the message around it."""
_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&@]|:(?=//))")
_SPACES = re.compile(r"^ | (?= )")


def plain(text: str, limit: int = 300) -> str:
    """Return text for one line of a card: literal, nothing in it invisible, of at most `limit` characters to the eye.

    Typed line breaks become ⏎, and what is longer ends in `…`.
    """
    return escape(clamp(_one_line(text[: 20 * limit]), limit))


def escape(text: str) -> str:
    r"""Return text of which Markdown and HTML show exactly what stands there; spaces in a row stay as many.

    A backslash keeps every mark literal, and `{{` is none of a date any more. Spaces at the start of a line or beside
    another are shown as such by the no-break space; without it two different names could look alike. What is invisible
    is spelled out, and a line break becomes ⏎, unless that was done before.
    """
    return _MARKUP.sub(r"\\\1", _SPACES.sub("\u00a0", _one_line(text)))


def label(text: str, limit: int) -> str:
    """Return text for a button or choice, where nothing is parsed but dates: `{{` is shown in its full-width form."""
    return clamp(_one_line(text[: 20 * limit]), limit).replace("{{", "｛｛") or " "


def clamp(text: str, limit: int) -> str:
    """Return the text, cut to `limit` characters with an ellipsis. Escape after: an escape adds characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def words(text: str, **look: object) -> Block:
    """Return one paragraph that shows exactly this text; `look` are the element's own fields, such as weight."""
    return marked(escape(text) or " ", **look)


def marked(text: str, **look: object) -> Block:
    """Return one paragraph of text that is escaped already."""
    return {"type": "TextBlock", "text": text, "wrap": True, **look}


def paragraphs(text: str, **look: object) -> list[Block]:
    """Return text of several lines, one element a line: what a line break does in Markdown differs between clients."""
    made: list[Block] = []
    gap = False
    for line in text.split("\n"):
        if line.strip():
            made.append(words(line, **look, spacing="Small" if gap or not made else "None"))
        gap = not line.strip()
    return made or [words(text, **look)]


def box(items: list[Block], style: str = "emphasis", **look: object) -> Block:
    """Return elements on a ground of their own."""
    return {"type": "Container", "style": style, "items": items, **look}


def pairs(facts: list[tuple[str, str]]) -> Block:
    """Return labels with short texts beside them."""
    return {"type": "FactSet", "facts": [{"title": escape(name), "value": escape(text) or " "} for name, text in facts]}


def clock(moment: datetime) -> str:
    """Return a time that each reader sees in their own zone, and in UTC beside it. It is escaped already."""
    return f"{{{{TIME({moment:%Y-%m-%dT%H:%M:%SZ})}}}} {escape(f'({moment:%H:%M} UTC)')}"


def card(body: list[Block], spoken: str) -> Block:
    """Return a whole card; `spoken` is what clients show that cannot show cards."""
    return {
        "type": "AdaptiveCard",
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "version": "1.5",
        "msteams": {"width": "Full"},
        "fallbackText": plain(spoken) or " ",
        "body": body,
    }


def size(made: Block) -> int:
    """Return what the card takes: UTF-8 bytes, or half its characters in ASCII JSON where that is more.

    Clients of Teams send the latter, and the limit may be counted on what was sent, two bytes a character.
    """
    ascii_only = json.dumps(made, separators=(",", ":"))
    return max(len(ascii_only) // 2, len(json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode()))


def _one_line(text: str) -> str:
    return visible(text, len(text)).replace("\n", " ⏎ ")
