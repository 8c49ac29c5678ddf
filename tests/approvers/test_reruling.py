"""Ruling again: of two rulings the stricter one, in every part; what is gone; what an approval no longer satisfies."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers import grant as grants
from approvers.quorum import Review
from approvers.request import Because, Request, RequestState
from approvers.reruling import (
    STRICTNESS,
    as_now,
    changed,
    difference,
    ended_early,
    gone,
    over_caps,
    overtaken_by,
    reruled,
    stricter,
)
from approvers.risk import Risk
from approvers.roster import parse_roster
from approvers.ruling import Ruling, rule
from tests.approvers.rules_world import edited
from tests.worlds import samples
from tests.worlds.samples import NOW, ROSTER_TEXT, approval

PINNED = samples.request().ruling
PEOPLE = parse_roster(ROSTER_TEXT)


def ruling(**changes) -> Ruling:
    return PINNED.model_copy(update=changes)


def approved(**changes) -> Request:
    ready = samples.request(**changes)
    return ready.model_copy(
        update={"state": RequestState.APPROVED, "because": Because.QUORUM, "reviews": (approval("robin"),)}
    )


barred = st.dictionaries(st.sampled_from(["user:dana", "user:kim", "group:sre"]), st.sampled_from(["owner", "actor"]))
rulings = st.builds(
    lambda effect, seats, ends, who, narrow, score: ruling(
        effect=effect, seats=seats if effect == "review" else {}, expires_after_seconds=ends, barred=tuple(who),
        barred_as=who, narrow=narrow if effect == "review" else (),
        risk=Risk(level="critical" if score > 85 else "low", score=score, points=()), policy_sha256=f"{score:064}",
    ),
    st.sampled_from(sorted(STRICTNESS)),
    st.dictionaries(st.sampled_from(["sre", "security", "dba"]), st.integers(1, 3), min_size=1),
    st.one_of(st.none(), st.integers(60, 3600)),
    barred,
    st.sampled_from([(), ("ttl",), ("ttl", "actions")]),
    st.integers(0, 100),
)  # fmt: skip


@given(rulings, rulings)
def test_the_stricter_of_two_is_in_no_part_more_lenient_than_either(pinned: Ruling, current: Ruling):
    joined = stricter(pinned, current)
    for one in (pinned, current):
        assert STRICTNESS[joined.effect] >= STRICTNESS[one.effect]
        assert all(joined.seats[group] >= count for group, count in one.seats.items())
        assert set(joined.barred) >= set(one.barred)
        if one.expires_after_seconds is not None:
            assert joined.expires_after_seconds <= one.expires_after_seconds
        if one.effect == "review":
            assert set(joined.narrow) <= set(one.narrow)
    assert set(joined.barred_as) == set(joined.barred)
    assert joined.risk.score >= pinned.risk.score


@given(rulings, rulings)
def test_ruling_a_third_time_changes_nothing_and_the_pinned_one_stays_where_nothing_is_stricter(
    pinned: Ruling, current: Ruling
):
    joined = stricter(pinned, current)
    assert stricter(joined, current) is joined
    assert stricter(pinned, pinned) is pinned
    assert (joined is pinned) == (not changed(pinned, joined))


@pytest.mark.parametrize(
    ("changes", "part", "said"),
    [
        ({"effect": "deny", "seats": {}}, {"effect": "deny"}, "review-exports, review-pii: Cust"),
        ({"seats": {"sre": 2}}, {"seats": {"sre": 2}}, "it needs 2 of sre now, was 1 of sre"),
        ({"seats": {"security": 1}}, {"seats": {"security": 1, "sre": 1}}, "1 of security and 1 of sre now"),
        ({"barred": ("user:kim",), "barred_as": {"user:kim": "owner"}}, {"barred": ("user:dana", "user:kim")},
         "user:kim cannot answer it any more"),
        ({"expires_after_seconds": 60}, {"expires_after_seconds": 60}, "there is less time to answer it"),
    ],
    ids=["deny", "more", "others", "barred", "sooner"],
)  # fmt: skip
def test_what_is_stricter_wins_and_is_said(changes, part, said):
    joined = stricter(PINNED, ruling(policy_sha256="e" * 64, **changes))
    assert joined.model_dump(include=set(part)) == part
    assert joined.policy_sha256 == "e" * 64
    assert said in difference(PINNED, joined)


@pytest.mark.parametrize(
    "changes",
    [
        {"effect": "allow", "seats": {}, "narrow": ()},
        {"policy_sha256": "e" * 64},
        {"barred": (), "barred_as": {}},
        {"expires_after_seconds": 7_200},
        {"risk": Risk(level="low", score=1, points=())},
    ],
    ids=["allow", "other-text", "nobody-barred", "later", "less-risk"],
)
def test_what_is_more_lenient_leaves_the_pinned_ruling(changes):
    assert stricter(PINNED, ruling(**changes)) is PINNED


def test_only_the_rules_that_decide_are_named_and_the_first_reason_to_bar_stays():
    deny = ruling(effect="deny", rules=(PINNED.rules[0].model_copy(update={"name": "stop", "effect": "deny"}),),
                  notes=("Stop.",), barred=("user:dana",), barred_as={"user:dana": "owner"})  # fmt: skip
    joined = stricter(PINNED, deny)
    assert ([hit.name for hit in joined.rules], joined.notes) == (["stop"], ("Stop.",))
    assert joined.barred_as["user:dana"] == "on_behalf_of"


def test_both_reviews_are_named_each_rule_once():
    more = PINNED.rules[0].model_copy(update={"name": "another"})
    joined = stricter(PINNED, ruling(seats={"sre": 2}, rules=(more, *PINNED.rules), quorums=("two",)))
    assert [hit.name for hit in joined.rules] == sorted({"another", *(hit.name for hit in PINNED.rules)})
    assert joined.quorums == ("one", "two")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[caller.report-bot]", "[caller.other-bot]", "caller:report-bot is not in countersign.toml any more"),
        ('actors       = ["agent:report-bot"]', 'actors = ["agent:x"]', "may not speak for agent:report-bot"),
        ('on_behalf_of = "required"', 'on_behalf_of = "never"', "acts for nobody"),
        ("[role.analytics]", "[role.other]", "Role analytics is not in countersign.toml any more"),
        ("countersign-base-analytics", "countersign-base-other", "Role analytics leads elsewhere now"),
        ("ceiling =", 'external_id = "cs-1"\nceiling =', "Role analytics leads elsewhere now"),
        ('["s3:GetObject*", ', "[", "The ceiling of role analytics does not hold s3:GetObject any more"),
    ],
    ids=["caller", "actor", "behind", "role", "arn", "external-id", "ceiling"],
)
def test_what_is_not_in_the_roster_any_more_is_named(old, new, said):
    request = samples.request()
    assert gone(request, PEOPLE) is None
    assert said in str(gone(request, parse_roster(edited(ROSTER_TEXT, old, new))))


def test_an_account_that_moved_leads_elsewhere():
    moved = ROSTER_TEXT.replace("000000000000", "111111111111")
    assert "account 111111111111" in str(gone(samples.request(), parse_roster(moved)))


def test_the_ask_stays_as_recorded_and_what_surrounds_it_is_as_of_now():
    request, later = samples.request(), NOW + timedelta(minutes=5)
    text = edited(ROSTER_TEXT, 'owners       = ["user:dana"]', 'owners = ["group:oncall"]')
    text = edited(edited(text, '"prod"\n', '"staging"\n'), 'kind         = "agent"', 'kind = "service"')
    found = as_now(request, parse_roster(text), later)
    new = {"at": later, "owners": ("group:oncall",), "principal_kind": "service", "account_environment": "staging"}
    assert found == request.facts.model_copy(update=new)


def test_the_caps_hold_for_what_would_be_minted():
    policy, request = samples.book()[0], samples.request()
    assert over_caps(policy, request, request.facts) is None
    long = request.plan.model_copy(update={"ttl_seconds": 3_601})
    assert "longer than" in str(over_caps(policy, request.model_copy(update={"plan": long}), request.facts))


def test_a_denial_closes_it_in_the_name_of_policy():
    after = reruled(samples.request(), ruling(effect="deny"), NOW, PEOPLE)
    assert (after.state, after.because, after.decided_by, after.decided_at) == ("DENIED", "rule", "policy", NOW)


def test_more_seats_leave_it_waiting_with_its_answers_and_never_longer_than_before():
    request = samples.request(seats={"sre": 2})
    waits = request.model_copy(update={"reviews": (approval("robin"),)})
    after = reruled(waits, ruling(seats={"sre": 3}, expires_after_seconds=60), NOW, PEOPLE)
    assert (after.state, after.expires_at, after.reviews) == ("PENDING", NOW + timedelta(minutes=1), waits.reviews)
    assert reruled(waits, ruling(expires_after_seconds=9_999), NOW, PEOPLE).expires_at == waits.expires_at


def test_whom_four_eyes_bars_now_has_answered_and_fills_no_seat():
    request = samples.request(seats={"sre": 2})
    waits = request.model_copy(update={"reviews": (approval("robin"), approval("kim", groups=("oncall", "sre")))})
    after = reruled(waits, ruling(barred=("group:oncall",), barred_as={"group:oncall": "owner"}), NOW, PEOPLE)
    assert [one.groups for one in after.reviews] == [("sre",), ()]
    assert after.tally().filled["sre"] == ("user:robin",)


def test_who_is_barred_now_lends_no_seat_either():
    lent = approval("alex").model_copy(update={"lent_by": "user:kim"})
    waits = samples.request(seats={"sre": 2}).model_copy(update={"reviews": (lent,)})
    after = reruled(waits, ruling(barred=("user:kim",), barred_as={"user:kim": "owner"}), NOW, PEOPLE)
    assert after.tally().filled["sre"] == ()


class TestAtTheMint:
    def test_an_approval_is_overtaken_by_a_stricter_ruling_only(self):
        request = approved()
        assert overtaken_by(request, request.ruling) is None
        assert overtaken_by(request, ruling(effect="allow", seats={})) is None
        assert overtaken_by(request, ruling(seats={"sre": 2})) == "policy now needs 2 of sre"
        assert overtaken_by(request, ruling(effect="deny", rules=())) == "policy now denies it (the default)"

    def test_the_pinned_seats_stay_needed_whatever_policy_says_now(self):
        request = approved(seats={"sre": 2})
        assert overtaken_by(request, ruling(seats={"security": 1})) == "policy now needs 1 of security and 2 of sre"

    def test_what_a_rule_allowed_is_stopped_where_people_would_be_asked(self):
        request = samples.request(action="s3:ListAllMyBuckets", data_classes=None, access=None)
        assert request.ruling.effect == "allow"
        assert overtaken_by(request, PINNED) == "policy now needs 1 of sre"
        assert overtaken_by(request, ruling(effect="break_glass")) == "policy now needs 1 of sre"

    @pytest.mark.parametrize(
        ("effect", "why"),
        [("allow", None), ("break_glass", None), ("review", "policy now needs 1 of sre"),
         ("deny", "policy now denies it (review-exports, review-pii)")],
    )  # fmt: skip
    def test_break_glass_stands_where_policy_allows_it_or_break_glass_again(self, effect, why):
        request = samples.request()
        used = request.model_copy(
            update={
                "because": Because.BREAK_GLASS,
                "ruling": request.ruling.model_copy(update={"effect": "break_glass"}),
            }
        )
        assert overtaken_by(used, ruling(effect=effect)) == why

    def test_seats_that_a_level_opened_count_as_they_did(self):
        raised = Review(reviewer="user:kim", verdict="approve", at=NOW, groups=("oncall", "sre"), via="x",
                        raised=("sre",))  # fmt: skip
        assert overtaken_by(approved().model_copy(update={"reviews": (raised,)}), PINNED) is None

    @pytest.mark.parametrize(
        ("event", "early"), [("ttl_elapsed", False), ("revoke", True), ("release", True), ("kill", True)]
    )
    def test_an_extended_grant_that_was_taken_away_stops_it(self, event, early):
        live = samples.grant("ACTIVE")
        assert ended_early(live) is None
        ended = grants.end(live, event, NOW, by="x", reason="")
        assert (ended_early(ended) is not None) == early
        assert "not known" in str(ended_early(None))


def test_facts_of_now_give_the_ruling_of_now():
    """The seam to the rules: an account that became production by itself makes a write need two people."""
    policy, _, sha256 = samples.book()
    request = samples.request(
        action="s3:PutObject", data_classes=None, access={**samples.BODY["access"], "actions": ["s3:PutObject"]}
    )
    dev = request.facts.model_copy(update={"account_environment": "dev", "environment": "dev"})
    before = rule(policy, dev, sha256=sha256)
    after = rule(policy, as_now(request.model_copy(update={"facts": dev}), PEOPLE, NOW), sha256=sha256)
    assert (before.seats, stricter(before, after).seats) == ({"sre": 1}, {"sre": 2})
