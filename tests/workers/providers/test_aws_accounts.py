"""Denies in other accounts: the worker takes a role in each, and one that is broken is that account's alone."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from approvers.grant import ProofKind
from countersign.ops.ministack import client
from tests.workers.providers.test_aws_faults import aws_error
from tests.worlds.accounts import Account, one_more
from tests.worlds.aws_gate import DENIED, THROTTLED, AwsGate
from tests.worlds.ministack import Ministack, a_plan, new_grant_id, outcome
from workers.providers import aws_sdk, documents
from workers.providers.aws import AwsProvider
from workers.providers.port import Handle, NotSent, ProofOutcome, Refused

FIVE = ("111111111111", "222222222222", "333333333333", "444444444444", "555555555555")


@pytest.fixture
def account(aws: Ministack) -> Account:
    return one_more(aws, "222222222222")


def assumed(gate: AwsGate) -> list[str]:
    return [one.session for one in gate.issued if one.session == documents.REVOKER]


def test_five_accounts_one_worker(aws: Ministack):
    """Minted, ended, proven and collected in each; each Deny stands in its own account."""
    provider = aws.provider()
    accounts = [one_more(aws, one) for one in FIVE]
    grants = [new_grant_id() for _ in accounts]

    def life(account: Account, grant: str) -> None:
        minted = provider.mint(grant, account.plan())
        handle = Handle(grant, account.plan(), minted.ends_at, minted.expiration)
        provider.revoke(handle)
        assert provider.verify(handle, ProofKind.PROBE_DENIED).outcome is ProofOutcome.PROVEN
        caller = aws.as_session("ec2", minted.secret).describe_regions
        assert outcome(caller) == "explicit_deny"

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(life, accounts, grants))
    for account, grant in zip(accounts, grants, strict=True):
        assert account.denies() == [documents.revoke_name(grant)]
        assert provider.leftovers(account.plan()) == [grant]
        provider.collect(Handle(grant, account.plan()))
        assert account.denies() == []


def test_without_the_role_the_deny_goes_nowhere_and_says_so(aws: Ministack, account: Account):
    """IAM acts on the caller's own account: it would look for the role at home."""
    with pytest.raises(Refused):
        aws.provider().revoke(Handle(new_grant_id(), account.plan(revoker_arn=None, role_arn=f"{account.role}-2")))
    assert account.denies() == []


def test_the_revoker_role_is_taken_once_by_many_threads(aws: Ministack, account: Account):
    grants = [new_grant_id() for _ in range(12)]
    with AwsGate(aws.endpoint) as gate, ThreadPoolExecutor(12) as pool:
        provider = aws.provider(gate.url)
        list(pool.map(lambda one: provider.revoke(Handle(one, account.plan())), grants))
        assert len(assumed(gate)) == 1
        list(pool.map(lambda one: provider.collect(Handle(one, account.plan())), grants))
        assert len(assumed(gate)) == 1
    assert account.denies() == []


def test_it_is_taken_anew_before_it_ends_by_a_clock_that_nobody_sets(aws: Ministack, account: Account, monkeypatch):
    with AwsGate(aws.endpoint) as gate:
        provider = aws.provider(gate.url)
        provider.leftovers(account.plan())
        monkeypatch.setattr(aws_sdk, "REFRESH_AFTER_SECONDS", 0.0)
        provider.leftovers(account.plan())
        assert len(assumed(gate)) == 2


def test_one_that_aws_calls_expired_is_taken_anew_at_once(aws: Ministack, account: Account):
    with AwsGate(aws.endpoint) as gate:
        provider = aws.provider(gate.url)
        provider.leftovers(account.plan())
        gate.answer(1, aws_error(403, "ExpiredToken"), "iam:PutRolePolicy")
        grant = new_grant_id()
        provider.revoke(Handle(grant, account.plan()))
        assert len(assumed(gate)) == 2
        assert account.denies() == [documents.revoke_name(grant)]
        provider.collect(Handle(grant, account.plan()))


def test_a_broken_revoker_role_is_the_trouble_of_its_account_alone(aws: Ministack, account: Account):
    other = one_more(aws, "333333333333")
    provider, grant = aws.provider(), new_grant_id()
    broken = account.plan(revoker_arn="arn:aws:iam::222222222222:role/countersign-revoker-gone")
    with pytest.raises(Refused, match=r"revoker role .*countersign-revoker-gone cannot be taken: AWS said"):
        provider.revoke(Handle(grant, broken))
    provider.revoke(Handle(grant, other.plan()))
    provider.collect(Handle(grant, other.plan()))


def test_what_may_pass_is_no_refusal(aws: Ministack, account: Account):
    with AwsGate(aws.endpoint) as gate:
        gate.answer(None, THROTTLED, "sts:AssumeRole")
        with pytest.raises(NotSent, match="cannot be taken"):
            aws.provider(gate.url).revoke(Handle(new_grant_id(), account.plan()))


def test_only_the_workers_revoker_may_take_it_and_only_under_its_name(aws: Ministack, account: Account):
    revoker = aws.prepared.revoker.keys
    assert revoker is not None
    take = client("sts", aws.endpoint, revoker).assume_role
    assert outcome(take, RoleArn=account.revoker, RoleSessionName="somebody") == "implicit_deny"
    assert outcome(take, RoleArn=account.revoker, RoleSessionName=documents.REVOKER) == "allow"
    minter = aws.prepared.minter.keys
    assert minter is not None
    take = client("sts", aws.endpoint, minter).assume_role
    assert outcome(take, RoleArn=account.revoker, RoleSessionName=documents.REVOKER) == "implicit_deny"


def test_nothing_secret_is_said(aws: Ministack, account: Account):
    provider: AwsProvider = aws.provider()
    provider.leftovers(account.plan())
    taken = provider._clients._taken[account.revoker]
    assert taken.secret is not None
    assert taken.secret.secret_access_key not in repr(taken)
    assert taken.secret.session_token not in repr(taken)


class TestALook:
    """What the reconciler sees of a base role."""

    def test_a_role_as_it_was_set_up(self, aws: Ministack, account: Account):
        provider, grant = aws.provider(), new_grant_id()
        provider.revoke(Handle(grant, account.plan()))
        look = provider.look(account.plan(), [grant])
        assert (look.gone, look.denies, look.changed, look.everyone, look.weak) == (False, [grant], [], False, [])
        provider.collect(Handle(grant, account.plan()))

    def test_a_deny_that_was_changed(self, aws: Ministack, account: Account):
        provider, grant = aws.provider(), new_grant_id()
        other = documents.revoke_policy(grant).replace("PrincipalTag/grant-id", "PrincipalTag/grantid")
        name = documents.revoke_name(grant)
        iam, role = account.root("iam"), "countersign-base-analytics"
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=other)
        assert provider.look(account.plan(), [grant]).changed == [grant]
        assert provider.look(account.plan(), []).changed == []
        provider.revoke(Handle(grant, account.plan()))
        assert provider.look(account.plan(), [grant]).changed == []
        provider.collect(Handle(grant, account.plan()))

    def test_what_makes_a_role_weak(self, aws: Ministack, account: Account):
        provider = aws.provider()
        iam, role = account.root("iam"), "countersign-base-analytics"
        iam.delete_role_permissions_boundary(RoleName=role)
        iam.tag_role(RoleName=role, Tags=[{"Key": "grant-id", "Value": "x"}])
        iam.put_role_policy(RoleName=role, PolicyName="mine", PolicyDocument=documents.probe_policy())
        iam.put_role_policy(
            RoleName=role, PolicyName=documents.REVOKE_ALL, PolicyDocument=documents.revoke_policy(new_grant_id())
        )
        try:
            look = provider.look(account.plan(), [])
        finally:
            iam.delete_role_policy(RoleName=role, PolicyName="mine")
            iam.delete_role_policy(RoleName=role, PolicyName=documents.REVOKE_ALL)
            iam.untag_role(RoleName=role, TagKeys=["grant-id"])
            boundary = f"arn:aws:iam::{account.id}:policy/countersign-boundary"
            iam.put_role_permissions_boundary(RoleName=role, PermissionsBoundary=boundary)
        assert (look.everyone, look.denies) == (True, [])
        boundary, tag, inline = look.weak
        assert "no permissions boundary" in boundary
        assert "tagged grant-id" in tag
        assert "(mine)" in inline
        assert provider.look(account.plan(), []).weak == []

    def test_a_revoker_that_may_not_read_the_role_still_sees_its_denies(self, aws: Ministack, account: Account):
        """As one that was set up before the reconciler looked at boundaries."""
        provider, grant = aws.provider(), new_grant_id()
        provider.revoke(Handle(grant, account.plan()))
        with AwsGate(aws.endpoint) as gate:
            gate.answer(None, DENIED, "iam:GetRole")
            look = aws.provider(gate.url).look(account.plan(), [grant])
        assert (look.denies, look.changed) == ([grant], [])
        [words] = look.weak
        assert "the revoker needs iam:GetRole" in words
        provider.collect(Handle(grant, account.plan()))

    def test_a_role_that_is_gone(self, aws: Ministack, account: Account):
        look = aws.provider().look(account.plan(role_arn=f"{account.role}-gone"), [])
        assert look.gone

    def test_the_home_account_needs_no_revoker_role(self, aws: Ministack):
        grant = new_grant_id()
        aws.provider().revoke(Handle(grant, a_plan()))
        look = aws.provider().look(a_plan(), [grant])
        assert grant in look.denies
        assert look.changed == []
        aws.provider().collect(Handle(grant, a_plan()))
