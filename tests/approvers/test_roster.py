"""The roster: who is known, who may speak for whom, and every broken file refused with place and remedy."""

from __future__ import annotations

import pytest

from approvers.errors import CountersignError, Forbidden, Inadmissible
from approvers.roster import ConfigError, check_claims, parse_roster
from tests.approvers.rules_world import ROSTER, edited, roster


def test_everything_is_found_by_its_bare_name():
    people = roster()
    assert people.persons["dana"].email == "dana@example.com"
    assert people.roles["analytics"].account == "shop-prod"
    assert people.accounts["shop-prod"].environment == "prod"
    assert people.places["console"].groups == ("sre", "security")


@pytest.mark.parametrize(
    ("person", "groups"),
    [
        ("user:robin", {"sre", "security"}),
        ("robin", {"sre", "security"}),
        ("user:kim", {"security"}),
        ("user:eve", set()),
    ],
)
def test_groups_are_those_that_name_the_person(person, groups):
    assert roster().groups_of(person) == groups


def test_a_caller_and_a_person_of_the_same_name_are_not_confused():
    people = roster(ROSTER + "[person.deploy]\n")
    assert people.caller("caller:deploy").kind == "pipeline"
    assert people.caller("user:deploy") is None
    assert people.person("user:deploy").name == "deploy"
    assert people.person("caller:deploy") is None


@pytest.mark.parametrize(
    ("actor", "may"),
    [
        ("agent:report-bot", True),
        ("agent:report-", True),
        ("agent:reporter", False),
        ("user:dana", False),
        ("x-agent:report-1", False),
    ],
)
def test_actors_are_patterns_over_the_whole_name(actor, may):
    assert roster().caller("caller:report-bot").may_speak_for(actor) is may


@pytest.mark.parametrize(
    ("principal", "actor", "behind"),
    [
        ("caller:report-bot", "agent:report-bot", "user:dana"),
        ("caller:deploy", "pipeline:deploy", None),
        ("user:dana", "user:dana", None),
        ("user:dana", "user:dana", "user:dana"),
    ],
)
def test_these_may_be_said(principal, actor, behind):
    check_claims(roster(), principal, actor, behind)


@pytest.mark.parametrize(
    ("principal", "actor", "behind", "error", "code", "says"),
    [
        ("caller:report-bot", "agent:other", "user:dana", Forbidden, "not_your_actor", "agent:report-*"),
        ("caller:report-bot", "agent:report-bot", None, Inadmissible, "inadmissible", "Say for which person"),
        ("caller:report-bot", "agent:report-bot", "user:dnaa", Inadmissible, "inadmissible", "not a known person"),
        ("caller:report-bot", "agent:report-bot", "caller:deploy", Inadmissible, "inadmissible", "not a known person"),
        ("caller:deploy", "pipeline:deploy", "user:dana", Inadmissible, "inadmissible", "leave actor.on_behalf_of out"),
        ("caller:gone", "agent:report-bot", None, Forbidden, "unknown_principal", "not in countersign.toml"),
        ("user:dana", "user:robin", None, Forbidden, "not_your_actor", "themselves only"),
        ("user:dana", "user:dana", "user:robin", Forbidden, "not_your_actor", "themselves only"),
        ("user:eve", "user:eve", None, Forbidden, "unknown_principal", "not in countersign.toml"),
    ],
)
def test_these_may_not_be_said(principal, actor, behind, error, code, says):
    with pytest.raises(error, match=says.replace("*", r"\*")) as caught:
        check_claims(roster(), principal, actor, behind)
    assert isinstance(caught.value, CountersignError)
    assert caught.value.code == code
    assert caught.value.field in ("actor.id", "actor.on_behalf_of", None)


def test_on_behalf_of_is_never_unless_the_roster_says_otherwise():
    people = roster(edited(ROSTER, 'on_behalf_of = "required"\n', 'on_behalf_of = "optional"\n'))
    check_claims(people, "caller:report-bot", "agent:report-bot", None)
    check_claims(people, "caller:report-bot", "agent:report-bot", "user:dana")
    assert people.caller("caller:deploy").on_behalf_of == "never"


BROKEN = [
    # what is changed, into what, the place, part of the remedy or detail
    ('[person.alex]\n', '[person.Alex]\n', "person.Alex.name", "lower-case"),
    ('[person.alex]\n', '[person.alex]\nname = "Alex"\n', "person.alex.name", "remove it"),
    ('[person.alex]\n', '[persons.alex]\n', "persons", "did you mean 'person'"),
    ('[person.alex]\n', '[person.alex]\nmail = "a@b"\n', "person.alex.mail", "did you mean 'email'"),
    ('[person.alex]\n', '[person.alex]\nemail = "alex"\n', "person.alex.email", "dana@example.com"),
    ('[person.alex]\n', '[person.alex]\nemail = 7\n', "person.alex.email", "in quotes"),
    ('[person.alex]\n', '[person.alex]\nslack = "t01:u02"\n', "person.alex.slack", "U02ABCDEF"),
    ('[person.alex]\n', '[person.alex]\nslack = "dana"\n', "person.alex.slack", "U02ABCDEF"),
    ('[person.alex]\n', '[person.alex]\nslack = "T01:U02"\n', "person.alex.slack", "one account, one person"),
    ('[person.alex]\n', '[person.alex]\nslack = "U02"\n', "person.alex.slack", "one account, one person"),
    ('[person.alex]\n', '[person.alex]\nemail = "DANA@example.com"\n', "person.alex.email", "one account, one person"),
    ('[person.alex]\n', '[person.alex]\n[person.alex]\n', "line", "not TOML"),
    ('[person.alex]\n', '[person.alex\n', "line 7, column 13", "not TOML"),
    ('people = ["dana", "robin", "alex"]', 'people = ["dana", "robn", "alex"]', "group.sre.people[1]",
     "did you mean 'robin'"),
    ('people = ["dana", "robin", "alex"]', 'people = ["dana", "dana"]', "group.sre.people", "once"),
    ('people = ["dana", "robin", "alex"]', 'people = []', "group.sre", "name its people"),
    ('people = ["dana", "robin", "alex"]', 'people = "dana"', "group.sre.people", "write a list"),
    ('people = ["dana", "robin", "alex"]', 'people = ["user:dana"]', "group.sre.people[0]", "lower-case"),
    ('[person.alex]\n', '[person.alex]\nteams = "alex@example.com"\n', "person.alex.teams", "TENANT:OBJECT"),
    ('[person.alex]\n', '[person.alex]\nteams = "29:1abc"\n', "person.alex.teams", "TENANT:OBJECT"),
    ('groups = ["sre", "security"]', 'groups = ["sre"]\nteams = "General"', "place.console.teams", "@thread.tacv2"),
    ('groups = ["sre", "security"]', 'groups = ["sre"]\nteams = "19:a@thread.tacv2;messageid=1"', "place.console.teams",
     "@thread.tacv2"),
    ('people = ["dana", "robin", "alex"]', 'slack = "sre-oncall"', "group.sre.slack", "S02ABCDEF"),
    ('people = ["dana", "robin", "alex"]', 'oncall = true', "group.sre", "name its people"),
    ('people = ["dana", "robin", "alex"]', 'oncall = "db"', "group.sre.oncall", "add [schedule.db]"),
    ('people = ["dana", "robin", "alex"]', 'people = ["dana"]\noncall = 1', "group.sre.oncall",
     "write true, or the name of a [schedule.NAME]"),
    ('people = ["dana", "robin", "alex"]', 'people = ["dana"]\noncall = ""', "group.sre.oncall", "write true, or"),
    ('people = ["dana", "robin", "alex"]', 'people = ["dana"]\noncall = ["db"]', "group.sre.oncall", "write true, or"),
    ('groups = ["sre", "security"]', 'groups = ["sre"]\nslack = "#prod"', "place.console.slack", "C02ABCDEF"),
    ('groups = ["sre", "security"]', 'groups = ["sre"]\nshared = "yes"', "place.console.shared", "true or false"),
    ('groups = ["sre", "security"]', 'groups = ["sre"]\n[slack]\nmatch_mail = true', "slack.match_mail",
     "did you mean 'match_email'"),
    ('people = ["dana", "robin", "alex"]', 'peple = ["dana"]', "group.sre.peple", "did you mean 'people'"),
    ('kind = "agent"', 'kind = "agnet"', "caller.report-bot.kind", "did you mean 'agent'"),
    ('kind = "agent"', 'kind = "person"', "caller.report-bot.kind", "agent, pipeline, service"),
    ('owners = ["user:dana"]', '', "caller.report-bot.owners", "add it"),
    ('owners = ["user:dana"]', 'owners = []', "caller.report-bot.owners", "at least one"),
    ('owners = ["user:dana"]', 'owners = ["dana"]', "caller.report-bot.owners[0]", "user:dana"),
    ('owners = ["user:dana"]', 'owners = ["user:dan"]', "caller.report-bot.owners[0]", "did you mean 'dana'"),
    ('owners = ["user:dana"]', 'owners = ["group:sree"]', "caller.report-bot.owners[0]", "did you mean 'sre'"),
    ('actors = ["agent:report-*"]', 'actors = ["report"]', "caller.report-bot.actors[0]", "agent:report-*"),
    ('actors = ["agent:report-*"]', 'actors = ["user:*"]', "caller.report-bot.actors[0]", "on_behalf_of"),
    ('on_behalf_of = "required"', 'on_behalf_of = true', "caller.report-bot.on_behalf_of", "required, optional, never"),
    ('id = "111122223333"', 'id = 111122223333', "account.shop-prod.id", "in quotes"),
    ('id = "111122223333"', 'id = "11112222333"', "account.shop-prod.id", "123456789012"),
    ('id = "111122223333"', 'id = "444455556666"', "account.shop-dev.id", "each account once"),
    ('account = "shop-prod"', 'account = "shop-prd"', "role.analytics.account", "did you mean 'shop-prod'"),
    ('account = "shop-prod"', 'account = "shop-dev"', "role.analytics.arn", "correct the ARN"),
    ("role/countersign-base-analytics", "user/someone", "role.analytics.arn", ":role/NAME"),
    ('external_id = "cs-1"', 'externalid = "cs-1"', "role.analytics.externalid", "did you mean 'external_id'"),
    ('ceiling = ["s3:Get*", "s3:List*"]', 'ceiling = []', "role.analytics.ceiling", "at least one"),
    ('ceiling = ["s3:Get*", "s3:List*"]', 'ceiling = ["*"]', "role.analytics.ceiling[0]", "s3:Get*"),
    ('ceiling = ["s3:Get*", "s3:List*"]', 'ceiling = ["*:*"]', "role.analytics.ceiling[0]", "s3:Get*"),
    ('ceiling = ["s3:Get*", "s3:List*"]', 'ceiling = ["s3:Get?"]', "role.analytics.ceiling[0]", "s3:Get*"),
    ('groups = ["sre", "security"]', 'groups = ["sre", "sec"]', "place.console.groups[1]", "sre"),
    ('groups = ["sre", "security"]', '', "place.console.groups", "add it"),
    ('groups = ["sre", "security"]',
     'groups = ["sre"]\n[[delegation]]\nfrom = "dana"\nto = "dana"\nuntil = 2026-12-01',
     "delegation[0].to", "name another person"),
    ('groups = ["sre", "security"]',
     'groups = ["sre"]\n[[delegation]]\nfrom = "dana"\nto = "robin"\nuntil = 2026-12-01T10:00:00Z',
     "delegation[0].until", "2027-05-31"),
    ('groups = ["sre", "security"]', 'groups = ["sre"]\n[[delegation]]\nfrom = "dan"\nto = "robin"\nuntil = 2026-12-01',
     "delegation[0].from", "did you mean 'dana'"),
    ('groups = ["sre", "security"]', 'groups = ["sre"]\n[[delegation]]\nfrom = "dana"\nto = "robin"\nuntil = "soon"',
     "delegation[0].until", "2027-05-31"),
]  # fmt: skip


CI = """
[issuer.ci]
url = "https://ci.example.com"
audience = "countersign"
[schedule.db]
url = "https://oncall.example.com/db"
[group.db-oncall]
oncall = "db"
[caller.ship]
kind = "pipeline"
owners = ["user:dana"]
actors = ["pipeline:ship"]
token = { issuer = "ci", claims = { project = "7", ref = ["main", "next"] } }
"""
WAYS = 'issuer = "ci", claims = { project = "7", ref = ["main", "next"] }'
SECOND = """
[caller.other]
kind = "pipeline"
owners = ["user:dana"]
actors = ["pipeline:other"]
token = { %s }
"""


def other(token):
    return "[issuer.ci]", SECOND % token + "[issuer.ci]"


BROKEN_CI = [
    ('url = "https://ci.example.com"', 'url = "http://ci.example.com"', "issuer.ci.url", "write it like"),
    ('url = "https://ci.example.com"', 'url = "https://me:pw@ci.example.com"', "issuer.ci.url", "write it like"),
    ('url = "https://ci.example.com"', 'url = "https://ci.example.com?a=b"', "issuer.ci.url", "write it like"),
    ('audience = "countersign"', '', "issuer.ci.audience", "add it"),
    ('audience = "countersign"', 'audience = "c"\nmax_age = "25h"', "issuer.ci.max_age", "within a day"),
    ('audience = "countersign"', 'audience = "c"\nmax_age = "0m"', "issuer.ci.max_age", ""),
    ('audience = "countersign"', 'audience = "c"\nkeys = "ftp://ci"', "issuer.ci.keys", "write it like"),
    ('audience = "countersign"', 'audience = "c"\nalgorithms = ["HS256"]', "issuer.ci.algorithms", "no such key"),
    ('[schedule.db]', '[issuer.two]\nurl = "https://ci.example.com"\naudience = "c"\n[schedule.db]', "issuer.two.url",
     "name each issuer once"),
    (WAYS, 'issuer = "cii", claims = { project = "7" }', "caller.ship.token.issuer", "did you mean 'ci'"),
    (WAYS, 'issuer = "ci", claims = {}', "caller.ship.token.claims", "at least one"),
    (WAYS, 'issuer = "ci"', "caller.ship.token.claims", "add it"),
    (WAYS, 'issuer = "ci", claims = { project = 7 }', "caller.ship.token.claims.project", "in quotes"),
    (WAYS, 'issuer = "ci", claims = { project = [] }', "caller.ship.token.claims.project", "in quotes"),
    (WAYS, 'issuer = "ci", claims = { project = ["7", ""] }', "caller.ship.token.claims.project", "in quotes"),
    (WAYS, 'issuer = "ci", claims = { project = ["7", "7"] }', "caller.ship.token.claims.project", "once"),
    (WAYS, 'issuer = "ci", claims = { project = "7" }, x = 1', "caller.ship.token.x", "no such key"),
    ('"https://ci.example.com"', '"https://token.actions.githubusercontent.com"', "caller.ship.token.claims",
     "add repository_id"),
    ('kind = "pipeline"', 'kind = "person"', "caller.ship.kind", "agent, pipeline, service"),
    (*other('issuer = "ci", claims = { project = "7", ref = "main" }'), "caller.", "the same token"),
    (*other('issuer = "ci", claims = { project = "7" }'), "caller.", "the same token"),
    (*other('issuer = "ci", claims = { ref = "next", project = "7", job = "a" }'), "caller.", "the same token"),
    ('[issuer.ci]', '[person.ana]\ntokens = { cii = "1" }\n[issuer.ci]', "person.ana.tokens.cii", "did you mean 'ci'"),
    ('[issuer.ci]', '[person.ana]\ntokens = { ci = 1 }\n[issuer.ci]', "person.ana.tokens.ci", "in quotes"),
    ('[issuer.ci]', '[person.ana]\ntokens = { ci = "1" }\n[person.bo]\ntokens = { ci = "1" }\n[issuer.ci]',
     "person.bo.tokens.ci", "one account, one person"),
    ('[schedule.db]\nurl = "https://oncall.example.com/db"', '[schedule.db]', "schedule.db.url", "add it"),
    ('https://oncall.example.com/db', 'http://oncall.example.com/db', "schedule.db.url", "write it like"),
    ('oncall = "db"', 'oncall = "bd"', "group.db-oncall.oncall", "use one of: db"),
    ('oncall = "db"', 'oncall = "db"\npeople = ["dana"]', "group.db-oncall.people", "group of their own"),
    ('oncall = "db"', 'oncall = true', "group.db-oncall", "name its people"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "place", "remedy"), BROKEN_CI)
def test_what_comes_from_elsewhere_is_refused_with_place_and_remedy(old, new, place, remedy):
    text = edited(CI, old, new)
    with pytest.raises(ConfigError) as caught:
        parse_roster(ROSTER + text)
    found = [str(fault) for fault in caught.value.faults if fault.place.startswith(place)]
    assert found, caught.value.detail
    assert remedy in found[0]


@pytest.mark.parametrize(
    "token",
    [
        'issuer = "ci", claims = { project = "8", ref = "main" }',
        'issuer = "ci", claims = { project = "7", ref = "old" }',
        'issuer = "ci", claims = { job = "a" }',  # not nested: a token that fits both is refused when it comes
        'issuer = "gh", claims = { project = "7", ref = "main" }',
    ],
)
def test_callers_that_no_one_token_has_to_prove_stand_side_by_side(token):
    text = edited(CI, *other(token)) + '[issuer.gh]\nurl = "https://gh.example.com"\naudience = "c"\n'
    assert set(roster(ROSTER + text).callers) >= {"ship", "other"}


@pytest.mark.parametrize(
    ("claims", "proven"),
    [
        ({"project": "7", "ref": "main", "sub": "x"}, ["ship"]),
        ({"project": "7", "ref": "next"}, ["ship"]),
        ({"project": "7", "ref": "main-2"}, []),
        ({"project": "7"}, []),
        ({"project": 7, "ref": "main"}, []),
        ({"project": ["7"], "ref": "main"}, []),
        ({"project": "7", "ref": None}, []),
        ({}, []),
    ],
)
def test_a_token_proves_the_caller_whose_claims_it_has_all(claims, proven):
    people = roster(ROSTER + CI)
    assert [one.name for one in people.proven("ci", claims)] == proven
    assert people.proven("gh", claims) == []


def test_a_group_that_a_schedule_fills_is_on_call_and_has_members_elsewhere():
    people = roster(ROSTER + CI)
    assert people.groups["db-oncall"].schedule == "db"
    assert people.outside_groups == people.on_call_groups() == {"db-oncall"}
    assert people.groups["sre"].schedule is None
    assert people.issuers["ci"].max_age.total_seconds() == 3600


@pytest.mark.parametrize(("old", "new", "place", "remedy"), BROKEN)
def test_a_broken_roster_is_refused_with_place_and_remedy(old, new, place, remedy):
    with pytest.raises(ConfigError) as caught:
        parse_roster(edited(ROSTER, old, new))
    found = [fault for fault in caught.value.faults if fault.place.startswith(place)]
    assert found, caught.value.detail
    assert remedy in str(found[0])
    assert str(found[0]) in caught.value.detail


def test_several_mistakes_are_told_at_once():
    text = edited(edited(ROSTER, 'kind = "agent"', 'kind = "agnt"'), "[person.kim]\n", "[person.kim]\nphone = 1\n")
    with pytest.raises(ConfigError, match="2 mistakes") as caught:
        parse_roster(text)
    assert {fault.place for fault in caught.value.faults} == {"caller.report-bot.kind", "person.kim.phone"}


@pytest.mark.parametrize(
    "text", ["", "person = 3", "a = " + "[" * 5000 + "]" * 5000, "\x00", "[person]\n[group]\ndana = 1"]
)
def test_any_other_text_is_a_config_error_too(text):
    with pytest.raises(ConfigError):
        parse_roster(text)


def test_a_group_may_have_members_in_slack_only_or_as_well_and_be_on_call():
    text = edited(ROSTER, 'people = ["robin", "kim"]', 'people = ["robin", "kim"]\nslack = "S02"\noncall = true')
    people = parse_roster(edited(text, 'people = ["dana", "robin", "alex"]', 'slack = "S01"'))
    assert people.groups["security"].people == ("robin", "kim")
    assert (people.groups["sre"].people, people.groups_of("dana")) == ((), frozenset())
    assert people.outside_groups == {"sre", "security"}
    assert people.on_call_groups() == {"security"}
    assert roster().outside_groups == roster().on_call_groups() == frozenset()


@pytest.mark.parametrize(
    ("written", "user", "team", "found"),
    [
        ("T01:U02", "U02", "T01", True),
        ("T01:U02", "U02", "T02", False),
        ("T01:U02", "U02", None, False),
        ("E01:W02", "W02", "E01", True),
        ("U02", "U02", "T01", True),
        ("U02", "U02", None, True),
        ("U02", "U03", "T01", False),
        ("U02", "u02", "T01", False),
    ],
)
def test_a_slack_account_is_found_by_id_and_in_its_workspace_where_one_is_given(written, user, team, found):
    people = roster(edited(ROSTER, 'slack = "T01:U02"', f'slack = "{written}"'))
    assert [one.name for one in people.by_slack(user, team)] == (["dana"] if found else [])
    dana = people.persons["dana"]
    assert (dana.slack_user, dana.slack_team) == (written[-3:], written[:-4] or None)
    assert (people.persons["kim"].slack_user, people.persons["kim"].slack_team) == (None, None)


def test_the_same_id_in_two_workspaces_is_two_accounts():
    people = roster(edited(ROSTER, "[person.alex]\n", '[person.alex]\nslack = "T02:U02"\n'))
    assert [one.name for one in people.by_slack("U02", "T02")] == ["alex"]
    assert people.by_slack("U02", None) == []


def test_a_mail_address_is_found_in_any_case_and_only_whole():
    people = roster()
    assert [one.name for one in people.by_email("Dana@Example.COM")] == ["dana"]
    assert people.by_email("ana@example.com") == people.by_email("") == []


def test_mail_is_matched_and_a_place_shared_only_where_that_is_written():
    assert (roster().slack.match_email, roster().places["console"].shared) == (False, False)
    people = roster(edited(ROSTER, 'groups = ["sre", "security"]', 'groups = ["sre"]\nslack = "C01"\nshared = true')
                    + "[slack]\nmatch_email = true\n")  # fmt: skip
    assert (people.slack.match_email, people.places["console"].shared) == (True, True)


def test_a_delegation_is_read():
    people = roster(ROSTER + '[[delegation]]\nfrom = "dana"\nto = "robin"\nuntil = 2026-12-01\n')
    assert [(one.giver, one.taker, one.until.isoformat()) for one in people.delegations] == [
        ("dana", "robin", "2026-12-01")
    ]
