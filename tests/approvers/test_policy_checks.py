"""What two files together show: rules that are dead or shadowed, patterns that fit nothing, seats that nobody fills."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given

from approvers.faults import ConfigError, Fault
from approvers.policy import Policy, findings, parse_policy
from approvers.ruling import rule
from tests.approvers.rules_world import POLICY, ROSTER, SHA, edited, roster
from tests.approvers.test_ruling_properties import _facts as facts_of
from tests.approvers.test_ruling_properties import asks, policies
from workers.data.levels import load_levels

TODAY = date(2026, 11, 21)
PEOPLE = edited(ROSTER, 'owners = ["group:security"]', 'owners = ["user:robin"]')
GITHUB = '[issuer.github]\nurl = "https://token.actions.githubusercontent.com"\naudience = "countersign"\n'


def one(when: str, effect: str = "deny", name: str = "probe", more: str = "") -> str:
    until = "until = 2027-05-31\n" if effect == "allow" and "until" not in more else ""
    return (
        f'[rule.{name}]\neffect = "{effect}"\nowner = "sre"\nnote = "Probe."\n{until}{more}\nwhen = {{ {when} }}\n'
    )  # fmt: skip


def found(*rules_: str, base: str = POLICY, people: str = PEOPLE) -> list[Fault]:
    policy = parse_policy(base + "".join(rules_))
    return list(findings(policy, roster(people), actions=load_levels(), today=TODAY))


E, WARN = "error", "warning"
SINGLE = [
    # rule, place below the rule, severity, part of the words
    (one('action = ["s3:GetObjekt"]'), "when.action[0]", E, "did you mean 's3:GetObject'?"),
    (one('action = ["s3:Get*", "s3:Erase*"]'), "when.action[1]", E, "fits no action that there is"),
    (one('action = ["secretmanager:GetSecretValue"]'), "when.action[0]", E, "'secretsmanager:GetSecretValue'"),
    (one('action = ["*:Terminat"]'), "when.action[0]", E, "fits no action"),
    (one('action = ["release:Ship"]'), "when.action[0]", WARN, "a kind of action of your own"),
    (one('action = ["s3:Get*"], access_level = ["Write"]', "allow"), "when.access_level", E, "they are Read"),
    (one('action = ["s3:Get*"], access_level = ["Write"]'), "when.access_level", WARN, "they are Read"),
    (one('principal = ["caller:deploy"], principal_kind = ["agent"]'), "when.principal_kind", E, "are pipeline"),
    (one('role = ["analytics"], account = ["shop-dev"]'), "when.account", E, "roles lie in shop-prod"),
    (one('role = ["analytics"], environment = ["dev"]'), "when.environment", E, "accounts are prod"),
    (one('account = ["shop-prod"], environment = ["dev", "staging"]'), "when.environment", E, "accounts are prod"),
    (one('account = ["shop-dev"], environment = ["prod"]', "allow"), "when.environment", E, "accounts are dev"),
    (one('risk_below = "low"', "allow"), "when.risk_below", E, "nothing is below low"),
    (one('access_level = ["Write"], environment = ["prod"], risk_below = "medium"', "allow"), "when.risk_below", WARN,
     "at least 35 points"),
    (one('risk_at_least = "low"'), "when.risk_at_least", WARN, "always holds"),
    (one('ttl_over = "4h"'), "when.ttl_over", WARN, "nothing longer than 4 h"),
    (one('ttl_over = "1h", environment = ["prod"]'), "when.ttl_over", WARN, "nothing longer than 1 h"),
    (one('ttl_over = "45m", access_level = ["Permissions management"]'), "when.ttl_over", WARN, "45 min"),
    (one('action = ["s3:*"]', "allow", more="until = 2026-11-20"), "until", WARN, "so the rule is off"),
    (one('issuer = ["github"]'), "when.issuer[0]", E, "add [issuer.github]"),
    (one('repository_id = ["456789"]', "allow"), "when.repository_id", WARN, "name the issuer"),
    (one('tags_any = ["data=pii"]'), "when.tags_any", E, "no account has `tags`"),
    (one('tags_none = ["data=*"]'), "when.tags_none", E, "no account has `tags`"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "place", "severity", "words"), SINGLE, ids=[row[0].splitlines()[-1] + row[1]
                                                                              for row in SINGLE])  # fmt: skip
def test_a_dead_rule_or_pattern_is_found(text: str, place: str, severity: str, words: str) -> None:
    (fault,) = [fault for fault in found(text) if fault.place.startswith("rule.")]
    assert (fault.place, fault.severity) == (f"rule.probe.{place}", severity)
    assert words in str(fault)


FINE = [
    (one('action = ["*"]'), PEOPLE),
    (one('action = ["s3:Get*", "*:Delete*", "lambda:invokefunction"]'), PEOPLE),
    (one('action = ["countersign:ApplyPolicy"]'), PEOPLE),
    (one('action = ["s3:Get*"], access_level = ["Read", "Write"]'), PEOPLE),
    (one('action = ["s3:Get*"], access_level = ["unknown"]'), PEOPLE),
    # the caller may claim a stricter environment than the account's
    (one('account = ["shop-dev"], environment = ["prod"]'), PEOPLE),
    (one('principal = ["caller:*"], principal_kind = ["agent"]'), PEOPLE),
    (one('access_level = ["Write"], environment = ["prod"], risk_below = "high"', "allow"), PEOPLE),
    (one('ttl_over = "59m", environment = ["prod", "dev"]'), PEOPLE),
    (one('issuer = ["git*"], repository_id = ["1"]', "allow"), PEOPLE + GITHUB),
    (one('tags_any = ["data=pii"]'), PEOPLE.replace('environment = "prod"\n', 'environment = "prod"\n'
                                                    'tags = "arn:aws:iam::111122223333:role/tags"\n')),
    (one('action = ["s3:*"]', "allow", more="until = 2026-11-21"), PEOPLE),
]  # fmt: skip


@pytest.mark.parametrize(("text", "people"), FINE, ids=[row[0].splitlines()[-1] for row in FINE])
def test_a_rule_that_can_hold_is_let_be(text: str, people: str) -> None:
    assert found(text, people=people) == []


WIDE = 'action = ["s3:*"], environment = ["prod", "staging"]'
NARROW = 'action = ["s3:Get*", "s3:PutObject"], environment = ["prod"], ttl_over = "10m"'
READ, READS = 'access_level = ["Read"], action = ["s3:Get*"]', 'access_level = ["Read", "List"]'
SHADOWS = [
    # two rules, and which of them is idle
    (one(WIDE, "deny", "a"), one(NARROW, "deny", "b"), "b"),
    (one(WIDE, "deny", "a"), one(NARROW, "review", "b"), "b"),
    (one(NARROW, "deny", "a"), one(WIDE, "review", "b"), None),
    (one(READS, "deny", "a"), one(READ, "allow", "b"), "b"),
    (one(READS, "review", "a"), one(READ, "allow", "b"), "b"),
    (one('ttl_over = "10m"', "review", "a"), one(READ, "allow", "b"), None),
    (one(READS, "allow", "a"), one(READ, "allow", "b"), "b"),
    (one(READ, "allow", "a"), one(READS, "allow", "b"), "a"),
    (one(READS, "allow", "a"), one(READ, "deny", "b"), None),
    (one(WIDE, "review", "a", "quorum = 'two'"), one(NARROW, "review", "b", "quorum = 'two'"), "b"),
    (one(WIDE, "review", "a", "quorum = 'two'"), one(NARROW, "review", "b"), None),
    (one(WIDE, "review", "a", "narrow = ['ttl']"), one(NARROW, "review", "b"), None),
    (one(WIDE, "deny", "a"), one(WIDE, "deny", "b"), "b"),
    (one(READS, "allow", "a", "until = 2027-01-01"), one(READ, "allow", "b"), None),
    (one(READS, "deny", "a", "until = 2026-01-01"), one(READ, "allow", "b"), None),
    (one('action = ["S3:*"]', "deny", "a"), one('action = ["s3:getobject"]', "deny", "b"), "b"),
    (one('resource = ["arn:aws:s3:::x/*"]', "deny", "a"), one('resource = ["arn:aws:s3:::x/*/y"]', "deny", "b"), "b"),
    (one('resource = ["arn:aws:s3:::x/*/y"]', "deny", "a"), one('resource = ["arn:aws:s3:::x/*"]', "deny", "b"), "a"),
    (one('environment = ["dev", "staging", "prod", "unknown"]', "deny", "a"), one(READ, "allow", "b"), "b"),
    (one('environment = ["dev", "staging", "prod"]', "deny", "a"), one(READ, "allow", "b"), None),
    (one('rate_over = "10/1h"', "deny", "a"), one('rate_over = "20/1h"', "review", "b"), "b"),
    (one('rate_over = "10/1h"', "deny", "a"), one('rate_over = "20/1d"', "review", "b"), None),
    (one('outside_hours = "08:00-19:00"', "deny", "a"), one('outside_hours = "07:00-19:00"', "review", "b"), "b"),
    (one('outside_hours = "07:00-19:00"', "deny", "a"), one('outside_hours = "08:00-19:00"', "review", "b"), None),
    (one('outside_hours = "22:00-06:00"', "deny", "a"), one('outside_hours = "21:00-06:00"', "review", "b"), "b"),
    (one('reason_shorter_than = 20', "deny", "a"), one("reason_missing = true", "review", "b"), "b"),
    (one('risk_at_least = "medium"', "deny", "a"), one('risk_at_least = "high"', "review", "b"), "b"),
    # it always holds, and yet cannot take the place of the default, as the other one can
    (one('risk_at_least = "low"', "review", "a"), one(READ, "allow", "b"), None),
    (one('data_class = ["pii"]', "deny", "a"), one("ticket_missing = true", "review", "b"), None),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second", "idle"), SHADOWS, ids=[str(number) for number in range(len(SHADOWS))])
def test_a_rule_is_shadowed_exactly_where_that_is_provable(first: str, second: str, idle: str | None) -> None:
    told = [fault for fault in found(first, second) if "holds whenever" in fault.detail]
    assert [(fault.place, fault.severity) for fault in told] == ([(f"rule.{idle}", WARN)] if idle else [])


@given(policies(), asks)
def test_without_a_rule_that_is_told_to_be_idle_every_answer_is_the_same(policy: Policy, asked: dict[str, Any]) -> None:
    for name in _named(policy, "holds whenever"):
        less = {key: one for key, one in policy.rules.items() if key != name}
        assert _said(policy, asked) == _said(policy.model_copy(update={"rules": less}), asked)


@given(policies(), asks)
def test_a_rule_that_is_told_to_be_dead_never_decides(policy: Policy, asked: dict[str, Any]) -> None:
    said = rule(policy, facts_of(policy, asked), sha256=SHA)
    assert not {hit.name for hit in said.rules} & set(_named(policy, ""))


def _named(policy: Policy, words: str) -> list[str]:
    """Return the rules that are told to be idle (by these words), or dead (errors).

    That nobody reads tags, and that there is no such issuer, is told as well; the asks here have both all the same.
    """
    found_ = findings(policy, roster(PEOPLE), today=TODAY)
    told = [one for one in found_ if ".when.tags_" not in one.place and ".when.issuer" not in one.place]
    kept = [one for one in told if one.place.startswith("rule.") and (words in one.detail if words else _dead(one))]
    return [fault.place.split(".")[1] for fault in kept]


def _dead(fault: Fault) -> bool:
    return fault.severity == E or "at least" in fault.detail or "nothing longer" in fault.detail


def _said(policy: Policy, asked: dict[str, Any]) -> tuple[object, ...]:
    fresh = Policy.model_construct(**{name: getattr(policy, name) for name in type(policy).model_fields})
    said = rule(fresh, facts_of(policy, asked), sha256=SHA)
    return said.effect, dict(said.seats), said.expires_after_seconds, said.narrow


TWO_KEYS = '\n[break_glass]\nwho = ["user:kim"]\ntell = ["group:security"]\n'
TERMS = [
    # what is added to the policy, what is changed in the roster, place, words
    ("", ('owners = ["user:dana"]', 'owners = ["user:dana", "user:robin", "user:alex"]'), "caller.report-bot.owners",
     "too few others are left to fill quorum 'one'"),
    ("", ('owners = ["user:dana"]', 'owners = ["group:sre"]'), "caller.report-bot.owners", "quorum 'one'"),
    (TWO_KEYS.replace("user:kim", "user:kym"), None, "break_glass.who[0]", "did you mean 'kim'?"),
    (TWO_KEYS.replace("user:kim", "group:leads"), None, "break_glass.who[0]", "there is no group 'leads'"),
    (TWO_KEYS.replace("group:security", "place:pager"), None, "break_glass.tell[0]", "there is no place 'pager'"),
    (TWO_KEYS.replace("kim", "robin").replace("group:security", "place:console"),
     ('people = ["dana", "robin", "alex"]', 'people = ["robin"]'), "break_glass.who", "nobody but robin could review"),
    ('\n[apply]\nquorum = "both"\n[quorum.both]\nseats = { sre = 3, security = 2 }\nladder = "work"\n',
     None, "quorum.both.seats", "the same people"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "people", "place", "words"), TERMS, ids=[f"{n}-{r[2]}" for n, r in enumerate(TERMS)])
def test_terms_that_cannot_work_with_these_people_are_refused(
    more: str, people: tuple[str, str] | None, place: str, words: str
) -> None:
    text = edited(PEOPLE, *people) if people else PEOPLE
    told = [fault for fault in found(base=POLICY + more, people=text) if fault.place.startswith(place)]
    assert told and told[0].severity == E
    assert words in str(told[0])


def test_a_change_that_whoever_applies_it_nobody_could_approve_is_refused() -> None:
    few = '[person.dana]\n[person.robin]\n[group.sre]\npeople = ["dana", "robin"]\n[place.console]\ngroups = ["sre"]\n'
    base = edited(POLICY, 'seats = { sre = 1, security = 1 }\nladder = "page"', 'seats = { sre = 2 }\nladder = "page"')
    base = base.replace('"group:sre", "group:security"', '"group:sre"').replace('"group:security"', '"group:sre"')
    assert found(base=base, people=few) == []
    (fault,) = found(base=base + '[apply]\nquorum = "two"\n', people=few)
    assert fault.place == "apply.quorum"
    assert "too few others are left to fill 'two'" in fault.detail
    assert found(base=base + '[apply]\nquorum = "one"\n', people=few) == []


def test_a_group_that_owns_the_caller_fills_no_seat_of_its_own_however_large_it_is() -> None:
    owned = edited(PEOPLE, 'owners = ["user:dana"]', 'owners = ["group:sre"]')
    large = edited(owned, 'people = ["dana", "robin", "alex"]', 'people = ["dana", "robin", "alex"]\nslack = "S01"')
    assert [fault.place for fault in found(people=large)] == ["caller.report-bot.owners"]
    assert found(people=edited(large, 'owners = ["group:sre"]', 'owners = ["user:dana"]')) == []


def test_a_caller_owned_by_some_of_the_reviewers_is_fine_and_rules_for_others_are_not_counted() -> None:
    owned = edited(PEOPLE, 'owners = ["user:robin"]', 'owners = ["group:security"]')
    two = one('action = ["s3:*"], principal = ["caller:report-bot"]', "review", more='quorum = "two"')
    assert found(two, people=owned) == []
    for narrower in ('principal_kind = ["agent"]', 'principal = ["caller:report-*", "user:*"]'):
        assert found(one(narrower, "review", more='quorum = "two"'), people=owned) == []
    (fault,) = found(two.replace("caller:report-bot", "caller:*"), people=owned)
    assert fault.place == "caller.deploy.owners"


def test_a_time_to_collect_that_nobody_can_keep_is_refused() -> None:
    with pytest.raises(ConfigError, match=r'grants.collect_within: leaves no caller .* write at least "10s"'):
        parse_policy(POLICY + '[grants]\ncollect_within = "9s"\n')
    assert parse_policy(POLICY + '[grants]\ncollect_within = "10s"\n').grants.collect_within.seconds == 10
