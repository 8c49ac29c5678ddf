"""The tags of an account on an AWS that enforces IAM: every region, page and key; what is refused is left out.

The local AWS answers GetResources on one page and refuses in no region: pages, throttles and refusals are the gate's
answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bot.tags import Tags
from countersign.ops.ministack import ACCOUNT, BUCKET
from tests.bot.test_tags import ROSTER, Office
from tests.workers.test_tagging import tagged_rule
from tests.worlds import samples
from tests.worlds.aws_gate import DENIED, THROTTLED, Answer, AwsGate
from tests.worlds.ministack import Ministack
from workers.providers import documents
from workers.providers.aws_tags import AwsTags
from workers.providers.port import NotSent, OutcomeUnknown, Refused, Secret

ROLE = f"arn:aws:iam::{ACCOUNT}:role/{documents.TAG_READER}"
ARN = f"arn:aws:s3:::{BUCKET}"
QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:jobs"
GET, REGIONS = "tagging:GetResources", "ec2:DescribeRegions"
ODD = Answer(200, b"<html>", "text/html")


def refusal(code: str) -> Answer:
    """Return an error as an API that speaks JSON spells it."""
    return Answer(400, json.dumps({"__type": code, "message": "words"}).encode(), "application/x-amz-json-1.1")


LATER, NO = refusal("ThrottlingException"), refusal("AccessDeniedException")


@pytest.fixture(scope="module")
def town(aws: Ministack) -> Ministack:
    """The local AWS with the role that reads tags, as the guide says, and a tagged bucket and queue."""
    iam = aws.root("iam")
    minter = f"arn:aws:iam::{ACCOUNT}:user/countersign-minter"
    iam.create_role(RoleName=documents.TAG_READER, AssumeRolePolicyDocument=documents.tags_trust_policy(minter))
    iam.put_role_policy(RoleName=documents.TAG_READER, PolicyName="read", PolicyDocument=documents.tags_policy())
    iam.put_user_policy(
        UserName="countersign-minter", PolicyName="tags", PolicyDocument=documents.tags_minter_policy(ROLE)
    )
    tags = [{"Key": "data", "Value": "pii"}, {"Key": "team", "Value": "x"}]
    aws.root("s3").put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": tags})
    aws.root("sqs").create_queue(QueueName="jobs", tags={"team": "y"})
    return aws


def reader(town: Ministack, endpoint: str | None = None) -> AwsTags:
    return AwsTags(town.prepared.access(endpoint or town.endpoint))


@pytest.fixture
def gate(town: Ministack) -> Iterator[AwsGate]:
    """A gate that lets nobody list the regions: only the home region is read then, which is quick."""
    with AwsGate(town.endpoint) as opened:
        opened.answer(None, DENIED, REGIONS)
        yield opened


def page(*arns: str, token: str = "") -> Answer:
    rows = [{"ResourceARN": arn, "Tags": [{"Key": "data", "Value": "pii"}]} for arn in arns]
    body = json.dumps({"ResourceTagMappingList": rows, "PaginationToken": token})
    return Answer(200, body.encode(), "application/x-amz-json-1.1")


def test_every_region_and_every_bucket_of_the_account(town: Ministack) -> None:
    found = reader(town).tags(ROLE, ["data"], 100)
    assert found.complete
    assert {"us-east-1", "eu-west-1"} < set(found.regions)
    assert found.buckets == {BUCKET: "us-east-1"}
    assert found.resources == {ARN: {"data": "pii", "team": "x"}}


def test_each_key_is_looked_for_by_itself_and_none_means_any(town: Ministack, gate: AwsGate) -> None:
    """Two filters in one call would find only what has both."""
    both = {ARN: {"data": "pii", "team": "x"}, QUEUE: {"team": "y"}}
    tags = reader(town, gate.url).tags
    assert tags(ROLE, ["data", "team"], 100).resources == both
    assert gate.calls.count(GET) == 2
    assert tags(ROLE, [], 100).resources == both
    assert tags(ROLE, ["a", "b", "c", "d", "e", "team"], 100).resources == both
    assert gate.calls.count(GET) == 4, "too many keys for filters: everything is read"
    assert tags(ROLE, ["nope"], 100).resources == {}


def test_more_than_wanted_is_none_of_it(town: Ministack, gate: AwsGate) -> None:
    found = reader(town, gate.url).tags(ROLE, [], 2)
    assert (found.complete, found.resources, found.buckets) == (False, {}, {})


def test_every_page_is_read(town: Ministack, gate: AwsGate) -> None:
    gate.answer(1, page("arn:aws:sqs:r:1:a", "arn:aws:logs:r:1:log-group:b:*", token="more"), GET)
    gate.answer(2, page("arn:aws:sqs:r:1:c"), GET)
    found = reader(town, gate.url).tags(ROLE, ["data"], 100).resources
    assert {"arn:aws:sqs:r:1:a", "arn:aws:logs:r:1:log-group:b", "arn:aws:sqs:r:1:c"} <= found.keys()


def test_a_passing_throttle_is_waited_out_and_what_may_pass_fails_the_reading_whole(
    town: Ministack, gate: AwsGate
) -> None:  # fmt: skip
    gate.answer(1, LATER, GET)
    assert reader(town, gate.url).tags(ROLE, ["data"], 100).complete
    gate.answer(None, THROTTLED, "sts:AssumeRole")
    with pytest.raises(NotSent):
        reader(town, gate.url).tags(ROLE, ["data"], 100)


def test_an_answer_that_cannot_be_read_fails_the_reading_whole(town: Ministack, gate: AwsGate) -> None:
    gate.answer(None, ODD, GET)
    with pytest.raises(OutcomeUnknown):
        reader(town, gate.url).tags(ROLE, ["data"], 100)


def test_regions_and_buckets_that_are_refused_are_left_out(town: Ministack, gate: AwsGate) -> None:
    gate.answer(None, DENIED, "s3:GET /")
    found = reader(town, gate.url).tags(ROLE, ["data"], 100)
    assert (found.regions, found.buckets, found.resources.keys()) == (["us-east-1"], {}, {ARN})
    gate.answer(None, NO, GET)
    with pytest.raises(Refused):
        reader(town, gate.url).tags(ROLE, ["data"], 100)


def test_one_region_that_refuses_is_left_out(town: Ministack) -> None:
    with AwsGate(town.endpoint) as gate:
        gate.answer(1, NO, GET)
        found = reader(town, gate.url).tags(ROLE, ["data"], 100)
        assert found.complete
        assert len(found.regions) == gate.calls.count(GET) - 1 > 20


async def test_from_the_tag_at_aws_to_the_fact_of_an_ask(town: Ministack, gate: AwsGate) -> None:
    office = Office()
    await office.start(policy=samples.POLICY_TEXT + tagged_rule('tags_any = ["mood=*"]'), roster=ROSTER)
    tools = replace(office.tools, tagged=reader(town, gate.url))
    sqs, arn = town.root("sqs"), QUEUE.replace("jobs", "moody")
    url, seen = sqs.create_queue(QueueName="moody")["QueueUrl"], []
    for mood in ("", "bad", "good"):
        if mood:
            sqs.tag_queue(QueueUrl=url, Tags={"mood": mood})
        assert await office.sweep(tools) == "tags of 1 of 1 accounts read"
        await office.later(seconds=6)
        seen.append(await Tags(office.store.records).of(office.book(), None, arn, office.time))
    assert seen == [{arn: ()}, {arn: ("mood=bad",)}, {arn: ("mood=good",)}]


def test_the_session_can_do_nothing_else_whatever_the_role_may(town: Ministack, gate: AwsGate) -> None:
    tags = reader(town, gate.url).tags
    tags(ROLE, ["data"], 100)
    [issued] = gate.issued
    assert issued.session == documents.TAG_READER
    with pytest.raises(Refused):
        tags(f"arn:aws:iam::{ACCOUNT}:role/nobody", ["data"], 100)
    town.root("iam").put_role_policy(
        RoleName=documents.TAG_READER, PolicyName="more", PolicyDocument=documents.render(
            {"Effect": "Allow", "Action": ["s3:*"], "Resource": ["*"]}
        ),
    )  # fmt: skip
    secret = Secret(issued.access_key_id, issued.secret_access_key, issued.session_token, issued.expiration)
    assert town.read(secret) == "implicit_deny"
