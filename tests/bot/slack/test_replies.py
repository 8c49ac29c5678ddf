"""Answers as Slack messages: whatever they hold, they can be sent, and nothing in them becomes markup."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers.card import render as render_card
from bot.replies import BULLET, Choice, Reply, Row
from bot.surfaces.slack_limits import check_sendable
from bot.surfaces.slack_replies import MAX_WEIGHT, render
from tests.bot.slack import gallery
from tests.bot.slack.gallery import CONSOLE
from tests.worlds import samples

REQUEST = f"req_{'0' * 26}"
SHOWN = "a" * 32
NASTY = "<!channel> <@U01> *bold* `code` :tada: https://evil.example & \u202egnp.exe\u200b\x07"
HIDDEN = {"\u202e", "\u200b", "\x07"}
buttons = st.lists(st.sampled_from(["show", "review", "revoke"]), max_size=3, unique=True).map(tuple)
words = st.text(max_size=800) | st.just(NASTY)
rows = st.builds(Row, st.just(REQUEST) | st.none(), st.just("K7QF"), words, words, buttons, st.just(SHOWN))
choices = st.builds(Choice, words, st.text("showrevk req_1:.", min_size=1, max_size=200))  # ours
replies = st.builds(
    Reply,
    words,
    st.lists(words | words.map(lambda text: BULLET + text), max_size=80).map(tuple),
    st.lists(rows, max_size=25).map(tuple),
    st.integers(0, 500),
    st.lists(choices, max_size=3).map(tuple),
    link=st.none() | st.just(("Open", CONSOLE)),
)


def strings(node: Any) -> Iterator[str]:
    """Yield every text in the message."""
    if isinstance(node, str):
        yield node
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from strings(value)


def marked(node: Any) -> Iterator[str]:
    """Yield the text of every mrkdwn object."""
    if isinstance(node, dict):
        if node.get("type") == "mrkdwn":
            yield node["text"]
        for value in node.values():
            yield from marked(value)
    elif isinstance(node, list):
        for value in node:
            yield from marked(value)


@given(replies)
def test_any_reply_can_be_sent_and_holds_no_markup(reply: Reply) -> None:
    message = render(reply, console=CONSOLE)
    check_sendable(message)
    assert message["response_type"] == "ephemeral"
    assert list(marked(message["blocks"])) == []
    assert len(json.dumps(message["blocks"])) <= MAX_WEIGHT
    assert not HIDDEN & set("".join(strings(message)))


def test_what_is_invisible_is_spelled_out() -> None:
    row = Row(REQUEST, "K7QF", NASTY, NASTY, ("review",), SHOWN)
    message = render(Reply(NASTY, lines=(NASTY, f"{BULLET}{NASTY}"), rows=(row,), choices=(Choice(NASTY, "show x"),)))
    assert not HIDDEN & set("".join(strings(message)))
    assert json.dumps(message, ensure_ascii=False).count("⟨U+202E⟩") == 8  # push text, title, lines, row, label


def test_what_does_not_fit_is_counted() -> None:
    wide = Row(REQUEST, "K7QF", "x" * 300, "y" * 290, ("review",), SHOWN)
    message = render(Reply("many", rows=(wide,) * 25, hidden=5), console=CONSOLE)
    sections = [block for block in message["blocks"] if block["type"] == "section"]
    assert 10 <= len(sections) < 20
    assert f"and {30 - len(sections)} more" in json.dumps(message["blocks"])
    assert message["blocks"][-1]["elements"][0]["url"].startswith(CONSOLE)


def test_twenty_ordinary_rows_fit() -> None:
    title = "report-bot → READ customer-exports/2026/01/weekly-report/* in prod-payments, 15 min"
    row = Row(REQUEST, "K7QF", title, "waits for you · HIGH 60 · 0 of 1 · until 02:05 UTC", ("review",), SHOWN)
    message = render(Reply("20 wait, 20 for you", rows=(row,) * 20, hidden=3), console=CONSOLE)
    check_sendable(message)
    assert sum(block["type"] == "section" for block in message["blocks"]) == 20
    assert message["blocks"][1]["accessory"]["value"] == f"{REQUEST}.{SHOWN}"


def test_a_picker_offers_what_fits_and_counts_the_rest() -> None:
    offered = tuple(Choice(f"{n} {NASTY}", f"show {REQUEST}") for n in range(120))
    message = render(Reply("Which?", choices=offered))
    check_sendable(message)
    (picker,) = message["blocks"][1]["elements"]
    left = len(picker["options"])
    assert picker["action_id"] == "cs_pick"
    assert 40 <= left <= 100
    assert picker["options"][-1]["text"]["text"].startswith(f"{left - 1} ")
    assert f"and {120 - left} more to choose from" in json.dumps(message["blocks"][2])


def test_a_hundred_short_choices_are_all_offered() -> None:
    message = render(Reply("Which?", choices=tuple(Choice(str(n), f"show {n}") for n in range(100))))
    assert [one["value"] for one in message["blocks"][1]["elements"][0]["options"]][99] == "show 99"
    assert len(message["blocks"]) == 2


def test_a_choice_too_long_to_be_carried_is_left_out() -> None:
    message = render(Reply("Which?", choices=(Choice("long", "active " + "x" * 150), Choice("short", "active x"))))
    assert [one["value"] for one in message["blocks"][-1]["elements"][0]["options"]] == ["active x"]


def test_lines_below_others_are_a_list() -> None:
    block = render(Reply("Why", lines=("Rule", f"{BULLET}one", f"{BULLET}two", "Risk")))["blocks"][0]
    kinds = [part["type"] for part in block["elements"]]
    assert kinds == ["rich_text_section", "rich_text_section", "rich_text_list", "rich_text_section"]
    assert [one["elements"][0]["text"] for one in block["elements"][2]["elements"]] == ["one", "two"]


@pytest.mark.parametrize("note", [(), ("K7QF: Waiting.",)], ids=["alone", "with-a-note"])
@pytest.mark.parametrize("hostile", [False, True], ids=["plain", "hostile"])
def test_a_card_of_any_size_can_be_shown_and_decides_nothing_here(note: tuple[str, ...], hostile: bool) -> None:
    request = samples.request(reason=(NASTY * 400)[:40_000]) if hostile else gallery.long()
    card = render_card(request, None)
    message = render(Reply("Careful: this is not ours.", lines=note, card=card), console=CONSOLE)
    check_sendable(message)
    text = json.dumps(message["blocks"])
    assert ("Careful" in text) == bool(note)
    actions = [
        one["action_id"] for block in message["blocks"] if block["type"] == "actions" for one in block["elements"]
    ]
    assert actions == ["cs_review", "cs_details", "cs_console"]


def test_a_live_card_offers_revoke() -> None:
    card = render_card(gallery.approved(), samples.grant("ACTIVE"))
    assert "cs_revoke" in json.dumps(render(Reply("Live", card=card), console=CONSOLE))
