"""AWS throttled, slow, broken or out of reach: what was surely not done is kept apart from what may have been."""

from datetime import UTC, datetime, timedelta

import pytest

from approvers.grant import ProofKind
from tests.worlds.aws_gate import DENIED, SERVER_ERROR, THROTTLED, UNAVAILABLE, Answer, AwsGate
from tests.worlds.ministack import Ministack, a_plan, new_grant_id
from tests.worlds.stopwatch import own_time
from workers.providers.access import AwsAccess, Identity, Keys
from workers.providers.aws import AwsProvider
from workers.providers.port import Handle, NotSent, OutcomeUnknown, ProofOutcome, ProviderError, Refused

ASSUME = "sts:AssumeRole"


def aws_error(status: int, code: str, message: str = "words") -> Answer:
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    return Answer(status, f"<ErrorResponse>{error}</ErrorResponse>".encode())


@pytest.fixture
def gate(aws: Ministack):
    with AwsGate(aws.endpoint) as opened:
        yield opened


@pytest.fixture
def provider(aws: Ministack, gate: AwsGate) -> AwsProvider:
    return aws.provider(gate.url, sleep=lambda _: None)


def mint_trouble(provider: AwsProvider) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        provider.mint(new_grant_id(), a_plan())
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value


def test_a_passing_throttle_is_waited_out(gate, provider):
    gate.answer(1, THROTTLED, ASSUME)
    gate.answer(2, THROTTLED, ASSUME)
    provider.mint(new_grant_id(), a_plan())
    assert gate.calls.count(ASSUME) == 3
    assert len(gate.issued) == 1


@pytest.mark.parametrize(
    "answer",
    [THROTTLED, aws_error(400, "ThrottlingException"), aws_error(503, "RequestLimitExceeded"),
     aws_error(429, "TooManyRequestsException"), aws_error(503, "SlowDown")],
)  # fmt: skip
def test_a_lasting_throttle_was_not_sent(gate, provider, answer):
    gate.answer(None, answer, ASSUME)
    assert type(mint_trouble(provider)) is NotSent
    assert gate.calls.count(ASSUME) == 3


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (DENIED, "AccessDenied"),
        (aws_error(400, "ValidationError"), "ValidationError"),
        (aws_error(400, "MalformedPolicyDocument"), "MalformedPolicyDocument"),
        (aws_error(400, "PackedPolicyTooLarge"), "ask for fewer or shorter actions and resources"),
        (aws_error(403, "InvalidClientTokenId"), "InvalidClientTokenId"),
    ],
)
def test_a_no_is_refused_at_once_and_in_aws_words(gate, provider, answer, words):
    gate.answer(None, answer, ASSUME)
    trouble = mint_trouble(provider)
    assert type(trouble) is Refused
    assert words in str(trouble)
    assert gate.calls.count(ASSUME) == 1


@pytest.mark.parametrize("answer", [SERVER_ERROR, UNAVAILABLE, aws_error(502, "BadGateway"), Answer(200, b"<what"),
                                    Answer(200, b"<AssumeRoleResponse/>"), Answer(302, b"")])  # fmt: skip
def test_an_answer_that_does_not_say_is_unknown_and_never_tried_again(gate, provider, answer):
    gate.answer(None, answer, ASSUME)
    assert type(mint_trouble(provider)) is OutcomeUnknown
    assert gate.calls.count(ASSUME) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_cut_under_the_mint_is_unknown(gate, provider, when):
    gate.cut(1, when, ASSUME)
    assert type(mint_trouble(provider)) is OutcomeUnknown
    assert gate.calls.count(ASSUME) == 1
    assert len(gate.issued) == (when == "after")  # cut after: there is a session nobody has, and it must be revoked


def test_an_unknown_outcome_is_not_hidden_by_a_throttle_that_follows(gate, provider):
    gate.cut(1, "after", ASSUME)
    gate.answer(2, THROTTLED, ASSUME)
    assert type(mint_trouble(provider)) is OutcomeUnknown
    assert gate.calls.count(ASSUME) == 1


def test_a_mint_that_hangs_is_unknown_and_ends_within_fifteen_seconds(gate, provider):
    gate.delay(None, 30.0, ASSUME)
    started = own_time()
    assert type(mint_trouble(provider)) is OutcomeUnknown
    assert own_time() - started < 15


@pytest.mark.parametrize("spoil", [SERVER_ERROR, "cut"])
def test_trouble_while_reading_the_clock_is_not_sent(gate, provider, spoil):
    if spoil == "cut":
        gate.cut(None, "after", "sts:GetCallerIdentity")
    else:
        gate.answer(None, spoil, "sts:GetCallerIdentity")
    assert type(mint_trouble(provider)) is NotSent
    assert ASSUME not in gate.calls


def test_an_aws_out_of_reach_was_not_sent_to(aws: Ministack):
    trouble = mint_trouble(aws.provider("http://127.0.0.1:1", sleep=lambda _: None))
    assert type(trouble) is NotSent
    assert "http://127.0.0.1:1" in str(trouble)


def test_a_name_that_does_not_resolve_was_not_sent_to(aws: Ministack):
    provider = aws.provider("http://nowhere.invalid", sleep=lambda _: None)
    assert type(mint_trouble(provider)) is NotSent


@pytest.mark.parametrize("who", [Identity(profile="nobody-has-this-profile"), Identity()])
def test_an_identity_that_cannot_be_used_was_not_sent(aws: Ministack, who, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    provider = AwsProvider(AwsAccess(aws.endpoint, "us-east-1", who, who), sleep=lambda _: None)
    assert type(mint_trouble(provider)) is NotSent


def test_static_keys_read_nothing_of_the_users(aws: Ministack, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody-has-this-profile")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert aws.provider().mint(new_grant_id(), a_plan()).secret.access_key_id


def test_a_full_role_is_named_with_what_to_do(gate, provider):
    gate.answer(None, aws_error(409, "LimitExceeded"), "iam:PutRolePolicy")
    with pytest.raises(ProviderError, match=r"countersign-base-analytics has no room .*LimitExceeded.*collect"):
        provider.revoke(Handle(new_grant_id(), a_plan()))


def test_writing_the_deny_is_tried_again_as_often_as_it_takes(gate, provider):
    gate.answer(1, THROTTLED, "iam:PutRolePolicy")
    gate.cut(2, "after", "iam:PutRolePolicy")
    grant = new_grant_id()
    provider.revoke(Handle(grant, a_plan()))
    assert grant in provider.leftovers(a_plan())
    provider.collect(Handle(grant, a_plan()))


@pytest.mark.parametrize("name", ["iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:ListRolePolicies"])
def test_trouble_of_the_revoker_is_told(gate, provider, name):
    gate.answer(None, SERVER_ERROR, name)
    call = {
        "iam:PutRolePolicy": lambda: provider.revoke(Handle(new_grant_id(), a_plan())),
        "iam:DeleteRolePolicy": lambda: provider.collect(Handle(new_grant_id(), a_plan())),
        "iam:ListRolePolicies": lambda: provider.leftovers(a_plan()),
    }[name]
    with pytest.raises(ProviderError, match="InternalFailure"):
        call()


@pytest.mark.parametrize("name", [ASSUME, "ec2:DescribeRegions"])
@pytest.mark.parametrize("answer", [THROTTLED, SERVER_ERROR])
def test_a_probe_that_cannot_be_asked_proves_nothing(gate, provider, name, answer):
    grant = new_grant_id()
    provider.revoke(Handle(grant, a_plan()))
    gate.answer(None, answer, name)
    reading = provider.verify(Handle(grant, a_plan()), ProofKind.PROBE_DENIED)
    assert (reading.outcome, reading.refused) == (ProofOutcome.UNKNOWN, 0)
    assert reading.detail
    gate.reset()
    assert provider.verify(Handle(grant, a_plan()), ProofKind.PROBE_DENIED).outcome is ProofOutcome.PROVEN
    provider.collect(Handle(grant, a_plan()))


def test_an_expiry_that_cannot_be_read_proves_nothing(gate, provider):
    gate.answer(None, SERVER_ERROR, "sts:GetCallerIdentity")
    minted_long_ago = provider._now() - timedelta(hours=1)
    handle = Handle(new_grant_id(), a_plan(), minted_long_ago, minted_long_ago)
    assert provider.verify(handle, ProofKind.EXPIRED).outcome is ProofOutcome.UNKNOWN


def test_keys_are_not_in_the_repr():
    assert "s3cr3t" not in repr(AwsAccess(None, "eu-west-1", Identity(Keys("AKIA", "s3cr3t")), Identity()))


def test_nothing_is_minted_past_its_time_by_awss_clock(aws: Ministack):
    """Whoever stood still after the claim may wake when the grant is over and its Deny collected."""
    with AwsGate(aws.endpoint) as gate:
        provider = aws.provider(gate.url)
        with pytest.raises(NotSent, match="a worker stood still, or clocks differ"):
            provider.mint(new_grant_id(), a_plan(), datetime.now(UTC) - timedelta(seconds=2))
        assert gate.calls == ["sts:GetCallerIdentity"]
        assert provider.mint(new_grant_id(), a_plan(), datetime.now(UTC) + timedelta(seconds=30)).secret
