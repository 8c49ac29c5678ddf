"""Render App Home: what waits for me, what is live, what I decided. One block per row, one button each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from approvers.card import Card
from bot.surfaces import slack_buttons as buttons
from bot.surfaces.slack_text import Block, clamp, clock, line, ours, plain, rich, words

MAX_ROWS = 20
MAX_ROW = 700
MAX_NOTE = 600
Button = Callable[[Card], Block]


def home(
    waiting: Sequence[Card],
    live: Sequence[Card],
    decided: Sequence[Card],
    *,
    as_of: datetime | None,
    note: str = "",
    console: str = "",
    frozen: str | None = None,
) -> Block:
    """Return the Home tab of one person.

    Args:
        waiting: what waits for this person's answer; the first 20 of each list are shown, with a count of the others.
        live: the grants that have not ended.
        decided: what this person answered, newest first.
        as_of: when this was read; Home shows a moment, not a stream. None: nothing could be, and `note` says why.
        note: what came of this person's last click here.
        console: the server's own address, for the link.
        frozen: why approvals are stopped, if they are.
    """
    blocks: list[Block] = []
    if frozen is not None:
        stopped = [words("Approvals are stopped.", bold=True, code=True), words(f" {clamp(frozen, MAX_NOTE)}")]
        blocks.append(rich([line(*stopped)], "cs_frozen"))
    if note:
        blocks.append(rich([line(words(clamp(note, MAX_NOTE), bold=True))], "cs_note"))
    if as_of is not None:
        blocks += _list("wait", "Waits for you", "Nothing.", [_row(one, buttons.review, _until) for one in waiting])
        blocks += _list("live", "Live", "No credential is alive.", [_row(one, _revoke, _status) for one in live])
        blocks += _list("done", "You decided", "Nothing lately.", [_row(one, buttons.show, _status) for one in decided])
    refresh = buttons.button("cs_home_refresh", "Refresh", "home", "Refresh this page")
    blocks.append({"type": "actions", "block_id": "cs_act", "elements": [refresh, *buttons.console(console)]})
    if as_of is not None:
        when = ours(f"As of {clock(as_of, '{time_secs}')}")
        blocks.append({"type": "context", "block_id": "cs_as_of", "elements": [when]})
    return {"type": "home", "callback_id": "cs_home_view", "blocks": blocks}


def _list(name: str, title: str, empty: str, rows: Sequence[Block]) -> list[Block]:
    count = f" ({len(rows)})" if rows else ""
    blocks: list[Block] = [{"type": "header", "block_id": f"cs_{name}", "text": plain(f"{title}{count}", 150)}]
    blocks += [{**row, "block_id": f"cs_{name}_{number}"} for number, row in enumerate(rows[:MAX_ROWS])]
    if len(rows) > MAX_ROWS:
        rest = f"The first {MAX_ROWS} of {len(rows)} are shown; the others are in the console."
        blocks.append({"type": "context", "block_id": f"cs_{name}_more", "elements": [plain(rest, 300)]})
    if not rows:
        blocks.append({"type": "context", "block_id": f"cs_{name}_none", "elements": [plain(empty, 300)]})
    return blocks


def _row(card: Card, button: Button, below: Callable[[Card], str]) -> Block:
    who, _, what = card.push.partition(" · ")[0].partition(" → ")
    shown = plain(f"{what}\n{card.handle} · {who} · {below(card)}", MAX_ROW)
    accessory = {name: value for name, value in button(card).items() if name != "style"}  # no list of green buttons
    return {"type": "section", "text": shown, "accessory": accessory}


def _revoke(card: Card) -> Block:
    """Offer Revoke while there is something to take away, else Show."""
    return buttons.revoke(card) if any(one.verb == "revoke" for one in card.buttons) else buttons.show(card)


def _until(card: Card) -> str:
    flag = "" if card.headline_covers else "\nHeadline does not cover the credential"
    risk = f"{card.risk_level.upper()} {card.risk_score}"
    return f"{risk} · {card.quorum} · until {card.expires_at:%H:%M} UTC{flag}"


def _status(card: Card) -> str:
    return card.status
