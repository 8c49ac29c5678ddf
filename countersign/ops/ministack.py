"""Run a local AWS for the demo and the tests: start it, set it up as an administrator would, see that it enforces IAM.

The server is PyPI's `ministack`, bound to loopback, unable to start containers, ended with its parent. Buckets, roles
and policies are kept in its home from one clean stop to the next; sessions are not, so a restart ends every credential.
Without AUTH it allows everything: nothing here is usable before `check_enforced` has seen a refusal.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import ClientError

from approvers.grant import Plan
from workers.providers import documents
from workers.providers.access import AwsAccess, Identity, Keys
from workers.providers.aws import AwsProvider, keys_only_session

Sdk = Any
"""A client of the SDK: boto3 brings no types."""
REGION = "us-east-1"
START_SECONDS = 60.0
STOP_SECONDS = 15.0
_ATTEMPTS = 3
_BOOT = """
import ctypes, os, runpy, signal, sys
trail = sys.argv.pop()
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != int(sys.argv.pop()):
        sys.exit("parent is gone")
sys.argv = ["ministack"]
from ministack.app import main
runpy.run_path(trail)["complete"]()
main()
"""
"""Run in the child, so that nothing runs between fork and exec: on Linux it asks to be ended with its parent."""
_TRAIL = Path(__file__).with_name("ministack_trail.py")


ACCOUNT = "000000000000"
ROLE = "countersign-base-analytics"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/{ROLE}"
BOUNDARY_ARN = f"arn:aws:iam::{ACCOUNT}:policy/countersign-boundary"
BUCKET = "customer-exports"
OBJECTS = {
    "2026/report.csv": "week,region,orders,revenue\n45,eu,1312,90344.10\n46,eu,1287,88120.55\n46,us,2210,171002.00\n",
    "other/secret.csv": "name,salary\nnobody,1\n",
}
_ROOT = Keys("test", "test")  # the server's built-in administrator, on loopback only


class LocalAwsError(RuntimeError):
    """The local AWS did not start, or does not do what the demo relies on; the text says what to do."""


@dataclass(frozen=True)
class LocalAws:
    """Name a running local AWS."""

    endpoint: str
    region: str
    pid: int
    process: subprocess.Popen[bytes]
    auth: str
    """`enabled` or `disabled`, as its own health answer says."""


class NotEnforced(LocalAwsError):
    """The local AWS let through what IAM should have refused: nothing shown on it would mean anything."""


@dataclass(frozen=True)
class Prepared:
    """Name what `set_up` made: who mints, who revokes, and the role and bucket they are for."""

    minter: Identity
    revoker: Identity
    account_id: str = ACCOUNT
    role_arn: str = ROLE_ARN
    bucket: str = BUCKET

    def access(self, endpoint: str) -> AwsAccess:
        """Return what the provider needs to work there."""
        return AwsAccess(endpoint, REGION, self.minter, self.revoker)


@contextlib.contextmanager
def local_aws(home: Path, *, port: int = 0, enforce_iam: bool = True) -> Iterator[LocalAws]:
    """Start a local AWS on loopback and stop it again.

    Args:
        home: a folder for its state and log; kept between runs.
        port: where to listen; 0 takes a free one.
        enforce_iam: False starts it without IAM, only to show that what relies on IAM then fails.

    Raises:
        LocalAwsError: when it does not start; with the end of its log.
    """
    home.mkdir(parents=True, exist_ok=True)
    process, endpoint = _start(home, port, enforce_iam)
    try:
        auth = str(_health(endpoint)["auth"])
        if (auth == "enabled") != enforce_iam:
            raise LocalAwsError(f"the local AWS at {endpoint} says that IAM is {auth}; remove {home} and start again")
        yield LocalAws(endpoint, REGION, process.pid, process, auth)
    finally:
        _stop(process)


def _start(home: Path, port: int, enforce_iam: bool) -> tuple[subprocess.Popen[bytes], str]:
    """Start the server; a free port can be taken by somebody else before it listens, hence the attempts."""
    for attempt in range(_ATTEMPTS):
        chosen = port or _free_port()
        process = _spawn(home, chosen, enforce_iam)
        endpoint = f"http://127.0.0.1:{chosen}"
        try:
            _wait_until_ready(process, endpoint, home)
        except LocalAwsError:
            _stop(process)
            if port or attempt == _ATTEMPTS - 1:
                raise
        else:
            return process, endpoint
    raise AssertionError("unreachable: the last attempt raises or returns")


def _spawn(home: Path, port: int, enforce_iam: bool) -> subprocess.Popen[bytes]:
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(home),
        "TMPDIR": str(home),
        "AUTH": "true" if enforce_iam else "false",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "PERSIST_STATE": "1",
        "STATE_DIR": str(home / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(home / "s3"),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": "tcp://127.0.0.1:1",  # a closed port: it must not start containers
        "LOG_LEVEL": "WARNING",
        "CLOUDTRAIL_RECORDING": "1",
    }
    with (home / "server.log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - our own interpreter, fixed text
            [sys.executable, "-c", _BOOT, str(os.getpid()), str(_TRAIL)],
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], endpoint: str, home: Path) -> None:
    until = time.monotonic() + START_SECONDS
    # Written once it found the port free: before that, another server there could be the one that answers.
    pid_file = home / f"ministack-{endpoint.rpartition(':')[2]}.pid"
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError, ValueError):
            _health(endpoint)
            if int(pid_file.read_text()) == process.pid:
                return
        time.sleep(0.05)
    log = (home / "server.log").read_text(errors="replace")[-2_000:]
    raise LocalAwsError(f"the local AWS did not start at {endpoint}; its log ends with:\n{log}")


def _health(endpoint: str) -> Mapping[str, object]:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"{endpoint}/_ministack/health", timeout=2) as answer:
        body: Mapping[str, object] = json.load(answer)
        return body


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End it by pid: politely, so that it saves its state, then surely."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def set_up(endpoint: str) -> Prepared:
    """Do what an administrator does once per account; safe to repeat. The two identities get new keys each time."""
    iam, s3 = client("iam", endpoint, _ROOT), client("s3", endpoint, _ROOT)
    minter = _user(iam, "countersign-minter", documents.minter_policy(ROLE_ARN))
    # Without the condition on iam:PermissionsBoundary: the emulator does not resolve that key and would refuse.
    revoker = _user(iam, "countersign-revoker", documents.revoker_policy(ACCOUNT, None))
    _policy(iam, "countersign-boundary", documents.boundary_policy(["s3:*"]))
    _role(iam, f"arn:aws:iam::{ACCOUNT}:user/countersign-minter")
    s3.create_bucket(Bucket=BUCKET)
    for key, text in OBJECTS.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=text.encode())
    return Prepared(Identity(minter), Identity(revoker))


def check_enforced(endpoint: str, prepared: Prepared) -> str:
    """Mint a session as for a grant and see a write outside it refused; return AWS's words.

    Raises:
        NotEnforced: when the write was let through, or when what the grant allows was refused.
    """
    key, outside = OBJECTS
    fields = {"provider": "aws", "role": "analytics", "role_arn": prepared.role_arn, "external_id": None}
    place = {"account": "local", "account_id": prepared.account_id, "environment": "dev"}
    asked = {"actions": ["s3:GetObject"], "resources": [f"arn:aws:s3:::{prepared.bucket}/{key}"], "ttl_seconds": 60}
    plan = Plan.model_validate({**fields, **place, **asked})
    grant = f"grt_00DOCTOR{secrets.token_hex(9).upper()}"
    secret = AwsProvider(prepared.access(endpoint)).mint(grant, plan).secret
    s3 = client("s3", endpoint, Keys(secret.access_key_id, secret.secret_access_key), secret.session_token)
    try:
        s3.get_object(Bucket=prepared.bucket, Key=key)
    except ClientError as error:
        raise NotEnforced(f"the local AWS refuses what a grant allows: {error}") from None
    try:
        s3.put_object(Bucket=prepared.bucket, Key=outside, Body=b"must be refused")
    except ClientError as error:
        if error.response["Error"]["Code"] == "AccessDenied":
            return str(error.response["Error"]["Message"])
        raise NotEnforced(f"the local AWS answered a write outside the grant with: {error}") from None
    raise NotEnforced("the local AWS let a grant write outside of it: IAM is not enforced (start it with AUTH=true)")


def client(service: str, endpoint: str, keys: Keys, session_token: str | None = None) -> Sdk:
    """Return an SDK client for the local AWS that looks at no environment variable, profile or proxy."""
    return _session().client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        aws_session_token=session_token,
        config=Config(retries={"mode": "standard", "max_attempts": 2}, proxies={}, s3={"addressing_style": "path"}),
    )


@functools.cache
def _session() -> Session:
    return keys_only_session()


def _user(iam: Sdk, name: str, policy: str) -> Keys:
    with _exists_already():
        iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="countersign", PolicyDocument=policy)
    for old in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=old["AccessKeyId"])
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return Keys(made["AccessKeyId"], made["SecretAccessKey"])


def _policy(iam: Sdk, name: str, document: str) -> str:
    """Make the managed policy, or bring one that an older version made up to date."""
    arn = f"arn:aws:iam::{ACCOUNT}:policy/{name}"
    with _exists_already():
        iam.create_policy(PolicyName=name, PolicyDocument=document)
    held = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    if iam.get_policy_version(PolicyArn=arn, VersionId=held)["PolicyVersion"]["Document"] != json.loads(document):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True)
        iam.delete_policy_version(PolicyArn=arn, VersionId=held)
    return arn


def _role(iam: Sdk, minter_arn: str) -> None:
    """Make the base role. Its rights are a managed policy: inline space on the role is kept for revocations."""
    trust = documents.trust_policy(minter_arn)
    with _exists_already():
        iam.create_role(RoleName=ROLE, PermissionsBoundary=BOUNDARY_ARN, AssumeRolePolicyDocument=trust)
    iam.update_assume_role_policy(RoleName=ROLE, PolicyDocument=trust)
    iam.put_role_permissions_boundary(RoleName=ROLE, PermissionsBoundary=BOUNDARY_ARN)
    files = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]}
    rights = documents.render(
        {**files, "Resource": f"arn:aws:s3:::{BUCKET}/*"},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{BUCKET}"},
        {"Effect": "Allow", "Action": documents.PROBE_ACTION, "Resource": "*"},
    )
    iam.attach_role_policy(RoleName=ROLE, PolicyArn=_policy(iam, ROLE, rights))


@contextlib.contextmanager
def _exists_already() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityAlreadyExists":
            raise
