"""CloudTrail's history, read from the local AWS and from samples of AWS's own form, within its rate."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from approvers.activity import Activity
from approvers.activity_flags import Scope, looked
from tests.worlds.ministack import REPORT, SECRET, Ministack, a_plan, new_grant_id
from tests.worlds.trail_http import TrailStub
from workers.data.levels import load_levels
from workers.providers.access import AwsAccess, Identity, Keys
from workers.providers.aws_activity import AwsActivity, Turns, global_region
from workers.providers.aws_events import call_of
from workers.providers.port import Busy, NotSent, Refused

EVER = datetime(2020, 1, 1, tzinfo=UTC)


def reader(aws: Ministack, **options: Any) -> AwsActivity:
    return AwsActivity(aws.prepared.access(aws.endpoint), turns=Turns(0.0), **options)


def test_a_sessions_calls_are_read_with_what_was_refused_and_nobody_elses(aws: Ministack):
    provider, grant, other = aws.provider(), new_grant_id(), new_grant_id()
    secret, others = provider.mint(grant, a_plan()).secret, provider.mint(other, a_plan()).secret
    said = (aws.read(secret), aws.write(secret), aws.read(secret, SECRET))
    assert said == ("allow", "implicit_deny", "implicit_deny")
    aws.as_session("sts", secret).get_caller_identity()
    aws.read(others)
    found = reader(aws).events(a_plan(), since=EVER, key=secret.access_key_id)
    calls = sorted(found.calls, key=lambda call: (call.at, bool(call.error), call.action))
    bucket = f"arn:aws:s3:::{aws.prepared.bucket}"
    assert found.whole
    assert {(call.action, call.resources, call.error) for call in calls} == {
        ("s3:GetObject", (f"{bucket}/{REPORT}",), ""),
        ("sts:GetCallerIdentity", (), ""),
        ("s3:PutObject", (f"{bucket}/{REPORT}",), "AccessDenied"),
        ("s3:GetObject", (f"{bucket}/{SECRET}",), "AccessDenied"),
    }
    assert {call.region for call in calls} == {"us-east-1"}
    activity = looked(Activity(grant_id=grant), calls, Scope(a_plan()), at=datetime.now(UTC))
    assert {flag.kind: flag.points for flag in activity.flags} == {"outside_action": 10, "outside_resource": 10}


def test_who_took_a_role_is_read_by_the_events_name(aws: Ministack):
    grant = new_grant_id()
    aws.provider().mint(grant, a_plan())
    found = reader(aws).events(a_plan(), since=EVER, name="AssumeRole")
    assert f"grant-{grant}" in {call.opens for call in found.calls}
    assert {call.action for call in found.calls} == {"sts:AssumeRole"}


def test_who_may_not_read_is_refused(aws: Ministack):
    access = aws.prepared.access(aws.endpoint)
    stranger = AwsActivity(replace(access, revoker=access.minter), turns=Turns(0.0))
    with pytest.raises(Refused, match="LookupEvents"):
        stranger.events(a_plan(), since=EVER, key="ASIAEXAMPLE")


def sample(name: str, **changes: Any) -> dict[str, Any]:
    """Return an entry of LookupEvents as AWS has it, from its documentation."""
    entry, event = json.loads(json.dumps(SAMPLES[name]))
    where = {"userIdentity": WHO, "awsRegion": "eu-west-1", "sourceIPAddress": "203.0.113.7"}
    told = json.dumps({**event, **where, **changes})
    return {**entry, "EventTime": datetime(2026, 11, 20, 10, 4, 31, tzinfo=UTC), "CloudTrailEvent": told}


WHO = {"type": "AssumedRole", "principalId": "AROAEXAMPLE:grant-grt_01M7", "accessKeyId": "ASIAEXAMPLE",
       "arn": "arn:aws:sts::123456789012:assumed-role/countersign-base-db/grant-grt_01M7",
       "sessionContext": {"sessionIssuer": {"type": "Role", "userName": "countersign-base-db"}}}  # fmt: skip
DB = "arn:aws:rds:eu-west-1:123456789012:db:orders"
SAMPLES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "write": (
        {"EventId": "e1", "EventName": "StopDBInstance", "EventSource": "rds.amazonaws.com", "ReadOnly": "false",
         "AccessKeyId": "ASIAEXAMPLE", "Username": "grant-grt_01M7",
         "Resources": [{"ResourceType": "AWS::RDS::DBInstance", "ResourceName": "orders"}]},
        {"eventVersion": "1.09", "readOnly": False, "requestParameters": {"dBInstanceIdentifier": "orders"},
         "responseElements": {"masterUserSecret": "never looked at"}},
    ),
    "refused": (
        {"EventId": "e2", "EventName": "DeleteDBInstance", "EventSource": "rds.amazonaws.com", "ReadOnly": "false",
         "Resources": []},
        {"errorCode": "AccessDenied", "requestParameters": None, "responseElements": None,
         "errorMessage": f"User: {WHO['arn']} is not authorized to perform: rds:DeleteDBInstance on resource: {DB} "
         "because no session policy allows the rds:DeleteDBInstance action"},
    ),
    "ec2 refused": (
        {"EventId": "e3", "EventName": "RunInstances", "EventSource": "ec2.amazonaws.com", "ReadOnly": "false"},
        {"errorCode": "Client.UnauthorizedOperation",
         "errorMessage": "You are not authorized to perform this operation. Encoded authorization failure message: x"},
    ),
    "other name": (
        {"EventId": "e4", "EventName": "ListObjectsV2", "EventSource": "s3.amazonaws.com", "ReadOnly": "true"},
        {"requestParameters": {"bucketName": "exports", "Host": "exports.s3.amazonaws.com"},
         "resources": [{"type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::exports"}]},
    ),
    "dated": (
        {"EventId": "e5", "EventName": "UpdateFunctionCode20150331v2", "EventSource": "lambda.amazonaws.com"},
        {"requestParameters": {"functionName": "orders"}},
    ),
    "kms": (
        {"EventId": "e6", "EventName": "Decrypt", "EventSource": "kms.amazonaws.com", "ReadOnly": "true",
         "Resources": [{"ResourceType": "AWS::KMS::Key", "ResourceName": "arn:aws:kms:eu-west-1:123456789012:key/1"}]},
        {"resources": [{"ARN": "arn:aws:kms:eu-west-1:123456789012:key/1", "type": "AWS::KMS::Key"}]},
    ),
    "console": (
        {"EventId": "e7", "EventName": "ConsoleLogin", "EventSource": "signin.amazonaws.com", "ReadOnly": "false"},
        {"responseElements": {"ConsoleLogin": "Success"}, "requestParameters": None},
    ),
    "failed": (
        {"EventId": "e8", "EventName": "StopDBInstance", "EventSource": "rds.amazonaws.com", "ReadOnly": "false"},
        {"errorCode": "DBInstanceNotFoundFault", "errorMessage": "DBInstance payments not found."},
    ),
    "assume": (
        {"EventId": "e9", "EventName": "AssumeRole", "EventSource": "sts.amazonaws.com", "ReadOnly": "true"},
        {"requestParameters": {"roleArn": "arn:aws:iam::1:role/x", "roleSessionName": "grant-grt_02"},
         "responseElements": {"credentials": {"accessKeyId": "ASIAOTHER", "sessionToken": "secret"}}},
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "action", "resources", "write", "known"),
    [
        ("write", "rds:StopDBInstance", ("orders",), True, True),
        ("refused", "rds:DeleteDBInstance", (DB,), True, True),
        ("ec2 refused", "ec2:RunInstances", (), True, True),
        ("other name", "s3:ListBucket", ("arn:aws:s3:::exports",), False, True),
        ("dated", "lambda:UpdateFunctionCode", (), True, True),
        ("kms", "kms:Decrypt", ("arn:aws:kms:eu-west-1:123456789012:key/1",), False, True),
        ("console", "signin:ConsoleLogin", (), True, False), ("failed", "rds:StopDBInstance", (), True, True),
        ("assume", "sts:AssumeRole", ("arn:aws:iam::1:role/x",), False, True),
    ],
)  # fmt: skip
def test_an_entry_of_awss_own_form_is_read(name: str, action: str, resources: tuple, write: bool, known: bool):
    call = call_of(sample(name), load_levels())
    assert call is not None
    assert (call.action, call.resources, call.write, call.known) == (action, resources, write, known)
    assert (call.session, call.region, call.address) == ("grant-grt_01M7", "eu-west-1", "203.0.113.7")
    assert call.refused == ("refused" in name)
    assert call.opens == ("grant-grt_02" if name == "assume" else "")
    assert "secret" not in repr(call).lower()


@pytest.mark.parametrize("broken", [{}, {"CloudTrailEvent": "no json"}, {"CloudTrailEvent": "[]", "EventName": "x"}])
def test_what_cannot_be_read_is_left_out(broken: dict[str, Any]):
    assert call_of(broken, load_levels()) is None


def test_whatever_else_a_probe_of_ours_did_is_known_by_its_name():
    who = {"arn": "arn:aws:sts::1:assumed-role/countersign-base-db/grant-probe-grt_01M7"}
    call = call_of(sample("write", userIdentity=who), load_levels())
    assert call is not None
    assert call.ours


class Clock:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now, self.lock = 100.0, threading.Lock()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.now += seconds


def test_turns_are_apart_for_each_account_and_region_and_whoever_would_wait_long_is_told():
    clock = Clock()
    turns = Turns(0.5, 2.0, clock=clock, sleep=lambda seconds: None)
    for _ in range(5):  # the fifth waits the two seconds of patience
        turns.take("1", "eu-west-1")
    with pytest.raises(Busy, match="account 1 in eu-west-1"):
        turns.take("1", "eu-west-1")
    turns.take("1", "us-east-1")
    turns.take("2", "eu-west-1")
    clock.now += 0.6
    turns.take("1", "eu-west-1")


def test_one_after_the_other_takes_as_long_as_the_rate_says():
    clock = Clock()
    turns = Turns(0.5, 2.0, clock=clock, sleep=clock.sleep)
    for _ in range(10):
        turns.take("1", "eu-west-1")
    assert clock.now == 100.0 + 9 * 0.5


def stubbed(trail: TrailStub, turns: Turns | None = None, **options: Any) -> AwsActivity:
    who = Identity(Keys("AKIAEXAMPLE", "nothing"))
    return AwsActivity(AwsAccess(trail.url, "us-east-1", who, who), turns=turns or Turns(0.0), **options)


def test_pages_are_read_to_the_last_one_in_each_region_once():
    with TrailStub(120) as trail:
        found = stubbed(trail).events(a_plan(), since=EVER, key="ASIA1", regions=("eu-west-1", "us-east-1"))
    assert (len(found.calls), found.whole) == (120, True)
    assert [(one["region"], one.get("NextToken")) for one in trail.asked] == [
        (region, token) for region in ("eu-west-1", "us-east-1") for token in (None, "50", "100")
    ]
    attribute = [{"AttributeKey": "AccessKeyId", "AttributeValue": "ASIA1"}]
    assert all((one["LookupAttributes"], one["MaxResults"]) == (attribute, 50) for one in trail.asked)


def test_when_time_is_up_what_was_read_counts_and_is_not_called_whole():
    seconds = iter(range(0, 1_000, 5))
    with TrailStub(1_000) as trail:
        found = stubbed(trail, clock=lambda: next(seconds)).events(a_plan(), since=EVER, key="ASIA1")
    assert (len(found.calls), found.whole) == (100, False)


def test_when_no_turn_comes_for_a_further_page_what_was_read_counts():
    turns = Turns(5.0, 2.0, clock=lambda: 0.0, sleep=lambda seconds: None)
    with TrailStub(120) as trail:
        found = stubbed(trail, turns).events(a_plan(), since=EVER, key="ASIA1")
    assert (len(found.calls), found.whole, len(trail.asked)) == (50, False, 1)


def test_throttled_for_longer_than_the_sdk_waits_is_told_as_not_sent():
    with TrailStub(3) as trail:
        trail.errors.extend(["ThrottlingException"] * 3)
        with pytest.raises(NotSent, match="ThrottlingException"):
            stubbed(trail).events(a_plan(), since=EVER, key="ASIA1")


def test_global_services_are_read_where_their_partition_logs_them():
    assert global_region(a_plan()) == "us-east-1"
    china = a_plan(role_arn="arn:aws-cn:iam::123456789012:role/countersign-base-x")
    assert global_region(china) == "cn-north-1"
