"""Render dialogs: the whole request under Review, its record under Details, a denial in words, a short notice.

A dialog holds what a message cannot: 100 blocks and 250 kB. What even that cannot hold is read in the console, and then
the dialog offers no Approve, for nobody has seen what they would approve.
"""

from __future__ import annotations

from collections.abc import Sequence

from approvers.card import Card, CardFact, fitted
from approvers.card_text import weigh
from bot.surfaces import slack_buttons as buttons
from bot.surfaces import slack_facts, slack_narrow
from bot.surfaces.slack_blocks import fingerprint, heading
from bot.surfaces.slack_form import request_form
from bot.surfaces.slack_home_view import home
from bot.surfaces.slack_text import Block, clock, code, line, ours, pieces, plain, quote, rich, words

__all__ = ["deny_words", "details", "home", "loading", "notice", "request_form", "review", "unjustified_words"]

VIEW_WEIGHT = 170_000
"""What the facts may take in ASCII JSON: with everything around them the dialog stays below Slack's 250 kB."""
PIECE = 8_700
"""Characters of one block of a long fact: three full elements of rich text."""
STORY_WEIGHT = 100_000
"""What the sentences of the record may take of that, beside the half that the facts have then."""
MAX_LINES = 60
MAX_LINE = 600
MAX_WORDS = 3_000
REST = "only in the console"
TOO_BIG = "This request is too big for a dialog: read and answer it in the console."


def loading() -> Block:
    """Return the dialog that is opened at once, since a trigger lives for three seconds only."""
    return {**_modal("Countersign", [_said("Looking it up…", "cs_loading")]), "callback_id": "cs_loading_view"}


def notice(title: str, text: str) -> Block:
    """Return a dialog that says one thing: what came of a click."""
    return {**_modal(title, [_said(text, "cs_notice")]), "callback_id": "cs_notice_view"}


def review(card: Card, console: str) -> Block:
    """Return the whole request, with Approve and Deny at its end, and where it may be, the form to approve less.

    Once it is decided it says so, without them.
    """
    tag = fingerprint(card)
    whole = _whole(card)
    missing = sum(fact.cut for fact in whole)
    blocks = [*_head(card, tag), *_facts(card, whole, tag), *_people(card, tag)]
    if missing:
        blocks.append(
            _said("This request is too big for a dialog: read and answer it in the console.", f"cs_big_{tag}")
        )
    verbs = {one.verb for one in card.buttons}
    actions: list[Block] = []
    if "approve" in verbs:
        actions += [] if missing else [buttons.approve(card, confirmed=True)]
        actions += [buttons.deny(card), buttons.deny_because(card)]
    actions += buttons.console(console, f"requests/{card.request_id}")
    blocks += _actions(actions, tag)
    if card.narrow is None or missing:
        return _about(card, "cs_review_view", f"Review {card.handle}", blocks)
    made = _about(card, "cs_review_view", f"Review {card.handle}", [*blocks, *slack_narrow.inputs(card.narrow, tag)])
    return {**made, "submit": plain(slack_narrow.SUBMIT, 24)}


def details(card: Card, lines: Sequence[str], console: str) -> Block:
    """Return everything about a request: where it stands, all facts, who answered, and its record in sentences."""
    tag = fingerprint(card)
    blocks = [*_head(card, tag), *_facts(card, _whole(card, VIEW_WEIGHT // 2), tag), *_people(card, tag)]
    if lines:
        blocks.append({"type": "header", "block_id": f"cs_log_{tag}", "text": plain("What happened", 150)})
        blocks += _story(lines, tag)
    actions = [buttons.revoke(card)] if any(one.verb == "revoke" for one in card.buttons) else []
    actions += [*buttons.after_review(card), *buttons.console(console, f"requests/{card.request_id}")]
    return _about(card, "cs_details_view", f"Details {card.handle}", [*blocks, *_actions(actions, tag)])


def deny_words(card: Card) -> Block:
    """Return the dialog that asks for the words of a denial; the agent will read them."""
    blocks = _asking(card, "Why not? The agent reads this.", "Say what to ask for instead")
    return {**_about(card, "cs_deny_view", f"Deny {card.handle}", blocks), "submit": plain("Deny", 24)}


def unjustified_words(card: Card) -> Block:
    """Return the dialog that asks why a use of break-glass was not justified; everybody who was told reads that."""
    blocks = _asking(card, "Why was it not justified? Everybody who was told reads this.", "Say what was wrong")
    made = _about(card, "cs_unjustified_view", f"Not justified: {card.handle}", blocks)
    return {**made, "submit": plain("Not justified", 24)}


def _asking(card: Card, label: str, example: str) -> list[Block]:
    """Return what a form for words is made of: what it is about, and the field."""
    ask: Block = {
        "type": "input",
        "block_id": "words",
        "label": plain(label, 2_000),
        "element": {
            "type": "plain_text_input",
            "action_id": "words",
            "multiline": True,
            "max_length": MAX_WORDS,
            "focus_on_load": True,
            "placeholder": plain(example, 150),
        },
    }
    return [rich([line(words(card.push))], f"cs_what_{fingerprint(card)}"), ask]


def _modal(title: str, blocks: list[Block]) -> Block:
    return {"type": "modal", "title": plain(title, 24), "close": plain("Close", 24), "blocks": blocks}


def _about(card: Card, callback: str, title: str, blocks: list[Block]) -> Block:
    return {**_modal(title, blocks), "callback_id": callback, "private_metadata": buttons.value(card)}


def _head(card: Card, tag: str) -> list[Block]:
    first = [line(words(card.headline))] if card.phase == "Waiting" else slack_facts.standing(card)
    return [
        {"type": "header", "block_id": f"cs_head_{tag}", "text": plain(heading(card), 150)},
        rich([*first, *slack_facts.warnings(card)], f"cs_top_{tag}"),
    ]


def _whole(card: Card, weight: int = VIEW_WEIGHT) -> list[CardFact]:
    return list(fitted(card.facts, weight, weight, lines=None, rest=REST))


def _facts(card: Card, whole: Sequence[CardFact], tag: str) -> list[Block]:
    """Return the facts; a long one takes several blocks of its own, the others share one with the risk."""
    blocks: list[Block] = []
    short: list[Block] = []
    for fact in whole:
        if len(fact.text) <= PIECE:
            short += slack_facts.facts([fact])
            continue
        pieces = [fact.text[start : start + PIECE] for start in range(0, len(fact.text), PIECE)]
        form = quote if fact.kind == "quote" else code
        blocks.append(rich([*short, line(words(fact.label, bold=True)), form(pieces[0])], f"cs_f{len(blocks)}_{tag}"))
        for piece in pieces[1:]:
            blocks.append(rich([form(piece)], f"cs_f{len(blocks)}_{tag}"))
        short = []
    return [*blocks, rich([*short, slack_facts.risk(card, 10_000)], f"cs_f{len(blocks)}_{tag}")]


def _people(card: Card, tag: str) -> list[Block]:
    """Return who is asked, who answered, who may answer for whom, and until when."""
    waits = card.phase == "Waiting"
    asked = (card.asked, f"{card.quorum} approved") if waits else ()
    said = [text for text in (*asked, *card.answers[-20:], *card.stand_ins[:20]) if text]
    blocks = [rich([line(words(text[:MAX_LINE])) for text in said], f"cs_who_{tag}")] if said else []
    until = f"  ·  answer until {clock(card.expires_at)}" if waits else ""
    foot = ours(f"*{card.handle}*  ·  {card.request_id}{until}")
    return [*blocks, {"type": "context", "block_id": f"cs_foot_{tag}", "elements": [foot]}]


def _story(lines: Sequence[str], tag: str) -> list[Block]:
    """Return the newest lines in their order, as many as fit, and how many earlier ones there are."""
    weight, fitting = 0, list[str]()
    for one in reversed([text[:MAX_LINE] for text in lines[-MAX_LINES:]]):
        weight += weigh(one)
        if weight > STORY_WEIGHT:
            break
        fitting.insert(0, one)
    newest = [line(words(one)) for one in fitting]
    if earlier := len(lines) - len(fitting):
        newest.insert(0, line(words(f"{earlier} earlier lines are in the console.", italic=True)))
    return [rich(newest[start : start + 20], f"cs_log{start}_{tag}") for start in range(0, len(newest), 20)]


def _actions(elements: list[Block], tag: str) -> list[Block]:
    return [{"type": "actions", "block_id": f"cs_act_{tag}", "elements": elements}] if elements else []


def _said(text: str, block_id: str) -> Block:
    shown = text if len(text) <= MAX_WORDS else f"{text[:MAX_WORDS]}… [{len(text) - MAX_WORDS:,} more characters]"
    return rich([line(*pieces(shown))], block_id)
