"""Put text into Slack's objects so that nothing in it becomes markup, mention, link or emoji.

Three ways, from the safest: `rich_text` elements, whose text Slack does not parse at all, for everything that somebody
typed; `plain_text` objects (`emoji` off) where Slack wants those; `mrkdwn` for our own fixed words only. The one text
that must be mrkdwn and hold typed words is a message's top-level `text`, which notifications and screen readers take:
`notification` makes that literal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

Block = dict[str, Any]
MAX_NOTIFICATION = 1_000
MAX_ELEMENT = 2_900
"""Characters of one rich-text element; longer text becomes several elements of the same kind."""
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_TWINS = str.maketrans("*_~`:@#>", "＊＿～｀：＠＃＞")
"""Each sign's full-width form: to Unicode the same sign in another width, and no markup to Slack."""
_PAIRED = re.compile(r"(?<![A-Za-z0-9])[*_~]|[*_~](?![A-Za-z0-9])|`")
_STANDING = re.compile(r":(?!\d\d:\d\d\b)(?=[\w+'-]+:)|(?<=[\w+'-]):(?=//)|(?<![A-Za-z0-9])[@#](?=\w)|^\s*>+")


def words(text: str, *, bold: bool = False, code: bool = False, italic: bool = False) -> Block:
    """Return a rich-text element that shows exactly this text. Text must not be empty: Slack refuses that."""
    style = {name: True for name, on in (("bold", bold), ("code", code), ("italic", italic)) if on}
    return {"type": "text", "text": text or " ", **({"style": style} if style else {})}


def emoji(name: str) -> Block:
    """Return a rich-text element for one of our own signs, by Slack's name for it."""
    return {"type": "emoji", "name": name}


def line(*elements: Block) -> Block:
    """Return one paragraph of rich text."""
    return {"type": "rich_text_section", "elements": list(elements)}


def quote(text: str) -> Block:
    """Return typed words as a quotation."""
    return {"type": "rich_text_quote", "elements": pieces(text)}


def code(text: str) -> Block:
    """Return exact values in a box of fixed-width letters."""
    return {"type": "rich_text_preformatted", "elements": pieces(text)}


def rich(parts: Sequence[Block], block_id: str) -> Block:
    """Return a block of rich text; its parts are made by `line`, `quote` and `code`.

    Lines that follow each other become one section with line breaks, as Slack's own editor writes them: how clients
    set several sections apart is not documented.
    """
    elements: list[Block] = []
    for part in parts:
        if elements and part["type"] == elements[-1]["type"] == "rich_text_section":
            elements[-1] = line(*elements[-1]["elements"], words("\n"), *part["elements"])
        else:
            elements.append(part)
    return {"type": "rich_text", "block_id": block_id, "elements": elements}


def plain(text: str, limit: int) -> Block:
    """Return a plain_text object of at most `limit` characters; what is longer ends in `…`."""
    return {"type": "plain_text", "text": clamp(text, limit) or " ", "emoji": False}


def ours(text: str) -> Block:
    """Return a mrkdwn object. For our own fixed words, numbers and ids only: never for anything that was typed."""
    return {"type": "mrkdwn", "text": text}


def clamp(text: str, limit: int) -> str:
    """Return the text, cut to `limit` characters with an ellipsis. Escape before: an escape adds characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def clock(moment: datetime, spelled: str = "{time}") -> str:
    """Return a mrkdwn token that each reader sees in their own time zone, with UTC where Slack cannot do that."""
    return f"<!date^{int(moment.timestamp())}^{spelled}|{moment:%H:%M} UTC>"


def notification(text: str) -> str:
    """Return one line of mrkdwn that reads as the text does.

    `& < >` are escaped, which ends mentions and links. Signs that Slack would pair up (`*` `_` `~` and the backtick),
    read as an emoji (`:name:`), link (`://`) or highlight (`@` `#`) are shown in their full-width form, but only where
    they stand so that they could work: a lone `*` of a path, the commonest case, stays as it is. Entities for them do
    not exist, a backslash would be shown, and an invisible character between would be the very thing that we make
    visible; the full-width form hides nothing, and Unicode calls it the same character.
    """
    shown = " ⏎ ".join(part.strip() for part in text.split("\n"))
    for sign in "*_~`":
        if sum(match[0] == sign for match in _PAIRED.finditer(shown)) > 1:
            shown = _PAIRED.sub(lambda match, sign=sign: _twin(match) if match[0] == sign else match[0], shown)  # type: ignore[misc]
    shown = _STANDING.sub(_twin, shown)
    cut = shown[:MAX_NOTIFICATION].translate(_ENTITIES)
    return (cut if len(shown) <= MAX_NOTIFICATION else f"{cut}…") or " "


def message(text: str, *blocks: Block) -> Block:
    """Return a message: `text` is what notifications say, literal; without blocks it is also all that is shown."""
    shown = list(blocks) or [rich([line(*pieces(text))], "cs_words")]
    return {"text": notification(text), "blocks": shown, "unfurl_links": False, "unfurl_media": False}


def pieces(text: str) -> list[Block]:
    """Return text of any length as elements of rich text."""
    return [words(text[start : start + MAX_ELEMENT]) for start in range(0, max(1, len(text)), MAX_ELEMENT)]


def _twin(match: re.Match[str]) -> str:
    return match[0].translate(_TWINS)
