"""Give tests a real local AWS that enforces IAM, set up once, and short ways to use it. Import `aws` in a conftest."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from approvers.grant import Plan
from approvers.ids import ulid
from countersign.ops.ministack import ACCOUNT, BUCKET, ROLE_ARN, Prepared, check_enforced, client, local_aws, set_up
from workers.providers.access import Keys
from workers.providers.aws import AwsProvider
from workers.providers.port import Secret
from workers.providers.probing import Pace

REPORT, SECRET = "2026/report.csv", "other/secret.csv"
QUICK = Pace(pause_seconds=0.01, patience_seconds=0.0)


def new_grant_id() -> str:
    return f"grt_{ulid(datetime.now(UTC), secrets.token_bytes(10))}"


def a_plan(**changes: Any) -> Plan:
    """Read one report for 15 minutes, on the local base role; any field can be changed."""
    fields = {
        "provider": "aws",
        "role": "analytics",
        "role_arn": ROLE_ARN,
        "external_id": None,
        "account": "prod-payments",
        "account_id": ACCOUNT,
        "environment": "prod",
        "actions": ["s3:GetObject"],
        "resources": [f"arn:aws:s3:::{BUCKET}/{REPORT}"],
        "ttl_seconds": 900,
    }
    return Plan.model_validate({**fields, **changes})


def outcome(call: Callable[..., Any], **arguments: Any) -> str:
    """Say what a session was told: `allow`, `explicit_deny`, `implicit_deny`, or the error's code."""
    try:
        call(**arguments)
    except ClientError as error:
        code, text = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code not in {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}:
            return code
        return "explicit_deny" if "explicit deny" in text else "implicit_deny"
    return "allow"


@dataclass(frozen=True)
class Ministack:
    """A running local AWS and what `set_up` made there."""

    endpoint: str
    prepared: Prepared

    def provider(self, endpoint: str | None = None, **options: Any) -> AwsProvider:
        """A provider there, or at a gate in front of it; it does not wait for what cannot come."""
        if endpoint or options:
            return AwsProvider(self.prepared.access(endpoint or self.endpoint), **{"pace": QUICK, **options})
        return _plain_provider(self)

    def root(self, service: str) -> Any:
        return client(service, self.endpoint, Keys("test", "test"))

    def as_session(self, service: str, secret: Secret) -> Any:
        keys = Keys(secret.access_key_id, secret.secret_access_key)
        return client(service, self.endpoint, keys, secret.session_token)

    def read(self, secret: Secret, key: str = REPORT) -> str:
        return outcome(self.as_session("s3", secret).get_object, Bucket=BUCKET, Key=key)

    def write(self, secret: Secret, key: str = REPORT) -> str:
        return outcome(self.as_session("s3", secret).put_object, Bucket=BUCKET, Key=key, Body=b"x")


@functools.cache
def _plain_provider(aws: Ministack) -> AwsProvider:
    return AwsProvider(aws.prepared.access(aws.endpoint), pace=QUICK)


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ministack]:
    """The session's local AWS; it has refused a write outside a grant before any test sees it."""
    with local_aws(tmp_path_factory.mktemp("aws")) as server:
        prepared = set_up(server.endpoint)
        check_enforced(server.endpoint, prepared)
        yield Ministack(server.endpoint, prepared)
