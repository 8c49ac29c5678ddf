"""Every card renders within Slack's limits, says what decides first, and parses nothing that somebody typed."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings

from approvers import grant as grants
from approvers.card import Card, render
from approvers.request import Request, RequestState
from bot.surfaces import slack_blocks
from bot.surfaces.slack_limits import check_sendable
from tests.bot.slack import gallery
from tests.bot.slack.typed import MARK, MARKUP, live_markup, objects, requests, unshrunk
from tests.worlds import samples
from tests.worlds.samples import NOW

CARDS = gallery.cards()
MADE = {**gallery.messages(), **gallery.views()}


def message(card: Card, note: str = "") -> dict[str, Any]:
    return slack_blocks.message(card, console=gallery.CONSOLE, channel_note=note)


def buttons(made: dict[str, Any]) -> list[str]:
    return [one["action_id"] for one in objects(made) if "action_id" in one]


def texts(made: dict[str, Any]) -> str:
    return "\n".join(str(one["text"]) for one in objects(made["blocks"]) if isinstance(one.get("text"), str))


@settings(unshrunk, max_examples=60)
@given(requests())
def test_any_request_renders_within_the_limits_and_literally(request: Request):
    card = render(request, None, stand_ins=(f"bob answers for {MARK}*ana*",) * 30)
    made = message(card, f"{MARK} <!here> " * 100)
    check_sendable(made)
    assert live_markup(made) == []
    assert [name for name, rule in MARKUP.items() if rule.search(made["text"])] == []
    assert all(char in "\n " or char.isprintable() for char in texts(made))
    assert card.review_first == ("cs_review" in buttons(made)) == ("cs_approve" not in buttons(made))
    assert card.review_first or "more characters" not in texts(made).replace("more characters, see Details", "")


@settings(unshrunk, max_examples=25)
@given(requests())
def test_any_ended_request_renders_within_the_limits(request: Request):
    over = request.model_copy(update={"state": RequestState.APPROVED, "because": "quorum", "decided_at": NOW})
    grant = samples.grant("REVOKING").model_copy(update={"trouble": request.action.reason[:9_000]})
    for card in (render(over, grant), render(over, grants.refused(samples.grant("MINTING"), request.action.reason))):
        made = message(card)
        check_sendable(made)
        assert live_markup(made) == []
        assert not {"cs_approve", "cs_review", "cs_deny", "cs_deny_why"} & set(buttons(made))


@pytest.mark.parametrize("name", MADE)
def test_golden(name: str):
    """`python -m tests.bot.slack.gallery` writes the files anew."""
    assert gallery.spelled(MADE[name]) == (gallery.GOLDEN / f"{name}.json").read_text()


def test_no_golden_file_is_left_over():
    assert {file.stem for file in gallery.GOLDEN.glob("*.json")} == set(MADE)


@pytest.mark.parametrize("name", MADE)
def test_what_we_send_is_sendable(name: str):
    check_sendable(MADE[name])
    assert live_markup(MADE[name]) == []


ASKED = ["cs_deny", "cs_deny_why", "cs_details", "cs_console"]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("medium", ["cs_approve", *ASKED]),
        ("high", ["cs_review", *ASKED]),
        ("cut", ["cs_review", *ASKED]),
        ("minting", ["cs_revoke", "cs_details", "cs_console"]),
        ("live", ["cs_revoke", "cs_details", "cs_console"]),
        ("lasting", ["cs_revoke", "cs_details", "cs_console"]),
        ("revoking", ["cs_details", "cs_console"]),
        ("ended", ["cs_details", "cs_console"]),
        ("denied", ["cs_details", "cs_console"]),
        ("expired", ["cs_details", "cs_console"]),
    ],
)
def test_the_buttons_of_each_state(name: str, wanted: list[str]):
    made = message(CARDS[name])
    assert buttons(made) == wanted
    values = [one.get("value", "") for one in objects(made) if one.get("type") == "button" and "url" not in one]
    assert set(values) == {f"{CARDS[name].request_id}.{CARDS[name].shown}"}


@pytest.mark.parametrize(("name", "label"), [("live", "Revoke"), ("lasting", "Revoke (ends at 10:15 UTC)")])
def test_revoke_says_when_it_ends_where_nothing_ends_it_early(name: str, label: str):
    [one] = [one for one in objects(message(CARDS[name])) if one.get("action_id") == "cs_revoke"]
    assert (one["text"]["text"], one["accessibility_label"]) == (label, f"{label} {CARDS[name].handle}")


def test_deny_because_carries_reason_request_and_digest():
    select = next(one for one in objects(message(CARDS["medium"])) if one.get("type") == "static_select")
    card = CARDS["medium"]
    presets = [option["value"].removesuffix(f".{card.request_id}.{card.shown}") for option in select["options"]]
    assert presets == ["too_broad", "not_now", "unknown_agent", "words"]


def test_every_state_has_new_block_ids():
    seen: list[set[str]] = [
        {block["block_id"] for block in message(card)["blocks"]} for name, card in CARDS.items() if name != "minting"
    ]
    assert len(set.union(*seen)) == sum(map(len, seen))
    assert not seen[0] & {block["block_id"] for block in message(CARDS["medium"], "Bob, for Ana")["blocks"]}
    assert message(CARDS["medium"]) == message(CARDS["medium"])


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("medium", "READ customer-exports/2026/* in prod-payments"),
        ("live", "Live: READ customer-exports/2026/* in prod-payments"),
        ("ended", "Ended: READ customer-exports/2026/* in prod-payments"),
        ("denied", "Denied: READ customer-exports/2026/* in prod-payments"),
        ("approval", "deploy:Release shop/42"),
    ],
)
def test_the_headline_is_verb_and_object_under_its_state(name: str, first: str):
    assert message(CARDS[name])["blocks"][0]["text"]["text"] == first


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("medium", "You are asked because review-exports needs 1 of sre."),
        ("half", "kim approved at 10:00:20 UTC"),
        ("half", "*1 of 2* approved"),
        ("half", "bob answers for ana until 23 Nov"),
        ("mismatch", "Headline does not cover the credential"),
        ("hostile", "INC-42 ⏎ Role  admin"),
        ("hostile", "*Risk:* low <!here> <https://evil.example|click>\n> `ok` :white_check_mark: ⟨U+202E⟩gnp.exe"),
        ("cut", "more characters, under Review]"),
        ("ended", "Ended 10:05:02, refused 3 of 3 probes, 2.1 s after the request. Revoked by kim; times are UTC."),
        ("ended", "Approved by robin at 10:00:42 UTC."),
        ("denied", "Denied by robin at 10:00:42 UTC: Too broad, ask narrower."),
        ("expired", "Expired at 10:30:00 UTC: nobody answered in time."),
    ],
)
def test_each_state_says_it(name: str, said: str):
    assert said in texts(message(CARDS[name]))


def test_times_are_the_readers_own_with_utc_as_fallback():
    stamp = int(CARDS["medium"].expires_at.timestamp())
    assert f"<!date^{stamp}^{{time}}|10:30 UTC>" in texts(message(CARDS["medium"]))


@pytest.mark.parametrize(
    "address", ["https://c.example.com", "https://c.example.com/", "https://c.example.com/console"]
)
def test_the_link_leads_to_the_request(address: str):
    made = slack_blocks.message(CARDS["live"], console=address)
    urls = [one["url"] for one in objects(made) if "url" in one]
    assert urls == [f"https://c.example.com/console/requests/{CARDS['live'].request_id}"]
    assert "cs_console" not in buttons(slack_blocks.message(CARDS["live"], console=""))


def test_the_marks_of_the_tests_find_markup():
    bad = {"blocks": [{"type": "mrkdwn", "text": f"*{MARK}*"}, {"type": "plain_text", "text": "x"}, {"type": "link"}]}
    assert len(live_markup(bad)) == 3
    assert re.search(MARKUP["bold"], "a *b* c")


def test_a_waiting_card_says_which_level_asks_and_how_little_time_is_left():
    plain = samples.request()
    assert "level 2 " not in json.dumps(slack_blocks.message(render(plain, None), console=gallery.CONSOLE))
    later = plain.model_copy(update={"level": 1, "level_since": NOW, "reminded_at": NOW})
    shown = json.dumps(slack_blocks.message(render(later, None), console=gallery.CONSOLE))
    assert "level 2 since 10:00" in shown
    assert "Less than" in shown
