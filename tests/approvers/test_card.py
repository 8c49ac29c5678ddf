"""Any card renders, nothing hides in it, and it says what will really be minted."""

import unicodedata
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers import grant as grants
from approvers import request as requests
from approvers.card import CARD_WEIGHT, MAX_TEXT, Card, render, review_first, shown_digest, visible
from approvers.card_text import BLANK, count_hidden, cut, one_line, weigh
from approvers.grant import GrantState, Proof, ProofKind
from tests.worlds import samples
from tests.worlds.samples import NOW, approval


def fact(card: Any, label: str) -> str:
    return next(one.text for one in card.facts if one.label == label)


def test_the_push_line_stands_alone():
    card = render(samples.request(), None)
    assert card.push == (
        "report-bot → READ customer-exports/2026/* in prod-payments, 15 min · HIGH 65 · 0 of 1 · until 10:30 UTC"
    )


def test_the_card_says_what_will_be_minted_for_whom_and_why_you_are_asked():
    card = render(samples.request(), None)
    assert fact(card, "Will be minted") == "s3:GetObject"
    assert fact(card, "Account") == "prod-payments (…0000, prod)"
    assert fact(card, "Who") == "agent:report-bot for user:dana, asked by caller:report-bot"
    assert card.asked == "You are asked because review-exports, review-pii need 1 of sre."
    assert [button.label for button in card.buttons] == ["Approve for 15 min", "Deny"]
    assert card.warnings == ()


def test_a_credential_wider_than_its_headline_is_flagged():
    wide = {"role": "analytics", "actions": ["s3:GetObject", "s3:PutObject"],
            "resources": ["arn:aws:s3:::customer-exports/2026/*", "arn:aws:s3:::customer-exports/other/*"]}  # fmt: skip
    said = " ".join(render(samples.request(access=wide), None).warnings)
    assert "also allows s3:PutObject" in said
    assert "also reaches arn:aws:s3:::customer-exports/other/*" in said


def test_what_is_shown_is_bound_and_votes_do_not_change_it():
    request = samples.request(seats={"sre": 2})
    voted = requests.review(request, approval("robin"), shown=None, current="")
    assert shown_digest(voted) == shown_digest(request)
    for other in (
        samples.request(seats={"sre": 1}),
        samples.request(seats={"sre": 2}, ttl_seconds=60),
        samples.request(seats={"sre": 2}, reason="Another reason"),
        samples.request(seats={"sre": 2}, undo="Restore the backup"),
        request.model_copy(update={"ruling": request.ruling.model_copy(update={"policy_sha256": "0"})}),
    ):
        assert shown_digest(other) != shown_digest(request)


@pytest.mark.parametrize("state", GrantState)
def test_every_state_has_its_sentence_and_revoke_stays_while_the_grant_lives(state: GrantState):
    approved = requests.review(samples.request(), approval("robin"), shown=None, current="")
    card = render(approved, samples.grant(state))
    assert card.status.endswith((".", "AccessDenied"))
    assert [button.verb for button in card.buttons] == (["revoke"] if state in ("PENDING", "MINTING", "ACTIVE") else [])


def test_the_end_is_told_with_its_proof():
    approved = requests.review(samples.request(), approval("robin"), shown=None, current="")
    ended = render(approved, samples.grant("REVOKED"))
    assert ended.status == (
        "Ended 10:00:00, refused 3 of 3 probes, 1.2 s after the request. Revoked by kim; times are UTC."
    )
    assert ended.push.endswith("· ENDED")
    by_time = grants.end(samples.grant("ACTIVE", ttl_seconds=4), "ttl_elapsed", NOW, by="clock", reason="")
    proof = Proof(kind=ProofKind.TTL_DENIED, at=NOW, seconds="0.251", refused=3, asked=3, detail="")
    assert "0.2 s after its time was over" in render(approved, grants.proven(by_time, proof, deny_written=False)).status


hostile = st.text(st.characters(codec="utf-8"), max_size=3_000) | st.sampled_from(
    [
        "\u202egnp.exe",
        "<script>alert(1)</script>",
        "@channel <!here>",
        "\x1b[2J",
        "a" * 40_000,
        "{{DATE()}}",
        "\u0301" * 99,
    ]
)


@given(reason=hostile, undo=hostile, ticket=hostile)
def test_any_card_renders_and_hides_nothing(reason: str, undo: str, ticket: str):
    action = samples.action().model_copy(update={"reason": reason, "undo": undo[:4_096], "ticket": ticket[:200]})
    request = samples.request().model_copy(update={"action": action})
    card = render(request, None)
    for text in (card.headline, card.push, card.status, *(one.text for one in card.facts), *card.warnings):
        assert all(char in "\n " or char.isprintable() for char in text)
        assert len(text) <= MAX_TEXT * 9
    assert action.reason == reason


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_what_is_already_plain_is_left_alone(text: str):
    plain = all(
        char in "\n " or (char.isprintable() and char not in BLANK and unicodedata.category(char) not in ("Mn", "Me"))
        for char in text
    )
    assert not plain or visible(text) == text


def test_decomposed_accents_stay_and_towers_of_marks_do_not():
    assert visible("e\u0301te\u0301") == "e\u0301te\u0301"
    assert visible("e" + "\u0301" * 50).count("\u0301") == 3


def test_a_cut_says_how_much_there_is():
    shown = visible("x" * 40_000)
    assert shown.startswith("x" * MAX_TEXT)
    assert "38,800 more characters" in shown
    cut = render(samples.request(reason="y" * 5_000), None).facts[6]
    assert (cut.cut, cut.whole) == (True, "y" * 5_000)
    assert cut.text.endswith("[3,800 more characters, whole in the record]")


def test_times_on_the_card_are_the_records():
    request = samples.request()
    assert render(request, None).expires_at == NOW + timedelta(minutes=30)


def calm(**changes: Any) -> Card:
    """Render a request whose risk is not high."""
    asked = samples.request(data_classes=None, ticket="INC-42", **changes)
    return looked_at(asked.model_copy(update={"ruling": with_risk(asked, "medium")}))


def looked_at(asked: Any) -> Card:
    """Render it; whoever asks only for `review_first` must hear the same."""
    card = render(asked, None)
    assert review_first(asked) is card.review_first
    return card


def with_risk(asked: Any, level: str) -> Any:
    return asked.ruling.model_copy(update={"risk": asked.ruling.risk.model_copy(update={"level": level})})


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({}, False),
        ({"reason": "y" * MAX_TEXT}, False),
        ({"reason": "y" * (MAX_TEXT + 1)}, True),
        ({"reason": "\n".join("abcdefghijklmnopqrstuvwxyz")}, True),
        ({"reason": "深" * 1_000}, True),
        ({"parameters": {"text": "z" * 2_000}}, True),
    ],
    ids=["plain", "as long as fits", "one more", "many lines", "heavy characters", "parameters"],
)
def test_review_comes_first_where_something_is_cut(changes: dict[str, Any], first: bool):
    assert calm(**changes).review_first is first


@pytest.mark.parametrize(("level", "first"), [("low", False), ("medium", False), ("high", True), ("critical", True)])
def test_review_comes_first_for_high_and_critical_risk(level: str, first: bool):
    asked = samples.request()
    assert looked_at(asked.model_copy(update={"ruling": with_risk(asked, level)})).review_first is first


def access(*resources: str) -> dict[str, Any]:
    return {"role": "analytics", "actions": ["s3:GetObject"], "resources": list(resources)}


@pytest.mark.parametrize(
    ("changes", "covers", "said"),
    [
        ({}, True, ""),
        ({"access": access("arn:aws:s3:::customer-exports/2026/07/*")}, True, ""),
        ({"access": access("arn:aws:s3:::customer-exports/*")}, False, "also reaches arn:aws:s3:::customer-exports/*"),
        ({"access": {**access(samples.BODY["resource"]), "actions": ["s3:PutObject"]}}, False, "allows s3:PutObject"),
        ({"environment": "staging"}, False, "says staging; the account is prod"),
    ],
    ids=["same", "narrower", "wider", "another action", "another environment"],
)
def test_a_headline_covers_what_lies_within_it(changes: dict[str, Any], covers: bool, said: str):
    card = render(samples.request(**changes), None)
    assert card.headline_covers is covers
    assert said in " ".join(card.uncovered)
    assert set(card.uncovered) <= set(card.warnings)


def test_a_letter_that_passes_for_another_is_named():
    twin = "arn:aws:s3:::\u0441ustomer-exports/*"
    asked = samples.request()
    assert asked.plan
    minted = asked.model_copy(update={"plan": asked.plan.model_copy(update={"resources": (twin,)})})
    for request in (minted, samples.request(access=None, resource=twin)):
        warned = render(request, None).warnings
        assert any("с (U+0441 CYRILLIC SMALL LETTER ES)" in warning for warning in warned)


def test_invisible_characters_are_counted_and_told():
    card = render(samples.request(reason="pay\u202egnp\u200b", undo="\u3164", ticket="⟨U+202E⟩ typed"), None)
    assert card.hidden == 3
    assert "3 invisible characters are spelled out as ⟨U+…⟩." in card.warnings
    assert render(samples.request(), None).hidden == count_hidden([]) == 0


def test_a_line_holds_no_line_break():
    assert one_line("INC-42\nRole admin") == "INC-42 ⏎ Role admin"
    card = render(samples.request(ticket="INC-42\nRole admin"), None)
    assert "\n" not in fact(card, "Ticket")


@given(st.text(st.characters(codec="utf-8"), max_size=400), st.integers(0, 300), st.integers(0, 900))
def test_a_cut_keeps_its_bounds_and_counts_the_rest(text: str, limit: int, weight: int):
    shown, _, note = cut(text, limit, weight).partition("… [")
    if note:
        assert len(shown) <= limit
        assert weigh(shown) <= weight
        assert int(note.split()[0].replace(",", "")) == len(text) - len(shown)
    else:
        assert shown == text or "… [" in text


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ("approved", "Approved by kim and robin at 10:00:00 UTC."),
        ("denied", "Denied by robin at 10:00:00 UTC: Too broad."),
        ("expired", "Expired at 10:00:00 UTC: nobody answered in time."),
        ("withdrawn", "Withdrawn by caller:report-bot at 10:00:00 UTC."),
        ("waiting", ""),
    ],
)
def test_the_outcome_says_what_who_and_when(event: str, words: str):
    asked = samples.request(seats={"sre": 2})
    once = requests.review(asked, approval("kim"), shown=None, current="")
    no = approval("robin", verdict="deny").model_copy(update={"reason": "Too broad."})
    moves = {
        "approved": lambda: requests.review(once, approval("robin"), shown=None, current=""),
        "denied": lambda: requests.review(once, no, shown=None, current=""),
        "expired": lambda: requests.expire(asked, NOW),
        "withdrawn": lambda: requests.cancel(asked, NOW, samples.CALLER),
        "waiting": lambda: once,
    }
    card = render(moves[event](), None, stand_ins=("bob answers for ana until 23 Nov",))
    assert card.outcome == words
    assert card.stand_ins == (("bob answers for ana until 23 Nov",) if event == "waiting" else ())
    assert card.phase.lower() == event
    assert event != "waiting" or card.answers == ("kim approved at 10:00:00 UTC",)


def test_all_texts_of_a_card_stay_within_the_weight():
    heavy = samples.request(reason="😀" * 20_000, undo="深" * 4_000, ticket="😀" * 200, parameters={"x": "😀" * 9_000})
    card = render(heavy, None)
    assert sum(weigh(one.text) for one in card.facts) <= CARD_WEIGHT + 60 * len(card.facts)
    assert all(one.text for one in card.facts)
