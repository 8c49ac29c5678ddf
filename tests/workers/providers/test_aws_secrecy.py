"""Nothing that AWS issued is found in logs, errors or tracebacks; each search finds a planted canary."""

import io
import json
import logging
import traceback
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from approvers.grant import ProofKind
from tests.worlds.aws_gate import Answer, AwsGate
from tests.worlds.ministack import Ministack, a_plan, new_grant_id
from workers.providers.port import Handle, ProviderError


def holds(text: str, secret: str) -> bool:
    """Say whether the text holds the secret as it is, URL-escaped or JSON-escaped."""
    return any(form in text for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1]))


@pytest.fixture
def debug_log() -> Iterator[io.StringIO]:
    """Everything that any logger says while the root logger is at DEBUG."""
    stream, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(stream), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def test_debug_logs_of_a_whole_life_hold_no_secret(aws: Ministack, debug_log: io.StringIO):
    with AwsGate(aws.endpoint) as gate:
        provider, grant = aws.provider(gate.url), new_grant_id()
        minted = provider.mint(grant, a_plan())
        handle = Handle(grant, a_plan(), minted.ends_at, minted.expiration)
        provider.revoke(handle)
        provider.verify(handle, ProofKind.PROBE_DENIED)
        provider.collect(handle)
        issued = gate.issued
    logging.getLogger("canary").debug("planted %s", "c4n4ry")
    text = debug_log.getvalue()
    assert holds(text, "c4n4ry")
    assert len(issued) == 3  # the grant, its twin, its control
    for one in issued:
        assert not holds(text, one.secret_access_key)
        assert not holds(text, one.session_token)


def test_the_sdk_would_have_logged_it(aws: Ministack, debug_log: io.StringIO):
    """The search can fail: with the SDK's debug logging let loose, the secret is there."""
    provider = aws.provider()
    logging.getLogger("botocore").setLevel(logging.DEBUG)
    try:
        secret = provider.mint(new_grant_id(), a_plan()).secret
    finally:
        logging.getLogger("botocore").setLevel(logging.INFO)
    assert holds(debug_log.getvalue(), secret.secret_access_key)


def test_an_error_shows_aws_first_line_and_not_the_token_that_follows(aws: Ministack):
    message = "The request signature we calculated does not match.\n\nx-amz-security-token:T0K3N"
    body = (
        f"<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>{message}</Message></Error></ErrorResponse>"
    )
    with AwsGate(aws.endpoint) as gate:
        gate.answer(None, Answer(403, body.encode()), "sts:AssumeRole")
        with pytest.raises(ProviderError) as caught:
            aws.provider(gate.url).mint(new_grant_id(), a_plan())
    shown = "".join(traceback.format_exception(caught.value))
    assert "does not match" in shown
    assert "T0K3N" not in shown


def test_a_mint_that_fails_after_the_answer_shows_nothing_of_it(aws: Ministack):
    """An answer with one field missing: the rest of it must not come out with the trouble."""
    body = (
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAX</AccessKeyId><SecretAccessKey>S3CR3T"
        "</SecretAccessKey></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    )
    with AwsGate(aws.endpoint) as gate:
        gate.answer(None, Answer(200, body.encode()), "sts:AssumeRole")
        with pytest.raises(ProviderError) as caught:
            aws.provider(gate.url).mint(new_grant_id(), a_plan())
    assert "S3CR3T" not in "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert caught.value.__context__ is None
