"""Habits of approving: what is always approved quickly, what stands against allowing it, and the rule for it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from approvers.judging import Judge
from approvers.policy import Policy, parse_policy
from approvers.simulating import Simulation
from approvers.suggesting import Habit, Habits, Key, objections, resources_of
from approvers.suggesting_rule import owner_of, rule_name, rule_text, tried
from tests.approvers.recorded_world import Story, fed
from tests.approvers.rules_world import ALLOW_DEV, DENY_DELETES, POLICY, REVIEW_PII, REVIEW_READS, SHA, policy

TEXT = POLICY + DENY_DELETES + REVIEW_PII + REVIEW_READS + ALLOW_DEV
OLD = policy(DENY_DELETES, REVIEW_PII, REVIEW_READS, ALLOW_DEV)
UNTIL = date(2027, 2, 1)


@pytest.fixture
def story() -> Story:
    return Story(OLD)


def approve(story: Story, times: int = 12, *, after: int = 30, **changes: Any) -> list[str]:
    """Ask so often, and let two people approve in turn."""
    names = []
    for number in range(times):
        names.append(story.ask(ticket=f"INC-{number}", **changes))
        story.approved(names[-1], ("robin", "alex")[number % 2], after=after)
    return names


def habits(story: Story) -> list[Habit]:
    found: list[Habit] = fed(Habits(OLD), story.bodies).always()
    return found


def test_what_is_always_approved_quickly_is_a_habit(story: Story):
    approve(story)
    (habit,) = habits(story)
    assert habit.key == Key(("review-reads",), "caller:report-bot", "shop-prod", "prod")
    assert (habit.approved, habit.median, habit.reviewers) == (12, timedelta(seconds=30), {"user:robin", "user:alex"})
    assert list(objections(habit)) == []


@pytest.mark.parametrize("spoiled", ["few", "denied", "expired", "narrowed", "slow"])
def test_what_is_not_quite_always_approved_is_none(story: Story, spoiled: str):
    approve(story, 9 if spoiled == "few" else 12, after=301 if spoiled == "slow" else 30)
    if spoiled == "denied":
        story.denied(story.ask(), "robin")
    if spoiled == "expired":
        story.end(story.ask(), "expired", "nobody_answered")
    if spoiled == "narrowed":
        name = story.ask()
        story.add(name, "request.narrowed", "user:robin")
        story.approved(name, "robin")
    assert habits(story) == []


def test_what_was_withdrawn_or_waits_still_counts_neither_way(story: Story):
    approve(story)
    story.end(story.ask(), "cancelled", "withdrawn")
    story.ask()
    assert len(habits(story)) == 1


def test_who_asks_and_where_makes_another_habit(story: Story):
    approve(story)
    story.denied(story.ask(principal="caller:deploy", id="pipeline:deploy"), "kim")
    assert [habit.key.principal for habit in habits(story)] == ["caller:report-bot"]


def a_habit(**changes: Any) -> Habit:
    key = Key(("review-reads",), "caller:report-bot", "shop-prod", "prod")
    fields: dict[str, Any] = {
        "approved": 12,
        "reviewers": {"user:robin", "user:alex"},
        "actions": {"s3:GetObject"},
        "levels": {"Read"},
        "resources": {"arn:aws:s3:::exports/1"},
        "longest": 900,
        "seconds": [30.0] * 12,
    }
    return Habit(**{"key": key, **fields, **changes})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"key": Key(("a", "b"), "caller:x", "shop-prod", "prod")}, "several rules ask for it: a, b"),
        ({"reviewers": {"user:robin"}}, "one person alone"),
        ({"risk": 2}, "its risk is high"),
        ({"risk": 3}, "its risk is critical"),
        ({"listed": {"credentials"}}, "listed: credentials"),
        ({"levels": {"Read", "Permissions management"}}, "access level Permissions management"),
        ({"levels": {"unknown"}}, "access level unknown"),
        ({"key": Key((), "caller:x", None, None)}, "no account proves"),
        ({"resources": {"*"}}, "nothing in common"),
        ({"resources": {f"arn:aws:s3:::{name}/x" for name in "abcdef"}}, "nothing in common"),
    ],
    ids=["rules", "reviewers", "high", "critical", "listed", "permissions", "unknown", "account", "everything", "wide"],
)
def test_what_must_stay_with_people_is_not_suggested(change: dict, told: str):
    (objection,) = objections(a_habit(**change))
    assert told in objection


def test_many_resources_are_what_all_begin_with():
    few = {f"arn:aws:s3:::exports/2026/{number}" for number in range(5)}
    assert resources_of(a_habit(resources=few)) == sorted(few)
    many = {f"arn:aws:s3:::exports/2026/report-{number:02d}.csv" for number in range(20)}
    assert resources_of(a_habit(resources=many)) == ["arn:aws:s3:::exports/2026/*"]


def suggested(habit: Habit) -> tuple[str, Policy]:
    name = rule_name(habit, OLD.rules)
    text = rule_text(habit, name, owner=owner_of(habit, OLD), until=UNTIL)
    found = tried(habit, TEXT, text)
    assert isinstance(found, Policy), found
    return text, found


def test_the_rule_loads_and_covers_exactly_the_habit(story: Story):
    names = approve(story, ttl_seconds=1200)
    other = story.ask(principal="caller:deploy", id="pipeline:deploy")
    longer, elsewhere = story.ask(ttl_seconds=1260), story.ask(resources=["arn:aws:s3:::exports/2027/x"])
    story.denied(longer, "robin")
    (habit,) = [one for one in fed(Habits(OLD), story.bodies[: 3 * 12]).always()]
    text, new = suggested(habit)
    rule = parse_policy(TEXT + text).rules["allow-report-bot-shop-prod"]
    assert (rule.effect, rule.until, rule.owner) == ("allow", UNTIL, "sre")
    report = fed(Simulation(Judge(new, SHA)), story.bodies).report()
    assert [(group.change.name, sorted(row.id for row in group.listed)) for group in report.groups] == [
        ("review→allow", sorted(names))
    ]
    assert report.unasked == (12, 0)
    assert {other, longer, elsewhere}.isdisjoint(names)


def test_names_stay_free_and_text_stays_text():
    habit = a_habit()
    assert rule_name(habit, {"allow-report-bot-shop-prod"}) == "allow-report-bot-shop-prod-2"
    odd = a_habit(resources={'arn:aws:s3:::exports/"x"\\é'})
    text, new = suggested(odd)
    assert new.rules["allow-report-bot-shop-prod"].when.resource == ('arn:aws:s3:::exports/"x"\\é',)
    assert 'ttl_at_most = "15m"' in text


def test_the_owner_is_the_rules_or_the_group_that_the_default_asks():
    assert owner_of(a_habit(key=Key(("review-pii",), "caller:x", "a", "prod")), OLD) == "security"
    assert owner_of(a_habit(key=Key((), "caller:x", "a", "prod")), OLD) == "sre"


def test_what_cannot_be_written_is_said_and_not_suggested():
    spaced = a_habit(resources={"arn:aws:s3:::exports/a b"})
    text = rule_text(spaced, "x", owner="sre", until=UNTIL)
    assert "cannot be written" in str(tried(spaced, TEXT, text))
    gone = a_habit(key=Key(("was-here",), "caller:x", "a", "prod"))
    assert tried(gone, TEXT, "") == "was-here is no rule any more"
