"""Render the answer to a command as one Adaptive Card: whatever it holds, it can be sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from approvers.card import Card
from bot.replies import BULLET, MAX_CHOICES, MAX_ROWS, Choice, Reply, Row, RowButton
from bot.surfaces import teams_buttons as buttons
from bot.surfaces import teams_card
from bot.surfaces import teams_text as text
from bot.surfaces.teams_fields import choice
from bot.surfaces.teams_text import TARGET, Block, marked, plain

MAX_TITLE, MAX_LINE, MAX_ROW = 300, 700, 300
MAX_LINES = 60
MAX_COMMAND = 150
SMALLER = (None, 1_800, 600, 0)
"""What the facts of a reply's card may take, tried in this order until the reply is small enough."""


def render(reply: Reply, console: str = "") -> Block:
    """Return the card, for one person only. `console` is the server's own address, for links.

    Where it would be too large, rows and then lines are left out, and it says how many.
    """
    kept = _less(reply, reply, lines=MAX_LINES, rows=MAX_ROWS, choices=MAX_CHOICES)
    for room in SMALLER:
        made = _made(reply, kept, console, room)
        if reply.card is None or text.size(made) <= TARGET:
            break
    while text.size(made) > TARGET:
        name = next((name for name in ("rows", "choices", "lines") if getattr(kept, name)), None)
        if name is None:
            break
        kept = _less(reply, kept, **{name: len(getattr(kept, name)) * 9 // 10})
        made = _made(reply, kept, console, room)
    return made


def _less(reply: Reply, kept: Reply, **most: int) -> Reply:
    """Keep so many of a reply's rows, choices or lines; rows that are left out are counted."""
    cut: dict[str, Any] = {name: getattr(kept, name)[:count] for name, count in most.items()}
    kept = replace(kept, **cut)
    return replace(kept, hidden=reply.hidden + len(reply.rows) - len(kept.rows))


def _made(reply: Reply, kept: Reply, console: str, room: int | None) -> Block:
    headed = reply.card is None or bool(reply.lines)  # a card has a heading of its own
    body = _head(kept, len(reply.lines) - len(kept.lines)) if headed else []
    body += [_row(row, console) for row in kept.rows]
    if kept.hidden:
        body.append(_small(f"and {kept.hidden} more: they are in the console."))
    if reply.card is not None:
        body += _card(reply.card, console, room)
    body += _picker(kept.choices)
    if left := len(reply.choices) - len(kept.choices):
        body.append(_small(f"and {left} more to choose from: give the id instead."))
    body += buttons.row(_links(kept, console))
    return text.card(body, ". ".join([reply.title, *reply.lines[:1]]))


def _head(reply: Reply, left: int) -> list[Block]:
    """Return title and lines, and how many are left out; one that belongs to the line before it stands below it."""
    made = [marked(plain(reply.title, MAX_TITLE) or " ", weight="Bolder", size="Medium")]
    for line in reply.lines:
        below = line.startswith(BULLET)
        made.append(marked(plain(line, MAX_LINE) or " ", spacing="None" if below else "Small"))
    if left:
        made.append(_small(f"and {left} more lines."))
    return made


def _row(row: Row, console: str) -> Block:
    """Return a row: what it is on the left, what can be done on the right."""
    told = [
        marked(plain(f"{row.handle}  {row.title}", MAX_ROW), weight="Bolder"),
        marked(plain(row.detail, MAX_ROW) or " ", isSubtle=True, spacing="None"),
    ]
    acts = [act for name in row.buttons for act in _button(row, name, console)] if row.request else []
    columns = [{"type": "Column", "width": "stretch", "items": told}]
    if acts:
        columns.append({"type": "Column", "width": "auto", "items": buttons.row(acts)})
    return {"type": "ColumnSet", "separator": True, "columns": columns}


def _button(row: Row, name: RowButton, console: str) -> list[Block]:
    """Return what a row's button is here: Review opens the console; without its address, Show is what there is."""
    about = (row.request or "", row.shown)
    match name:
        case "review":
            return buttons.review(row.request or "", console) or [buttons.show(about, row.handle)]
        case "revoke":
            return [buttons.revoke_row(about, row.handle)]
        case "show":
            return [buttons.show(about, row.handle)]


def _card(card: Card, console: str, room: int | None) -> list[Block]:
    """Return the card, with Review in place of its answers: a private copy is never updated, so it decides nothing."""
    verbs = {one.verb for one in card.buttons}
    review = buttons.review(card.request_id, console) if "approve" in verbs else []
    acts = [*review, *([buttons.revoke(card)] if "revoke" in verbs else [])]
    acts.append(buttons.details(card))
    acts += [] if review else buttons.link(console, f"requests/{card.request_id}")
    blocks, _ = teams_card.body(card, room=room)
    return [*blocks, *buttons.row(acts, spacing="Medium"), teams_card.footer(card)]


def _picker(choices: tuple[Choice, ...]) -> list[Block]:
    fitting = list({one.command: one.label for one in choices if len(one.command) <= MAX_COMMAND}.items())[:MAX_CHOICES]
    if not fitting:
        return []
    pick = buttons.execute("pick", "Go", None, spoken="Go with the choice", inputs=True)
    return [choice("command", "Which one?", fitting, missing="Choose one."), *buttons.row([pick])]


def _links(reply: Reply, console: str) -> list[Block]:
    """Return the link of the reply; a list that was cut leads to the console's."""
    if reply.link and reply.card is None:
        return [buttons.url(*reply.link)]
    return buttons.link(console) if reply.hidden else []


def _small(said: str) -> Block:
    return text.words(said, size="Small", isSubtle=True)
