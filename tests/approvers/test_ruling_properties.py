"""Asking for more is never answered more leniently, whatever the policy; and other laws that no example can show."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers.errors import Forbidden, Inadmissible
from approvers.facts import Facts
from approvers.policy import Policy, parse_policy
from approvers.quorum import Review, tally
from approvers.ruling import Ruling, check_limits, may_review, rule
from tests.approvers.rules_world import NOON, POLICY, SHA, facts, roster

ACTIONS = ["s3:GetObject", "s3:ListBucket", "s3:PutObject", "s3:DeleteObject", "iam:PassRole", "odd:Thing"]
RESOURCES = [
    "arn:aws:s3:::exports/2026/a",
    "arn:aws:s3:::exports/2026/*",
    "arn:aws:s3:::exports/*",
    "arn:aws:s3:::x/y",
    "*",
]
ENVIRONMENTS = ["dev", "staging", "prod", "elsewhere"]
LEVELS = ["low", "medium", "high", "critical"]
THREE = '[quorum.three]\nseats = { security = 2 }\nladder = "page"\n'
EFFECTS = {"allow": 0, "review": 1, "deny": 2}


def lists(*words: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(words), min_size=1, max_size=3, unique=True)


ANYWHERE = {
    "principal": lists("caller:*", "caller:report-bot", "user:dana"),
    "principal_kind": lists("agent", "pipeline", "person"),
    "action": lists("s3:*", "s3:Get*", "s3:List*", "*:Delete*", "iam:*", "*"),
    "access_level": lists("List", "Read", "Write", "Permissions management", "unknown"),
    "resource": lists("arn:aws:s3:::exports/*", "arn:aws:s3:::exports/2026/*", "*", "arn:aws:s3:::x/y"),
    "role": lists("analytics", "dev", "*"),
    "account": lists("shop-*", "shop-dev"),
    "environment": lists("dev", "staging", "prod", "unknown", "*"),
    "outside_hours": st.sampled_from(["08:00-19:00", "19:00-08:00"]),
}
NOT_IN_ALLOW = {
    "actor": lists("agent:*", "agent:other"),
    "project": lists("reports", "shop"),
    "urgency": lists("low", "normal", "high"),
    "risk_list": lists("destructive", "escalation", "credentials"),
    "data_class": lists("pii", "public", "*"),
    "ttl_over": st.sampled_from(["10m", "1h"]),
    "risk_at_least": st.sampled_from(LEVELS),
    "reason_missing": st.just(True),
    "ticket_missing": st.just(True),
}
IN_ALLOW = {"ttl_at_most": st.sampled_from(["10m", "1h"]), "risk_below": st.sampled_from(LEVELS)}


@st.composite
def one_rule(draw: st.DrawFn, name: str) -> str:
    effect = draw(st.sampled_from(["allow", "allow", "review", "review", "deny"]))
    choices = {**ANYWHERE, **(IN_ALLOW if effect == "allow" else NOT_IN_ALLOW)}
    named = draw(st.lists(st.sampled_from(sorted(choices)), min_size=1, max_size=2, unique=True))
    when = ", ".join(f"{key} = {json.dumps(draw(choices[key]))}" for key in named)
    extra = "until = 2027-05-31\n" if effect == "allow" else ""
    if effect == "review":
        extra = f'quorum = "{draw(st.sampled_from(["one", "two", "three"]))}"\n'
    return f'[rule.{name}]\neffect = "{effect}"\nowner = "sre"\nnote = "{name}"\n{extra}when = {{ {when} }}\n'


@st.composite
def rule_texts(draw: st.DrawFn) -> list[str]:
    return [draw(one_rule(f"r{number}")) for number in range(draw(st.integers(0, 6)))]


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    head = POLICY.replace('default = "review"', f'default = "{draw(st.sampled_from(["review", "review", "deny"]))}"')
    head = head.replace('default_quorum = "one"', f'default_quorum = "{draw(st.sampled_from(["one", "two"]))}"')
    return parse_policy(head + THREE + "".join(draw(rule_texts())))


asks = st.fixed_dictionaries(
    {
        "bare": st.booleans(),
        "action": st.sampled_from(ACTIONS),
        "resource": st.sampled_from(RESOURCES),
        "environment": st.sampled_from(ENVIRONMENTS),
        "role": st.sampled_from(["analytics", "dev"]),
        "actions": lists(*ACTIONS),
        "resources": lists(*RESOURCES),
        "reason": st.sampled_from(["", "x"]),
        "ticket": st.sampled_from([None, "INC-1"]),
        "ttl_seconds": st.sampled_from([60, 600, 900, 3600]),
        "risk": st.sampled_from([None, *LEVELS]),
        "project": st.sampled_from([None, "reports"]),
        "data_classes": st.lists(st.sampled_from(["pii", "public"]), unique=True),
    }
)
ADDED = {"actions": ACTIONS, "resources": RESOURCES, "data_classes": ["pii", "public", "health"]}
ONE_MORE = [(key, word) for key, words in ADDED.items() for word in words]
STEPS = st.one_of(
    st.sampled_from(ONE_MORE),
    st.tuples(st.just("ttl_seconds"), st.sampled_from([601, 3600, 7200])),
    st.tuples(st.just("risk"), st.sampled_from(LEVELS)),
    st.tuples(st.just("environment"), st.sampled_from(ENVIRONMENTS)),
    st.just(("reason", "")),
    st.just(("ticket", None)),
)


def _more(asked: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Ask for more, or say less, in one respect; a step that would ask for less changes nothing."""
    if key in ADDED:
        return {**asked, key: list(dict.fromkeys([*asked[key], value]))}
    order: dict[str, list[Any]] = {"risk": [None, *LEVELS], "environment": ENVIRONMENTS}
    if key == "environment" and asked["bare"] and value != "elsewhere":
        return asked  # nothing is proven there: another known environment is another ask, not more of it
    if key in order:
        value = max(asked[key], value, key=order[key].index)
    if key == "ttl_seconds":
        value = max(asked[key], value)
    return {**asked, key: value}


def _facts(rules: Policy, asked: dict[str, Any], **more: Any) -> Facts:
    """Ask for a credential, or (`bare`) for an action approval only."""
    hidden = ("bare", "role", "actions", "resources") if asked["bare"] else ("bare",)
    body = {key: value for key, value in asked.items() if key not in hidden}
    return facts(rules, **body, **({"access": None} if asked["bare"] else {}), **more)


def _lenient(less: Ruling, more: Ruling) -> str | None:
    """Say how the second answer is more lenient than the first, or None."""
    if EFFECTS[more.effect] < EFFECTS[less.effect]:
        return f"{less.effect} became {more.effect}"
    if less.effect == more.effect == "review":
        fewer = [group for group, count in less.seats.items() if more.seats.get(group, 0) < count]
        if fewer:
            return f"fewer seats of {fewer}"
        if more.expires_after_seconds > less.expires_after_seconds:
            return "longer to answer"
    if more.risk.score < less.risk.score:
        return "a lower score"
    return None if set(less.barred) <= set(more.barred) else "somebody is no longer barred"


def _admitted(rules: Policy, found: Any) -> bool:
    try:
        check_limits(rules, found)
    except Inadmissible:
        return False
    return True


@given(policies(), asks, st.lists(STEPS, min_size=1, max_size=4))
def test_more_asked_is_never_answered_more_leniently(rules, asked, steps):
    before = _facts(rules, asked)
    for key, value in steps:
        asked = _more(asked, key, value)
        after = _facts(rules, asked)
        assert _lenient(rule(rules, before, sha256=SHA), rule(rules, after, sha256=SHA)) is None
        assert _admitted(rules, before) or not _admitted(rules, after)
        before = after


@given(policies(), asks)
def test_deny_beats_review_beats_allow(rules, asked):
    ruling = rule(rules, _facts(rules, asked), sha256=SHA)
    assert all(hit.effect == ruling.effect for hit in ruling.rules)
    assert (ruling.effect == "review") is bool(ruling.seats) is bool(ruling.quorums)
    alone = [rule(_only(rules, name), _facts(rules, asked), sha256=SHA) for name in rules.rules]
    if any(one.effect == "deny" and one.rules for one in alone):
        assert ruling.effect == "deny"
    elif any(one.effect == "review" and one.rules for one in alone):
        assert ruling.effect != "allow"
    if ruling.effect == "allow":
        assert any(one.effect == "allow" for one in alone)


def _only(rules: Policy, name: str) -> Policy:
    """Return the policy with one rule left."""
    alone = rules.model_copy(update={"rules": {name: rules.rules[name]}})
    alone.model_post_init(None)
    return alone


@given(st.permutations(range(5)), st.data())
def test_the_order_of_rules_in_the_file_changes_nothing(order, data):
    texts = [data.draw(one_rule(f"r{number}")) for number in range(5)]
    asked = data.draw(asks)
    forward = parse_policy(POLICY + THREE + "".join(texts))
    shuffled = parse_policy(POLICY + THREE + "".join(texts[at] for at in order))
    assert rule(forward, _facts(forward, asked), sha256=SHA) == rule(shuffled, _facts(shuffled, asked), sha256=SHA)


@given(
    policies(), asks, st.sampled_from(["caller:report-bot", "caller:deploy", "user:robin"]),
    st.sampled_from([None, "user:dana", "user:robin", "user:kim"]),
)  # fmt: skip
def test_the_asking_side_never_counts(rules, asked, principal, behind):
    people = roster()
    actor = principal if principal.startswith("user:") else "agent:report-bot"
    found = _facts(rules, asked, principal=principal, id=actor, on_behalf_of=behind)
    ruling = rule(rules, found, sha256=SHA)
    caller = people.caller(principal)
    asking = {principal, behind, *(caller.owners if caller else ())}
    yes = []
    for name in people.persons:
        person, groups = f"user:{name}", people.groups_of(name)
        try:
            may_review(ruling, person, groups)
        except Forbidden:
            continue
        assert person not in asking
        assert not any(f"group:{group}" in asking for group in groups)
        yes.append(Review(reviewer=person, verdict="approve", at=NOON, groups=tuple(groups), via="test"))
    seated = [person for filled in tally(ruling.seats, yes).filled.values() for person in filled]
    assert len(seated) == len(set(seated))


@pytest.mark.parametrize("claim", ["dev", "staging", "prod", "elsewhere"])
def test_claiming_another_environment_never_escapes_a_rule_on_the_real_one(claim):
    text = '[rule.probe]\neffect = "deny"\nowner = "sre"\nnote = "x"\nwhen = { environment = ["dev"] }\n'
    rules = parse_policy(POLICY + text)
    assert rule(rules, facts(rules, role="dev", environment=claim), sha256=SHA).effect == "deny"
