"""The checker refuses each thing that Slack would, or that we never send, and names the place."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from bot.surfaces.slack_limits import NotSendable, check_sendable
from tests.bot.slack import gallery

CARD = gallery.messages()["medium"]
FORM = gallery.views()["view-request"]
HOME = gallery.views()["view-home"]
PLAIN = {"type": "plain_text", "text": "x", "emoji": False}
BUTTON = {"type": "button", "action_id": "b", "text": PLAIN}


def section(**fields: Any) -> dict[str, Any]:
    return {"type": "section", "text": PLAIN, **fields}


def actions(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements)}


def select(count: int, **fields: Any) -> dict[str, Any]:
    options = [{"text": PLAIN, "value": f"v{number}"} for number in range(count)]
    return {"type": "static_select", "action_id": "s", "options": options, **fields}


def rich(element: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [element]}]}


def text(count: int) -> dict[str, Any]:
    return {**PLAIN, "text": "x" * count}


def marked(words: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": words}]}


BAD_BLOCKS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown type": ({"type": "carousel"}, "blocks[0].type"),
    "no type": ({}, "blocks[0].type"),
    "unknown field": (section(colour="red"), "blocks[0].colour"),
    "header of 151": ({"type": "header", "text": text(151)}, "blocks[0].text.text"),
    "mrkdwn header": ({"type": "header", "text": {"type": "mrkdwn", "text": "x"}}, "blocks[0].text.type"),
    "section of 3001": (section(text=text(3_001)), "blocks[0].text.text"),
    "empty section": (section(text=text(0)), "blocks[0].text.text"),
    "section of nothing": ({"type": "section"}, "blocks[0]"),
    "eleven fields": (section(fields=[PLAIN] * 11), "blocks[0].fields"),
    "a field of 2001": (section(fields=[text(2_001)]), "blocks[0].fields[0].text"),
    "no actions": (actions(), "blocks[0].elements"),
    "26 actions": (actions(*({**BUTTON, "action_id": f"b{n}"} for n in range(26))), "blocks[0].elements"),
    "same action twice": (actions(BUTTON, BUTTON), "blocks[0]"),
    "two primary": (
        actions({**BUTTON, "style": "primary"}, {**BUTTON, "action_id": "c", "style": "primary"}),
        "blocks[0]",
    ),
    "label of 76": (actions({**BUTTON, "text": text(76)}), "blocks[0].elements[0].text.text"),
    "value of 2001": (actions({**BUTTON, "value": "x" * 2_001}), "blocks[0].elements[0].value"),
    "url of 3001": (actions({**BUTTON, "url": "x" * 3_001}), "blocks[0].elements[0].url"),
    "bad style": (actions({**BUTTON, "style": "green"}), "blocks[0].elements[0].style"),
    "spoken 76": (actions({**BUTTON, "accessibility_label": "x" * 76}), "blocks[0].elements[0].accessibility_label"),
    "action_id of 256": (actions({**BUTTON, "action_id": "x" * 256}), "blocks[0].elements[0].action_id"),
    "no options": (actions(select(0)), "blocks[0].elements[0].options"),
    "101 options": (actions(select(101)), "blocks[0].elements[0].options"),
    "option text of 76": (
        actions({**select(1), "options": [{"text": text(76), "value": "v"}]}),
        "blocks[0].elements[0].options[0].text.text",
    ),
    "option value of 151": (
        actions({**select(1), "options": [{"text": PLAIN, "value": "v" * 151}]}),
        "blocks[0].elements[0].options[0].value",
    ),
    "placeholder of 151": (actions(select(1, placeholder=text(151))), "blocks[0].elements[0].placeholder.text"),
    "six in an overflow": (actions({**select(6), "type": "overflow"}), "blocks[0].elements[0].options"),
    "eleven checkboxes": (actions({**select(11), "type": "checkboxes"}), "blocks[0].elements[0].options"),
    "eleven in a context": ({"type": "context", "elements": [PLAIN] * 11}, "blocks[0].elements"),
    "block_id of 256": (section(block_id="x" * 256), "blocks[0].block_id"),
    "emoji on": (section(text={**PLAIN, "emoji": True}), "blocks[0].text.emoji"),
    "empty rich text": (rich({"type": "text", "text": ""}), "blocks[0].elements[0].elements[0].text"),
    "a broadcast": (rich({"type": "broadcast", "range": "here"}), "blocks[0].elements[0].elements[0].type"),
    "a link": (rich({"type": "link", "url": "https://x"}), "blocks[0].elements[0].elements[0].type"),
    "a user": (rich({"type": "user", "user_id": "U01"}), "blocks[0].elements[0].elements[0].type"),
    "unknown style": (
        rich({"type": "text", "text": "x", "style": {"blink": True}}),
        "blocks[0].elements[0].elements[0].style.blink",
    ),
    "a mention in mrkdwn": (marked("hi <!here>"), "blocks[0].elements[0].text"),
    "a link in mrkdwn": (marked("<https://evil.example|click>"), "blocks[0].elements[0].text"),
    "confirm of 301": (
        actions({**BUTTON, "confirm": {"title": PLAIN, "text": text(301), "confirm": PLAIN, "deny": PLAIN}}),
        "blocks[0].elements[0].confirm.text.text",
    ),
    "confirm without deny": (
        actions({**BUTTON, "confirm": {"title": PLAIN, "text": PLAIN, "confirm": PLAIN}}),
        "blocks[0].elements[0].confirm.deny",
    ),
    "an input in a message": (FORM["blocks"][0], "blocks[0].type"),
}


def refused(made: dict[str, Any]) -> str:
    with pytest.raises(NotSendable) as caught:
        check_sendable(made)
    return caught.value.path


@pytest.mark.parametrize("name", BAD_BLOCKS)
def test_a_bad_block_is_refused_by_its_place(name: str):
    block, path = BAD_BLOCKS[name]
    assert refused({"text": "x", "blocks": [block]}) == path


def change(base: dict[str, Any], alter: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    made = copy.deepcopy(base)
    alter(made)
    return made


BAD_WHOLES: dict[str, tuple[dict[str, Any], Callable[[dict[str, Any]], Any], str]] = {
    "no text": (CARD, lambda made: made.pop("text"), "text"),
    "text of 4001": (CARD, lambda made: made.update(text="x" * 4_001), "text"),
    "a mention in the text": (CARD, lambda made: made.update(text="<@U01>"), "text"),
    "51 blocks": (CARD, lambda made: made.update(blocks=[section()] * 51), "blocks"),
    "no blocks": (CARD, lambda made: made.update(blocks=[]), "blocks"),
    "too big": (CARD, lambda made: made.update(blocks=[section(text=text(2_900)) for _ in range(5)]), "blocks"),
    "block_id twice": (CARD, lambda made: made["blocks"].append(made["blocks"][0]), "blocks"),
    "unfurls": (CARD, lambda made: made.update(unfurl_links=True), "unfurl_links"),
    "for all": (CARD, lambda made: made.update(response_type="in_channel"), "response_type"),
    "link_names": (CARD, lambda made: made.update(link_names=True), "link_names"),
    "title of 25": (FORM, lambda made: made.update(title=text(25)), "title.text"),
    "submit of 25": (FORM, lambda made: made.update(submit=text(25)), "submit.text"),
    "no submit": (FORM, lambda made: made.pop("submit"), "blocks[0]"),
    "101 blocks in a view": (FORM, lambda made: made.update(blocks=[section()] * 101), "blocks"),
    "metadata of 3001": (FORM, lambda made: made.update(private_metadata="x" * 3_001), "private_metadata"),
    "callback_id of 256": (FORM, lambda made: made.update(callback_id="x" * 256), "callback_id"),
    "label of 2001": (FORM, lambda made: made["blocks"][0].update(label=text(2_001)), "blocks[0].label.text"),
    "input of 3001": (
        FORM,
        lambda made: made["blocks"][1]["element"].update(max_length=3_001),
        "blocks[1].element.max_length",
    ),
    "a button as input": (FORM, lambda made: made["blocks"][0].update(element=BUTTON), "blocks[0].element.type"),
    "a view of 250 kB": (
        FORM,
        lambda made: made.update(blocks=[section(text=text(3_000)) for _ in range(90)], submit=PLAIN),
        "blocks",
    ),
    "a title on Home": (HOME, lambda made: made.update(title=PLAIN), "title"),
    "no such view": (HOME, lambda made: made.update(type="workflow_step"), ".type"),
    "text that is none": (CARD, lambda made: made.update(text=7), "text"),
    "blocks that are none": (CARD, lambda made: made.update(blocks="x"), "blocks"),
    "a block that is none": (CARD, lambda made: made.update(blocks=["x"]), "blocks[0].type"),
}


@pytest.mark.parametrize("name", BAD_WHOLES)
def test_a_bad_message_or_view_is_refused_by_its_place(name: str):
    base, alter, path = BAD_WHOLES[name]
    made = change(base, alter)
    if name == "a view of 250 kB":
        made["private_metadata"] = "x" * 3_000
    assert refused(made) == path


def test_the_bounds_themselves_are_taken():
    check_sendable({"text": "x" * 4_000, "blocks": [section() for _ in range(50)]})
    check_sendable({"text": "x", "blocks": [actions(select(100, placeholder=text(150)))][:1]})
    check_sendable({"text": "x", "blocks": [section(text=text(3_000), fields=[text(2_000)] * 2), {"type": "divider"}]})
    check_sendable({"text": "x", "blocks": [marked("ends <!date^1795170600^{time}|10:30 UTC>")]})
    check_sendable({"text": "x", "blocks": [section()], "response_type": "ephemeral", "replace_original": False})
