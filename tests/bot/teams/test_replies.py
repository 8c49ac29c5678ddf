"""Answers to commands as Teams cards: whatever they hold, they can be sent, and nothing in them becomes markup."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvers.card import render as render_card
from bot.replies import BULLET, MAX_CHOICES, Choice, Reply, Row
from bot.surfaces.teams_limits import check_sendable
from bot.surfaces.teams_replies import render
from bot.surfaces.teams_text import TARGET, size
from tests.bot.slack import gallery as states
from tests.bot.slack.gallery import CONSOLE
from tests.bot.teams.gallery import NASTY, REQUEST, SHOWN, replies
from tests.bot.teams.schema import faults, live_markup, objects, seen, verbs
from tests.worlds import samples

buttons = st.lists(st.sampled_from(["show", "review", "revoke"]), max_size=3, unique=True).map(tuple)
words = st.text(max_size=800) | st.just(NASTY)
rows = st.builds(Row, st.just(REQUEST) | st.none(), st.just("K7QF"), words, words, buttons, st.just(SHOWN))
choices = st.builds(Choice, words, st.text("showrevk req_1:.", min_size=1, max_size=200))  # ours
any_reply = st.builds(
    Reply,
    words,
    st.lists(words | words.map(lambda text: BULLET + text), max_size=80).map(tuple),
    st.lists(rows, max_size=25).map(tuple),
    st.integers(0, 500),
    st.lists(choices, max_size=3).map(tuple),
    link=st.none() | st.just(("Open", CONSOLE)),
)


@settings(max_examples=40, deadline=None)
@given(any_reply)
def test_any_reply_can_be_sent_and_holds_no_markup(reply: Reply) -> None:
    made = render(reply, CONSOLE)
    check_sendable(made)
    assert faults(made) == []
    assert live_markup(made) == []
    assert size(made) <= TARGET


def test_rows_offer_their_buttons_and_review_opens_the_console() -> None:
    made = render(replies()["list"], CONSOLE)
    assert [one["url"] for one in objects(made) if one.get("title") == "Review"] == [
        f"{CONSOLE}/console/requests/{REQUEST}"
    ] * 2
    assert verbs(render(replies()["list"])) == ["show", "show"]
    assert verbs(render(replies()["active"], CONSOLE)) == ["show", "revoke", "Open in the console"]


def test_a_row_without_a_request_has_no_button() -> None:
    assert verbs(render(Reply("one", rows=(Row(None, "K7QF", "a", "b", ("review",)),)), CONSOLE)) == []


def test_twenty_ordinary_rows_fit() -> None:
    title = "report-bot → READ customer-exports/2026/01/weekly-report/* in prod-payments, 15 min"
    row = Row(REQUEST, "K7QF", title, "waits for you · HIGH 60 · 0 of 1 · until 02:05 UTC", ("review",), SHOWN)
    made = render(Reply("20 wait, 20 for you", rows=(row,) * 20, hidden=3), CONSOLE)
    assert verbs(made).count("Review") == 20
    assert "and 3 more: they are in the console." in seen(made)
    assert verbs(made)[-1] == "Open in the console"


def test_what_does_not_fit_is_counted() -> None:
    wide = Row(REQUEST, "K7QF", "*" * 300, "_" * 290, ("show", "revoke"), SHOWN)
    made = render(Reply("many", rows=(wide,) * 25, hidden=5), CONSOLE)
    kept = verbs(made).count("show")
    assert 5 <= kept < 20
    assert f"and {30 - kept} more" in seen(made)


def test_lines_that_do_not_fit_are_counted() -> None:
    made = render(Reply("many", lines=("深" * 690,) * 60), CONSOLE)
    left = sum(line.startswith("深") for line in seen(made).split("\n")[1:])
    assert 8 <= left < 60
    assert f"and {60 - left} more lines" in seen(made)


def test_a_picker_offers_what_fits_and_counts_the_rest() -> None:
    made = render(Reply("Which?", choices=tuple(Choice(f"{n} {NASTY}", f"show {n}") for n in range(120))))
    check_sendable(made)
    (picker,) = [one for one in objects(made) if one.get("type") == "Input.ChoiceSet"]
    assert picker["id"] == "command"
    left = len(picker["choices"])
    assert f"and {120 - left} more to choose from" in seen(made)
    assert picker["choices"][-1]["value"] == f"show {left - 1}"
    assert verbs(made) == ["pick"]
    assert "{{" not in json.dumps(picker)


def test_a_hundred_short_choices_are_all_offered() -> None:
    made = render(Reply("Which?", choices=tuple(Choice(str(n), f"show {n}") for n in range(MAX_CHOICES))))
    assert sum("value" in one for one in objects(made)) == MAX_CHOICES
    assert "more to choose from" not in seen(made)


def test_a_choice_too_long_to_be_carried_is_left_out() -> None:
    made = render(Reply("Which?", choices=(Choice("long", "active " + "x" * 150), Choice("short", "active x"))))
    assert [one["value"] for one in objects(made) if "value" in one] == ["active x"]


@pytest.mark.parametrize("note", [(), ("K7QF: Waiting.",), (NASTY * 3,) * 60], ids=["alone", "with-a-note", "long"])
@pytest.mark.parametrize("hostile", [False, True], ids=["plain", "hostile"])
def test_a_card_of_any_size_can_be_shown_and_decides_nothing_here(note: tuple[str, ...], hostile: bool) -> None:
    request = samples.request(reason=(NASTY * 400)[:40_000]) if hostile else states.long()
    made = render(Reply("Careful: this is not ours.", lines=note, card=render_card(request, None)), CONSOLE)
    check_sendable(made)
    assert faults(made) == []
    assert live_markup(made) == []
    assert ("Careful" in seen({**made, "fallbackText": ""})) == bool(note)
    assert verbs(made) == ["Review", "details"]


def test_a_live_card_offers_revoke() -> None:
    assert verbs(render(replies()["live"], CONSOLE)) == ["revoke", "details", "Open in the console"]
