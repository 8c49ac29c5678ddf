"""What may be planned, and that every refusal names its field, its rule and a remedy."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvers.action import Action
from approvers.errors import Inadmissible
from approvers.roster import parse_roster
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
    ceiling = ["s3:Get*", "s3:PutObject", "rds:*Snapshot", "dynamodb:*", "logs:*", "sqs:*", "apigateway:GET"]
    """
)
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
        plan(action, ROSTER, ttl_seconds)
    return caught.value


def test_a_plan_says_exactly_what_will_be_minted():
    made = plan(an_action(["s3:GetObject", "s3:PutObject"], [REPORT, f"{REPORT}.bak"]), ROSTER, 900)
    assert made.model_dump() == {
        "provider": "aws",
        "role": "analytics",
        "role_arn": "arn:aws:iam::123456789012:role/countersign-base-analytics",
        "external_id": "cs-1",
        "account": "prod-payments",
        "account_id": "123456789012",
        "environment": "prod",
        "actions": ("s3:GetObject", "s3:PutObject"),
        "resources": (REPORT, f"{REPORT}.bak"),
        "ttl_seconds": 900,
    }


def test_a_dry_run_is_planned_under_the_same_rules():
    assert plan(an_action(provider="dry_run"), ROSTER, 900).provider == "dry_run"


@pytest.mark.parametrize("ttl", [1, 4, 900, 3600])
def test_times_within_the_caps_are_planned(ttl):
    assert plan(an_action(), ROSTER, ttl).ttl_seconds == ttl


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
        ("rds:DeleteDBSnapshotX", "role.analytics.ceiling", "another role"),
    ],
)
def test_actions_that_are_refused(name, rule, words):
    refused = refusal(an_action(["s3:GetObject", name]))
    assert (refused.field, refused.rule) == ("access.actions[1]", rule)
    assert words in refused.detail


@pytest.mark.parametrize("name", ["s3:getobject", "s3:GetObjectVersion", "rds:CreateDBSnapshot", "dynamodb:Query"])
def test_letter_case_does_not_count_against_the_ceiling(name):
    assert plan(an_action([name]), ROSTER, 900).actions == (name,)


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
        assert plan(an_action(resources=[arn]), ROSTER, 900).resources == (arn,)
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
    assert plan(an_action(resources=resources(fits)), ROSTER, 900)
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


NAMES = st.from_regex(r"[a-z0-9]{1,8}:[A-Za-z*?]{1,10}", fullmatch=True)
ARNS = st.from_regex(r"arn:(aws|\*):(s3|rds|\*):[a-z*]{0,3}:(|123456789012|\*|9{12}):[a-z*?/:]{0,9}", fullmatch=True)


@given(st.lists(NAMES, max_size=3), st.lists(ARNS, max_size=3), st.integers(-5, 5000))
def test_whatever_is_admitted_is_narrow(actions, resources, ttl):
    try:
        made = plan(an_action(actions or ["s3:GetObject"], resources or [REPORT]), ROSTER, ttl)
    except Inadmissible:
        return
    assert all("*" not in name and within_ceiling(name, ROSTER.roles["analytics"].ceiling) for name in made.actions)
    for arn in made.resources:
        parts = arn.split(":", 5)
        assert "*" not in "".join(parts[:5])
        assert parts[4] in ("", "123456789012")
    assert 1 <= made.ttl_seconds <= 3600
    documents.lint(documents.session_policy(made, datetime(2026, 1, 1, tzinfo=UTC)))
