"""The life of a grant on an AWS that enforces IAM: minted, used, fenced, ended, proven, collected."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from approvers.grant import ProofKind
from countersign.ops.ministack import local_aws, set_up
from tests.worlds.aws_gate import AwsGate
from tests.worlds.ministack import REPORT, SECRET, Ministack, a_plan, new_grant_id, outcome
from workers.providers import documents
from workers.providers.port import Handle, Minted, ProofOutcome, Refused
from workers.providers.probing import Pace

PROVEN, STILL_ACTIVE, UNKNOWN = ProofOutcome.PROVEN, ProofOutcome.STILL_ACTIVE, ProofOutcome.UNKNOWN


def handle_of(grant_id: str, minted: Minted, **plan: object) -> Handle:
    return Handle(grant_id, a_plan(**plan), minted.ends_at, minted.expiration)


def wait_until(moment: datetime) -> None:
    threading.Event().wait(max(0.0, (moment - datetime.now(UTC)).total_seconds()))


def test_a_grant_can_do_what_was_approved_and_nothing_else(aws: Ministack):
    secret = aws.provider().mint(new_grant_id(), a_plan()).secret
    assert aws.read(secret) == "allow"
    assert aws.read(secret, SECRET) == "implicit_deny"
    assert aws.write(secret) == "implicit_deny"


def test_its_times_are_aws_times(aws: Ministack):
    before = datetime.now(UTC).replace(microsecond=0)
    short = aws.provider().mint(new_grant_id(), a_plan(ttl_seconds=60))
    long = aws.provider().mint(new_grant_id(), a_plan(ttl_seconds=1800))
    assert timedelta(seconds=60) <= short.ends_at - before <= timedelta(seconds=63)
    assert timedelta(seconds=900) <= short.expiration - before <= timedelta(seconds=904)
    assert timedelta(0) <= long.expiration - long.ends_at <= timedelta(seconds=3)
    assert short.expiration == short.secret.expiration
    assert short.request_id
    assert short.ends_at.tzinfo == short.expiration.tzinfo == UTC


def test_a_session_shows_its_grant_in_its_name(aws: Ministack):
    grant = new_grant_id()
    secret = aws.provider().mint(grant, a_plan()).secret
    arn = aws.as_session("sts", secret).get_caller_identity()["Arn"]
    assert arn.endswith(f"/grant-{grant}")


def test_the_widest_session_can_neither_chain_nor_lift_a_deny(aws: Ministack):
    secret = aws.provider().mint(new_grant_id(), a_plan(actions=["sts:AssumeRole", "iam:*"], resources=["*"])).secret
    plan = a_plan()
    chain = aws.as_session("sts", secret).assume_role
    assert outcome(chain, RoleArn=plan.role_arn, RoleSessionName="grant-x") == "explicit_deny"
    lift = aws.as_session("iam", secret).delete_role_policy
    assert outcome(lift, RoleName="countersign-base-analytics", PolicyName="x") == "explicit_deny"


def test_revoking_ends_this_grant_and_spares_the_next(aws: Ministack):
    provider, one, two = aws.provider(), new_grant_id(), new_grant_id()
    first, again, second = provider.mint(one, a_plan()), provider.mint(one, a_plan()), provider.mint(two, a_plan())
    assert provider.verify(handle_of(one, first), ProofKind.PROBE_DENIED).outcome is STILL_ACTIVE
    provider.revoke(handle_of(one, first))
    provider.revoke(Handle(one, a_plan()))  # a repeat, from the id alone, is harmless
    reading = provider.verify(handle_of(one, first), ProofKind.PROBE_DENIED)
    assert (reading.outcome, reading.refused, reading.asked) == (PROVEN, 3, 3)
    assert "with an explicit deny" in reading.detail
    assert "UnauthorizedOperation" in reading.detail
    assert reading.first_refused_at is not None
    assert abs(datetime.now(UTC) - reading.first_refused_at) < timedelta(seconds=5)
    assert aws.read(first.secret) == aws.read(again.secret) == "explicit_deny"
    assert aws.read(second.secret) == "allow"
    assert provider.verify(handle_of(two, second), ProofKind.PROBE_DENIED).outcome is STILL_ACTIVE
    provider.collect(Handle(one, a_plan()))


def test_a_deny_on_everybody_is_never_taken_for_a_proof(aws: Ministack):
    provider, grant = aws.provider(), new_grant_id()
    minted = provider.mint(grant, a_plan())
    everybody = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}'
    iam, role = aws.root("iam"), "countersign-base-analytics"
    iam.put_role_policy(RoleName=role, PolicyName="a-mistake", PolicyDocument=everybody)
    try:
        reading = provider.verify(handle_of(grant, minted), ProofKind.PROBE_DENIED)
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="a-mistake")
    assert reading.outcome is UNKNOWN
    assert "another session was explicitly denied too" in reading.detail


def test_a_deny_under_a_key_that_does_not_match_leaves_it_still_active(aws: Ministack):
    provider, grant = aws.provider(), new_grant_id()
    minted = provider.mint(grant, a_plan())
    wrong = documents.revoke_policy(grant).replace("PrincipalTag/grant-id", "PrincipalTag/grantid")
    iam, role = aws.root("iam"), "countersign-base-analytics"
    iam.put_role_policy(RoleName=role, PolicyName="misspelt", PolicyDocument=wrong)
    reading = provider.verify(handle_of(grant, minted), ProofKind.PROBE_DENIED)
    iam.delete_role_policy(RoleName=role, PolicyName="misspelt")
    assert reading.outcome is STILL_ACTIVE


def test_a_short_grant_ends_by_aws_clock_with_nothing_written(aws: Ministack):
    provider, grant = aws.provider(), new_grant_id()
    minted = provider.mint(grant, a_plan(ttl_seconds=2))
    handle = handle_of(grant, minted, ttl_seconds=2)
    assert aws.read(minted.secret) == "allow"
    assert provider.verify(handle, ProofKind.TTL_DENIED).outcome is STILL_ACTIVE
    wait_until(minted.ends_at + timedelta(seconds=0.05))
    reading = provider.verify(handle, ProofKind.TTL_DENIED)
    assert (reading.outcome, reading.refused) == (PROVEN, 3)
    assert aws.read(minted.secret) == "explicit_deny"
    assert provider.verify(handle, ProofKind.EXPIRED).outcome is STILL_ACTIVE  # the session itself lives on, denied
    assert grant not in provider.leftovers(a_plan())


def test_expiry_is_read_from_aws_clock(aws: Ministack):
    provider, now = aws.provider(), datetime.now(UTC)
    past = Handle(new_grant_id(), a_plan(), now, now - timedelta(seconds=5))
    reading = provider.verify(past, ProofKind.EXPIRED)
    assert reading.outcome is PROVEN
    assert "AWS's clock reads" in reading.detail
    assert provider.verify(Handle(new_grant_id(), a_plan()), ProofKind.EXPIRED).outcome is UNKNOWN


@pytest.mark.parametrize("kind", [ProofKind.TTL_DENIED, ProofKind.NEVER_ISSUED])
def test_what_cannot_be_asked_is_unknown(aws: Ministack, kind):
    assert aws.provider().verify(Handle(new_grant_id(), a_plan()), kind).outcome is UNKNOWN


def test_collecting_removes_the_deny_and_too_early_would_revive(aws: Ministack):
    provider, grant = aws.provider(), new_grant_id()
    minted = provider.mint(grant, a_plan())
    handle = handle_of(grant, minted)
    provider.revoke(handle)
    assert grant in provider.leftovers(a_plan())
    provider.collect(handle)
    provider.collect(handle)  # already gone is success
    assert grant not in provider.leftovers(a_plan())
    assert aws.read(minted.secret) == "allow"  # why COLLECT_MARGIN exists


def test_leftovers_are_only_ours_and_from_every_page(aws: Ministack):
    provider = aws.provider()
    grants = {new_grant_id() for _ in range(5)}
    for grant in grants:
        provider.revoke(Handle(grant, a_plan()))
    iam, role = aws.root("iam"), "countersign-base-analytics"
    iam.put_role_policy(RoleName=role, PolicyName="not-ours", PolicyDocument=documents.probe_policy())
    found = provider.leftovers(a_plan())
    iam.delete_role_policy(RoleName=role, PolicyName="not-ours")
    assert grants <= set(found)
    assert all(one.startswith("grt_") for one in found)
    for grant in grants:
        provider.collect(Handle(grant, a_plan()))


def test_twenty_revocations_at_once_leave_twenty_denies(aws: Ministack):
    provider = aws.provider()
    grants = [new_grant_id() for _ in range(20)]
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda grant: provider.revoke(Handle(grant, a_plan())), grants))
        assert set(grants) <= set(provider.leftovers(a_plan()))
        list(pool.map(lambda grant: provider.collect(Handle(grant, a_plan())), grants))
    assert not set(grants) & set(provider.leftovers(a_plan()))


def test_one_provider_serves_many_threads(aws: Ministack):
    provider = aws.provider()
    with ThreadPoolExecutor(8) as pool:
        minted = list(pool.map(lambda _: provider.mint(new_grant_id(), a_plan()), range(16)))
    assert len({one.secret.access_key_id for one in minted}) == 16


def test_a_mint_to_revoke_takes_these_calls_and_no_others(aws: Ministack):
    with AwsGate(aws.endpoint) as gate:
        provider, grant = aws.provider(gate.url), new_grant_id()
        minted = provider.mint(grant, a_plan())
        provider.revoke(handle_of(grant, minted))
        provider.verify(handle_of(grant, minted), ProofKind.PROBE_DENIED)
        provider.collect(handle_of(grant, minted))
        assert gate.calls == [
            "sts:GetCallerIdentity",
            "sts:AssumeRole",
            "iam:PutRolePolicy",
            "sts:AssumeRole",
            "sts:AssumeRole",
            *["ec2:DescribeRegions"] * 6,
            "iam:DeleteRolePolicy",
        ]
        assert [one.session for one in gate.issued][:2] == [f"grant-{grant}", f"grant-probe-{grant}"]
        assert gate.issued[2].session.startswith("grant-control-")


def test_the_minter_cannot_write_and_the_revoker_cannot_issue(aws: Ministack):
    swapped = aws.prepared.__class__(minter=aws.prepared.revoker, revoker=aws.prepared.minter)
    provider = Ministack(aws.endpoint, swapped).provider()
    with pytest.raises(Refused, match="AccessDenied"):
        provider.mint(new_grant_id(), a_plan())
    with pytest.raises(Refused, match="AccessDenied"):
        provider.revoke(Handle(new_grant_id(), a_plan()))


def test_a_role_that_is_not_there_refuses(aws: Ministack):
    nowhere = a_plan(role_arn="arn:aws:iam::000000000000:role/countersign-base-nowhere")
    with pytest.raises(Refused):
        aws.provider().mint(new_grant_id(), nowhere)
    reading = aws.provider().verify(Handle(new_grant_id(), nowhere), ProofKind.PROBE_DENIED)
    assert (reading.outcome, reading.asked) == (UNKNOWN, 0)


def test_the_external_id_of_a_third_partys_role_is_sent(aws: Ministack):
    iam, name = aws.root("iam"), "countersign-base-third-party"
    minter = "arn:aws:iam::000000000000:user/countersign-minter"
    trust = documents.trust_policy(minter, "cs-42")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    aws.root("iam").put_user_policy(
        UserName="countersign-minter", PolicyName="wide", PolicyDocument=documents.minter_policy()
    )
    plan = a_plan(role_arn=f"arn:aws:iam::000000000000:role/{name}", external_id="cs-42")
    assert aws.provider().mint(new_grant_id(), plan).secret.session_token
    with pytest.raises(Refused):
        aws.provider().mint(new_grant_id(), plan.model_copy(update={"external_id": None}))
    with pytest.raises(Refused):
        aws.provider().mint(new_grant_id(), plan.model_copy(update={"external_id": "cs-43"}))


def test_patience_waits_for_a_deny_that_comes_late(aws: Ministack):
    grant, pauses = new_grant_id(), list[float]()

    def second_pause_is_when_it_takes_effect(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            aws.provider().revoke(Handle(grant, a_plan()))

    provider = aws.provider(pace=Pace(patience_seconds=60.0), sleep=second_pause_is_when_it_takes_effect)
    reading = provider.verify(handle_of(grant, provider.mint(grant, a_plan())), ProofKind.PROBE_DENIED)
    assert (reading.outcome, reading.refused, reading.asked) == (PROVEN, 3, 5)
    provider.collect(Handle(grant, a_plan()))


def test_reports_are_what_the_set_up_put_there(tmp_path: Path):
    with local_aws(tmp_path) as server:  # one of its own: other tests write to the shared one
        _reads_a_report(Ministack(server.endpoint, set_up(server.endpoint)))


def _reads_a_report(aws: Ministack):
    secret = aws.provider().mint(new_grant_id(), a_plan()).secret
    body = aws.as_session("s3", secret).get_object(Bucket="customer-exports", Key=REPORT)["Body"].read().decode()
    assert body.startswith("week,region,orders,revenue\n")
    assert len(body.splitlines()) >= 3
