"""Any card renders, nothing hides in it, and it says what will really be minted."""

import unicodedata
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers import grant as grants
from approvers import request as requests
from approvers.card import MAX_TEXT, render, shown_digest, visible
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
    assert ended.status == "Ended 10:00:00 UTC (revoked by user:kim), refused 3 of 3 probes, 1.2 s after the request."
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
        char in "\n " or (char.isprintable() and unicodedata.category(char) not in ("Mn", "Me")) for char in text
    )
    assert not plain or visible(text) == text


def test_decomposed_accents_stay_and_towers_of_marks_do_not():
    assert visible("e\u0301te\u0301") == "e\u0301te\u0301"
    assert visible("e" + "\u0301" * 50).count("\u0301") == 3


def test_a_cut_says_how_much_there_is():
    shown = visible("x" * 40_000)
    assert shown.startswith("x" * MAX_TEXT)
    assert "40,000 characters" in shown
    assert render(samples.request(reason="y" * 5_000), None).facts[6].cut


def test_times_on_the_card_are_the_records():
    request = samples.request()
    assert render(request, None).expires_at == NOW + timedelta(minutes=30)
