"""Give the local AWS more accounts, each with a base role and a revoker role, as an administrator would set them up."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from approvers.grant import Plan
from countersign.ops.ministack import ACCOUNT, client
from tests.worlds.ministack import Ministack, a_plan
from workers.providers import documents
from workers.providers.access import Keys

MINTER = f"arn:aws:iam::{ACCOUNT}:user/countersign-minter"
REVOKER = f"arn:aws:iam::{ACCOUNT}:user/countersign-revoker"


@dataclass(frozen=True)
class Account:
    """One more account of the local AWS: an access key of twelve digits is its administrator."""

    aws: Ministack
    id: str

    def root(self, service: str) -> Any:
        return client(service, self.aws.endpoint, Keys(self.id, "test"))

    @property
    def role(self) -> str:
        return f"arn:aws:iam::{self.id}:role/countersign-base-analytics"

    @property
    def revoker(self) -> str:
        return f"arn:aws:iam::{self.id}:role/{documents.REVOKER}"

    def plan(self, **changes: Any) -> Plan:
        return a_plan(
            **{"role_arn": self.role, "revoker_arn": self.revoker, "account_id": self.id, "account": f"a{self.id}"}
            | changes
        )

    def denies(self) -> list[str]:
        """The inline policies that stand on its base role."""
        names = self.root("iam").list_role_policies(RoleName="countersign-base-analytics")["PolicyNames"]
        return sorted(names)


def one_more(aws: Ministack, account_id: str) -> Account:
    """Set an account up: boundary, base role, revoker role; and let the worker's two identities in."""
    account = Account(aws, account_id)
    iam = account.root("iam")
    boundary = f"arn:aws:iam::{account_id}:policy/countersign-boundary"
    rights = documents.render({"Effect": "Allow", "Action": ["s3:GetObject", documents.PROBE_ACTION], "Resource": "*"})
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_policy(PolicyName="countersign-boundary", PolicyDocument=documents.boundary_policy(["s3:*"]))
        iam.create_policy(PolicyName="rights", PolicyDocument=rights)
        trust = documents.trust_policy(MINTER)
        name = "countersign-base-analytics"
        iam.create_role(RoleName=name, PermissionsBoundary=boundary, AssumeRolePolicyDocument=trust)
        iam.attach_role_policy(RoleName=name, PolicyArn=f"arn:aws:iam::{account_id}:policy/rights")
        trust = documents.revoker_trust_policy(REVOKER)
        iam.create_role(RoleName=documents.REVOKER, AssumeRolePolicyDocument=trust)
    # Without the condition on iam:PermissionsBoundary: the emulator does not resolve that key and would refuse.
    policy = documents.revoker_policy(account_id, None)
    iam.put_role_policy(RoleName=documents.REVOKER, PolicyName="countersign", PolicyDocument=policy)
    home = aws.root("iam")
    home.put_user_policy(
        UserName="countersign-minter", PolicyName="accounts", PolicyDocument=documents.minter_policy()
    )  # fmt: skip
    home.put_user_policy(
        UserName="countersign-revoker", PolicyName="accounts", PolicyDocument=documents.revoker_caller_policy()
    )
    return account
