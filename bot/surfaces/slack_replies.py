"""Render the answer to a command as one private Slack message: whatever it holds, it can be sent.

Every text of a reply may be anybody's, so all of it goes into rich or plain text, which Slack does not parse.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from approvers.card import Card, visible
from bot.replies import BULLET, MAX_CHOICES, MAX_ROWS, Choice, Reply, Row, RowButton
from bot.surfaces import slack_blocks, slack_buttons
from bot.surfaces.slack_text import Block, clamp, line, message, plain, words

MAX_WEIGHT = 11_500
"""Characters of the blocks in ASCII JSON; Slack refuses about 13,000. A card alone may be a little larger."""
MAX_TITLE, MAX_LINE, MAX_ROW, MAX_CONTEXT = 300, 700, 600, 300
MAX_LINES = 60
MAX_COMMAND = 150
_BUTTONS: dict[RowButton, tuple[str, str, str | None]] = {
    "show": ("cs_show", "Show", None),
    "review": ("cs_review", "Review", "primary"),
    "revoke": ("cs_revoke", "Revoke", "danger"),
}
"""Row button → action_id, label, style."""


def render(reply: Reply, *, console: str = "") -> Block:
    """Return the message, for one person only. `console` is the server's own address, for links.

    Where it would be too large, rows and then lines are left out, and it says how many.
    """
    kept = _less(reply, reply, lines=MAX_LINES, rows=MAX_ROWS, choices=MAX_CHOICES)
    headed = reply.card is None or bool(reply.lines)  # a card has a heading of its own
    while len(json.dumps(blocks := _blocks(kept, console, headed))) > MAX_WEIGHT:
        name = next((name for name in ("rows", "choices", "lines") if getattr(kept, name)), None)
        if name is None:
            break
        kept = _less(reply, kept, **{name: len(getattr(kept, name)) * 9 // 10})
    if left := len(reply.choices) - len(kept.choices):
        blocks.append(_small(f"and {left} more to choose from: give the id instead."))
    made = message(_spoken(reply), *blocks)
    return {"response_type": "ephemeral", "text": made["text"], "blocks": made["blocks"]}


def _less(reply: Reply, kept: Reply, **most: int) -> Reply:
    """Keep so many of a reply's rows, choices or lines; rows that are left out are counted."""
    cut: dict[str, Any] = {name: getattr(kept, name)[:count] for name, count in most.items()}
    kept = replace(kept, **cut)
    return replace(kept, hidden=reply.hidden + len(reply.rows) - len(kept.rows))


def _small(text: str) -> Block:
    return {"type": "context", "elements": [plain(text, MAX_CONTEXT)]}


def _blocks(reply: Reply, console: str, headed: bool) -> list[Block]:
    blocks = [_head(reply)] if headed else []
    blocks += [_row(row) for row in reply.rows] if all(len(row.buttons) < 2 for row in reply.rows) else _wide(reply)
    if reply.hidden:
        blocks.append(_small(f"and {reply.hidden} more: they are in the console."))
    if reply.card is not None:
        blocks += _card(reply.card, console)
    if elements := [*_picker(reply.choices), *_links(reply, console)]:
        blocks.append({"type": "actions", "elements": elements})
    return blocks


def _head(reply: Reply) -> Block:
    """Return title and lines as one block."""
    parts = [line(words(_shown(reply.title, MAX_TITLE), bold=True))]
    for below, group in groupby(reply.lines, key=lambda text: text.startswith(BULLET)):
        told = [line(words(_shown(text.removeprefix(BULLET) if below else text, MAX_LINE))) for text in group]
        parts += [{"type": "rich_text_list", "style": "bullet", "elements": told}] if below else told
    return {"type": "rich_text", "elements": parts}


def _row(row: Row) -> Block:
    """Return a row as one block: on a phone the button stands beside two lines."""
    made: Block = {
        "type": "section",
        "text": plain(_shown(f"{row.handle}  {row.title}\n{row.detail}", MAX_ROW), MAX_ROW),
    }
    return {**made, "accessory": _button(row, row.buttons[0])} if row.buttons and row.request else made


def _wide(reply: Reply) -> list[Block]:
    """Return rows with several buttons each: two blocks a row."""
    blocks: list[Block] = []
    for row in reply.rows:
        blocks.append(_row(replace(row, buttons=())))
        if row.buttons and row.request:
            blocks.append({"type": "actions", "elements": [_button(row, name) for name in row.buttons]})
    return blocks


def _button(row: Row, name: RowButton) -> Block:
    action, label, style = _BUTTONS[name]
    return slack_buttons.button(action, label, f"{row.request}.{row.shown}", f"{label} {row.handle}", style)


def _card(card: Card, console: str) -> list[Block]:
    """Return the card, with Review in place of its answers: a private copy is never updated, so it decides nothing."""
    verbs = {one.verb for one in card.buttons}
    makers: list[Callable[[Card], Block]] = [slack_buttons.review] if "approve" in verbs else []
    makers += [slack_buttons.revoke] if "revoke" in verbs else []
    actions = [*(make(card) for make in makers), slack_buttons.details(card)]
    actions += slack_buttons.console(console, f"requests/{card.request_id}")
    whole: list[Block] = slack_blocks.message(card, console=console)["blocks"]
    return [{**block, "elements": actions} if block["type"] == "actions" else block for block in whole]


def _picker(choices: Sequence[Choice]) -> list[Block]:
    fitting = [one for one in choices if len(one.command) <= MAX_COMMAND][:MAX_CHOICES]
    if not fitting:
        return []
    options = [{"text": plain(_shown(one.label, 75), 75), "value": one.command} for one in fitting]
    return [{"type": "static_select", "action_id": "cs_pick", "placeholder": plain("Choose…", 150), "options": options}]


def _links(reply: Reply, console: str) -> list[Block]:
    """Return the link of the reply; a list that was cut leads to the console's."""
    if reply.link and reply.card is None:
        label, url = reply.link
        made: dict[str, Any] = {"type": "button", "action_id": "cs_console", "text": plain(label, 75), "url": url}
        return [made]
    return slack_buttons.console(console) if reply.hidden else []


def _spoken(reply: Reply) -> str:
    """Return what a screen reader says: title and first line."""
    return ". ".join(_shown(text, MAX_LINE) for text in [reply.title, *reply.lines[:1]])


def _shown(text: str, limit: int) -> str:
    """Return the text with everything invisible spelled out, cut at `limit`."""
    return clamp(visible(text, 20 * limit), limit)
