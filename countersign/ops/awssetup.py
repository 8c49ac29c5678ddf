"""Say what an administrator sets up in AWS for a roster: policies and roles, account by account. Pure.

Two identities of the worker stand in one account; every account that roles belong to gets a boundary, its base roles, a
role that revokes there, and one that reads tags where the roster names it. The documents are the ones that the code
relies on (`workers.providers.documents`); Terraform and CloudFormation are two spellings of the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from approvers.errors import CountersignError
from approvers.roster import Account, Role, Roster
from workers.providers import documents

BOUNDARY = "countersign-boundary"
MINTER = "countersign-minter"
REVOKER = "countersign-worker-revoker"
"""Names of the boundary in each account, and of the worker's two identities."""
SESSION_SECONDS = 3_600
"""A minter that is a role gets no longer session (AWS documentation), so no base role needs a longer one."""


class NotSetUp(CountersignError):
    """The roster lacks what a setup needs; the text says what to write."""

    code = "aws_setup"


@dataclass(frozen=True)
class ManagedPolicy:
    """One managed policy: its name and document."""

    name: str
    document: str


@dataclass(frozen=True)
class IamRole:
    """One role: who may take it, its boundary and its policies by name."""

    name: str
    trust: str
    policies: tuple[str, ...]
    boundary: str | None = None
    about: str = ""


@dataclass(frozen=True)
class AccountSetup:
    """What one account gets."""

    name: str
    id: str
    policies: tuple[ManagedPolicy, ...]
    roles: tuple[IamRole, ...]


def identities(account_id: str, worker_arn: str, roster: Roster) -> AccountSetup:
    """Return the worker's two identities: one mints and can write nothing, one revokes and can issue nothing.

    Args:
        account_id: where they stand.
        worker_arn: what the worker runs as (an instance's, task's or pod's role); it may take both, and nobody else.
        roster: whose accounts' revoking and reading roles they may take.
    """
    revokers = tuple(sorted(one.revoker for one in _accounts(roster) if one.revoker))
    readers = tuple(sorted(one.tags for one in _accounts(roster) if one.tags))
    bases = tuple(sorted({arn for role in _roles(roster) for arn in (role.arn, *role.more_arns)}))
    mint = documents.render(
        _allow(("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"), bases),
        *([_allow(("sts:AssumeRole",), readers)] if readers else []),
    )
    trust = documents.render({"Effect": "Allow", "Principal": {"AWS": worker_arn}, "Action": "sts:AssumeRole"})
    return AccountSetup(
        name="countersign",
        id=account_id,
        policies=(
            ManagedPolicy(MINTER, mint),
            ManagedPolicy(REVOKER, documents.render(_allow(("sts:AssumeRole",), revokers))),
        ),
        roles=(
            IamRole(MINTER, trust, (MINTER,), about="Mints: assumes base roles, and can write nothing."),
            IamRole(
                REVOKER, trust, (REVOKER,), about="Revokes: takes each account's revoking role, and can mint nothing."
            ),
        ),
    )


def account_setup(name: str, roster: Roster, identity_account: str) -> AccountSetup:
    """Return what one account of the roster gets.

    Raises:
        NotSetUp: there is no such account, no role of it, or it names no revoking role.
    """
    account = roster.accounts.get(name)
    if account is None:
        known = ", ".join(sorted(roster.accounts)) or "none"
        text = f"there is no account {name!r} in this file; it has {known}, and 'countersign' is that of the identities"
        raise NotSetUp(text, field="--account")
    roles = [role for role in _roles(roster) if role.account == name]
    if not roles:
        raise NotSetUp(f"no role belongs to account {name}; add a [role.NAME] with account = {name!r}", field="role")
    if account.revoker is None:
        arn = f"arn:aws:iam::{account.id}:role/countersign-revoker"
        detail = f"account {name} names no role that revokes there; write revoker = {arn!r} under [account.{name}]"
        raise NotSetUp(detail, field=f"account.{name}.revoker")
    minter, revoker = (f"arn:{_partition(roles[0])}:iam::{identity_account}:role/{one}" for one in (MINTER, REVOKER))
    policies = [ManagedPolicy(BOUNDARY, _boundary(name, roles))]
    found: list[IamRole] = []
    for role in roles:
        policies.append(ManagedPolicy(f"{documents.ROLE_PREFIX}{role.name}", _rights(role)))
        trust = documents.trust_policy(minter, role.external_id)
        found += [
            IamRole(_name(arn), trust, (policies[-1].name,), BOUNDARY, f"Base role of {role.name!r}.")
            for arn in (role.arn, *role.more_arns)
        ]
    boundary_arn = f"arn:{_partition(roles[0])}:iam::{account.id}:policy/{BOUNDARY}"
    for arn, document, trust, about in _helpers(account, boundary_arn, minter, revoker):
        policies.append(ManagedPolicy(_name(arn), document))
        found.append(IamRole(_name(arn), trust, (_name(arn),), about=about))
    return AccountSetup(name, account.id, tuple(policies), tuple(found))


def every_account(roster: Roster) -> tuple[str, ...]:
    """Return the names of the accounts that have roles, in order."""
    return tuple(sorted({role.account for role in _roles(roster)}))


def _helpers(account: Account, boundary: str, minter: str, revoker: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield the roles beside the base roles: ARN, rights, trust, what it is for."""
    assert account.revoker is not None
    yield (account.revoker, documents.revoker_policy(account.id, boundary),
           documents.revoker_trust_policy(revoker), "Writes and collects Denies, reads what sessions did.")  # fmt: skip
    if account.tags:
        yield account.tags, documents.tags_policy(), documents.tags_trust_policy(minter), "Reads tags."


def _rights(role: Role) -> str:
    """Return a base role's rights: its ceiling, on the resources that the roster allows, and the probe's one read."""
    return documents.render(
        _allow(role.ceiling, role.resources or ("*",)), _allow((documents.PROBE_ACTION,), ("*",))
    )  # fmt: skip


def _boundary(account: str, roles: Sequence[Role]) -> str:
    document = documents.boundary_policy(_ceiling(roles))
    if len(document) > documents.BOUNDARY_LIMIT:
        detail = (
            f"the boundary of account {account} would have {len(document)} characters, AWS takes "
            f"{documents.BOUNDARY_LIMIT}; write the ceilings of its roles shorter, with patterns such as s3:Get*"
        )
        raise NotSetUp(detail, field="role.*.ceiling")
    return document


def _ceiling(roles: Sequence[Role]) -> list[str]:
    return sorted({pattern for role in roles for pattern in role.ceiling})


def _roles(roster: Roster) -> list[Role]:
    return [role for _, role in sorted(roster.roles.items()) if role.account in roster.accounts]


def _accounts(roster: Roster) -> list[Account]:
    return [roster.accounts[name] for name in every_account(roster)]


def _allow(actions: Sequence[str], resources: Sequence[str]) -> dict[str, object]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]


def _partition(role: Role) -> str:
    return role.arn.split(":")[1]
