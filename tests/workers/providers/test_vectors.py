"""What every document means: hand-written vectors, on paper and on an AWS that enforces them; none may be dropped.

An expectation is written by hand and names its source: `derived` from AWS's documentation; a run on the real AWS makes
it `aws`. The answers of the evaluator are never recorded.
"""

import copy
import inspect
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from countersign.ops.ministack import client
from tests.workers.providers.emitted import DOCUMENTS, EMITTED, ENDS, MINTER, REQUESTS
from tests.workers.providers.evaluator import evaluate
from tests.worlds.ministack import Ministack, outcome
from workers.providers import documents
from workers.providers.access import Keys
from workers.providers.port import Secret

Vector = dict[str, Any]


def answers(vector: Vector, changed: dict[str, Any] = DOCUMENTS) -> str:
    policies = {kind: [changed[name] for name in names] for kind, names in vector["policies"].items()}
    return evaluate(policies, vector["request"])


def using(name: str) -> list[Vector]:
    return [one for one in REQUESTS if any(name in names for names in one["policies"].values())]


@pytest.mark.parametrize("vector", REQUESTS, ids=[vector["id"] for vector in REQUESTS])
def test_vectors_on_paper(vector):
    assert answers(vector) == vector["expect"]


def test_each_vector_has_a_name_a_source_and_a_reason():
    assert len({one["id"] for one in REQUESTS}) == len(REQUESTS)
    assert {one["source"] for one in REQUESTS} <= {"derived", "documented", "aws"}
    assert all(one["why"] for one in REQUESTS)


def test_every_function_that_emits_a_document_has_one_here():
    """A new one needs documents and vectors written by hand."""
    emitters = {
        name
        for name, function in inspect.getmembers(documents, inspect.isfunction)
        if name.endswith("_policy") and function.__module__ == documents.__name__
    }
    assert emitters == {one.by for one in EMITTED.values()}


def test_every_text_that_is_returned_is_a_document_or_a_name():
    """Whatever else returns text was looked at, too: a document under another name would go without vectors."""
    others = {
        name
        for name, function in inspect.getmembers(documents, inspect.isfunction)
        if not name.startswith("_")
        and function.__module__ == documents.__name__
        and inspect.get_annotations(function).get("return") in ("str", "str | None")
        and not name.endswith("_policy")
    }
    names = {"checked_grant_id", "session_name", "probe_name", "control_name", "revoke_name", "revoked_id", "iam_time"}
    assert others == names | {"lint", "render"}


@pytest.mark.parametrize("name", EMITTED)
def test_every_document_both_allows_and_refuses_something(name):
    denies_only = name in ("revoke-A", "revoke-all")
    found = {one["expect"] for one in using(name)}
    assert found - {"allow"}
    assert denies_only or "allow" in found


def weakened(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Drop each statement, each key of a condition, each of several values: one at a time."""
    for number, statement in enumerate(document["Statement"]):
        place = statement.get("Sid", number)
        if len(document["Statement"]) > 1:
            less = copy.deepcopy(document)
            del less["Statement"][number]
            yield f"{place}", less
        for part in ("Action", "Resource"):
            for index in range(len(entries) if isinstance(entries := statement.get(part), list) else 0):
                less = copy.deepcopy(document)
                del less["Statement"][number][part][index]
                yield f"{place}.{part}[{index}]", less
        for operator, keys in statement.get("Condition", {}).items():
            for key in keys:
                less = copy.deepcopy(document)
                del less["Statement"][number]["Condition"][operator][key]
                yield f"{place}.{operator}.{key}", less
        if "Principal" in statement:
            less = copy.deepcopy(document)
            less["Statement"][number]["Principal"] = {"AWS": [MINTER + suffix for suffix in ("", "-2")]}
            less["Statement"][number]["Principal"]["AWS"] += [one["request"].get("principal", "") for one in REQUESTS]
            yield f"{place}.Principal", less


MUTANTS = {f"{name}: {what}": (name, less) for name in EMITTED for what, less in weakened(DOCUMENTS[name])}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_nothing_can_be_dropped_from_a_document_without_a_vector_seeing_it(mutant):
    name, less = MUTANTS[mutant]
    changed = {**DOCUMENTS, name: less}
    assert [one["id"] for one in using(name) if answers(one, changed) != one["expect"]]


@pytest.mark.parametrize(
    "condition",
    [
        {"StringNotEquals": {"aws:PrincipalTag/grant-id": "x"}},
        {"StringEquals": {"aws:PrincipalTag/grantid": "x"}},
        {"StringEqualsIfExists": {"aws:PrincipalTag/grant-id": "x"}},
        {"DateLessThan": {"aws:CurrentTime": "2026-11-20T10:10:00Z"}},
    ],
    ids=lambda one: next(iter(one)),
)
def test_the_evaluator_raises_where_it_does_not_know(condition):
    wrong = copy.deepcopy(DOCUMENTS["revoke-A"])
    wrong["Statement"][0]["Condition"] = condition
    with pytest.raises(ValueError, match="unknown"):
        evaluate({"identity": [wrong]}, REQUESTS[0]["request"])


@pytest.mark.parametrize(
    "change", [{"NotAction": ["s3:*"]}, {"Principal": {"AWS": "x"}}], ids=lambda one: next(iter(one))
)
def test_the_evaluator_raises_for_statements_it_does_not_know(change):
    wrong = copy.deepcopy(DOCUMENTS["revoke-A"])
    wrong["Statement"][0].update(change)
    with pytest.raises(ValueError, match="unknown"):
        evaluate({"identity": [wrong]}, REQUESTS[0]["request"])


def test_the_evaluator_raises_for_policies_that_do_not_go_together():
    with pytest.raises(ValueError, match="unknown together"):
        evaluate({"boundary": [DOCUMENTS["boundary"]]}, REQUESTS[0]["request"])


LIVE = [vector for vector in REQUESTS if vector["live"]]
SESSIONS = [vector for vector in LIVE if "session" in vector["policies"]]
TRUST = [vector for vector in LIVE if "trust" in vector["policies"]]
IDENTITIES = [vector for vector in LIVE if set(vector["policies"]) == {"identity"}]


@pytest.mark.parametrize("vector", SESSIONS, ids=[vector["id"] for vector in SESSIONS])
def test_vectors_on_a_local_aws(vector, aws: Ministack):
    request = vector["request"]
    now = datetime.now(UTC).replace(microsecond=0)
    late = datetime.fromisoformat(request["context"]["aws:CurrentTime"]) - ENDS
    shift = (now - late).strftime("%Y-%m-%dT%H:%M:%SZ")  # the stamp as far from now as in the vector
    session = _session(aws, vector, json.dumps(DOCUMENTS[vector["policies"]["session"][0]]), shift)
    other = {"RoleName": "countersign-base-other"}
    calls = {
        "s3:GetObject": ("s3", "get_object", {}),
        "s3:PutObject": ("s3", "put_object", {"Body": b"x"}),
        "ec2:DescribeRegions": ("ec2", "describe_regions", {}),
        "ec2:DescribeInstances": ("ec2", "describe_instances", {}),
        "sts:AssumeRole": ("sts", "assume_role", {"RoleArn": request["resource"], "RoleSessionName": "grant-x"}),
        "iam:DeleteRolePolicy": ("iam", "delete_role_policy", {**other, "PolicyName": "x"}),
        "iam:ListRoles": ("iam", "list_roles", {}),
        "ecr:GetAuthorizationToken": ("ecr", "get_authorization_token", {}),
    }
    service, method, arguments = calls[request["action"]]
    if service == "s3":
        bucket, _, key = request["resource"].removeprefix("arn:aws:s3:::").partition("/")
        aws.root("s3").put_object(Bucket=bucket, Key=key, Body=b"x")
        arguments = {**arguments, "Bucket": bucket, "Key": key}
    assert outcome(getattr(aws.as_session(service, session), method), **arguments) == vector["expect"]


@pytest.mark.parametrize("vector", TRUST, ids=[vector["id"] for vector in TRUST])
def test_trust_vectors_on_a_local_aws(vector, aws: Ministack):
    """A call needs every statement of the trust policy: what the vector leaves open is given as the code gives it."""
    iam, user, name, context = aws.root("iam"), "lab-minter", f"lab-{vector['id']}", vector["request"]["context"]
    keys = _user(aws, user, documents.render({"Effect": "Allow", "Action": ["sts:*"], "Resource": ["*"]}))
    text = json.dumps(DOCUMENTS[vector["policies"]["trust"][0]])
    for role in ("countersign-minter", "countersign-worker"):
        text = text.replace(f"arn:aws:iam::123456789012:role/{role}", f"arn:aws:iam::000000000000:user/{user}")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=text)
    tagged = "tags" not in vector["policies"]["trust"][0] and "revoker" not in vector["policies"]["trust"][0]
    tag = context.get("aws:RequestTag/grant-id")
    tags = {key: "x" for key in context.get("aws:TagKeys", ())} | ({} if tag is None else {"grant-id": tag})
    arguments: dict[str, Any] = {"RoleSessionName": context.get("sts:RoleSessionName", "grant-lab")}
    if tagged:
        arguments |= {"SourceIdentity": "grant-lab", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
        external = context.get("sts:ExternalId") if "sts:RoleSessionName" in context else "cs-1"
        arguments |= {"ExternalId": external} if external else {}
    sts = client("sts", aws.endpoint, keys)
    assert outcome(sts.assume_role, RoleArn=f"arn:aws:iam::000000000000:role/{name}", **arguments) == vector["expect"]


@pytest.mark.parametrize("vector", IDENTITIES, ids=[vector["id"] for vector in IDENTITIES])
def test_vectors_of_identities_on_a_local_aws(vector, aws: Ministack):
    """What is asked for exists, so that a refusal is one of policies; a trust policy there lets anybody in."""
    [document], request, iam = vector["policies"]["identity"], vector["request"], aws.root("iam")
    name = request["resource"].rpartition("/")[2]
    if ":role/" in request["resource"] and name not in {one["RoleName"] for one in iam.list_roles()["Roles"]}:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=_trust_of_the_account())
    if ":role/" in request["resource"]:
        iam.put_role_policy(RoleName=name, PolicyName="x", PolicyDocument=json.dumps(DOCUMENTS["revoke-A"]))
    role, inline = {"RoleName": name}, {"PolicyName": "x", "PolicyDocument": json.dumps(DOCUMENTS["revoke-A"])}
    arn = f"arn:aws:iam::000000000000:role/{name}"
    calls: dict[str, tuple[str, str, dict[str, Any]]] = {
        "sts:AssumeRole": ("sts", "assume_role", {"RoleArn": arn, "RoleSessionName": "grant-lab"}),
        "iam:PutRolePolicy": ("iam", "put_role_policy", {**role, **inline}),
        "iam:DeleteRolePolicy": ("iam", "delete_role_policy", {**role, "PolicyName": "x"}),
        "iam:GetRolePolicy": ("iam", "get_role_policy", {**role, "PolicyName": "x"}),
        "iam:GetRole": ("iam", "get_role", role),
        "iam:ListRolePolicies": ("iam", "list_role_policies", role),
        "iam:DeleteRolePermissionsBoundary": ("iam", "delete_role_permissions_boundary", role),
        "iam:UpdateAssumeRolePolicy": (
            "iam", "update_assume_role_policy", {**role, "PolicyDocument": _trust_of_the_account()},
        ),
        "iam:TagRole": ("iam", "tag_role", {**role, "Tags": [{"Key": "x", "Value": "x"}]}),
        "s3:GetObject": ("s3", "get_object", {"Bucket": "customer-exports", "Key": "2026/report.csv"}),
        "s3:ListAllMyBuckets": ("s3", "list_buckets", {}),
        "ec2:DescribeRegions": ("ec2", "describe_regions", {}),
        "tag:GetResources": ("resourcegroupstaggingapi", "get_resources", {}),
    }  # fmt: skip
    service, method, arguments = calls[request["action"]]
    text = json.dumps(DOCUMENTS[document]).replace("123456789012", "000000000000")
    speaker = client(service, aws.endpoint, _user(aws, f"lab-{vector['id']}", text))
    assert outcome(getattr(speaker, method), **arguments) == vector["expect"]


def _trust_of_the_account() -> str:
    trust = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}}
    actions = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
    return json.dumps({"Version": "2012-10-17", "Statement": [{**trust, "Action": actions}]})


def _user(aws: Ministack, name: str, policy: str) -> Keys:
    iam = aws.root("iam")
    if name not in {one["UserName"] for one in iam.list_users()["Users"]}:
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="lab", PolicyDocument=policy)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return Keys(made["AccessKeyId"], made["SecretAccessKey"])


def _session(aws: Ministack, vector: Vector, policy: str, stamp: str) -> Secret:
    """Mint a session on a role made for this vector; anybody of the account may, so that untagged ones exist too."""
    iam, name = aws.root("iam"), f"lab-{vector['id']}"
    text = _trust_of_the_account()
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
