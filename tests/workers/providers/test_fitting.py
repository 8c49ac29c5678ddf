"""Actions that exist, resources within the role's, and both of them fitting each other."""

import pytest

from approvers.errors import Inadmissible
from tests.workers.providers.test_plans import LEVELS, REPORT, ROSTER, SNAPSHOT, TABLE, an_action, refusal
from workers.data.levels import Levels
from workers.providers.plans import plan

SQS, BUCKET = "arn:aws:sqs:eu-west-1:123456789012:orders", "arn:aws:s3:::customer-exports"


@pytest.mark.parametrize(
    ("actions", "resources", "field", "words"),
    [
        (["s3:GetObject"], [SNAPSHOT], "access.actions[0]", "none of the resources"),
        (["s3:GetObject", "dynamodb:Query"], [REPORT], "access.actions[1]", "none of the resources"),
        (["s3:GetObject"], [REPORT, SNAPSHOT], "access.resources[1]", "nothing that any of the actions takes"),
        (["s3:GetObject", "s3:GetAccountPublicAccessBlock"], [REPORT], "access.actions[1]", "'*' as its one resource"),
        (["s3:GetAccountPublicAccessBlock", "s3:GetObject"], ["*"], "access.actions[1]", "'*' is too wide"),
        (["s3:GetObject"], ["*"], "access.actions[0]", "'*' is too wide"),
        (["sqs:NewerThanTheTable"], ["*"], "access.actions[0]", "'*' is too wide"),
    ],
)
def test_actions_and_resources_that_do_not_fit_each_other(actions, resources, field, words):
    refused = refusal(an_action(actions, resources))
    assert (refused.field, refused.rule) == (field, "plan.mismatch")
    assert words in refused.detail


@pytest.mark.parametrize(
    ("actions", "resources"),
    [
        (["s3:GetAccountPublicAccessBlock"], ["*"]),
        (["s3:GetObject", "dynamodb:Query"], [REPORT, TABLE]),
        (["s3:GetObject", "s3:GetBucketLocation"], [REPORT, BUCKET]),
        (["redshift-data:ExecuteStatement"], ["arn:aws:redshift:eu-west-1:123456789012:cluster:dw"]),
    ],
)
def test_actions_and_resources_that_fit_each_other(actions, resources):
    made = plan(an_action(actions, resources), ROSTER, 900, LEVELS)
    assert (made.actions, made.resources) == (tuple(actions), tuple(resources))


NARROW = ROSTER.model_copy(
    update={
        "roles": {
            "analytics": ROSTER.roles["analytics"].model_copy(
                update={"resources": ("arn:aws:s3:::customer-exports/2026/*", "arn:aws:sqs:*:123456789012:orders-*")}
            )
        }
    }
)


@pytest.mark.parametrize(
    ("actions", "arn", "inside"),
    [
        ("s3:GetObject", REPORT, True),
        ("s3:GetObject", "arn:aws:s3:::customer-exports/2026/*", True),
        ("s3:GetObject", "arn:aws:s3:::customer-exports/2026/reports/*", True),
        ("s3:GetObject", "arn:aws:s3:::customer-exports/*", False),
        ("s3:GetObject", "arn:aws:s3:::customer-exports/2026*", False),
        ("s3:GetObject", "arn:aws:s3:::Customer-exports/2026/report.csv", False),
        ("s3:GetObject", "arn:aws:s3:::customer-exports/2025/report.csv", False),
        ("sqs:SendMessage", "arn:aws:sqs:eu-west-1:123456789012:orders-a", True),
        ("sqs:SendMessage", SQS, False),
        ("s3:GetAccountPublicAccessBlock", "*", False),
    ],
)
def test_a_roles_resources_cap_what_may_be_asked(actions, arn, inside):
    action = an_action([actions], [arn])
    if inside:
        assert plan(action, NARROW, 900, LEVELS).resources == (arn,)
        return
    with pytest.raises(Inadmissible) as caught:
        plan(action, NARROW, 900, LEVELS)
    assert (caught.value.field, caught.value.rule) == ("access.resources[0]", "plan.resource_ceiling")
    assert "customer-exports/2026/*" in caught.value.detail


def test_nothing_is_looked_for_in_the_table_while_all_is_well():
    """What was meant may take 100 ms to find: only a refusal has that time."""

    class Slow(Levels):
        def nearest(self, action: str) -> str | None:
            raise AssertionError(action)

    levels = Slow({"s3:GetObject": "Read"}, {}, "test")
    assert plan(an_action(), ROSTER, 900, levels)
    with pytest.raises(AssertionError, match="s3:GetObjec"):
        plan(an_action(["s3:GetObjec"]), ROSTER, 900, levels)
