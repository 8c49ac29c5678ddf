"""What AWS SDKs make of the helper: real boto3 and the real AWS CLI, against an AWS that enforces IAM.

The note's traps: an SDK asks again within 15 minutes of an Expiration, must within 10, and fails for good where a
helper then has nothing to say.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError, CredentialRetrievalError

from countersign import Client
from countersign.handing import Handing
from countersign.lineage import Lineage
from countersign.models import Grant
from countersign.ops.ministack import BUCKET, REGION
from tests.countersign.conftest import ACCESS, ASK, clean_environ
from tests.countersign.test_helper import granted
from tests.worlds.intake import IntakeWorld
from tests.worlds.ministack import REPORT, Ministack, a_plan, aws, new_grant_id
from workers.providers.port import Handle

__all__ = ["aws"]
AWS = Path(sys.executable).parent / "aws"
SHORT = 60
"""A TTL within which every SDK thinks that it must refresh."""


def mint(world: IntakeWorld, aws: Ministack, grant: str, ttl_seconds: int = SHORT) -> Handle:
    """Mint a real session and let the world hand it out as the credential of a grant."""
    minted = aws.provider().mint(name := new_grant_id(), a_plan(ttl_seconds=ttl_seconds))
    secret = minted.secret
    world.rows.secrets[grant] = {
        "access_key_id": secret.access_key_id,
        "secret_access_key": secret.secret_access_key,
        "session_token": secret.session_token,
    }
    return Handle(name, a_plan(ttl_seconds=ttl_seconds), minted.ends_at, minted.expiration)


def collected(world: IntakeWorld) -> int:
    return sum(call.endswith("/credential") for call in world.calls)


@pytest.fixture
def profile(world, aws, tmp_path, monkeypatch) -> Callable[..., dict[str, str]]:
    """Write an AWS config whose helper is ours, and lead this process and its children to it and to nobody else."""

    def write(*words: str) -> dict[str, str]:
        helper = shlex.join([sys.executable, "-m", "countersign", "credential-process", *words])
        (tmp_path / "config").write_text(f"[profile ours]\nregion = {REGION}\ncredential_process = {helper}\n")
        environ = {
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
            "AWS_PROFILE": "ours",
            "AWS_ENDPOINT_URL": aws.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            **world.environ,
        }
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return environ

    return write


def read(session: boto3.Session, key: str = REPORT) -> bytes:
    return session.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()


def cli(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [AWS, "s3api", "get-object", "--bucket", BUCKET, "--key", REPORT, "/dev/null"],
        env={**clean_environ(), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_boto3_asks_once_for_a_short_grant_and_aws_refuses_it_after_the_end(world, blocking, aws, profile):
    grant = granted(world, blocking, SHORT)
    handle = mint(world, aws, grant)
    profile(grant)
    session = boto3.Session()
    for _ in range(5):
        assert read(session).startswith(b"week")
    assert collected(world) == 1
    aws.provider().revoke(handle)
    with pytest.raises(ClientError, match="explicit deny") as denied:
        read(session)
    assert denied.value.response["Error"]["Code"] == "AccessDenied"


def test_boto3_follows_to_the_extension_and_lastly_says_that_it_is_over(world, blocking: Client, aws, profile):
    first = granted(world, blocking, SHORT)
    handle = mint(world, aws, first)
    profile(first, "--follow")
    session = boto3.Session()
    credentials = session.get_credentials()
    for _ in range(3):
        assert read(session).startswith(b"week")
    assert collected(world) >= 3  # it asks again before each call: the price of finding the extension
    second = granted(world, blocking, SHORT, extends=first)
    mint(world, aws, second)
    aws.provider().revoke(handle)
    world.end("ttl_elapsed", "clock", request=first.replace("grt_", "req_"))
    assert read(session).startswith(b"week")
    assert credentials.access_key == world.rows.secrets[second]["access_key_id"]
    world.end(reason="enough", request=second.replace("grt_", "req_"))
    with pytest.raises(CredentialRetrievalError, match=r"K701 was ended.*\(revoke by user:robin: enough\)"):
        read(session)


def test_the_aws_cli_reads_under_a_short_grant_and_says_understandably_that_it_is_over(world, blocking, aws, profile):
    grant = granted(world, blocking, SHORT)
    handle = mint(world, aws, grant)
    environ = profile(grant)
    done = cli(environ)
    assert done.returncode == 0, done.stderr
    aws.provider().revoke(handle)
    done = cli(environ)
    assert done.returncode != 0
    assert "AccessDenied" in done.stderr
    assert "explicit deny" in done.stderr
    world.end(reason="enough")
    done = cli(profile(grant, "--follow"))
    assert done.returncode != 0
    assert "was ended (revoke by user:robin: enough)" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("tool", ["boto3", "cli"])
async def test_what_run_hands_over_follows_without_a_further_look_at_the_server(world, client, aws, tool, monkeypatch):
    world.rows.submit_as = "APPROVED"
    lineage = Lineage(client, lambda text: None)
    handles = []
    async with Handing(lineage.handed, {}) as handing:
        environ = {**handing.environ(), "AWS_ENDPOINT_URL": aws.endpoint, "AWS_DEFAULT_REGION": REGION}
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        for extends in (None, "grt_" + "0" * 26):
            request = await client.request(**ask(extends))
            handles.append(mint(world, aws, request.grant.id))
            held = lineage.hold(request)
            held.credential = await client.credential(request)
            if extends:
                aws.provider().revoke(handles[0])
            calls = len(world.calls)
            assert await asyncio.to_thread(reads, tool, environ) == ""
            assert len(world.calls) == calls
        lineage.note(ended(held.grant))
        lineage.note(ended(request.grant.model_copy(update={"id": "grt_" + "0" * 26})))
        assert "K701 has ended, and no credential is left." in await asyncio.to_thread(reads, tool, environ)


def ask(extends: str | None) -> dict:
    return {**ASK, "ttl_seconds": SHORT, "access": ACCESS, "extends": extends}


def ended(grant: Grant) -> Grant:
    return grant.model_copy(update={"state": "REVOKED"})


def reads(tool: str, environ: dict[str, str]) -> str:
    """Read the report with the profile alone; return what the tool says where it cannot."""
    if tool == "cli":
        done = cli(environ)
        return done.stderr if done.returncode else ""
    try:
        read(boto3.Session())
    except (ClientError, CredentialRetrievalError) as error:
        return str(error)
    return ""
