"""Every card fits Teams' limits and the schema, says what decides first, and parses nothing that was typed."""

import json
from typing import Any

import pytest
from hypothesis import given, settings

from approvers import grant as grants
from approvers.card import Card, render
from approvers.request import Request, RequestState
from bot.surfaces import teams_card
from bot.surfaces.teams_limits import NotSendable, check_sendable
from bot.surfaces.teams_text import TARGET, escape, size
from tests.bot.slack.gallery import CONSOLE, LINES, cards, spelled
from tests.bot.slack.typed import MARK, requests, unshrunk
from tests.bot.teams import gallery
from tests.bot.teams.schema import faults, live_markup, objects, seen, verbs
from tests.worlds import samples
from tests.worlds.samples import NOW

CARDS = cards()
MADE = {**gallery.messages(), **gallery.others()}
DECIDES = {"approve", "deny", "deny_why", "Review", "Deny because…"}


def message(card: Card, **more: Any) -> dict[str, Any]:
    return teams_card.message(card, console=CONSOLE, **more)


def hold(made: dict[str, Any]) -> None:
    """Hold what is true of every card."""
    check_sendable(made)
    assert faults(made) == []
    assert live_markup(made) == []
    assert size(made) <= TARGET
    assert 2 * len(json.dumps(made)) < 96_000  # of 100 KB, in two bytes a character


@settings(unshrunk, max_examples=20)
@given(requests())
def test_any_request_renders_within_the_limits_and_literally(request: Request):
    card = render(request, None, stand_ins=(f"bob answers for {MARK}*ana*",) * 30)
    made = message(card, channel_note=f"{MARK} <at>all</at> " * 100, said=gallery.NASTY * 9)
    hold(made)
    assert "approve" not in verbs(made) or not card.review_first
    assert ("Review" in verbs(made)) == ("approve" not in verbs(made))
    if "approve" in verbs(made):
        shown, lines = seen(made), [line for fact in card.facts for line in fact.whole.split("\n") if line.strip()]
        assert [line for line in lines if line.replace("\u00a0", " ") not in shown] == []


@settings(unshrunk, max_examples=10)
@given(requests())
def test_any_request_has_details(request: Request):
    lines = [f"10:00:{n % 60:02d} {request.action.reason[:700]}" for n in range(40)]
    hold(teams_card.details(render(request, None), lines, CONSOLE))


@settings(unshrunk, max_examples=10)
@given(requests())
def test_any_ended_request_renders_within_the_limits(request: Request):
    over = request.model_copy(update={"state": RequestState.APPROVED, "because": "quorum", "decided_at": NOW})
    grant = samples.grant("REVOKING").model_copy(update={"trouble": request.action.reason[:9_000]})
    for card in (render(over, grant), render(over, grants.refused(samples.grant("MINTING"), request.action.reason))):
        made = message(card)
        hold(made)
        assert not DECIDES & set(verbs(made))


@pytest.mark.parametrize("sign", ["`", "a\n", "深", "ж", "\u202e", "- \n", "😀", "\\"])
def test_the_heaviest_text_fits_and_what_is_cut_is_counted(sign: str):
    """Each sign in its own way is the dearest there is: escaped twice, on lines of its own, or spelled out."""
    text = (sign * 5_000)[:5_000]
    heavy = {"reason": text, "undo": text[:4_096], "ticket": text[:200], "parameters": {"p": text}}
    made = message(render(samples.request(**heavy), None, stand_ins=(text,)), channel_note=text, said=text)
    hold(made)
    assert "more characters, under Review]" in seen(made)
    assert "Review" in verbs(made)


def test_a_card_that_is_whole_for_slack_and_too_big_for_teams_leads_to_review():
    calm = gallery.cards()["medium"]
    full = [fact.model_copy(update={"text": "*" * 5_000, "whole": "*" * 5_000}) for fact in calm.facts[:2]]
    made = message(calm.model_copy(update={"facts": tuple(full), "review_first": False}))
    hold(made)
    assert verbs(made)[0] == "Review"
    assert "approve" not in verbs(made)
    assert "more characters, under Review]" in seen(made)


@pytest.mark.parametrize("name", MADE)
def test_golden(name: str):
    """`python -m tests.bot.teams.gallery` writes the files anew."""
    assert spelled(MADE[name]) == (gallery.GOLDEN / f"{name}.json").read_text()


def test_no_golden_file_is_left_over():
    assert {file.stem for file in gallery.GOLDEN.glob("*.json")} == set(MADE)


@pytest.mark.parametrize("name", MADE)
def test_what_we_send_is_sendable(name: str):
    hold(MADE[name])


ASKED = ["deny", "Deny because…", "deny_why", "details"]
LINK = "Open in the console"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("medium", ["approve", *ASKED, LINK]),
        ("high", ["Review", *ASKED]),
        ("cut", ["Review", *ASKED]),
        ("minting", ["revoke", "details", LINK]),
        ("live", ["revoke", "details", LINK]),
        ("lasting", ["revoke", "details", LINK]),
        ("revoking", ["details", LINK]),
        ("ended", ["details", LINK]),
        ("denied", ["details", LINK]),
        ("expired", ["details", LINK]),
        ("withdrawn", ["details", LINK]),
    ],
)
def test_the_buttons_of_each_state(name: str, wanted: list[str]):
    made = message(CARDS[name])
    assert verbs(made) == wanted
    carried = {(one["rid"], one["shown"]) for one in objects(made) if "rid" in one}
    assert carried == {(CARDS[name].request_id, CARDS[name].shown)}


def test_a_denial_with_words_carries_them_and_a_tap_on_another_button_does_not():
    made = message(CARDS["medium"])
    unfold = next(one for one in objects(made) if one.get("type") == "Action.ShowCard")
    inputs = {one["id"]: one for one in objects(unfold) if str(one.get("type")).startswith("Input.")}
    assert [one["value"] for one in inputs["preset"]["choices"]] == ["too_broad", "not_now", "unknown_agent"]
    assert inputs["words"]["maxLength"] == 1_000
    taken = {one["verb"]: one["associatedInputs"] for one in objects(made) if one.get("type") == "Action.Execute"}
    assert taken == {"approve": "none", "deny": "none", "deny_why": "auto", "details": "none"}


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("medium", "READ customer-exports/2026/* in prod-payments"),
        ("live", "Live: READ customer-exports/2026/* in prod-payments"),
        ("denied", "Denied: READ customer-exports/2026/* in prod-payments"),
        ("approval", "deploy:Release shop/42"),
    ],
)
def test_the_headline_is_verb_and_object_under_its_state(name: str, first: str):
    assert message(CARDS[name])["body"][0]["text"] == escape(first)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("medium", "You are asked because review-exports needs 1 of sre."),
        ("medium", "MEDIUM 45 · 0 of 1 approved · answer until {{TIME(2026-11-20T10:30:00Z)}} (10:30 UTC)"),
        ("half", "kim approved at 10:00:20 UTC"),
        ("half", "bob answers for ana until 23 Nov"),
        ("mismatch", "⚠ Headline does not cover the credential"),
        ("hostile", "INC-42 ⏎ Role  admin"),
        ("hostile", "*Risk:* low <!here> <https://evil.example|click>"),
        ("hostile", "> `ok` :white_check_mark: ⟨U+202E⟩gnp.exe"),
        ("cut", "more characters, under Review]"),
        ("ended", "Ended 10:05:02, refused 3 of 3 probes, 2.1 s after the request. Revoked by kim; times are UTC."),
        ("ended", "Approved by robin at 10:00:42 UTC."),
        ("denied", "Denied by robin at 10:00:42 UTC: Too broad, ask narrower."),
        ("expired", "Expired at 10:30:00 UTC: nobody answered in time."),
    ],
)
def test_each_state_says_it(name: str, said: str):
    assert said in seen(message(CARDS[name]))


def test_a_waiting_card_shows_its_status_once_that_says_more_than_until_when():
    card = CARDS["medium"]
    assert "Waiting until" not in seen(message(card))
    later = "Waiting until 10:30:00 UTC; level 2 since 10:05."
    assert later in seen(message(card.model_copy(update={"status": later})))


@pytest.mark.parametrize("name", CARDS)
def test_every_fact_stands_on_the_card_in_every_state(name: str):
    shown = seen(message(CARDS[name]))
    assert [fact.label for fact in CARDS[name].facts if fact.label not in shown] == []
    assert f"{CARDS[name].handle} · {CARDS[name].request_id}" in shown


@pytest.mark.parametrize(
    "address", ["https://c.example.com", "https://c.example.com/", "https://c.example.com/console"]
)
def test_links_lead_to_the_request(address: str):
    for name in ("live", "high"):
        made = teams_card.message(CARDS[name], console=address)
        urls = [one["url"] for one in objects(made) if "url" in one]
        assert urls == [f"https://c.example.com/console/requests/{CARDS[name].request_id}"]


def test_without_a_console_a_grave_request_can_be_denied_but_not_approved():
    assert verbs(MADE["card-offline"]) == ASKED


def test_the_summary_is_plain_and_the_text_for_old_clients_is_escaped():
    card = CARDS["medium"]
    assert teams_card.summary(card) == card.push
    assert message(card)["fallbackText"] == escape(card.push)
    assert len(teams_card.summary(card.model_copy(update={"push": "x" * 900}))) == 300


def test_details_keep_the_newest_lines_and_count_the_others():
    lines = [f"line {n} {'x' * 500}" for n in range(100)]
    made = teams_card.details(CARDS["medium"], lines, CONSOLE)
    told = [n for n in range(100) if f"line {n} " in seen(made)]
    assert told == list(range(told[0], 100))
    assert f"{told[0]} earlier lines are in the console." in seen(made)
    assert len(told) > 10


@pytest.mark.parametrize("sign", ["ж", "😀", "`"])
def test_details_of_any_script_fit(sign: str):
    hold(teams_card.details(CARDS["cut"], [sign * 900] * 50, CONSOLE))


def test_details_show_more_than_the_card_and_lead_back_to_it():
    made = teams_card.details(CARDS["cut"], LINES, CONSOLE)
    assert size(made) > size(message(CARDS["cut"]))
    assert verbs(made) == ["refresh", LINK]
    assert verbs(teams_card.details(CARDS["live"], LINES, CONSOLE)) == ["revoke", "refresh", LINK]


def test_a_notice_says_it_whole_or_how_much_is_missing():
    assert seen(teams_card.notice("Too late.")) == "Too late.\nToo late."
    long = teams_card.notice(gallery.NASTY * 100, title=gallery.NASTY)
    hold(long)
    assert "more characters, in the console]" in seen(long)
    assert verbs(long) == []


def test_a_form_of_any_size_fits_and_keeps_what_was_typed():
    typed = {name: "深" * 9_000 for name in ("actions", "resources", "reason", "ticket", "undo")}
    made = teams_card.request_form(
        [f"role-{n:03d}-{'r' * 60}" for n in range(100)], ["prod"], values=typed, problem=("undo", gallery.NASTY * 20)
    )
    hold(made)
    fields = {one["id"]: one for one in objects(made) if "id" in one}
    assert fields["reason"]["value"].startswith("深深")
    assert fields["environment"]["value"] == "prod"
    assert fields["ttl_seconds"]["value"] == "900"
    body = made["body"]
    at = next(index for index, one in enumerate(body) if one.get("id") == "undo")
    assert body[at - 1]["color"] == "Attention"


@pytest.mark.parametrize(
    "bad",
    [
        {"type": "TextBlock", "text": "**bold**", "wrap": True},
        {"type": "TextBlock", "text": "[a](https://b)", "wrap": True},
        {"type": "TextBlock", "text": "{{DATE(2026-11-20T10:00:00Z)}}", "wrap": True},
        {"type": "TextBlock", "text": "https://evil", "wrap": True},
        {"type": "TextBlock", "text": "a\nb", "wrap": True},
        {"type": "TextBlock", "text": "a", "wrap": False},
        {"type": "Image", "url": "https://evil.example/pixel.png"},
        {"type": "RichTextBlock", "inlines": ["a"]},
        {"type": "FactSet", "facts": [{"title": "a", "value": "<b>"}]},
        {"type": "ActionSet", "actions": [{"type": "Action.OpenUrl", "title": "a", "url": "javascript:a"}]},
        {"type": "ActionSet", "actions": [{"type": "Action.Submit", "title": "a", "data": {"verb": "approve"}}]},
        {"type": "Input.Text", "id": "rid", "label": "a", "maxLength": 5},
    ],
    ids=lambda one: one["type"],
)
def test_what_we_never_send_is_refused(bad: dict[str, Any]):
    good = teams_card.notice("well")
    check_sendable(good)
    with pytest.raises(NotSendable):
        check_sendable({**good, "body": [bad]})


def test_a_card_too_big_or_with_a_fallback_of_its_own_is_refused():
    made = message(CARDS["medium"])
    with pytest.raises(NotSendable, match="bytes"):
        check_sendable({**made, "body": [one for one in made["body"] for _ in range(9)]})
    action = next(one for one in objects(made) if one.get("verb") == "approve" and "fallback" in one)
    action["fallback"]["data"] = {**action["data"], "shown": "0" * 32}
    with pytest.raises(NotSendable, match="fallback"):
        check_sendable(made)


def test_the_checks_of_the_tests_find_faults():
    made = teams_card.notice("well")
    assert faults({**made, "version": "1.4", "refresh": {}})
    assert faults({**made, "body": [{"type": "TextBlok", "text": "x"}]})
    assert live_markup({**made, "body": [{"type": "TextBlock", "text": r"\*a* \[b"}]}) == [r"\*a* \[b"]
