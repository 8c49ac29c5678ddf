"""`countersign policy suggest`: over the log of a running world; what it suggests has been tried on that log."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from approvers.policy import parse_policy
from countersign.ops.suggest import suggest, tell
from tests.approvers.rules_world import NOON, edited
from tests.countersign.ops.conftest import Command
from tests.worlds.samples import POLICY_TEXT, ROSTER_TEXT
from tests.worlds.web import Web
from workers.policies import NotConfigured, apply
from workers.stores.memory import memory_store

POLICY = edited(POLICY_TEXT, 'action = ["*:Delete*", "*:Terminate*"], ', 'action = ["*:Delete*"], ')
LISTS = {"action": "s3:ListBucket", "resource": "arn:aws:s3:::customer-exports", "data_classes": None}
LOGS = {"action": "s3:GetObject", "resource": "arn:aws:s3:::logs/2026", "data_classes": None}


class Town:
    def __init__(self) -> None:
        self.time = NOON
        self.store = memory_store(lambda: self.time)
        self.count = 0

    async def ask(self, web: Web, what: dict, *, verdict: str = "approve", **more: object) -> None:
        """Ask, and let one of two people answer half a minute later."""
        self.count += 1
        self.time += timedelta(minutes=10)
        access = {"role": "analytics", "actions": [what["action"]], "resources": [what["resource"]]}
        got = await web.ask(f"k{self.count}", **{**what, "access": access, "parameters": {"n": self.count}, **more})
        assert got.status == 202, got.body
        self.time += timedelta(seconds=30)
        answered = await web.review(got.json["id"], ("robin", "alex")[self.count % 2], verdict)
        assert answered.status == 200, answered.body


@pytest.fixture
async def town() -> AsyncIterator[tuple[Town, Web]]:
    town = Town()
    await apply(town.store.records, policy=POLICY, roster=ROSTER_TEXT, by="user:kim", why="test")
    async with Web.over(town.store, policy="") as web:
        yield town, web


async def test_a_habit_of_the_default_becomes_a_rule_that_loads(
    town: tuple[Town, Web], capsys: pytest.CaptureFixture[str]
):
    world, web = town
    for _ in range(12):
        await world.ask(web, LISTS)
    (one,) = await suggest(world.store, "90d")
    assert one.why_not is None
    assert one.rule is not None
    new = parse_policy(f"{POLICY}\n{one.rule}").rules[str(one.name)]
    assert new.when.action == ("s3:ListBucket",)
    assert new.when.resource == ("arn:aws:s3:::customer-exports",)
    assert new.until == (world.time + timedelta(days=90)).date()
    tell([one], json_=False)
    parse_policy(POLICY + capsys.readouterr().out)  # as it is printed, comments and all
    tell([one], json_=True)
    (told,) = json.loads(capsys.readouterr().out)["suggestions"]
    assert (told["approved"], told["median_seconds"], told["reviewers"], told["rule"]) == (12, 30.0, 2, one.rule)


async def test_a_rule_that_would_allow_what_somebody_denied_is_not_suggested(town: tuple[Town, Web]):
    world, web = town
    for _ in range(12):
        await world.ask(web, LISTS)
    await apply(world.store.records, policy=POLICY + REVIEW_NIGHT, roster=None, by="user:kim", why="more")
    await web.deps.policies.refresh()
    await world.ask(web, LISTS, verdict="deny")  # asked by another rule, so no part of the same habit
    await apply(world.store.records, policy=POLICY, roster=None, by="user:kim", why="back")
    (one,) = await suggest(world.store, "90d")
    assert one.rule is None
    assert one.why_not == "it would allow 1 asks that a person denied"


REVIEW_NIGHT = """
[rule.review-lists]
effect = "review"
quorum = "one"
owner = "sre"
note = "Lists."
when = { action = ["s3:ListBucket"], account = ["prod-payments"] }
"""


async def test_a_rule_whose_absence_would_ask_fewer_people_for_others_stays(town: tuple[Town, Web]):
    world, web = town
    exports = {**LISTS, "action": "s3:GetObject", "resource": "arn:aws:s3:::customer-exports/2026/x"}
    for _ in range(12):
        await world.ask(web, exports)
    (one,) = await suggest(world.store, "90d")
    assert (one.habit.key.rules, one.why_not) == (("review-exports",), None)
    head, mark, tail = POLICY.partition("[rule.review-exports]")
    two = head + mark + tail.replace('quorum = "one"', 'quorum = "two"', 1)
    await apply(world.store.records, policy=two, roster=None, by="user:kim", why="two of them")
    await web.deps.policies.refresh()
    await world.ask(
        web, {**exports, "resource": f"{exports['resource']}/y"}, who="user:dana", actor={"id": "user:dana"}
    )
    (other,) = await suggest(world.store, "90d")
    assert other.rule is None
    assert other.why_not == ("without the rule that asks now, others would be answered differently (fewer seats: 1)")


def test_before_the_first_apply_it_says_what_to_do(command: Command):
    said = command("policy", "suggest")
    assert said.code == 1
    assert "countersign apply" in said.err


async def test_without_a_policy_nothing_is_looked_for():
    with pytest.raises(NotConfigured):
        await suggest(memory_store(), "90d")
