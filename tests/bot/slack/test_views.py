"""Dialogs and Home: the whole request under Review, within the limits, and nothing typed is parsed."""

from typing import Any

import pytest
from hypothesis import given, settings

from approvers.card import Card, render
from approvers.request import Request
from bot.surfaces import slack_views
from bot.surfaces.slack_limits import check_sendable
from tests.bot.slack import gallery
from tests.bot.slack.test_blocks import buttons, texts
from tests.bot.slack.typed import MARK, live_markup, objects, requests, unshrunk
from tests.worlds import samples
from tests.worlds.samples import NOW

CARDS = gallery.cards()
CONSOLE = gallery.CONSOLE


def approve(made: dict[str, Any]) -> dict[str, Any] | None:
    return next((one for one in objects(made) if one.get("action_id") == "cs_approve"), None)


@settings(unshrunk, max_examples=30)
@given(requests())
def test_any_request_has_its_dialogs(request: Request):
    card = render(request, None, stand_ins=(f"bob answers for {MARK}",) * 30)
    lines = [f"{MARK} <!here> *x* {request.action.reason[:900]}"] * 80
    made = {
        "review": slack_views.review(card, CONSOLE),
        "details": slack_views.details(card, lines, CONSOLE),
        "deny": slack_views.deny_words(card),
        "notice": slack_views.notice(request.action.reason[:60], request.action.reason),
        "home": slack_views.home(
            [card] * 25, [card] * 25, [card] * 25, as_of=NOW, note=request.action.reason, console=""
        ),
    }
    for view in made.values():
        check_sendable(view)
        assert live_markup(view) == []
    whole = "".join(one["text"] for one in objects(made["review"]) if one.get("type") == "text")
    offered = approve(made["review"]) is not None
    assert offered == ("only in the console" not in whole)
    assert not offered or all(part in whole for fact in card.facts for part in (fact.whole[:500], fact.whole[-500:]))


def test_review_shows_all_of_a_long_request_and_asks_before_it_approves():
    made = slack_views.review(CARDS["cut"], CONSOLE)
    shown = "".join(one["text"] for one in objects(made) if one.get("type") == "text")
    assert all(fact.whole in shown for fact in CARDS["cut"].facts)
    button = approve(made)
    assert button
    assert "customer-exports/2026/*" in button["confirm"]["text"]["text"]
    assert button["confirm"]["title"]["text"] == "Approve for 15 min?"
    assert "confirm" not in next(one for one in objects(made) if one.get("action_id") == "cs_deny")
    assert buttons(made) == ["cs_approve", "cs_deny", "cs_deny_why", "cs_console"]
    assert made["private_metadata"] == f"{CARDS['cut'].request_id}.{CARDS['cut'].shown}"


def test_what_no_dialog_can_hold_is_not_approved_there():
    huge = samples.request(reason="深" * 40_000, parameters={"x": "深" * 30_000})
    made = slack_views.review(render(huge, None), CONSOLE)
    check_sendable(made)
    assert approve(made) is None
    assert buttons(made) == ["cs_deny", "cs_deny_why", "cs_console"]
    assert "This request is too big for a dialog" in texts(made)


@pytest.mark.parametrize("name", ["denied", "expired", "live", "ended"])
def test_a_decided_request_is_reviewed_no_more(name: str):
    made = slack_views.review(CARDS[name], CONSOLE)
    assert buttons(made) == ["cs_console"]
    assert CARDS[name].status in texts(made)


@pytest.mark.parametrize(("name", "wanted"), [("live", ["cs_revoke", "cs_console"]), ("ended", ["cs_console"])])
def test_details_tell_the_story_and_offer_revoke_while_it_lives(name: str, wanted: list[str]):
    made = slack_views.details(CARDS[name], gallery.LINES, CONSOLE)
    assert buttons(made) == wanted
    assert all(line in texts(made) for line in gallery.LINES)


def test_details_keep_the_newest_lines():
    made = slack_views.details(CARDS["live"], [f"line {number}." for number in range(100)], CONSOLE)
    assert "40 earlier lines are in the console." in texts(made)
    assert "line 99." in texts(made)
    assert "line 39." not in texts(made)


def test_the_denial_in_words_carries_what_it_is_about():
    made = slack_views.deny_words(CARDS["high"])
    assert made["callback_id"] == "cs_deny_view"
    assert made["submit"]["text"] == "Deny"
    assert made["private_metadata"] == f"{CARDS['high'].request_id}.{CARDS['high'].shown}"
    assert [block["block_id"] for block in made["blocks"] if block["type"] == "input"] == ["words"]


def rows(cards: list[Card]) -> dict[str, Any]:
    return slack_views.home(cards, cards, cards, as_of=NOW, note="", console=CONSOLE)


@pytest.mark.parametrize(("count", "shown"), [(0, 0), (1, 1), (20, 20), (21, 20), (300, 20)])
def test_home_shows_at_most_twenty_of_each(count: int, shown: int):
    made = rows([CARDS["live"]] * count)
    check_sendable(made)
    assert buttons(made).count("cs_revoke") == shown
    assert ("of 300 are shown" in texts(made)) == (count == 300)


def test_home_says_that_nothing_could_be_read():
    made = slack_views.home((), (), (), as_of=None, note="You are a guest here.", console="")
    assert "You are a guest here." in texts(made)
    assert "No credential is alive." not in texts(made)
    assert buttons(made) == ["cs_home_refresh"]
    check_sendable(made)


def test_home_says_that_approvals_are_stopped_and_which_headline_lies():
    made = slack_views.home([CARDS["mismatch"]], (), (), as_of=NOW, frozen="<!here> *drill*")
    assert "Approvals are stopped." in texts(made)
    assert "Headline does not cover the credential" in texts(made)
    assert live_markup(made) == []
    check_sendable(made)


def test_the_form_names_each_field_and_keeps_what_was_typed():
    made = slack_views.request_form(["analytics"], ["prod", "dev"], values={"reason": "again", "environment": "dev"})
    check_sendable(made)
    inputs = {block["block_id"]: block["element"] for block in made["blocks"]}
    assert all(element["action_id"] == name for name, element in inputs.items())
    assert inputs["reason"]["initial_value"] == "again"
    assert inputs["environment"]["initial_option"]["value"] == "dev"
    assert inputs["role"]["initial_option"]["value"] == "analytics"
    assert inputs["ttl_seconds"]["initial_option"]["value"] == "900"


@pytest.mark.parametrize("count", [0, 101])
def test_too_many_roles_are_typed(count: int):
    made = slack_views.request_form([f"role-{number}" for number in range(count)], ["prod"])
    check_sendable(made)
    assert made["blocks"][0]["element"]["type"] == "plain_text_input"


def test_small_dialogs():
    for made in (slack_views.loading(), slack_views.notice("A title longer than a dialog takes", "x" * 9_000)):
        check_sendable(made)
    assert "6,000 more characters" in texts(made)
