"""Render a card as a Slack message: what decides comes first, on a phone as on a desk.

Every text that somebody typed goes into rich text or plain text; mrkdwn holds only our own words, numbers and times.
A message is always sent whole, with new block ids at every change: an update without blocks would leave live buttons.
"""

from __future__ import annotations

import hashlib
import json

from approvers.card import POINTS_WEIGHT, Card
from approvers.card_text import cut
from bot.surfaces import slack_buttons as buttons
from bot.surfaces import slack_facts
from bot.surfaces.slack_text import Block, clock, line, ours, plain, rich, words
from bot.surfaces.slack_text import message as compose

MAX_HEADER = 150
MAX_NOTE = 180
"""Characters of a smaller line, such as who may answer for whom."""


def message(card: Card, *, console: str, channel_note: str = "") -> Block:
    """Return the message of a card.

    Args:
        card: as it stands.
        console: the server's own address, for the link.
        channel_note: a line for this place only, such as that somebody answers for somebody else.
    """
    tag = fingerprint(card, channel_note)
    blocks: list[Block] = [{"type": "header", "block_id": f"cs_head_{tag}", "text": plain(heading(card), MAX_HEADER)}]
    blocks += _top(card, tag)
    points = POINTS_WEIGHT if slack_facts.is_whole(card) else POINTS_WEIGHT // 2
    risk = slack_facts.risk(card, points, sign=card.phase != "Waiting")
    blocks.append(rich([*slack_facts.of_card(card), risk], f"cs_facts_{tag}"))
    blocks += _notes(card, channel_note, tag)
    blocks.append({"type": "actions", "block_id": f"cs_act_{tag}", "elements": _actions(card, console)})
    blocks.append(_footer(card, tag))
    return compose(card.push, *blocks)


def heading(card: Card) -> str:
    """Return verb and object, with the state before them once it no longer waits."""
    return card.title if card.phase == "Waiting" else f"{card.phase}: {card.title}"


def fingerprint(card: Card, note: str = "") -> str:
    """Return a short hash of what the card shows, for block ids that are new at each change."""
    return hashlib.sha256(f"{card.model_dump_json(exclude={'narrow'})}\n{note}".encode()).hexdigest()[:10]


def weight(message_or_view: Block) -> int:
    """Return how many characters the blocks take in the dearest form in which they may be counted."""
    return len(json.dumps(message_or_view["blocks"]))


def _top(card: Card, tag: str) -> list[Block]:
    """Return the lines that must be read even if nothing else is."""
    flags = slack_facts.warnings(card)
    if card.phase != "Waiting":
        return [rich([*slack_facts.standing(card), *flags], f"cs_top_{tag}")]
    sign = slack_facts.RISK_SIGNS[card.risk_level]
    glance = (
        f":{sign}: *{card.risk_level.upper()} {card.risk_score}*  ·  *{card.quorum}* approved"
        f"  ·  answer until *{clock(card.expires_at)}*"
    )
    top: list[Block] = [{"type": "section", "block_id": f"cs_top_{tag}", "text": ours(glance)}]
    more = [*([line(words(card.news, bold=True))] if card.news else []), *flags]
    return [*top, rich(more, f"cs_flags_{tag}")] if more else top


def _notes(card: Card, note: str, tag: str) -> list[Block]:
    """Return why the reader is asked, who answered last, who may answer for whom; Details has all of it."""
    lines = [card.asked, *card.answers[-2:], "; ".join(card.stand_ins)] if card.phase == "Waiting" else []
    elements = [plain(cut(one, MAX_NOTE, 2 * MAX_NOTE, "see Details"), 2 * MAX_NOTE) for one in (*lines, note) if one]
    return [{"type": "context", "block_id": f"cs_notes_{tag}", "elements": elements}] if elements else []


def _actions(card: Card, console: str) -> list[Block]:
    verbs = {one.verb for one in card.buttons}
    made: list[Block] = []
    if "approve" in verbs:
        first = buttons.review(card) if card.review_first else buttons.approve(card, confirmed=False)
        made += [first, buttons.deny(card), buttons.deny_because(card)]
        made += [buttons.less(card)] if card.narrow and not card.review_first else []
    if "revoke" in verbs:
        made.append(buttons.revoke(card))
    made += buttons.after_review(card)
    return [*made, buttons.details(card), *buttons.console(console, f"requests/{card.request_id}")]


def _footer(card: Card, tag: str) -> Block:
    parts = [f"*{card.handle}*", card.request_id]
    if card.phase == "Live" and card.ends_at:
        parts.insert(0, f"ends {clock(card.ends_at, '{time_secs}')}")
    return {"type": "context", "block_id": f"cs_foot_{tag}", "elements": [ours("  ·  ".join(parts))]}
