"""How far a credential reaches, in a sentence: levels, wildcards, services, pairs, and the worst it can do."""

from __future__ import annotations

import pytest

from approvers.blast import blast, words
from tests.approvers.rules_world import facts, policy
from tests.worlds import samples

DEV = {"role": "dev", "environment": "dev"}
FILE = "arn:aws:s3:::exports/2026/report.csv"


def told(**changes) -> tuple[str, ...]:
    found = facts(policy(), **changes)
    return words(blast(found, None))


@pytest.mark.parametrize(
    ("actions", "sentence"),
    [
        (["s3:GetObject"], "1 Read over 1 object; nothing is changed"),
        (["s3:GetObject", "s3:ListBucket"], "1 List, 1 Read over 1 object; nothing is changed"),
        (["s3:PutObject", "s3:GetObject"], "1 Read, 1 Write over 1 object; nothing destructive"),
        (["s3:GetObject", "s3:DeleteObject"],
         "1 Read, 1 Write over 1 object; something here destroys what it touches"),
        (["s3:GetObject", "s3:Odd"], "1 Read, 1 unknown over 1 object; not known what it changes"),
    ],
)  # fmt: skip
def test_actions_are_counted_by_level_the_worst_last(actions, sentence):
    assert told(actions=actions) == (sentence,)


@pytest.mark.parametrize(
    ("resources", "reach"),
    [
        (["arn:aws:s3:::exports/2026/*"], "1 bucket prefix"),
        (["arn:aws:s3:::a/x*", "arn:aws:s3:::b/y?"], "2 bucket prefixes"),
        (["arn:aws:s3:::exports/*"], "1 whole bucket"),
        (["arn:aws:s3:::exports"], "1 bucket"),
        (["arn:aws:s3:::exp*/2026"], "1 pattern of buckets"),
        (["arn:aws:sqs:eu-west-1:1:jobs", "arn:aws:sqs:eu-west-1:1:*", FILE], "1 resource and 1 wildcard and 1 object"),
        (["*", FILE], "every resource"),
    ],
)
def test_resources_are_counted_by_kind(resources, reach):
    assert told(resource=resources[0], resources=resources) == (f"1 Read over {reach}; nothing is changed",)


def test_further_services_and_pairs_have_a_sentence_each():
    assert told(actions=["s3:PutObject", "iam:PassRole"])[1:] == (
        "in 2 services: s3, iam",
        "more rights together: iam:PassRole with s3:PutObject",
    )


def test_what_is_minted_counts_and_what_a_reviewer_took_out_does_not():
    access = {**samples.BODY["access"], "actions": ["s3:GetObject", "s3:ListBucket"]}
    request = samples.request(access=access)
    whole = blast(request.facts, request.plan)
    assert whole.levels == (("List", 1), ("Read", 1))
    left = request.plan.model_copy(update={"actions": ("s3:ListBucket",), "resources": (FILE,)})
    found = blast(request.facts, left)
    assert (found.levels, found.wildcards, found.writes, found.destroys) == ((("List", 1),), (), False, False)
    assert whole.wildcards == ("arn:aws:s3:::customer-exports/2026/*",)


def test_a_pair_goes_with_either_of_its_actions():
    found = facts(policy(), actions=["s3:PutObject", "iam:PassRole"])
    plan = samples.request().plan
    assert blast(found, plan.model_copy(update={"actions": ("s3:PutObject", "iam:PassRole")})).pairs == found.pairs
    assert blast(found, plan.model_copy(update={"actions": ("s3:PutObject",)})).pairs == ()


def test_a_headline_that_is_not_minted_is_no_reach():
    request = samples.request(action="s3:DeleteObject")
    assert blast(request.facts, request.plan).levels == (("Read", 1),)


def test_a_policys_own_lists_can_be_handed_in():
    found = facts(policy(), actions=["s3:PutObject"])
    assert blast(found, None, ["destructive"]).destroys
    assert not blast(found, None).destroys
