"""A ruling explained: the answer first, then on what; everything for people, notes only for a caller."""

from __future__ import annotations

from typing import Any

import pytest

from approvers.card import visible
from approvers.explain import InForce, explain, explain_request, for_caller, lines
from approvers.policy import Policy, parse_policy
from approvers.quorum import Review
from approvers.request import Because, Request, RequestState
from approvers.ruling import rule, unevaluated
from tests.approvers.rules_world import ALLOW_DEV, DENY_DELETES, POLICY, REVIEW_PII, SHA, facts, policy
from tests.worlds import samples

RULES = policy(DENY_DELETES, REVIEW_PII, ALLOW_DEV)


def told(rules: Policy = RULES, **changes: Any) -> list[str]:
    asked = facts(rules, **changes)
    return list(lines(explain(rule(rules, asked, sha256=SHA), asked, policy=rules)))


def test_a_review_says_who_is_needed_first_and_then_on_what() -> None:
    found = told(data_classes=["pii"])
    assert found[:4] == [
        "PEOPLE ARE ASKED: 1 of security and 1 of sre",
        "People are asked by review-pii and, as no rule speaks for all of this, by the policy's default.",
        "Rule review-pii (review): Personal data.",
        "• data_class: the rule wants pii, the request has pii",
    ]
    assert "Needs 1 of security: 0 so far" in found
    assert "• not dana: the human behind the agent" in found
    assert "TTL 15 min of at most 1 h (prod); wider: 4 h (default)" in found
    assert any(line.startswith("• +15 ") and "pii" in line for line in found)


def test_a_denial_an_allowance_and_a_near_miss() -> None:
    assert told(action="s3:DeleteObject")[:2] == ["DENIED by policy", "Denied by deny-deletes."]
    dev = {"role": "dev", "environment": "dev"}
    assert told(**dev)[0] == "ALLOWED without asking anybody"
    near = told(**dev, ttl_seconds=7200)
    assert ("Nearly allowed by allow-dev, but for one condition: ttl_at_most: the rule wants at most 1 h, "
            "the request has 2 h") in near  # fmt: skip


def test_what_could_not_be_evaluated_is_no_rules_no() -> None:
    asked = facts(RULES)
    found = explain(unevaluated("the action table has unknown risk lists: odd", sha256=SHA), asked)
    assert (found.evaluated, found.notes, found.rules) == (False, (), ())
    assert list(lines(found))[:2] == [
        "NOT EVALUATED, and so not allowed",
        "Nobody said no: the policy could not be computed (the action table has unknown risk lists: odd).",
    ]


def request(**changes: Any) -> Request:
    return samples.request(**changes)


def current(old: str = "", new: str = "", sha256: str = "e" * 64) -> InForce:
    assert old in samples.POLICY_TEXT
    return InForce(parse_policy(samples.POLICY_TEXT.replace(old, new) if old else samples.POLICY_TEXT), sha256)


def test_under_the_same_policy_nothing_is_compared_and_its_caps_are_told() -> None:
    asked = request()
    found = explain_request(asked, current(sha256=asked.ruling.policy_sha256))
    assert found.now is None
    assert [(cap.of, cap.seconds) for cap in found.caps] == [("prod", 3600), ("default", 7200)]


CHANGED = [
    # what is changed since, the line
    ("", "", "Under the policy in force now: the same answer."),
    ("seats  = { sre = 1 }", "seats  = { sre = 2 }", "Under the policy in force now: review (2 of sre). People are"),
    ('data_class = ["pii"] }', 'data_class = ["pii"] }\n[rule.no]\neffect = "deny"\nowner = "sre"\nnote = "No."\n'
     'when = { action = ["s3:*"] }', "Under the policy in force now: deny. Denied by no."),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line"), CHANGED, ids=[row[2] for row in CHANGED])
def test_what_the_policy_in_force_would_say_is_told(old: str, new: str, line: str) -> None:
    found = explain_request(request(), current(old, new))
    assert found.now is not None and found.now.same is (old == "")
    assert [one for one in lines(found) if one.startswith("Under the policy in force now")] == [
        pytest.approx(one) for one in lines(found) if one.startswith(line)
    ]
    assert any(one.startswith(line) for one in lines(found))


def test_a_policy_in_force_that_cannot_be_evaluated_is_said_as_such() -> None:
    broken = current()._replace(policy=None)  # type: ignore[arg-type]
    found = explain_request(request(), broken)
    assert found.now is not None and (found.now.effect, found.now.same) == ("not_evaluated", False)
    assert "Under the policy in force now: it cannot be evaluated (AttributeError)." in lines(found)


def test_who_has_answered_stands_by_their_seat_and_in_the_first_line() -> None:
    yes = Review(reviewer="user:robin", verdict="approve", at=samples.NOW, groups=("sre",), via="test")
    closed = request().model_copy(
        update={
            "reviews": (yes,),
            "state": RequestState.APPROVED,
            "because": Because.QUORUM,
            "decided_by": "user:robin",
            "decided_at": samples.NOW,
        }
    )
    found = list(lines(explain_request(closed, None), closed))
    assert "Reach: 1 Read over 1 bucket prefix; nothing is changed" in found
    assert found[0] == "PEOPLE ARE ASKED: 1 of sre; APPROVED by robin"
    assert "Needs 1 of sre: 1 so far (robin)" in found


def test_a_caller_gets_the_notes_and_nothing_to_learn_a_way_around_from() -> None:
    assert for_caller(request()) == {
        "because": "waiting",
        "notes": ["Customer exports are read with a second signature.", "Personal data is in play."],
    }
    dark = request().model_copy(update={"ruling": unevaluated("ValueError", sha256=SHA)})
    assert for_caller(dark)["notes"] == []


def test_lines_are_harmless_once_made_visible() -> None:
    rules = parse_policy(POLICY + DENY_DELETES.replace("*:Delete*", "*:Delete*"))
    asked = facts(rules, resource="arn:aws:s3:::x/\u202eevil", access=None)
    assert all("\u202e" not in visible(line, 400) for line in lines(explain(rule(rules, asked, sha256=SHA), asked)))
