"""What a change of the files means, and which way it goes."""

from __future__ import annotations

import pytest

from approvers.policy import parse_policy
from approvers.policy_diff import policy_changes
from approvers.roster import parse_roster
from approvers.roster_diff import roster_changes
from tests.approvers.rules_world import ALLOW_DEV, DENY_DELETES, POLICY, REVIEW_PII, REVIEW_READS, ROSTER, edited

WHOLE = POLICY + DENY_DELETES + REVIEW_PII + REVIEW_READS + ALLOW_DEV
GLASS = '\n[break_glass]\nwho = ["group:sre"]\ntell = ["group:security"]\nttl_max = "30m"\n'
APPLY = '\n[apply]\nquorum = "one"\n'


def told(old: str, new: str) -> list[str]:
    return [str(change) for change in policy_changes(parse_policy(old), parse_policy(new))]


def test_the_same_policy_written_otherwise_changes_nothing() -> None:
    other = POLICY.replace("timezone", "# a comment\ntimezone") + ALLOW_DEV + REVIEW_READS + REVIEW_PII + DENY_DELETES
    assert told(WHOLE, other) == []


RULES = [
    # what is replaced, by what, the line
    ('environment = ["dev"], access', 'environment = ["dev", "staging"], access',
     "rule allow-dev: environment dev → dev, staging  (LOOSER)"),
    ('environment = ["dev"], access', "access", "rule allow-dev: environment dev → any  (LOOSER)"),
    ('access_level = ["Read", "List"], ttl', 'access_level = ["List"], ttl',
     "rule allow-dev: access_level Read, List → List  (STRICTER)"),
    ('environment = ["dev"], access', 'environment = ["staging"], access',
     "rule allow-dev: environment dev → staging"),
    ('ttl_at_most = "1h"', 'ttl_at_most = "2h"', "rule allow-dev: ttl_at_most 1 h → 2 h  (LOOSER)"),
    ('ttl_at_most = "1h"', 'ttl_at_most = "1h", account = ["shop-*"]',
     "rule allow-dev: account any → shop-*  (STRICTER)"),
    ("until = 2027-05-31", "until = 2028-05-31", "rule allow-dev: until 2027-05-31 → 2028-05-31  (LOOSER)"),
    ('action = ["*:Delete*"]', 'action = ["s3:Delete*"]',
     "rule deny-deletes: action *:Delete* → s3:Delete*  (LOOSER)"),
    ('principal_kind = ["agent"], ', "", "rule deny-deletes: principal_kind agent → any  (STRICTER)"),
    ('data_class = ["pii"]', 'data_class = ["pii", "health"]',
     "rule review-pii: data_class pii → pii, health  (STRICTER)"),
    ('effect = "review"\nquorum = "two"', 'effect = "deny"', "rule review-pii: effect: review → deny  (STRICTER)"),
    ('quorum = "two"', 'quorum = "one"', "rule review-pii: quorum two → one  (LOOSER)"),
    ('"Reading in dev."', '"Reads in dev."', "rule allow-dev: note: Reading in dev. → Reads in dev."),
    (DENY_DELETES, "", "rule deny-deletes: removed: deny, “Agents do not delete in production.”  (LOOSER)"),
    (ALLOW_DEV, "", "rule allow-dev: removed: allow, “Reading in dev.”  (STRICTER)"),
    (REVIEW_PII, "", "rule review-pii: removed: review, “Personal data.”  (LOOSER)"),
    ('default = "review"', 'default = "deny"', "default: review → deny  (STRICTER)"),
    ('default_quorum = "one"', 'default_quorum = "two"', "default_quorum: one → two  (STRICTER)"),
    ("seats = { sre = 1 }", "seats = { sre = 2 }", "quorum one: seats 1 of sre → 2 of sre  (STRICTER)"),
    ("seats = { sre = 1, security = 1 }", "seats = { security = 1 }",
     "quorum two: seats 1 of security + 1 of sre → 1 of security  (LOOSER)"),
    ("seats = { sre = 1 }", "seats = { security = 1 }", "quorum one: seats 1 of sre → 1 of security"),
    ('"15m", ask = ["group:security"]', '"15m", may_fill = "sre", ask = ["group:security"]',
     "ladder work: level 2 after 15 min asks group:security → after 15 min asks group:security, may fill sre"
     "  (LOOSER)"),
    ('expires_after = "30m"', 'expires_after = "1h"', "ladder work: expires_after: 30 min → 1 h"),
    ('prod = "1h"', 'prod = "2h"', "limits: ttl_max prod: 1 h → 2 h  (LOOSER)"),
    ('prod = "1h", ', "", "limits: ttl_max prod: 1 h → nothing  (LOOSER)"),
    ("actions_max = 3", "actions_max = 2", "limits: actions_max: 3 → 2  (STRICTER)"),
    ('denied_cool_down = "10m"', "", "limits: denied_cool_down: 10 min → nothing  (LOOSER)"),
    ('denied_cool_down = "10m"', 'denied_cool_down = "10m"\n[risk.bands]\nhigh = 70',
     "risk: bands.high 60 → 70  (LOOSER)"),
    ('denied_cool_down = "10m"', 'denied_cool_down = "10m"\n[risk.access]\nList = 6',
     "risk: access.List 5 → 6  (STRICTER)"),
    ('denied_cool_down = "10m"', 'denied_cool_down = "10m"\n[risk.lists]\nevasion = ["a:b"]',
     "risk: lists.evasion none → a:b  (STRICTER)"),
    ('denied_cool_down = "10m"', 'denied_cool_down = "10m"\n[monitoring]\nkill_at = "never"',
     "monitoring: kill_at: 60 → never  (LOOSER)"),
    ('denied_cool_down = "10m"', 'denied_cool_down = "10m"\n[monitoring]\nask_at = 5',
     "monitoring: ask_at: 20 → 5  (STRICTER)"),
    ('denied_cool_down = "10m"', 'denied_cool_down = "10m"\n[monitoring]\nwatch_for = "1h"',
     "monitoring: watch_for: 15 min → 1 h  (STRICTER)"),
    ('denied_cool_down = "10m"', 'denied_cool_down = "10m"' + GLASS, "break_glass: opened  (LOOSER)"),
    ('denied_cool_down = "10m"', 'denied_cool_down = "10m"' + APPLY,
     "apply: a change needs nobody else → one  (STRICTER)"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line"), RULES, ids=[row[2] for row in RULES])
def test_one_change_is_one_line_and_its_opposite_goes_the_other_way(old: str, new: str, line: str) -> None:
    changed = edited(WHOLE, old, new) if WHOLE.count(old) == 1 else WHOLE.replace(old, new, 1)
    assert line in told(WHOLE, changed)
    back = told(changed, WHOLE)
    assert len(back) == len(told(WHOLE, changed))
    turned = {"STRICTER": "LOOSER", "LOOSER": "STRICTER"}
    mark = line.partition("  (")[2].rstrip(")")
    assert [one.partition("  (")[2].rstrip(")") == turned.get(mark, "") for one in back].count(True) >= 1


def test_terms_of_break_glass_go_both_ways() -> None:
    other = GLASS.replace('"group:sre"', '"group:sre", "user:kim"').replace("30m", "1h") + 'require = ["ticket"]\n'
    assert told(WHOLE + GLASS, WHOLE + other) == [
        "break_glass: who group:sre → group:sre, user:kim  (LOOSER)",
        "break_glass: require reason → ticket",
        "break_glass: ttl_max: 30 min → 1 h  (LOOSER)",
    ]
    assert told(WHOLE + APPLY, WHOLE + APPLY.replace("one", "two")) == ["apply: a change needs one → two  (STRICTER)"]


PEOPLE = [
    ('[caller.deploy]\nkind = "pipeline"', '[caller.deploy]\nkind = "service"',
     "caller deploy: kind pipeline → service"),
    ('people = ["dana", "robin", "alex"]', 'people = ["dana", "robin", "alex", "kim"]',
     "group sre: people +kim  (LOOSER)"),
    # who owns a caller is barred, too: more or fewer of them goes both ways
    ('people = ["robin", "kim"]', 'people = ["robin"]', "group security: people robin, kim → robin"),
    ('owners = ["user:dana"]', 'owners = ["user:dana", "user:kim"]',
     "caller report-bot: owners user:dana → user:dana, user:kim  (STRICTER)"),
    ('actors = ["agent:report-*"]', 'actors = ["agent:*"]',
     "caller report-bot: actors agent:report-* → agent:*  (LOOSER)"),
    ('on_behalf_of = "required"', 'on_behalf_of = "optional"',
     "caller report-bot: on_behalf_of required → optional  (LOOSER)"),
    ('ceiling = ["s3:Get*", "s3:List*"]', 'ceiling = ["s3:Get*"]',
     "role analytics: ceiling s3:Get*, s3:List* → s3:Get*  (STRICTER)"),
    ('environment = "prod"', 'environment = "dev"', "account shop-prod: environment prod → dev"),
    ("[person.kim]\n", "[person.kim]\n[person.zoe]\n", "person zoe: added"),
    ("[place.console]\n", '[place.more]\ngroups = ["sre"]\n[place.console]\n', "place more: added"),
    ("[group.sre]\n", '[[delegation]]\nfrom = "dana"\nto = "kim"\nuntil = 2026-12-01\n[group.sre]\n',
     "delegation: added: dana lends to kim until 2026-12-01  (LOOSER)"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line"), PEOPLE, ids=[row[2] for row in PEOPLE])
def test_people_callers_and_ceilings_are_told(old: str, new: str, line: str) -> None:
    before, after = parse_roster(ROSTER), parse_roster(edited(ROSTER, old, new))
    assert [str(one) for one in roster_changes(before, after)] == [line]
    assert len(list(roster_changes(after, before))) == 1
    assert list(roster_changes(after, after)) == []


def test_what_a_grant_lives_under_is_told_and_longer_to_collect_is_looser() -> None:
    other = WHOLE + '[grants]\ncollect_within = "20m"\nwarn_before = "5m"\n'
    assert told(WHOLE, other) == [
        "grants: collect_within: 10 min → 20 min  (LOOSER)", "grants: warn_before: 2 min → 5 min",
    ]  # fmt: skip
