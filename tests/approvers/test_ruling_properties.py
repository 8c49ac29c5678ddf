"""Asking for more is never answered more leniently, whatever the policy; and other laws that no example can show."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvers.errors import Forbidden, Inadmissible
from approvers.facts import NO_HISTORY, Facts, History
from approvers.policy import Policy, parse_policy
from approvers.quorum import Review, tally
from approvers.ruling import Ruling, check_limits, may_review, rule
from tests.approvers.plain_rules import check_index
from tests.approvers.rules_world import NOON, POLICY, SHA, facts, past, roster

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
GLASS = '[break_glass]\nwho = ["user:robin", "group:sre-lead"]\ntell = ["group:security"]\n'
TAGS = [("data=pii", "team=shop"), ("team=ads",), ()]
PROOF = {"issuer": "github", "repository_id": "456789", "ref": "refs/heads/main", "workflow": "shop/deploy.yml"}
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
    "weekday": lists("mon", "fri", "sat"),
    "issuer": lists("github", "git*", "other"),
    "repository_id": lists("456789", "4*"),
    "ref": lists("refs/heads/main", "refs/*", "refs/tags/*"),
    "workflow": lists("*/deploy.yml", "shop/*"),
    "tags_any": lists("data=pii", "team=*", "*=shop"),
    "tags_none": lists("data=*", "team=ads"),
}
NOT_IN_ALLOW = {
    "actor": lists("agent:*", "agent:other"),
    "project": lists("reports", "shop"),
    "urgency": lists("low", "normal", "high"),
    "risk_list": lists("destructive", "escalation", "credentials"),
    "data_class": lists("pii", "public", "*"),
    "ttl_over": st.sampled_from(["10m", "1h"]),
    "risk_at_least": st.sampled_from(LEVELS),
    "model": lists("gpt-*", "other"),
    "stage": lists("training", "*"),
    "rate_over": st.sampled_from(["2/1m", "5/1h", "20/1d"]),
    "reason_missing": st.just(True),
    "reason_shorter_than": st.sampled_from([2, 10]),
    "first_seen": st.just(True),
    "ticket_missing": st.just(True),
}
IN_ALLOW = {"ttl_at_most": st.sampled_from(["10m", "1h"]), "risk_below": st.sampled_from(LEVELS)}


@st.composite
def one_rule(draw: st.DrawFn, name: str, conditions: int = 2) -> str:
    effect = draw(st.sampled_from(["allow", "allow", "review", "review", "deny"]))
    choices = {**ANYWHERE, **(IN_ALLOW if effect == "allow" else NOT_IN_ALLOW)}
    named = draw(st.lists(st.sampled_from(sorted(choices)), min_size=1, max_size=conditions, unique=True))
    when = ", ".join(f"{key} = {json.dumps(draw(choices[key]))}" for key in named)
    extra = f"until = {draw(st.sampled_from(['2027-05-31', '2026-11-20', '2026-11-19']))}\n"
    if effect == "review":
        extra = f'quorum = "{draw(st.sampled_from(["one", "two", "three"]))}"\n'
    return f'[rule.{name}]\neffect = "{effect}"\nowner = "sre"\nnote = "{name}"\n{extra}when = {{ {when} }}\n'


@st.composite
def rule_texts(draw: st.DrawFn, most: int = 6, conditions: int = 2) -> list[str]:
    return [draw(one_rule(f"r{number:02d}", conditions)) for number in range(draw(st.integers(0, most)))]


@st.composite
def policies(draw: st.DrawFn, most: int = 6, conditions: int = 2) -> Policy:
    head = POLICY.replace('default = "review"', f'default = "{draw(st.sampled_from(["review", "review", "deny"]))}"')
    head = head.replace('default_quorum = "one"', f'default_quorum = "{draw(st.sampled_from(["one", "two"]))}"')
    return parse_policy(head + THREE + "".join(draw(rule_texts(most, conditions))) + GLASS)


asks = st.fixed_dictionaries(
    {
        "bare": st.booleans(),
        "action": st.sampled_from(ACTIONS),
        "resource": st.sampled_from(RESOURCES),
        "environment": st.sampled_from(ENVIRONMENTS),
        "role": st.sampled_from(["analytics", "dev"]),
        "actions": lists(*ACTIONS),
        "resources": lists(*RESOURCES),
        "reason": st.sampled_from(["", "x", "  xy ", "A longer reason."]),
        "model": st.sampled_from([None, "GPT-9", "x"]),
        "stage": st.sampled_from([None, "training"]),
        "proof": st.sampled_from([{}, PROOF]),
        "tags": st.dictionaries(st.sampled_from(RESOURCES), st.sampled_from(TAGS)),
        "history": st.builds(
            lambda counts, new, known: past(asked=tuple(sorted(counts)), new=tuple(new), known=known),
            st.lists(st.sampled_from([1, 3, 6, 21]), min_size=7, max_size=7),
            st.lists(st.sampled_from(ACTIONS), max_size=2, unique=True),
            st.sampled_from([0, 99]),
        ),
        "ticket": st.sampled_from([None, "INC-1"]),
        "ttl_seconds": st.sampled_from([60, 600, 900, 3600]),
        "risk": st.sampled_from([None, *LEVELS]),
        "project": st.sampled_from([None, "reports"]),
        "data_classes": st.lists(st.sampled_from(["pii", "public"]), unique=True),
    }
)
CLAIMED = {"project": "reports", "model": "gpt-9", "stage": "training"}
ADDED = {"actions": ACTIONS, "resources": RESOURCES, "data_classes": ["pii", "public", "health"]}
ONE_MORE = [(key, word) for key, words in ADDED.items() for word in words]
STEPS = st.one_of(
    st.sampled_from(ONE_MORE),
    st.tuples(st.just("ttl_seconds"), st.sampled_from([601, 3600, 7200])),
    st.tuples(st.just("risk"), st.sampled_from(LEVELS)),
    st.tuples(st.just("environment"), st.sampled_from(ENVIRONMENTS)),
    st.just(("reason", "")),
    st.just(("ticket", None)),
    st.sampled_from(list(CLAIMED.items())),
    st.tuples(st.just("tags"), st.sampled_from(RESOURCES)),
    st.tuples(st.just("asked"), st.integers(0, 6)),
    st.tuples(st.just("new"), st.sampled_from(ACTIONS)),
)


def _more(asked: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Ask for more, or say less, in one respect; a step that would ask for less changes nothing."""
    if key in ADDED:
        return {**asked, key: list(dict.fromkeys([*asked[key], value]))}
    if key in CLAIMED:
        value = asked[key] or value
    if key == "tags":
        value = {resource: tags for resource, tags in asked["tags"].items() if resource != value}
    if key in ("asked", "new"):
        return {**asked, "history": _longer(asked["history"], key, value)}
    order: dict[str, list[Any]] = {"risk": [None, *LEVELS], "environment": ENVIRONMENTS}
    if key == "environment" and asked["bare"] and value != "elsewhere":
        return asked  # nothing is proven there: another known environment is another ask, not more of it
    if key in order:
        value = max(asked[key], value, key=order[key].index)
    if key == "ttl_seconds":
        value = max(asked[key], value)
    return {**asked, key: value}


def _longer(history: History, key: str, value: Any) -> History:
    """Count more asks (from a window on), or one more action that nobody approved before."""
    if key == "new":
        return history.model_copy(update={"new": tuple(dict.fromkeys([*history.new, value]))})
    counts = [count + (30 if place >= value else 0) for place, count in enumerate(history.asked)]
    return history.model_copy(update={"asked": tuple(counts)})


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


MOMENTS = [NOON, NOON.replace(hour=23), NOON.replace(day=21, hour=3), NOON.replace(year=2027, month=6)]
rulebooks = policies(14, 4)


@given(rulebooks, st.lists(st.tuples(asks, st.sampled_from(MOMENTS), st.booleans()), min_size=1, max_size=4))
def test_all_rules_at_once_come_to_the_same_as_one_after_the_other(rules, asked):
    for one, at, counted in asked:
        found = _facts(rules, one if counted else {**one, "history": NO_HISTORY}, at=at)
        check_index(rules, found, SHA)


@given(policies(), asks, st.sampled_from([(), ("sre-lead",)]), st.integers(0, 1))
def test_break_glass_only_ever_stands_in_for_a_review(rules, asked, groups, owed):
    person = {"principal": "user:dana", "id": "user:dana", "on_behalf_of": None, "groups": groups, "owed": owed}
    plain = rule(rules, _facts(rules, asked, **person), sha256=SHA)
    broken = rule(rules, _facts(rules, asked, **person, break_glass=True), sha256=SHA)
    if plain.effect != "review":
        assert broken == plain
    elif groups and not owed and asked["reason"].strip():
        changed = {"effect": "break_glass", "because": broken.because, "narrow": ()}
        assert broken == plain.model_copy(update=changed)
    else:
        assert (broken.effect, broken.rules, dict(broken.seats)) == ("deny", (), {})


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
    """Return the policy with one rule left; what was compiled of the whole one is left behind."""
    alone = Policy.model_construct(**{key: getattr(rules, key) for key in Policy.model_fields})
    object.__setattr__(alone, "rules", {name: rules.rules[name]})
    assert [compiled.rule.name for compiled in alone.compiled] == [name]
    return alone


@settings(max_examples=50)
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
