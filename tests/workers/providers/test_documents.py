"""The documents say what they should: against hand-written vectors, on paper and on an AWS that enforces them."""

import copy
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.workers.providers.evaluator import evaluate
from tests.worlds.ministack import Ministack, a_plan, outcome
from workers.providers import documents
from workers.providers.documents import UnsafeDocument, lint
from workers.providers.port import Secret

VECTORS = Path(__file__).parent / "vectors"
DOCUMENTS = json.loads((VECTORS / "documents.json").read_text())
REQUESTS = json.loads((VECTORS / "requests.json").read_text())
A = "grt_01JAAAAAAAAAAAAAAAAAAAAAAA"
ENDS = datetime(2026, 11, 20, 10, 10, tzinfo=UTC)
MINTER = "arn:aws:iam::123456789012:role/countersign-minter"
EMITTED = {
    "session": documents.session_policy(a_plan(), ENDS),
    "revoke-A": documents.revoke_policy(A),
    "probe": documents.probe_policy(),
    "probe-ttl": documents.probe_policy(ENDS),
    "boundary": documents.boundary_policy(["s3:*"]),
    "trust": documents.trust_policy(MINTER, "cs-1"),
    "minter": documents.minter_policy(),
    "revoker": documents.revoker_policy("123456789012", "arn:aws:iam::123456789012:policy/countersign-boundary"),
}


@pytest.mark.parametrize("name", EMITTED)
def test_the_code_emits_the_documents_that_were_written_by_hand(name):
    assert json.loads(EMITTED[name]) == DOCUMENTS[name]
    assert len(EMITTED[name]) == len(json.dumps(DOCUMENTS[name], separators=(",", ":")))


def test_no_hand_written_document_is_without_its_code():
    assert set(DOCUMENTS) - set(EMITTED) == {"about", "everything"}


@pytest.mark.parametrize("vector", REQUESTS, ids=[vector["id"] for vector in REQUESTS])
def test_vectors_on_paper(vector):
    policies = {kind: [DOCUMENTS[name] for name in names] for kind, names in vector["policies"].items()}
    assert evaluate(policies, vector["request"]) == vector["expect"]


def test_the_evaluator_raises_where_it_does_not_know():
    wrong = copy.deepcopy(DOCUMENTS["revoke-A"])
    wrong["Statement"][0]["Condition"] = {"StringNotEquals": {"aws:PrincipalTag/grant-id": "x"}}
    with pytest.raises(ValueError, match="StringNotEquals"):
        evaluate({"identity": [wrong]}, REQUESTS[0]["request"])


LIVE = [vector for vector in REQUESTS if vector["live"]]


@pytest.mark.parametrize("vector", LIVE, ids=[vector["id"] for vector in LIVE])
def test_vectors_on_a_local_aws(vector, aws: Ministack):
    request = vector["request"]
    now = datetime.now(UTC).replace(microsecond=0)
    late = datetime.fromisoformat(request["context"]["aws:CurrentTime"]) - ENDS
    shift = (now - late).strftime("%Y-%m-%dT%H:%M:%SZ")  # the stamp as far from now as in the vector
    session = _session(aws, vector, json.dumps(DOCUMENTS[vector["policies"]["session"][0]]), shift)
    calls = {
        "s3:GetObject": ("s3", "get_object", {}),
        "s3:PutObject": ("s3", "put_object", {"Body": b"x"}),
        "ec2:DescribeRegions": ("ec2", "describe_regions", {}),
        "sts:AssumeRole": ("sts", "assume_role", {"RoleArn": request["resource"], "RoleSessionName": "grant-x"}),
        "iam:DeleteRolePolicy": (
            "iam",
            "delete_role_policy",
            {"RoleName": "countersign-base-other", "PolicyName": "x"},
        ),
    }
    service, method, arguments = calls[request["action"]]
    if service == "s3":
        bucket, _, key = request["resource"].removeprefix("arn:aws:s3:::").partition("/")
        aws.root("s3").put_object(Bucket=bucket, Key=key, Body=b"x")
        arguments = {**arguments, "Bucket": bucket, "Key": key}
    assert outcome(getattr(aws.as_session(service, session), method), **arguments) == vector["expect"]


def _session(aws: Ministack, vector: dict, policy: str, stamp: str) -> Secret:
    """Mint a session on a role made for this vector; anybody of the account may, so that untagged ones exist too."""
    iam, name = aws.root("iam"), f"lab-{vector['id']}"
    trust = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}}
    actions = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
    text = json.dumps({"Version": "2012-10-17", "Statement": [{**trust, "Action": actions}]})
    arn = iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(DOCUMENTS["boundary"]))["Policy"]["Arn"]
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=text, PermissionsBoundary=arn)
    for inline in vector["policies"]["identity"]:
        iam.put_role_policy(RoleName=name, PolicyName=inline, PolicyDocument=json.dumps(DOCUMENTS[inline]))
    tag = vector["request"]["context"].get("aws:PrincipalTag/grant-id")
    answer = aws.root("sts").assume_role(
        RoleArn=f"arn:aws:iam::000000000000:role/{name}",
        RoleSessionName="grant-lab",
        Policy=policy.replace("2026-11-20T10:10:00Z", stamp),
        Tags=[{"Key": "grant-id", "Value": tag}] if tag else [],
    )["Credentials"]
    return Secret(answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"], answer["Expiration"])


BROKEN = {
    "a misspelt key": {"Condition": {"StringEquals": {"aws:PrincipalTag/grantid": A}}},
    "another letter case": {"Condition": {"StringEquals": {"aws:principaltag/grant-id": A}}},
    "the session's name as a Deny": {"Condition": {"StringEquals": {"sts:RoleSessionName": A}}},
    "the role's ARN": {"Condition": {"StringEquals": {"aws:PrincipalArn": A}}},
    "another operator": {"Condition": {"StringLike": {"aws:PrincipalTag/grant-id": A}}},
    "a negated operator": {"Condition": {"StringNotEquals": {"aws:PrincipalTag/grant-id": A}}},
    "an optional one": {"Condition": {"StringEqualsIfExists": {"aws:PrincipalTag/grant-id": A}}},
    "the end as less-than": {"Condition": {"DateLessThan": {"aws:CurrentTime": "2026-11-20T10:10:00Z"}}},
    "an empty condition": {"Condition": {}},
    "an empty operator": {"Condition": {"StringEquals": {}}},
    "no value": {"Condition": {"StringEquals": {"aws:PrincipalTag/grant-id": ""}}},
    "NotAction": {"NotAction": ["s3:GetObject"]},
    "NotResource": {"NotResource": ["*"]},
    "NotPrincipal": {"NotPrincipal": "*"},
    "no action": {"Action": []},
    "no resource": {"Resource": []},
    "another effect": {"Effect": "deny"},
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_lint_refuses_what_we_never_emit(change):
    document = copy.deepcopy(DOCUMENTS["revoke-A"])
    document["Statement"][0].update(change)
    with pytest.raises(UnsafeDocument, match=r"Statement\[0\]"):
        lint(json.dumps(document))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"Version":"2012-10-17","Statement":[]}', '{"Version":"2008-10-17","Statement":[{}]}',
     '{"Version":"2012-10-17","Statement":{}}', '{"Version":"2012-10-17","Statement":["x"]}'],
)  # fmt: skip
def test_lint_refuses_what_is_no_document(text):
    with pytest.raises(UnsafeDocument):
        lint(text)


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name != "about"])
def test_lint_passes_every_document_as_it_is(name):
    text = json.dumps(DOCUMENTS[name])
    assert lint(text) == text


def test_names_fit_what_aws_takes():
    longest = max(documents.session_name(A), documents.probe_name(A), documents.control_name("control-" + "0" * 26))
    assert len(longest) <= 64
    assert documents.revoke_name(A) == f"countersign-revoke-{A}"
    assert len(documents.revoke_name(A)) <= 128
    assert documents.revoked_id(documents.revoke_name(A)) == A
    assert documents.revoked_id("somebody-elses-policy") is None


def test_many_revocations_fit_on_one_role():
    """AWS counts 10,240 characters of inline policies per role, white space apart."""
    assert 10_240 // len(documents.revoke_policy(A)) >= 57


@pytest.mark.parametrize("wrong", ["", "grt_", A + "A", A[:-1], A.lower(), "req_" + A[4:], f'{A[:-2]}"}}', A + "\n"])
def test_what_is_no_grant_id_gets_into_no_document_and_no_name(wrong):
    for make in (documents.revoke_policy, documents.session_name, documents.probe_name, documents.revoke_name):
        with pytest.raises(ValueError, match="not a grant id"):
            make(wrong)


def test_the_end_is_spelled_in_utc_whole_seconds():
    elsewhere = ENDS.astimezone(datetime.strptime("+05:30", "%z").tzinfo) + timedelta(milliseconds=900)
    assert documents.iam_time(elsewhere) == "2026-11-20T10:10:00Z"
