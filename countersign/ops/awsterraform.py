"""Spell a setup as Terraform: one file, one provider for each account. Pure text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping

from countersign.ops.awssetup import SESSION_SECONDS, AccountSetup, IamRole, ManagedPolicy

HEAD = """\
terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = ">= 5.0" }
  }
}
"""


def terraform(setups: Iterable[AccountSetup]) -> str:
    """Return the text of a `.tf` file. Each provider's profile has the account's name: change it to what yours are."""
    return "\n".join([HEAD, *(block for setup in setups for block in _account(setup))])


def _account(setup: AccountSetup) -> Iterator[str]:
    alias = _word(setup.name)
    yield f"# Account {setup.name}\n" + _block(
        'provider "aws"',
        {
            "alias": f'"{alias}"',
            "profile": f'"{setup.name}"',
            "region": '"us-east-1"',
            "allowed_account_ids": f'["{setup.id}"]',
        },
    )
    for policy in setup.policies:
        yield _policy(alias, policy)
    for role in setup.roles:
        yield _role(alias, role)
        yield from (_attached(alias, role, name) for name in role.policies)


def _policy(alias: str, policy: ManagedPolicy) -> str:
    fields = {"provider": f"aws.{alias}", "name": f'"{policy.name}"', "policy": _heredoc(policy.document)}
    return _block(f'resource "aws_iam_policy" "{_label(alias, policy.name)}"', fields)


def _role(alias: str, role: IamRole) -> str:
    fields = {
        "provider": f"aws.{alias}",
        "name": f'"{role.name}"',
        "max_session_duration": str(SESSION_SECONDS),
        "assume_role_policy": _heredoc(role.trust),
    }
    if role.boundary:
        fields["permissions_boundary"] = f"aws_iam_policy.{_label(alias, role.boundary)}.arn"
    return f"# {role.about}\n" + _block(f'resource "aws_iam_role" "{_label(alias, role.name)}"', fields)


def _attached(alias: str, role: IamRole, policy: str) -> str:
    label = _label(alias, role.name)
    fields = {
        "provider": f"aws.{alias}",
        "role": f"aws_iam_role.{label}.name",
        "policy_arn": f"aws_iam_policy.{_label(alias, policy)}.arn",
    }
    return _block(f'resource "aws_iam_role_policy_attachment" "{label}"', fields)


def _block(head: str, fields: Mapping[str, str]) -> str:
    width = max(map(len, fields))
    lines = "".join(f"  {name.ljust(width)} = {value}\n" for name, value in fields.items())
    return f"{head} {{\n{lines}}}\n"


def _heredoc(document: str) -> str:
    """Indent a document; `${` would be Terraform's own, and no document of ours has it."""
    body = json.dumps(json.loads(document), indent=2)
    if "${" in body or "%{" in body:
        raise ValueError("a document with ${ or %{ cannot be a Terraform heredoc")
    return "<<JSON\n" + body + "\nJSON"


def _label(alias: str, name: str) -> str:
    return f"{alias}_{_word(name)}"


def _word(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", name)
