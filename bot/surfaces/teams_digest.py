"""Render a list of requests as one Adaptive Card, with what denies some of them.

Whatever is in the rows, it can be sent. A row opens its request in the console; nothing in a list approves.
"""

from __future__ import annotations

from collections.abc import Sequence

from approvers.card import DENY_PRESETS
from approvers.card_text import cut
from bot.digest import Digest, Row
from bot.surfaces import teams_buttons as buttons
from bot.surfaces import teams_text as text
from bot.surfaces.teams_fields import choice
from bot.surfaces.teams_text import TARGET, Block, words

DENY_MANY = "deny_many"
ROWS, WHY = "rows", "preset"
"""The inputs that travel with a denial of several."""
MAX_TITLE, MAX_TITLE_WEIGHT, MAX_BELOW = 110, 160, 400
MAX_CHOICE = 90
CHOOSE = "Choose at least one; nothing is decided yet."


def message(digest: Digest, *, console: str) -> Block:
    """Return the card of a list, with as many rows as fit. `console` is the server's own address, for links."""
    made = _message(digest, console)
    for count in range(len(digest.rows) - 1, 0, -1):
        if text.size(made) <= TARGET:
            break
        made = _message(digest.first(count), console)
    return made


def bare(digest: Digest, *, console: str) -> Block:
    """Return a card of one sentence and the way to the console: nothing to refuse in it."""
    return text.card([words(digest.heading), *buttons.row(buttons.link(console))], digest.heading)


def _message(digest: Digest, console: str) -> Block:
    body = [words(digest.heading, size="Medium", weight="Bolder", style="heading")]
    body += [_row(row, console) for row in digest.rows]
    if hidden := digest.waiting - len(digest.rows):
        body.append(words(f"and {hidden} more: they are in the console.", size="Small", isSubtle=True))
    acts = [_deny_several(digest.rows)] if digest.rows else []
    body += buttons.row([*acts, *buttons.link(console)], spacing="Medium")
    return text.card(body, digest.heading)


def _row(row: Row, console: str) -> Block:
    """Return a row: what it is on the left, and on the right what opens it."""
    told = [
        words(cut(row.title, MAX_TITLE, MAX_TITLE_WEIGHT, "see Review"), weight="Bolder"),
        words(text.clamp(row.below, MAX_BELOW), size="Small", isSubtle=True, spacing="None"),
    ]
    columns: list[Block] = [{"type": "Column", "width": "stretch", "items": told}]
    if review := buttons.review(row.request_id, console):
        columns.append({"type": "Column", "width": "auto", "items": buttons.row(review)})
    return {"type": "ColumnSet", "separator": True, "columns": columns}


def _deny_several(rows: Sequence[Row]) -> Block:
    """Return the button that unfolds what denies some rows, each for itself."""
    which = [(f"{row.request_id}.{row.shown}", text.clamp(f"{row.handle} · {row.title}", MAX_CHOICE)) for row in rows]
    why = [(name, said.removesuffix(".")) for name, said in DENY_PRESETS.items()]
    return {
        "type": "Action.ShowCard",
        "title": "Deny several…",
        "card": {
            "type": "AdaptiveCard",
            "body": [
                choice(ROWS, "Which", which, missing=CHOOSE, several=True),
                choice(WHY, "Deny because", why, placeholder="No reason"),
            ],
            "actions": [buttons.execute(DENY_MANY, "Deny selected", None, spoken="Deny what is selected", inputs=True)],
        },
    }
