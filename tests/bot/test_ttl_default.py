"""An ask that names no TTL gets the default for what it asks; record, plan, facts and digest hold the same one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from approvers.action import action_digest
from approvers.policy import Policy
from approvers.ruling import NOT_EVALUATED
from bot.asking import ruled, with_ttl
from tests.approvers.rules_world import POLICY, ask, edited, facts, policy
from tests.worlds import samples

TABLE = edited(POLICY, 'ttl_default = "30m"', 'ttl_default = { default = "30m", prod = "20m" }')


def book(rules: Policy) -> Any:
    return SimpleNamespace(policy=rules, policy_sha256="f" * 64)


def test_the_default_is_the_same_everywhere_and_bound():
    rules = policy(base=TABLE)
    found = facts(rules, ttl_seconds=None)
    plan = samples.request().plan
    assert (found.ttl_seconds, plan.ttl_seconds) == (1800, 900)
    action, planned, settled = with_ttl(book(rules), ask(ttl_seconds=None), plan, found)
    assert action.ttl_seconds == planned.ttl_seconds == settled.ttl_seconds == 1200
    named = action_digest("caller:report-bot", ask(ttl_seconds=1200))
    assert action_digest("caller:report-bot", action) == named


def test_a_ttl_that_was_named_stays_and_no_plan_is_needed():
    rules = policy(base=TABLE)
    asked, found = ask(access=None), facts(rules, access=None)
    assert with_ttl(book(rules), asked, None, found) == (asked, None, found)
    action, planned, settled = with_ttl(book(rules), ask(access=None, ttl_seconds=None), None, found)
    assert (action.ttl_seconds, planned, settled.ttl_seconds) == (1200, None, 1200)


def test_what_cannot_be_evaluated_denies_and_says_so():
    rules = policy('[rule.x]\neffect = "allow"\nuntil = 2030-01-01\nowner = "sre"\nnote = "x"\n'
                   'when = { risk_below = "critical" }\n')  # fmt: skip
    broken = facts(rules).model_copy(update={"claimed_risk": "haunted"})
    ruling = ruled(book(rules), broken)
    assert (ruling.effect, ruling.because, ruling.notes) == ("deny", NOT_EVALUATED, ("ValueError",))
    assert dict(ruling.seats) == {}
