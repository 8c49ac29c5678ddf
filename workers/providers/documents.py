"""Write every IAM document and name that Countersign emits; pure text, checked before it leaves this file.

A misspelt or absent condition key makes a Deny fail open, so documents may use only the (operator, key) pairs listed
here, and no negated or optional form at all. Each document is compact JSON: the limits count characters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from approvers.grant import Plan

SESSION_POLICY_LIMIT = 2_048
"""Characters of the inline session policy that AssumeRole takes (AWS documentation)."""
GRANT_TAG = "grant-id"
TAG_READER = "countersign-tags"
"""The session name under which an account's tags are read, and the name of the role in the guide."""
ROLE_PREFIX = "countersign-base-"
REVOKER = "countersign-revoker"
"""The session name under which an account's Denies are written, and the name of the role in the guide."""
REVOKE_PREFIX = "countersign-revoke-"
REVOKE_ALL = "countersign-revoke-all"
"""The inline policy that ends every older session of a role. Only a person writes it: `revoke --direct --role`."""
PROBE_ACTION = "ec2:DescribeRegions"
"""The harmless read that twins and controls try; the base role and its boundary must allow it."""
NO_ESCAPE = (
    "sts:*",
    "iam:*",
    "organizations:*",
    "account:*",
    "sso:*",
    "sso-oauth:*",
    "signin:*",
    "rolesanywhere:*",
    "ecr:GetAuthorizationToken",
    "ecr-public:GetAuthorizationToken",
    "codeartifact:GetAuthorizationToken",
    "redshift:GetClusterCredentials*",
    "redshift:GetIdentityCenterAuthToken",
    "redshift-serverless:GetCredentials",
    "redshift-serverless:GetIdentityCenterAuthToken",
    "rds-db:connect",
    "dsql:DbConnect*",
    "elasticache:Connect",
    "memorydb:Connect",
    "kms:CreateGrant",
    "s3:GetDataAccess",
    "lakeformation:GetTemporary*",
    "cognito-identity:GetCredentialsForIdentity",
    "cognito-identity:GetOpenIdToken*",
    "connect:GetFederationToken",
    "datazone:Get*Credentials",
    "deadline:Assume*",
    "eks-auth:*",
    "elasticmapreduce:GetClusterSessionCredentials",
    "emr-containers:GetManagedEndpointSessionCredentials",
    "iq-permission:*",
    "workmail:AssumeImpersonationRole",
    "bedrock:CallWithBearerToken",
    "bedrock-mantle:CallWithBearerToken",
    "logs:CallWithBearerToken",
    "bedrock-agentcore:GetWorkloadAccessToken*",
    "sso-directory:*",
    "cloudshell:*",
    "lightsail:GetInstanceAccessDetails",
    "ssm:StartSession",
    "ssm:ResumeSession",
    "ssm:GetAccessToken",
    "ec2-instance-connect:*",
)
"""What would outlive or lift a revocation: other roles, tokens, logins whose connections stay open, shells, IAM itself.

The boundary of every base role denies it, whatever its ceiling says.
"""
BOUNDARY_LIMIT = 6_144
"""Characters of a managed policy, which a boundary is (AWS documentation)."""

Statement = Mapping[str, Any]
_PAIRS = frozenset(
    {
        ("StringEquals", f"aws:PrincipalTag/{GRANT_TAG}"),
        ("StringEquals", "iam:PermissionsBoundary"),
        ("StringEquals", "sts:ExternalId"),
        ("StringLike", "sts:RoleSessionName"),
        ("StringLike", "sts:SourceIdentity"),
        ("StringLike", f"aws:RequestTag/{GRANT_TAG}"),
        ("DateGreaterThan", "aws:CurrentTime"),
        ("Null", f"aws:PrincipalTag/{GRANT_TAG}"),
        ("ForAllValues:StringEquals", "aws:TagKeys"),
    }
)
_OLDER = ("DateLessThan", "aws:TokenIssueTime")
"""Ends every older session of a role, so it stands in `revoke_all_policy` and nowhere else."""
_FIELDS = frozenset({"Sid", "Effect", "Principal", "Action", "Resource", "Condition"})
_GRANT_ID = re.compile(r"grt_[0-9A-Z]{26}")


class UnsafeDocument(ValueError):
    """The document uses a form that Countersign never emits; it might not do what it seems to."""


def lint(document: str, pairs: frozenset[tuple[str, str]] = _PAIRS) -> str:
    """Return the document unchanged if it keeps to the allow-list; raises UnsafeDocument with the place otherwise."""
    try:
        body = json.loads(document)
    except ValueError as error:
        raise UnsafeDocument("not JSON") from error
    if not isinstance(body, dict) or set(body) != {"Version", "Statement"} or body["Version"] != "2012-10-17":
        raise UnsafeDocument("a document has Version 2012-10-17 and Statement, no more and no less")
    statements = body["Statement"]
    if not isinstance(statements, list) or not statements:
        raise UnsafeDocument("Statement must be a list with at least one entry")
    for number, statement in enumerate(statements):
        _lint_statement(statement, f"Statement[{number}]", pairs)
    return document


def _lint_statement(statement: object, place: str, pairs: frozenset[tuple[str, str]]) -> None:
    if not isinstance(statement, dict):
        raise UnsafeDocument(f"{place} is not an object")
    if extra := set(statement) - _FIELDS:
        raise UnsafeDocument(f"{place} has {', '.join(sorted(extra))}, which Countersign never emits")
    if statement.get("Effect") not in ("Allow", "Deny") or not statement.get("Action"):
        raise UnsafeDocument(f"{place} needs Effect Allow or Deny, and an Action")
    if not (statement.get("Resource") or statement.get("Principal")):
        raise UnsafeDocument(f"{place} needs a Resource, or a Principal in a trust policy")
    if "Condition" in statement:
        _lint_condition(statement["Condition"], f"{place}.Condition", pairs)


def _lint_condition(
    condition: Mapping[str, Mapping[str, object]], place: str, pairs: frozenset[tuple[str, str]]
) -> None:  # fmt: skip
    if not condition or not all(condition.values()):
        raise UnsafeDocument(f"{place} is empty in a part: it would always hold")
    for operator, keys in condition.items():
        for key, value in keys.items():
            if (operator, key) not in pairs:
                raise UnsafeDocument(f"{place}: {operator} on {key} is not in the allow-list")
            if not value:
                raise UnsafeDocument(f"{place}: {operator} on {key} has no value")


def render(*statements: Statement) -> str:
    """Return a checked document of these statements as compact JSON."""
    return lint(json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":")))


def session_policy(plan: Plan, ends_at: datetime) -> str:
    """Allow what was approved, and deny everything once `ends_at` is past.

    The end is a Deny, not a condition on the Allow: a resource policy that names the session gets round an implicit
    denial, never round an explicit one.
    """
    return render(_allow(plan.actions, plan.resources), _deny_after(ends_at))


def probe_policy(ends_at: datetime | None = None) -> str:
    """Allow the one harmless read of a twin or control; with `ends_at`, under the same TTL Deny as the grant.

    Without it the revocation is the only Deny that can refuse a twin, so a refusal has one possible cause.
    """
    probe = _allow((PROBE_ACTION,), ("*",))
    return render(probe, _deny_after(ends_at)) if ends_at else render(probe)


def revoke_policy(grant_id: str) -> str:
    """Deny everything to every session that carries this grant's tag; the inline policy that ends a grant early."""
    condition = {"StringEquals": {f"aws:PrincipalTag/{GRANT_TAG}": checked_grant_id(grant_id)}}
    return render(_deny("*", condition))


def revoke_all_policy(before: datetime) -> str:
    """Deny everything to every session of a role that was issued before then, whosever it is; for a person only."""
    statement = _deny("*", {"DateLessThan": {"aws:TokenIssueTime": iam_time(before)}})
    body = {"Version": "2012-10-17", "Statement": [statement]}
    return lint(json.dumps(body, separators=(",", ":")), frozenset({_OLDER}))


def boundary_policy(ceiling: Iterable[str]) -> str:
    """Return the permissions boundary of a base role: its tier's ceiling, no escape, and no untagged session."""
    return render(
        {"Sid": "Ceiling", "Effect": "Allow", "Action": [*ceiling, PROBE_ACTION], "Resource": "*"},
        {"Sid": "NoEscape", **_deny(NO_ESCAPE)},
        {"Sid": "MustBeTagged", **_deny("*", {"Null": {f"aws:PrincipalTag/{GRANT_TAG}": "true"}})},
    )


def trust_policy(minter_arn: str, external_id: str | None = None) -> str:
    """Return a base role's trust policy: one statement per action, as each action knows different keys."""
    who = {"Effect": "Allow", "Principal": {"AWS": minter_arn}}
    tagged = {f"aws:RequestTag/{GRANT_TAG}": "?*"}
    assume: dict[str, Any] = {"StringLike": {"sts:RoleSessionName": "grant-*", **tagged}}
    if external_id is not None:
        assume["StringEquals"] = {"sts:ExternalId": external_id}
    only_ours = {"StringLike": tagged, "ForAllValues:StringEquals": {"aws:TagKeys": [GRANT_TAG]}}
    named = {"StringLike": {"sts:SourceIdentity": "grant-*"}}
    return render(
        {**who, "Action": "sts:AssumeRole", "Condition": assume},
        {**who, "Action": "sts:TagSession", "Condition": only_ours},
        {**who, "Action": "sts:SetSourceIdentity", "Condition": named},
    )


def minter_policy(role_arn: str = f"arn:aws:iam::*:role/{ROLE_PREFIX}*") -> str:
    """Return the rights of the identity that mints; it can write nothing."""
    return render(_allow(("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"), (role_arn,)))


def revoker_policy(account_id: str, boundary_arn: str | None) -> str:
    """Return the rights of the identity that revokes, in one account.

    Args:
        account_id: the account whose base roles it may write to.
        boundary_arn: the boundary that those roles must carry. None only where the key `iam:PermissionsBoundary` is
            not resolved (the local emulator), as the writes would then be refused.
    """
    roles = (f"arn:aws:iam::{account_id}:role/{ROLE_PREFIX}*",)
    write = _allow(("iam:PutRolePolicy", "iam:DeleteRolePolicy"), roles)
    if boundary_arn:
        write["Condition"] = {"StringEquals": {"iam:PermissionsBoundary": boundary_arn}}
    return render(
        write,
        _allow(("iam:GetRole", "iam:GetRolePolicy", "iam:ListRolePolicies"), roles),
        _allow(("cloudtrail:LookupEvents",), ("*",)),
    )


def revoker_trust_policy(revoker_arn: str) -> str:
    """Return the trust policy of the role that the worker's revoker takes in another account."""
    named = {"StringLike": {"sts:RoleSessionName": REVOKER}}
    who = {"Effect": "Allow", "Principal": {"AWS": revoker_arn}}
    return render({**who, "Action": "sts:AssumeRole", "Condition": named})


def revoker_caller_policy(role_arn: str = f"arn:aws:iam::*:role/{REVOKER}") -> str:
    """Return what the worker's revoker needs besides, to take that role in each account."""
    return render(_allow(("sts:AssumeRole",), (role_arn,)))


def tags_policy() -> str:
    """Return the rights of the role that reads an account's tags, and of each session of it: nothing else is asked."""
    return render(_allow(("tag:GetResources", "ec2:DescribeRegions", "s3:ListAllMyBuckets"), ("*",)))


def tags_trust_policy(minter_arn: str) -> str:
    """Return that role's trust policy."""
    named = {"StringLike": {"sts:RoleSessionName": TAG_READER}}
    return render({"Effect": "Allow", "Principal": {"AWS": minter_arn}, "Action": "sts:AssumeRole", "Condition": named})


def tags_minter_policy(role_arn: str = f"arn:aws:iam::*:role/{TAG_READER}") -> str:
    """Return what the minter needs besides, to take that role."""
    return render(_allow(("sts:AssumeRole",), (role_arn,)))


def checked_grant_id(grant_id: str) -> str:
    """Return the id if it is one; a foreign text must never become part of a policy or name."""
    if not _GRANT_ID.fullmatch(grant_id):
        raise ValueError(f"{grant_id!r} is not a grant id: grt_ and 26 capitals or digits")
    return grant_id


def session_name(grant_id: str) -> str:
    """Return the RoleSessionName and SourceIdentity of a grant's own session."""
    return f"grant-{checked_grant_id(grant_id)}"


def probe_name(grant_id: str) -> str:
    """Return the session name of a grant's twin; monitoring leaves such names out."""
    return f"grant-probe-{checked_grant_id(grant_id)}"


def control_name(tag: str) -> str:
    """Return the session name of a control, made from its fresh tag."""
    return f"grant-{tag}"


def revoke_name(grant_id: str) -> str:
    """Return the name of the inline policy that ends a grant early."""
    return REVOKE_PREFIX + checked_grant_id(grant_id)


def revoked_id(policy_name: str) -> str | None:
    """Return the grant id in a revocation's name; None for a policy that is no revocation of one grant."""
    if policy_name == REVOKE_ALL or not policy_name.startswith(REVOKE_PREFIX):
        return None
    return policy_name.removeprefix(REVOKE_PREFIX)


def iam_time(moment: datetime) -> str:
    """Spell a moment as IAM compares it: UTC, whole seconds."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _allow(actions: Sequence[str], resources: Sequence[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}


def _deny(actions: str | Sequence[str], condition: Mapping[str, Any] | None = None) -> dict[str, Any]:
    action = actions if isinstance(actions, str) else list(actions)
    statement: dict[str, Any] = {"Effect": "Deny", "Action": action, "Resource": "*"}
    return {**statement, "Condition": condition} if condition else statement


def _deny_after(ends_at: datetime) -> dict[str, Any]:
    return _deny("*", {"DateGreaterThan": {"aws:CurrentTime": iam_time(ends_at)}})
