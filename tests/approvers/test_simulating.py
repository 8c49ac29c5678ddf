"""Recorded asks under another policy: what changes, what people had said, what cannot be replayed."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from approvers.cases import NotARecord, Outcome, read_case, tag_of
from approvers.errors import Inadmissible
from approvers.facts import Facts
from approvers.judging import STRICTNESS, Judge, compare
from approvers.limits import check_limits
from approvers.loads import Load
from approvers.policy import Policy
from approvers.ruling import rule, unevaluated
from approvers.simulating import Report, Simulation
from bench import rule_town
from tests.approvers.recorded_world import Story, fed
from tests.approvers.rules_world import (
    ALLOW_DEV,
    DENY_DELETES,
    NOON,
    POLICY,
    REVIEW_PII,
    REVIEW_READS,
    SHA,
    edited,
    facts,
    policy,
)

RULES = (DENY_DELETES, REVIEW_PII, REVIEW_READS, ALLOW_DEV)
OLD = policy(*RULES)
DEV = {"role": "dev", "environment": "dev"}


def tried(story: Story, new: Policy, **more: object) -> Report:
    found: Report = fed(Simulation(Judge(new, "a" * 64), **more), story.bodies).report()  # type: ignore[arg-type]
    return found


def listed(report: Report) -> dict[str, list[str]]:
    return {group.change.name: [row.id for row in group.listed] for group in report.groups}


@pytest.fixture
def story() -> Story:
    return Story(OLD)


def test_the_same_policy_changes_nothing(story: Story):
    story.approved(story.ask(), "robin")
    story.denied(story.ask(data_classes=["pii"]), "kim")
    story.ask(action="s3:DeleteObject", actions=["s3:DeleteObject"])
    story.ask(**DEV)
    report = tried(story, OLD)
    assert (report.replayed, report.same, report.changed, report.denied) == (4, 4, 0, 1)
    assert report.policies == {SHA: 4}


def test_what_would_be_allowed_is_listed_with_who_denied_it_first(story: Story):
    yes, no = story.ask(), story.ask(ticket="INC-2")
    story.approved(yes, "robin")
    story.denied(no, "dana", "not this month")
    allow = REVIEW_READS.replace('effect = "review"\nquorum = "one"', 'effect = "allow"\nuntil = 2027-05-31')
    report = tried(story, policy(DENY_DELETES, REVIEW_PII, allow, ALLOW_DEV))
    assert report.unasked == (2, 1)
    assert report.looser == 2
    assert listed(report) == {"review→allow": [no, yes]}
    denied, approved = report.groups[0].listed
    assert (denied.denied_by, denied.denied_reason, denied.ended) == ("user:dana", "not this month", "denied")
    assert (approved.denied_by, approved.ended) == (None, "approved")
    assert denied.why == "review-reads (access_level Read, environment prod)"
    assert denied.who == "caller:report-bot for user:dana"
    assert denied.was == "review of 1 sre"


def test_a_tighter_policy_moves_nothing_toward_allow(story: Story):
    free, asked = story.ask(**DEV), story.ask()
    deny = REVIEW_READS.replace('effect = "review"\nquorum = "one"', 'effect = "deny"')
    report = tried(story, policy(DENY_DELETES, REVIEW_PII, deny))
    assert listed(report) == {"allow→review": [free], "review→deny": [asked]}
    assert (report.looser, report.unasked) == (0, (0, 0))
    assert [row.ended for group in report.groups for row in group.listed] == ["by policy", "open"]


def test_other_seats_are_a_change_and_a_seat_less_is_a_move_toward_allow(story: Story):
    one, two = story.ask(), story.ask(data_classes=["pii"])
    more = tried(story, policy(DENY_DELETES, REVIEW_PII, edited(REVIEW_READS, '"one"', '"two"'), ALLOW_DEV))
    assert listed(more) == {"more seats": [one]}
    fewer = tried(story, policy(DENY_DELETES, edited(REVIEW_PII, '"two"', '"one"'), REVIEW_READS, ALLOW_DEV))
    assert listed(fewer) == {"fewer seats": [two]}
    assert (more.looser, fewer.looser) == (0, 1)


@pytest.mark.parametrize(
    ("before", "after", "name", "looser"),
    [
        (("review", {"a": 1}), ("review", {"b": 1}), "other seats", True),
        (("review", {"a": 1}), ("review", {"a": 1, "b": 1}), "more seats", False),
        (("review", {"a": 2}), ("review", {"a": 1}), "fewer seats", True),
        (("review", {"a": 1}), ("break_glass", {"a": 1}), "review→break_glass", True),
        (("deny", {}), ("refused", {}), "deny→refused", False),
        (("not_evaluated", {}), ("deny", {}), "not_evaluated→deny", False),
        (("not_evaluated", {}), ("review", {"a": 1}), "not_evaluated→review", True),
        (("deny", {}), ("allow", {}), "deny→allow", True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_difference_has_a_name_and_a_direction(before, after, name: str, looser: bool):
    change = compare(Outcome(before[0], before[1], None, ()), Outcome(after[0], after[1], None, ()))
    assert change == (name, looser)


def test_time_and_narrowing_are_changes_that_loosen_nothing():
    same = Outcome("review", {"a": 1}, 60, ())
    assert compare(same, same) is None
    assert compare(same, same._replace(expires_after_seconds=90)) == ("other time to answer", False)
    assert compare(same, same._replace(narrow=("ttl",))) == ("other narrowing", False)


def test_a_cap_that_would_refuse_is_named(story: Story):
    long = story.ask(ttl_seconds=1800)
    story.ask(ttl_seconds=600)
    caps = edited(edited(POLICY, 'prod = "1h"', 'prod = "20m"'), 'ttl_default = "30m"', 'ttl_default = "10m"')
    report = tried(story, policy(*RULES, base=caps))
    assert listed(report) == {"review→refused": [long]}
    why = report.groups[0].listed[0].why
    assert "30 min is longer than the 20 min" in why
    assert "[limits.ttl_max.prod]" in why


def test_the_quick_look_at_caps_agrees_with_the_caps_themselves():
    caps = edited(POLICY, 'prod = "1h"', 'prod = "1h", Read = "40m", high = "35m", "data:pii" = "31m"')
    rules = policy(*RULES, base=caps)
    judge = Judge(rules, SHA)
    for ttl in (600, 1800, 1860, 1861, 2100, 2400, 2401, 3600, 3601):
        for more in (
            {},
            {"data_classes": ["pii"]},
            DEV,
            {"actions": ["s3:GetObject", "s3:ListBucket", "s3:PutObject", "iam:PassRole"]},
        ):
            found = facts(rules, ttl_seconds=ttl, **more)
            assert (judge.outcome(found).effect == "refused") == _capped(rules, found), (ttl, more)


@pytest.mark.parametrize("size", [20, 200])
def test_what_is_remembered_is_what_the_one_function_says(size: int):
    rules = rule_town.policy(rule_town.rules(size))
    judge = Judge(rules, SHA)
    effects = set()
    for found in rule_town.asks(1_500, seed=size):
        ruling = rule(rules, found, sha256=SHA)
        assert judge.outcome(found) == (ruling.effect, ruling.seats, ruling.expires_after_seconds, ruling.narrow)
        effects.add(ruling.effect)
    assert effects == {"allow", "review", "deny"}


def _capped(rules: Policy, found: Facts) -> bool:
    try:
        check_limits(rules, found)
    except Inadmissible:
        return True
    return False


def test_what_breaks_inside_the_rules_is_no_yes(story: Story):
    story.ask()
    broken = OLD.model_copy(update={"timezone": "Nowhere/Land"})
    broken.__dict__.pop("zone", None)
    report = tried(story, broken)
    assert list(listed(report)) == ["review→not_evaluated"]
    assert report.looser == 0


def test_an_ask_that_could_not_be_evaluated_then_is_told_apart(story: Story):
    found = facts(OLD, at=NOON)
    story.asked(found, unevaluated("it broke", sha256=SHA), action={})
    assert list(listed(tried(story, OLD))) == ["not_evaluated→review"]


def test_only_the_asks_of_the_window_count_and_their_answers_whenever_they_come(story: Story):
    story.denied(story.ask(), "robin")
    since = story.at + timedelta(minutes=5)
    name = story.ask(after=timedelta(minutes=10))
    until = story.at + timedelta(seconds=1)
    story.ask(after=timedelta(hours=3))
    story.denied(name, "robin")
    report = tried(
        story, policy(DENY_DELETES, REVIEW_PII, REVIEW_READS.replace('"one"', '"two"')), since=since, until=until
    )
    assert (report.replayed, report.denied) == (1, 1)
    assert listed(report) == {"more seats": [name]}


def test_against_another_policy_the_recorded_ruling_does_not_count(story: Story):
    story.ask()
    new = policy(DENY_DELETES, REVIEW_PII, edited(REVIEW_READS, '"one"', '"two"'), ALLOW_DEV)
    assert tried(story, new, against=Judge(new, "b" * 64)).changed == 0
    assert tried(story, new, against=Judge(OLD, SHA)).changed == 1


def test_lists_are_cut_counts_are_not(story: Story):
    names = [story.ask() for _ in range(9)]
    for name in names[4:7]:
        story.denied(name, "robin")
    new = policy(DENY_DELETES, REVIEW_PII, edited(REVIEW_READS, '"one"', '"two"'), ALLOW_DEV)
    (group,) = tried(story, new, most=2).groups
    assert (group.total, group.denied) == (9, 3)
    assert [row.id for row in group.listed] == [*names[4:6], *names[:2]]


def test_a_use_of_break_glass_that_somebody_found_wrong_was_denied_by_people(story: Story):
    found = facts(OLD, at=NOON)
    used = rule(OLD, found, sha256=SHA)
    name = story.asked(found, used.model_copy(update={"effect": "break_glass"}), action={})
    story.add(name, "break_glass.reviewed", "user:robin", verdict="unjustified", reason="there was time")
    report = tried(story, OLD)
    assert listed(report) == {"break_glass→review": [name]}
    (row,) = report.groups[0].listed
    assert (row.denied_by, row.ended, report.denied) == ("user:robin", "approved", 1)


def test_load_is_counted_per_group_and_hour(story: Story):
    for minutes in (1, 1, 70):
        story.ask(after=timedelta(minutes=minutes))
    new = policy(DENY_DELETES, REVIEW_PII, edited(REVIEW_READS, '"one"', '"two"'), ALLOW_DEV)
    assert tried(story, new).loads == (Load("security", 0, 3, 0, 2), Load("sre", 3, 3, 2, 2))


V1_FACTS = {"access_levels": ["Read"], "environments": ["prod"]}
NEW_FIELDS = ("account_environment", "break_glass", "extends", "groups", "history", "issuer", "levels", "owed", "pairs",
              "ref", "repository_id", "tag_keys", "tags", "workflow")  # fmt: skip


def in_first_form(body: bytes, **changes: object) -> bytes:
    """Return the record as the first Countersign wrote it."""
    record = json.loads(body)
    old = {name: value for name, value in record["data"]["facts"].items() if name not in NEW_FIELDS}
    record["data"]["facts"] = {**old, **V1_FACTS, **changes}
    del record["data"]["ruling"]["narrow"]
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


def test_facts_of_the_first_form_are_lifted_where_that_is_exact(story: Story):
    story.ask()
    (body,) = story.bodies
    assert read_case(in_first_form(body)).facts == read_case(body).facts
    story.bodies = [in_first_form(body)]
    assert tried(story, OLD).same == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"access_levels": ["Read", "Write"]}, "which access level"),
        ({"reason": 7}, "not whole"),
        ({"environments": None, "ttl_seconds": "900"}, "not whole"),
    ],
    ids=["levels", "type", "text"],
)
def test_what_is_not_whole_is_counted_and_never_guessed(story: Story, change: dict, why: str):
    story.ask()
    story.bodies = [in_first_form(story.bodies[0], **change)]
    report = tried(story, OLD)
    assert (report.replayed, report.changed) == (0, 0)
    ((said, count),) = report.not_replayable.items()
    assert why in said
    assert count == 1


@pytest.mark.parametrize("name", [*NEW_FIELDS, "principal", "at"])
def test_a_missing_field_is_not_made_up(story: Story, name: str):
    story.ask()
    record = json.loads(story.bodies[0])
    del record["data"]["facts"][name]
    story.bodies = [json.dumps(record, sort_keys=True, separators=(",", ":")).encode()]
    assert list(tried(story, OLD).not_replayable.values()) == [1]


def test_a_type_is_the_records_own_whatever_the_caller_wrote(story: Story):
    story.ask(
        parameters='{"type":"request.denied","v":1,"via":"x"}', reason='","type":"request.denied","v":1,"via":"a"}'
    )
    assert tag_of(story.bodies[0]) == ("req_0001", "request.submitted")
    assert tag_of(json.dumps(json.loads(story.bodies[0])).encode() + b"\n") == ("req_0001", "request.submitted")
    assert tag_of(story.bodies[0] + b"\r\n") == ("req_0001", "request.submitted")


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b"no", b'{"type":"request.submitted"}'])
def test_a_line_that_is_no_record_is_refused(line: bytes):
    with pytest.raises(NotARecord):
        Simulation(Judge(OLD, SHA)).feed(line)


def test_every_effect_has_its_place_in_the_order():
    assert [name for name, _ in sorted(STRICTNESS.items(), key=lambda one: one[1])] == [
        "allow", "break_glass", "review", "deny", "not_evaluated", "refused"
    ]  # fmt: skip
