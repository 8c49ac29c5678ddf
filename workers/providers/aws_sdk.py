"""Speak to AWS: the only file of the product that imports boto3. Clients for each identity, and what an error means.

Nothing secret leaves in an error, a repr or a log line: troubles are raised outside the SDK's `except` blocks, and the
SDK's debug logging, which prints answers with the credentials in them, is held back.
"""

from __future__ import annotations

import functools
import logging
import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

import botocore.session
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ProxyConnectionError,
    ReadTimeoutError,
)
from botocore.loaders import Loader

from workers.providers import documents
from workers.providers.access import AwsAccess, Identity, Keys
from workers.providers.port import NotSent, OutcomeUnknown, ProviderError, Refused, Secret
from workers.providers.probing import Answer, Told

Sdk = Any
"""A client of the SDK, or an answer of it: boto3 brings no types."""

REVOKER_SECONDS = 3_600
"""How long a session of an account's revoker role lasts: the most that role chaining allows."""
REFRESH_AFTER_SECONDS = 2_400.0
"""When it is taken anew; by a clock that nobody sets, so that a shifted one leaves nobody without."""
_STALE = frozenset({"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "RequestExpired"})
_LATER = re.compile(r"(Request)?Thrott\w+|RequestLimitExceeded|TooManyRequests\w*|SlowDown|PriorRequestNotComplete")
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Client.UnauthorizedOperation"})
_REMEDIES = {
    "PackedPolicyTooLarge": "; packed, the policy and the tag are too large: ask for fewer or shorter actions and "
    "resources at a time, or shorten resources by a common prefix and '*'",
}
"""What to do, where AWS's own words do not say it."""
_NO_ROAD = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError)
_NO_NAME = (NoCredentialsError, CredentialRetrievalError)
_SAFE_TEXT = (*_NO_ROAD, ReadTimeoutError, ConnectionClosedError)


@dataclass
class _Taken:
    """One account's revoker role: its session, its clients, and the lock under which it is taken."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    secret: Secret | None = None
    since: float = 0.0
    clients: dict[tuple[str, str | None], Sdk] = field(default_factory=dict)


class Clients:
    """Keep one SDK client per service and identity; making one is slow and not thread-safe, using one is safe."""

    def __init__(self, access: AwsAccess) -> None:
        for name in ("boto3", "botocore", "urllib3"):
            logger = logging.getLogger(name)
            logger.setLevel(max(logging.INFO, logger.level))
        self._access = access
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str, str | None], Sdk] = {}
        self._taken: dict[str, _Taken] = {}
        self._sessions: dict[str, Session] = {}

    def get(self, service: str, who: str, region: str | None = None) -> Sdk:
        """Return the kept client of `minter` or `revoker`."""
        with self._lock:
            if (service, who, region) not in self._kept:
                identity = self._access.minter if who == "minter" else self._access.revoker
                attempts = 1 if who == "minter" else 3
                self._kept[service, who, region] = self._make(service, identity, attempts, region=region)
            return self._kept[service, who, region]

    def of_session(self, service: str, secret: Secret, region: str | None = None, attempts: int = 1) -> Sdk:
        """Return a new client that speaks with a minted session; once, as a probe is asked again anyway."""
        with self._lock:
            who = Identity(Keys(secret.access_key_id, secret.secret_access_key))
            return self._make(service, who, attempts, secret.session_token, region)

    def as_revoker(
        self, service: str, role_arn: str | None, call: Callable[[Sdk], Sdk], region: str | None = None
    ) -> tuple[Sdk, Exception | None]:
        """Call the SDK as the account's revoker; return its answer or its error.

        With `role_arn` the worker's revoker takes that role first (IAM acts on the caller's own account), keeps it, and
        takes it anew before it ends. Raises ProviderError where it cannot be taken: the trouble of that account alone.
        """
        if role_arn is None:
            client = self.get(service, "revoker", region)
            return tried(lambda: call(client))
        taken, client = self._as(role_arn, service, region)
        answer, error = tried(lambda: call(client))
        if code(error) not in _STALE:
            return answer, error
        with taken.lock:
            taken.secret = None
        client = self._as(role_arn, service, region)[1]
        return tried(lambda: call(client))

    def _as(self, role_arn: str, service: str, region: str | None) -> tuple[_Taken, Sdk]:
        with self._lock:
            taken = self._taken.setdefault(role_arn, _Taken())
        with taken.lock:  # one account that hangs holds up nobody but itself
            if taken.secret is None or time.monotonic() > taken.since + REFRESH_AFTER_SECONDS:
                taken.since = time.monotonic()
                taken.secret, taken.clients = self._take(role_arn), {}
            if (service, region) not in taken.clients:
                taken.clients[service, region] = self.of_session(service, taken.secret, region, attempts=3)
            return taken, taken.clients[service, region]

    def _take(self, role_arn: str) -> Secret:
        assume = self.get("sts", "revoker").assume_role
        name = documents.REVOKER
        answer, error = tried(
            lambda: assume(RoleArn=role_arn, RoleSessionName=name, DurationSeconds=REVOKER_SECONDS)
        )  # fmt: skip
        if error is None:
            return secret_of(answer)
        problem = trouble(error)
        raise type(problem)(f"the revoker role {role_arn} cannot be taken: {problem}")

    def _make(
        self, service: str, who: Identity, attempts: int, token: str | None = None, region: str | None = None
    ) -> Sdk:  # fmt: skip
        keys: dict[str, str | None] = {"aws_session_token": token}
        if who.keys:
            keys["aws_access_key_id"] = who.keys.access_key_id
            keys["aws_secret_access_key"] = who.keys.secret_access_key
        retries = {"mode": "standard", "total_max_attempts": attempts}
        proxies: dict[str, str] | None = {} if self._access.endpoint_url else None  # a local AWS: never by a proxy
        config = Config(connect_timeout=2, read_timeout=5, retries=retries, proxies=proxies)
        place = {"region_name": region or self._access.region, "endpoint_url": self._access.endpoint_url}
        try:
            return self._session(who).client(service, config=config, **place, **keys)
        except BotoCoreError as error:
            text = f"the AWS identity cannot be used ({type(error).__name__}); check its profile and region"
        raise NotSent(text)

    def _session(self, who: Identity) -> Session:
        kind = "keys" if who.keys else f"profile {who.profile}"
        if kind not in self._sessions:
            self._sessions[kind] = keys_only_session() if who.keys else Session(profile_name=who.profile)
        return self._sessions[kind]


def keys_only_session() -> Session:
    """Return an SDK session for static keys: it reads no AWS_PROFILE and no file of the user's."""
    nothing = (None, None, os.devnull, None)
    unread = {"profile": (None, None, None, None), "config_file": nothing, "credentials_file": nothing}
    session = botocore.session.Session(session_vars=unread)
    session.register_component("data_loader", _models())
    return Session(botocore_session=session)


@functools.cache
def _models() -> Loader:
    """Read the SDK's descriptions of the services once per process: for each session anew it takes 0.2 s."""
    return Loader()


def tried(call: Callable[[], Sdk]) -> tuple[Sdk, Exception | None]:
    """Call the SDK; return its answer or its error, so that ours is raised without the SDK's frames behind it."""
    try:
        return call(), None
    except Exception as error:  # not only the SDK's own: its parsers let a KeyError through for an odd answer
        return None, error


def throttled(error: Exception) -> bool:
    """Tell whether AWS said "later" before it did anything."""
    if not isinstance(error, ClientError):
        return False
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return _LATER.fullmatch(code(error)) is not None or status == 429


def trouble(error: Exception) -> ProviderError:
    """Say which of our answers an SDK error is; what is not surely a no, and not surely unsent, is unknown."""
    if isinstance(error, ClientError):
        text = f"AWS said {code(error)}: {words(error)}{_REMEDIES.get(code(error), '')}"
        if throttled(error):
            return NotSent(text)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return Refused(text) if 400 <= status < 500 else OutcomeUnknown(text)
    if isinstance(error, ParamValidationError):
        return Refused("the AWS SDK found the request invalid and did not send it")
    text = str(error) if isinstance(error, _SAFE_TEXT) else f"the AWS SDK failed with {type(error).__name__}"
    return NotSent(text) if isinstance(error, _NO_ROAD + _NO_NAME) else OutcomeUnknown(text)


def told(call: Callable[[], Sdk]) -> Told:
    """Ask as a probe session, and say what it was told."""
    error = tried(call)[1]
    if error is None:
        return Told(Answer.ALLOWED)
    if not isinstance(error, ClientError):
        return Told(Answer.UNCLEAR, str(trouble(error)))
    heard = f"{code(error)}: {words(error)}"
    explicit = code(error) in _DENIED and "explicit deny" in error.response.get("Error", {}).get("Message", "")
    return Told(Answer.EXPLICIT_DENY if explicit else Answer.UNCLEAR, heard)


def code(error: Exception | None) -> str:
    """Return AWS's own code of an error; empty where AWS did not answer."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def words(error: ClientError) -> str:
    """Return AWS's first line, at most 300 characters: later lines of a signature error quote the session token."""
    lines = str(error.response.get("Error", {}).get("Message", "")).splitlines() or [""]
    return lines[0].split(" Encoded authorization failure message", 1)[0][:300]


def secret_of(answer: Sdk) -> Secret:
    """Take the credential out of AssumeRole's answer; an answer without one means that we do not know."""
    try:
        found = answer["Credentials"]
        return Secret(
            access_key_id=found["AccessKeyId"],
            secret_access_key=found["SecretAccessKey"],
            session_token=found["SessionToken"],
            expiration=found["Expiration"].astimezone(UTC),
        )
    except (KeyError, TypeError, AttributeError):
        pass
    raise OutcomeUnknown("AWS's answer held no credential")
