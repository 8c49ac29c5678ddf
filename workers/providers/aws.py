"""Mint and end AWS sessions: the only file of the product that imports boto3.

One AssumeRole per grant on a boundary-capped base role. AWS's own clock ends the session at its TTL; one inline Deny on
the role ends it early; both are seen through a twin session, never assumed. Nothing secret leaves in an error, a repr
or a log line: troubles are raised outside the SDK's `except` blocks, and the SDK's debug logging, which prints answers
with the credentials in them, is held back.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
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

from approvers.grant import Plan, ProofKind
from workers.providers import documents
from workers.providers.access import AwsAccess, Identity, Keys
from workers.providers.plans import AWS_CAPS
from workers.providers.port import (
    Caps,
    Handle,
    Minted,
    NotSent,
    OutcomeUnknown,
    ProofOutcome,
    ProviderError,
    Reading,
    Refused,
    Secret,
)
from workers.providers.probing import Answer, Pace, Told, read

Sdk = Any
"""A client of the SDK, or an answer of it: boto3 brings no types."""

__all__ = ["AwsAccess", "AwsProvider", "Identity", "Keys", "keys_only_session"]

MIN_SESSION_SECONDS = 900
"""The shortest session that STS issues; the TTL Deny makes shorter grants true."""
START_CALLS_WITHIN_SECONDS = 7.0
"""No call of a mint starts later than this: with 2 s to connect and 5 s to answer, a mint ends within 15 s."""
_RETRY_PAUSES = (0.2, 0.5)
_LATER = re.compile(r"(Request)?Thrott\w+|RequestLimitExceeded|TooManyRequests\w*|SlowDown|PriorRequestNotComplete")
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Client.UnauthorizedOperation"})
_NO_ROAD = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError)
_NO_NAME = (NoCredentialsError, CredentialRetrievalError)
_SAFE_TEXT = (*_NO_ROAD, ReadTimeoutError, ConnectionClosedError)


@dataclass(frozen=True)
class _Ask:
    """One session to be issued: its name, its grant-id tag, its policy and length."""

    name: str
    tag: str
    policy: str
    seconds: int = MIN_SESSION_SECONDS


class AwsProvider:
    """Mint, revoke, verify and collect on AWS. One instance serves all threads."""

    def __init__(
        self,
        access: AwsAccess,
        *,
        pace: Pace = Pace(),
        caps: Caps = AWS_CAPS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.caps = caps
        self._clients = Clients(access)
        self._pace, self._now, self._sleep = pace, now, sleep

    def mint(self, grant_id: str, plan: Plan) -> Minted:
        """Issue a session for exactly the plan, its end stamped by AWS's clock: two calls."""
        until = time.monotonic() + START_CALLS_WITHIN_SECONDS
        ends_at = self._aws_time(until) + timedelta(seconds=plan.ttl_seconds)
        name, policy = documents.session_name(grant_id), documents.session_policy(plan, ends_at)
        answer = self._assume(plan, _Ask(name, grant_id, policy, max(MIN_SESSION_SECONDS, plan.ttl_seconds)), until)
        secret = secret_of(answer)
        return Minted(
            secret=secret,
            ends_at=ends_at,
            expiration=secret.expiration,
            request_id=answer["ResponseMetadata"].get("RequestId", ""),
            packed_percent=answer.get("PackedPolicySize"),
        )

    def revoke(self, handle: Handle) -> None:
        """Write the grant's Deny: one call, from the grant id alone, and the same again when repeated."""
        name, document = documents.revoke_name(handle.grant_id), documents.revoke_policy(handle.grant_id)
        role = _role_name(handle.plan)
        put = self._clients.get("iam", "revoker").put_role_policy
        error = tried(lambda: put(RoleName=role, PolicyName=name, PolicyDocument=document))[1]
        if _code(error) == "LimitExceeded":
            raise ProviderError(
                f"role {role} has no room for another Deny (LimitExceeded): collect what is due, or add base roles"
            )
        if error is not None:
            raise trouble(error)

    def verify(self, handle: Handle, kind: ProofKind) -> Reading:
        """Read whether the grant's sessions are refused; what cannot be asked counts as UNKNOWN."""
        try:
            if kind is ProofKind.EXPIRED:
                return self._read_expiry(handle)
            if kind is ProofKind.PROBE_DENIED:
                return self._probe(handle, None)
            if kind is ProofKind.TTL_DENIED and handle.ends_at is not None:
                return self._probe(handle, handle.ends_at)
        except ProviderError as error:
            return Reading(ProofOutcome.UNKNOWN, 0, 0, None, f"AWS could not be asked: {error}")
        return Reading(ProofOutcome.UNKNOWN, 0, 0, None, f"AWS cannot be asked for {kind} of this grant")

    def collect(self, handle: Handle) -> None:
        """Delete the grant's Deny; already gone is success."""
        name, role = documents.revoke_name(handle.grant_id), _role_name(handle.plan)
        delete = self._clients.get("iam", "revoker").delete_role_policy
        error = tried(lambda: delete(RoleName=role, PolicyName=name))[1]
        if error is not None and _code(error) != "NoSuchEntity":
            raise trouble(error)

    def leftovers(self, plan: Plan) -> list[str]:
        """Return the ids whose Deny stands on the plan's role, page by page."""
        pages = self._clients.get("iam", "revoker").get_paginator("list_role_policies")
        listed, error = tried(lambda: list(pages.paginate(RoleName=_role_name(plan))))
        if error is not None:
            raise trouble(error)
        names = (name for page in listed for name in page["PolicyNames"])
        return [grant for name in names if (grant := documents.revoked_id(name)) is not None]

    def _read_expiry(self, handle: Handle) -> Reading:
        if handle.expiration is None:
            return Reading(ProofOutcome.UNKNOWN, 0, 0, None, "no expiry is recorded for this grant")
        there = self._aws_time(time.monotonic() + START_CALLS_WITHIN_SECONDS)
        expiry = documents.iam_time(handle.expiration)
        times = f"AWS's clock reads {documents.iam_time(there)}, the session expires {expiry}"
        if there > handle.expiration:
            return Reading(ProofOutcome.PROVEN, 0, 0, self._now(), times)
        return Reading(ProofOutcome.STILL_ACTIVE, 0, 0, None, times)

    def _probe(self, handle: Handle, ends_at: datetime | None) -> Reading:
        """Ask with a twin under the grant's tag (and TTL stamp, if given) and a control under a fresh one."""
        until = time.monotonic() + START_CALLS_WITHIN_SECONDS
        fresh = f"control-{secrets.token_hex(13)}"
        twin_policy, control_policy = documents.probe_policy(ends_at), documents.probe_policy()
        asks = (
            _Ask(documents.probe_name(handle.grant_id), handle.grant_id, twin_policy),
            _Ask(documents.control_name(fresh), fresh, control_policy),
        )
        twin, control = (self._asker(self._assume(handle.plan, ask, until)) for ask in asks)
        return read(twin, control, self._pace, now=self._now, sleep=self._sleep)

    def _asker(self, answer: Sdk) -> Callable[[], Told]:
        """Return a question that the minted probe session asks."""
        client = self._clients.of_session("ec2", secret_of(answer))
        return lambda: _told(client.describe_regions)

    def _assume(self, plan: Plan, ask: _Ask, until: float) -> Sdk:
        outside = {"ExternalId": plan.external_id} if plan.external_id else {}
        assume = self._clients.get("sts", "minter").assume_role
        return self._again_if_not_sent(
            lambda: assume(
                RoleArn=plan.role_arn,
                RoleSessionName=ask.name,
                SourceIdentity=ask.name,
                Tags=[{"Key": documents.GRANT_TAG, "Value": ask.tag}],
                Policy=ask.policy,
                DurationSeconds=ask.seconds,
                **outside,
            ),
            until,
        )

    def _aws_time(self, until: float) -> datetime:
        """Read AWS's clock, to the second; as nothing is issued here, any failure but a no counts as not sent."""
        identity = self._clients.get("sts", "minter").get_caller_identity
        try:
            answer = self._again_if_not_sent(identity, until)
            return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).astimezone(UTC)
        except OutcomeUnknown as error:
            text = str(error)
        except (KeyError, ValueError):
            text = "AWS's answer had no date"
        raise NotSent(text)

    def _again_if_not_sent(self, call: Callable[[], Sdk], until: float) -> Sdk:
        """Try up to three times, but never again once AWS may have acted.

        The SDK's own retries are off for the minter: they would hide an unknown outcome behind a later refusal.
        """
        for pause in (*_RETRY_PAUSES, None):
            if time.monotonic() > until:
                raise NotSent("AWS answers too slowly to begin a call")
            answer, error = tried(call)
            if error is None:
                return answer
            found = trouble(error)
            if pause is None or not isinstance(found, NotSent):
                raise found
            self._sleep(pause)
        raise AssertionError("unreachable: the last try raises or returns")


class Clients:
    """Keep one SDK client per service and identity; making one is slow and not thread-safe, using one is safe."""

    def __init__(self, access: AwsAccess) -> None:
        for name in ("boto3", "botocore", "urllib3"):
            logger = logging.getLogger(name)
            logger.setLevel(max(logging.INFO, logger.level))
        self._access = access
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], Sdk] = {}
        self._sessions: dict[str, Session] = {}

    def get(self, service: str, who: str) -> Sdk:
        """Return the kept client of `minter` or `revoker`."""
        with self._lock:
            if (service, who) not in self._kept:
                identity = self._access.minter if who == "minter" else self._access.revoker
                attempts = 1 if who == "minter" else 3
                self._kept[service, who] = self._make(service, identity, attempts)
            return self._kept[service, who]

    def of_session(self, service: str, secret: Secret, region: str | None = None, attempts: int = 1) -> Sdk:
        """Return a new client that speaks with a minted session; once, as a probe is asked again anyway."""
        with self._lock:
            who = Identity(Keys(secret.access_key_id, secret.secret_access_key))
            return self._make(service, who, attempts, secret.session_token, region)

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
    return Session(botocore_session=botocore.session.Session(session_vars=unread))


def tried(call: Callable[[], Sdk]) -> tuple[Sdk, Exception | None]:
    """Call the SDK; return its answer or its error, so that ours is raised without the SDK's frames behind it."""
    try:
        return call(), None
    except Exception as error:  # not only the SDK's own: its parsers let a KeyError through for an odd answer
        return None, error


def trouble(error: Exception) -> ProviderError:
    """Say which of our answers an SDK error is; what is not surely a no, and not surely unsent, is unknown."""
    if isinstance(error, ClientError):
        text = f"AWS said {_code(error)}: {_words(error)}"
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if _LATER.fullmatch(_code(error)) or status == 429:
            return NotSent(text)
        return Refused(text) if 400 <= status < 500 else OutcomeUnknown(text)
    if isinstance(error, ParamValidationError):
        return Refused("the AWS SDK found the request invalid and did not send it")
    text = str(error) if isinstance(error, _SAFE_TEXT) else f"the AWS SDK failed with {type(error).__name__}"
    return NotSent(text) if isinstance(error, _NO_ROAD + _NO_NAME) else OutcomeUnknown(text)


def _told(call: Callable[[], Sdk]) -> Told:
    error = tried(call)[1]
    if error is None:
        return Told(Answer.ALLOWED)
    if not isinstance(error, ClientError):
        return Told(Answer.UNCLEAR, str(trouble(error)))
    words = f"{_code(error)}: {_words(error)}"
    explicit = _code(error) in _DENIED and "explicit deny" in error.response.get("Error", {}).get("Message", "")
    return Told(Answer.EXPLICIT_DENY if explicit else Answer.UNCLEAR, words)


def _code(error: Exception | None) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def _words(error: ClientError) -> str:
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


def _role_name(plan: Plan) -> str:
    return plan.role_arn.rpartition("/")[2]
