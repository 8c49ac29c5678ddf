"""Spell a setup as CloudFormation: one JSON template for each account. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from countersign.ops.awssetup import SESSION_SECONDS, AccountSetup, IamRole


def template(setup: AccountSetup) -> dict[str, Any]:
    """Return the template of one account's stack; create it with `--capabilities CAPABILITY_NAMED_IAM`."""
    resources: dict[str, Any] = {}
    for policy in setup.policies:
        document = json.loads(policy.document)
        properties = {"ManagedPolicyName": policy.name, "PolicyDocument": document}
        resources[_logical("Policy", policy.name)] = {"Type": "AWS::IAM::ManagedPolicy", "Properties": properties}
    for role in setup.roles:
        resources[_logical("Role", role.name)] = {"Type": "AWS::IAM::Role", "Properties": _role(role)}
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Countersign in account {setup.name} ({setup.id})",
        "Resources": resources,
    }


def _role(role: IamRole) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "RoleName": role.name,
        "Description": role.about,
        "MaxSessionDuration": SESSION_SECONDS,
        "AssumeRolePolicyDocument": json.loads(role.trust),
        "ManagedPolicyArns": [{"Ref": _logical("Policy", name)} for name in role.policies],
    }
    if role.boundary:
        properties["PermissionsBoundary"] = {"Ref": _logical("Policy", role.boundary)}
    return properties


def _logical(kind: str, name: str) -> str:
    return kind + "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", name))
