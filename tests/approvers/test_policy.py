"""The policy file: what loads, and every broken file refused with place and remedy."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

import pytest

from approvers.faults import Strict, read
from approvers.policy import ConfigError, check_together, parse_policy
from tests.approvers.rules_world import (
    ALLOW_DEV,
    DENY_DELETES,
    POLICY,
    REVIEW_PII,
    REVIEW_READS,
    ROSTER,
    edited,
    policy,
    roster,
    when,
)

FITTING = edited(ROSTER, 'owners = ["group:security"]', 'owners = ["user:robin"]')
"""Whose callers are owned by some of the people who could approve, not by all of them."""
WHOLE = POLICY + DENY_DELETES + REVIEW_PII + REVIEW_READS + ALLOW_DEV


def test_a_whole_policy_loads_and_fits_its_roster():
    loaded = parse_policy(WHOLE)
    check_together(loaded, roster(FITTING))
    assert set(loaded.rules) == {"deny-deletes", "review-pii", "review-reads", "allow-dev"}
    assert loaded.quorums["two"].seats == {"sre": 1, "security": 1}
    assert loaded.limits.ttl_max["prod"] == timedelta(hours=1)


def test_sections_that_can_be_left_out_have_safe_values():
    loaded = parse_policy(POLICY[: POLICY.index("[limits]")])
    assert loaded.limits.ttl_max == {"default": timedelta(hours=1)}
    assert loaded.risk.access_points("unknown") == 40
    assert loaded.rules == {}


PII = 'when = { data_class = ["pii"] }'
DENY = '[rule.deny-deletes]\neffect = "deny"'
LAST = 'denied_cool_down = "10m"'
W = "rule.review-pii.when."
BROKEN = [
    # what is changed, into what, the place, part of the detail or remedy
    ("version = 1\n", "version = 2\n", "version", "use one of: 1"),
    ("version = 1\n", 'version = "1"\n', "version", "is not a value here"),
    ("version = 1\n", "", "version", "add it"),
    ('default = "review"', 'default = "allow"', "default", "review, deny"),
    ('default = "review"', 'defualt = "review"', "defualt", "did you mean 'default'"),
    ('default_quorum = "one"', 'default_quorum = "on"', "default_quorum", "did you mean 'one'"),
    ('default_quorum = "one"', '', "default_quorum", "add it"),
    ('timezone = "Europe/Berlin"', 'timezone = "Europe/Belrin"', "timezone", "Europe/Berlin"),
    ('timezone = "Europe/Berlin"', 'timezone = "Europe"', "timezone", "is not a time zone"),
    ('timezone = "Europe/Berlin"', 'timezone = "../../etc/passwd"', "timezone", "is not a time zone"),
    ('timezone = "Europe/Berlin"', 'timezone = "Europe/Berlin"\nbreak_glass = { who = [] }', "break_glass.who",
     "name at least one"),
    (LAST, LAST + '\n[break_glass]\nwho = ["dana"]\ntell = ["group:sre"]', "break_glass.who[0]", "user:NAME"),
    (LAST, LAST + '\n[break_glass]\nwho = ["group:sre"]', "break_glass.tell", "is missing"),
    (LAST, LAST + '\n[break_glass]\nwho = ["group:sre"]\ntell = ["sre"]', "break_glass.tell[0]", "group:NAME"),
    (LAST, LAST + '\n[break_glass]\nwho = ["group:sre"]\ntell = ["group:sre"]\nrequire = ["tiket"]',
     "break_glass.require[0]", "did you mean 'ticket'"),
    (LAST, LAST + '\n[break_glass]\nwho = ["group:sre"]\ntell = ["group:sre"]\nopen_max = 0',
     "break_glass.open_max", "larger number"),
    (LAST, LAST + '\n[apply]\nquorum = "tow"', "apply.quorum", "did you mean 'two'"),
    (LAST, LAST + '\n[apply]\nseats = 2', "apply.quorum", "is missing"),
    ('timezone = "Europe/Berlin"', 'timezone = "Europe/Berlin"\nrules = 1', "rules", "did you mean 'rule'"),
    ('environments = ["dev", "staging", "prod"]', "environments = []", "environments", "at least one"),
    ('environments = ["dev", "staging", "prod"]', 'environments = ["dev", "dev"]', "environments", "once"),
    ('environments = ["dev", "staging", "prod"]', 'environments = ["dev", "unknown"]', "environments[1]",
     "another name"),
    ("seats = { sre = 1 }", "seats = {}", "quorum.one.seats", "at least one"),
    ("seats = { sre = 1 }", "seats = { sre = 0 }", "quorum.one.seats.sre", "larger number"),
    ("seats = { sre = 1 }", "seats = { sre = true }", "quorum.one.seats.sre", "whole number"),
    ("seats = { sre = 1 }", 'seats = { "group:sre" = 1 }', "quorum.one.seats.group:sre", "lower-case"),
    ("seats = { sre = 1 }", "seats = { sre = 1 }\nwho = 1", "quorum.one.who", "use one of: seats, ladder"),
    ('ladder = "work"', 'ladder = "wrok"', "quorum.one.ladder", "did you mean 'work'"),
    ('expires_after = "30m"', 'expires_after = "30"', "ladder.work.expires_after", '"15m"'),
    ('expires_after = "30m"', "expires_after = 30", "ladder.work.expires_after", "is not a duration"),
    ('expires_after = "30m"', 'expires_after = "0m"', "ladder.work.expires_after", "is not a duration"),
    ('expires_after = "30m"', 'expires_after = "15m"', "ladder.work.levels[1].after", "longer expires_after"),
    ('{ after = "15m"', '{ after = "0m"', "ladder.work.levels[1].after", "later time"),
    ('[{ after = "0m", ask = ["place:console"] },', '[{ after = "1m", ask = ["place:console"] },',
     "ladder.work.levels[0].after", '"0m"'),
    ('"15m", ask = ["group:security"]', '"15m", ask = []', "ladder.work.levels[1].ask", "at least one"),
    ('"15m", ask = ["group:security"]', '"15m", ask = ["security"]', "ladder.work.levels[1].ask[0]", "group:NAME"),
    ('"15m", ask = ["group:security"]', '"15m", may_fill = "security", ask = ["group:security"]',
     "ladder.work.levels[1].may_fill", "use one of: sre"),
    ('"15m", ask = ["group:security"]', '"15m", may_fill = "sre", ask = ["place:console"]',
     "ladder.work.levels[1].may_fill", "name a group in ask"),
    ('ttl_default = "30m"', 'ttl_default = "2h"', "limits.ttl_max.prod", "lower ttl_default"),
    ('{ default = "4h", prod', "{ prod", "limits.ttl_max.default", "add the one"),
    ('default = "4h", prod', 'default = "4h", prd', "limits.ttl_max.prd", "did you mean 'prod'"),
    ("actions_max = 3", "actions_max = 0", "limits.actions_max", "larger number"),
    ("actions_max = 3", "actions_max = 3.5", "limits.actions_max", "whole number"),
    ("actions_max = 3", "action_max = 3", "limits.action_max", "did you mean 'actions_max'"),
    (LAST, "[risk]\nbands = { medium = 60, high = 30 }", "risk.bands", "medium < high"),
    (LAST, "[risk]\naccess = { unknown = 5 }", "risk.access.unknown", "at least 40"),
    (LAST, "[risk]\naccess = { write = 5 }", "risk.access.write", "did you mean 'Write'"),
    (LAST, "[risk]\nenvironment = { prod = 30 }", "risk.environment.unknown", "at least 30"),
    (LAST, "[risk]\nenvironment = { prd = 3 }", "risk.environment.prd", "did you mean 'prod'"),
    (LAST, "[risk]\naction = { wildcard = 30 }", "risk.action.everything", "at least as much"),
    (LAST, "[risk]\naction = { destructive = -5 }", "risk.action.destructive", "larger number"),
    (LAST, "[risk]\ncontext = { burst = -12 }", "risk.context.burst", "larger number"),
    (LAST, "[risk]\ncontext = { well_known = -11 }", "risk.context.well_known", "larger number"),
    (LAST, "[risk]\ncontext = { well_known = 1 }", "risk.context.well_known", "smaller number"),
    (LAST, '[risk.lists]\nsecrets = ["kms:Decrypt"]', "risk.lists.secrets", "credentials"),
    (LAST, '[risk.lists]\nevasion = ["StopLogging"]', "risk.lists.evasion[0]", "service:Action"),
    (LAST, "[risk.lists]\nevasion = []", "risk.lists.evasion", "at least one"),
    (DENY, '[rule.deny-deletes]\neffect = "refuse"', "rule.deny-deletes.effect", "allow, deny, review"),
    (DENY, '[rule.deny-deletes]\neffect = "deny"\nquorum = "one"', "rule.deny-deletes.quorum", "remove it"),
    (DENY, '[rule.deny-deletes]\neffect = "deny"\nnarrow = true', "rule.deny-deletes.narrow", "write a list"),
    (DENY, '[rule.deny-deletes]\neffect = "deny"\nnarrow = ["ttl"]', "rule.deny-deletes.narrow", "review rule"),
    (DENY, '[rule.deny-deletes]\neffect = "deny"\nnarrow = ["tll"]', "rule.deny-deletes.narrow[0]", "mean 'ttl'"),
    (DENY, '[rule.deny-deletes]\neffect = "deny"\nname = "x"', "rule.deny-deletes.name", "remove it"),
    ("[rule.deny-deletes]", "[rule.Deny]", "rule.Deny", "lower-case"),
    ("[rule.deny-deletes]", "[rule.review-pii]", "line", "not TOML"),
    ("[rule.deny-deletes]", "[rule.deny-deletes", "line", "not TOML"),
    ('note = "Agents do not delete in production."', "", "rule.deny-deletes.note", "add it"),
    ('note = "Agents do not delete in production."', 'note = ""', "rule.deny-deletes.note", "at least 1 character"),
    ('quorum = "two"\nowner', 'quorum = "tow"\nowner', "rule.review-pii.quorum", "did you mean 'two'"),
    (PII, "when = {}", "rule.review-pii.when", "at least one"),
    (PII, "", "rule.review-pii.when", "add it"),
    (PII, 'when = { data_class = "pii" }', W + "data_class", "write a list"),
    (PII, "when = { data_class = [] }", W + "data_class", "at least one"),
    (PII, 'when = { data_clas = ["pii"] }', W + "data_clas", "did you mean 'data_class'"),
    (PII, 'when = { rate_over = "20 per hour" }', W + "rate_over", '"20/1h"'),
    (PII, 'when = { rate_over = "20/2h" }', W + "rate_over", "one of: 1m"),
    (PII, 'when = { weekday = ["saturday"] }', W + "weekday[0]", "did you mean 'sat'"),
    (PII, 'when = { tags_any = ["pii"] }', W + "tags_any[0]", "KEY=VALUE"),
    (PII, 'when = { reason_shorter_than = 0 }', W + "reason_shorter_than", "larger number"),
    (PII, 'when = { first_seen = false }', W + "first_seen", "true"),
    (PII, 'when = { ttl_at_most = "1h" }', W + "ttl_at_most", "use ttl_over"),
    (PII, 'when = { risk_below = "high" }', W + "risk_below", "use risk_at_least"),
    (PII, 'when = { risk_at_least = "60" }', W + "risk_at_least", "low, medium"),
    (PII, 'when = { action = ["delete"] }', W + "action[0]", "delete:*"),
    (PII, 'when = { action = ["s3:Get?"] }', W + "action[0]", "only wildcard"),
    (PII, 'when = { principal = ["report-bot"] }', W + "principal[0]", "caller:NAME"),
    (PII, 'when = { principal_kind = ["bot"] }', W + "principal_kind[0]", "agent, pipeline"),
    (PII, 'when = { access_level = ["write"] }', W + "access_level[0]", "did you mean 'Write'"),
    (PII, 'when = { environment = ["production"] }', W + "environment[0]", "did you mean 'prod'"),
    (PII, 'when = { outside_hours = "8-19" }', W + "outside_hours", "08:00-19:00"),
    (PII, 'when = { outside_hours = "08:00-08:00" }', W + "outside_hours", "08:00-19:00"),
    (PII, "when = { reason_missing = false }", W + "reason_missing", "use one of: true"),
    ("until = 2027-05-31", "", "rule.allow-dev.until", "last day"),
    ("until = 2027-05-31", 'until = "2027-05-31"', "rule.allow-dev.until", "without quotes"),
    ("until = 2027-05-31", "until = 2027-05-31T10:00:00Z", "rule.allow-dev.until", "last day only"),
    ('ttl_at_most = "1h"', 'project = ["reports"]', "rule.allow-dev.when.project", "a claim opens nothing"),
    ('ttl_at_most = "1h"', 'data_class = ["public"]', "rule.allow-dev.when.data_class", "a claim opens nothing"),
    ('ttl_at_most = "1h"', 'ttl_over = "1h"', "rule.allow-dev.when.ttl_over", "use it in deny or review"),
    ('ttl_at_most = "1h"', 'risk_list = ["evasion"]', "rule.allow-dev.when.risk_list", "use it in deny or review"),
    ('ttl_at_most = "1h"', "ticket_missing = true", "rule.allow-dev.when.ticket_missing", "use it in deny or review"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "place", "remedy"), BROKEN)
def test_a_broken_policy_is_refused_with_place_and_remedy(old, new, place, remedy):
    text = WHOLE.replace(old, new, 1)
    assert text != WHOLE
    with pytest.raises(ConfigError) as caught:
        parse_policy(text)
    found = [fault for fault in caught.value.faults if fault.place.startswith(place)]
    assert found, caught.value.detail
    assert remedy in str(found[0])
    assert found[0].remedy


APART = [
    # changed in the policy, changed in the roster, the place, part of the remedy
    (("seats = { sre = 1 }", "seats = { sree = 1 }"), None, "quorum.one.seats.sree", "did you mean 'sre'"),
    (("seats = { sre = 1 }", "seats = { sre = 4 }"), None, "quorum.one.seats.sre", "which has 3"),
    (
        None,
        ('people = ["dana", "robin", "alex"]\n[group.security]\npeople = ["robin", "kim"]',
         'people = ["robin"]\n[group.security]\npeople = ["robin"]'),
        "quorum.two.seats",
        "the same people would fill the others",
    ),
    (('ask = ["place:console"]', 'ask = ["place:consol"]'), None, "ladder.work.levels[0].ask[0]",
     "did you mean 'console'"),
    (('ask = ["place:console"]', 'ask = ["group:ops"]'), None, "ladder.work.levels[0].ask[0]",
     "use one of: sre, security"),
    (('owner = "security"', 'owner = "securty"'), None, "rule.review-pii.owner", "did you mean 'security'"),
    (('data_class = ["pii"]', 'account = ["shop-prd"]'), None, "rule.review-pii.when.account[0]",
     "did you mean 'shop-prod'"),
    (('data_class = ["pii"]', 'role = ["admin"]'), None, "rule.review-pii.when.role[0]", "use one of: analytics, dev"),
    (('data_class = ["pii"]', 'principal = ["caller:report"]'), None, "rule.review-pii.when.principal[0]",
     "caller:report-bot"),
    (None, ('environment = "prod"', 'environment = "production"'), "account.shop-prod.environment",
     "did you mean 'prod'"),
]  # fmt: skip


@pytest.mark.parametrize(("in_policy", "in_roster", "place", "remedy"), APART)
def test_files_that_do_not_fit_together_are_refused(in_policy, in_roster, place, remedy):
    rules = parse_policy(WHOLE.replace(*in_policy, 1) if in_policy else WHOLE)
    people = roster(edited(ROSTER, *in_roster) if in_roster else ROSTER)
    with pytest.raises(ConfigError) as caught:
        check_together(rules, people)
    found = [fault for fault in caught.value.faults if fault.place.startswith(place)]
    assert found, caught.value.detail
    assert remedy in str(found[0])


def test_a_group_with_members_in_slack_can_be_as_large_as_the_policy_likes():
    in_slack = roster(edited(FITTING, 'people = ["dana", "robin", "alex"]', 'slack = "S01"'))
    check_together(parse_policy(WHOLE.replace("seats = { sre = 1 }", "seats = { sre = 4 }", 1)), in_slack)
    both = WHOLE.replace("seats = { sre = 1 }", "seats = { sre = 4, security = 3 }", 1)
    with pytest.raises(ConfigError) as caught:
        check_together(parse_policy(both), in_slack)
    assert str(caught.value.faults[0]).partition(";")[0] == (
        "quorum.one.seats.security: asks for 3 of security, which has 2"
    )
    assert not [fault for fault in caught.value.faults if "sre" in fault.place]


def test_patterns_over_accounts_roles_and_principals_may_fit_several():
    check_together(policy(when('account = ["shop-*"], role = ["*"], principal = ["caller:*"]')), roster(FITTING))


def test_all_mistakes_of_a_rule_are_told_at_once():
    text = POLICY + when('actions = ["s3:*"], weekday = ["sut"], ttl_over = "5"').replace('"sre"', '"SRE"')
    with pytest.raises(ConfigError) as caught:
        parse_policy(text)
    places = {fault.place for fault in caught.value.faults}
    assert places == {
        "rule.probe.owner",
        "rule.probe.when.actions",
        "rule.probe.when.weekday[0]",
        "rule.probe.when.ttl_over",
    }


def test_what_ends_too_early_is_told_with_line_and_column():
    with pytest.raises(ConfigError) as caught:
        parse_policy('version = 1\nenvironments = ["dev",')
    assert caught.value.faults[0].place == "line 2, column 23"


class Later(Strict):
    """A table with a key whose feature is still to come."""

    LATER: ClassVar = {"expr": "expressions"}
    version: int


def test_what_is_not_built_reads_differently_from_what_does_not_exist():
    with pytest.raises(ConfigError) as caught:
        read("version = 1\nexpr = 1\nexper = 1", Later)
    told = {fault.place: str(fault) for fault in caught.value.faults}
    assert told["expr"] == "expr: expr is not built yet (expressions); remove it until it is"
    assert "not built yet" not in told["exper"]
