"""Render a list of requests, and the form that denies some of them: within Slack's limits whatever is in the rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from approvers.card import DENY_PRESETS
from approvers.card_text import cut
from bot.digest import Digest, Row
from bot.surfaces import slack_buttons as buttons
from bot.surfaces.slack_blocks import weight
from bot.surfaces.slack_limits import MAX_MESSAGE
from bot.surfaces.slack_text import Block, clamp, plain
from bot.surfaces.slack_text import message as compose

MAX_TITLE, MAX_TITLE_WEIGHT = 110, 160
MAX_ROW = 400
PER_INPUT = 10
"""Slack's most options of one group of checkboxes."""
VIEW = "cs_digest_view"


def message(digest: Digest, *, console: str) -> Block:
    """Return the message of a list, with as many rows as fit."""
    made = _message(digest, console)
    for count in range(len(digest.rows) - 1, 0, -1):
        if weight(made) < MAX_MESSAGE:
            break
        made = _message(digest.first(count), console)
    return made


def deny_form(digest: Digest) -> Block:
    """Return the form in which rows are chosen and denied, each for itself."""
    parts = [digest.rows[start : start + PER_INPUT] for start in range(0, len(digest.rows), PER_INPUT)]
    blocks = [_choices(number, rows) for number, rows in enumerate(parts)]
    reasons = [{"text": plain(buttons.PRESET_LABELS[name], 75), "value": name} for name in DENY_PRESETS]
    why: Block = {"type": "static_select", "action_id": "why", "placeholder": plain("No reason", 150)}
    blocks.append(_input("why", "Deny because", {**why, "options": reasons}))
    return {
        "type": "modal",
        "callback_id": VIEW,
        "title": plain("Deny several", 24),
        "submit": plain("Deny selected", 24),
        "close": plain("Cancel", 24),
        "blocks": blocks,
    }


def _message(digest: Digest, console: str) -> Block:
    tag = hashlib.sha256("\n".join(digest.lines()).encode()).hexdigest()[:10]
    blocks: list[Block] = [
        {"type": "header", "block_id": f"cs_list_{tag}", "text": plain(clamp(digest.heading, 150), 150)}
    ]
    blocks += [_row(row, f"cs_row_{tag}_{number}") for number, row in enumerate(digest.rows)]
    if digest.more:
        blocks.append({"type": "context", "block_id": f"cs_more_{tag}", "elements": [plain(digest.more, 300)]})
    acts = [buttons.button("cs_digest_deny", "Deny several…", digest.id, "Deny several")] if digest.rows else []
    if acts := [*acts, *buttons.console(console)]:
        blocks.append({"type": "actions", "block_id": f"cs_act_{tag}", "elements": acts})
    return compose(digest.heading, *blocks)


def _row(row: Row, block: str) -> Block:
    shown = plain(f"{_title(row)}\n{row.below}", MAX_ROW)
    review = buttons.button("cs_digest_review", "Review", _value(row), f"Review {row.handle}")
    return {"type": "section", "block_id": block, "text": shown, "accessory": review}


def _choices(number: int, rows: Sequence[Row]) -> Block:
    options = [
        {
            "text": plain(clamp(_title(row), 75), 75),
            "value": _value(row),
            "description": plain(clamp(row.below, 75), 75),
        }
        for row in rows
    ]
    element: Block = {"type": "checkboxes", "action_id": "rows", "options": options}
    return _input(f"rows_{number}", "Which" if number == 0 else "More", element)


def _input(block: str, label: str, element: Block) -> Block:
    return {"type": "input", "block_id": block, "label": plain(label, 75), "element": element, "optional": True}


def _title(row: Row) -> str:
    return cut(row.title, MAX_TITLE, MAX_TITLE_WEIGHT, "see Review")


def _value(row: Row) -> str:
    return f"{row.request_id}.{row.shown}"
