"""Mint and end AWS sessions.

One AssumeRole per grant on a boundary-capped base role. AWS's own clock ends the session at its TTL; one inline Deny on
the role ends it early; both are seen through a twin session, never assumed.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from approvers.grant import Plan, ProofKind
from workers.providers import documents
from workers.providers.access import AwsAccess, Identity, Keys
from workers.providers.aws_sdk import Clients, Sdk, code, keys_only_session, secret_of, told, tried, trouble
from workers.providers.expiries import Readings
from workers.providers.plans import AWS_CAPS
from workers.providers.port import (
    Caps,
    Handle,
    Minted,
    NoRoom,
    NotSent,
    OutcomeUnknown,
    ProofOutcome,
    ProviderError,
    Reading,
    Refused,
    RoleLook,
    check_in_time,
)
from workers.providers.probing import Pace, Told, read
from workers.providers.steady import Steady

__all__ = ["AwsAccess", "AwsProvider", "Clients", "Identity", "Keys", "Sdk", "keys_only_session", "secret_of", "tried",
           "trouble"]  # fmt: skip

MIN_SESSION_SECONDS = 900
"""The shortest session that STS issues; the TTL Deny makes shorter grants true."""
START_CALLS_WITHIN_SECONDS = 7.0
"""No call of a mint starts later than this: with 2 s to connect and 5 s to answer, a mint ends within 15 s."""
_RETRY_PAUSES = (0.2, 0.5)


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
        now: Callable[[], datetime] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.caps = caps
        self._clients = Clients(access)
        self._pace, self._now, self._sleep = pace, now or Steady(), sleep
        self._readings = Readings()

    def mint(self, grant_id: str, plan: Plan, not_after: datetime | None = None) -> Minted:
        """Issue a session for exactly the plan, its end stamped by AWS's clock: two calls.

        Whoever stands still between the two sends a stamp from before it: that session ends no later for it.
        """
        until = time.monotonic() + START_CALLS_WITHIN_SECONDS
        there = self._aws_time(until)
        check_in_time(there, not_after)
        ends_at = there + timedelta(seconds=plan.ttl_seconds)
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
        error = self._iam(
            handle.plan, lambda iam: iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=document)
        )[1]
        if code(error) == "LimitExceeded":
            raise NoRoom(
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
            silent = isinstance(error, NotSent | OutcomeUnknown)
            return Reading(ProofOutcome.UNKNOWN, 0, 0, None, f"AWS could not be asked: {error}", unanswered=silent)
        return Reading(ProofOutcome.UNKNOWN, 0, 0, None, f"AWS cannot be asked for {kind} of this grant")

    def collect(self, handle: Handle) -> None:
        """Delete the grant's Deny; already gone is success."""
        name, role = documents.revoke_name(handle.grant_id), _role_name(handle.plan)
        error = self._iam(handle.plan, lambda iam: iam.delete_role_policy(RoleName=role, PolicyName=name))[1]
        if error is not None and code(error) != "NoSuchEntity":
            raise trouble(error)

    def leftovers(self, plan: Plan) -> list[str]:
        """Return the ids whose Deny stands on the plan's role, page by page."""
        names, error = self._inline(plan)
        if error is not None:
            raise trouble(error)
        return [grant for name in names if (grant := documents.revoked_id(name)) is not None]

    def look(self, plan: Plan, texts: Sequence[str]) -> RoleLook:
        """Look at the role as it is: two calls, and one for each text that is to be compared."""
        names, error = self._inline(plan)
        if code(error) == "NoSuchEntity":
            return RoleLook(gone=True)
        if error is not None:
            raise trouble(error)
        denies = [grant for name in names if (grant := documents.revoked_id(name)) is not None]
        changed = [grant for grant in texts if grant in denies and self._is_changed(plan, grant)]
        foreign = [one for one in names if documents.revoked_id(one) is None and one != documents.REVOKE_ALL]
        return RoleLook(
            denies=denies,
            changed=changed,
            everyone=documents.REVOKE_ALL in names,
            weak=[*self._weak(plan), *_foreign(sorted(foreign))],
        )

    def _weak(self, plan: Plan) -> list[str]:
        """Say what of a base role would let a session out; a revoker that may not read it hides no missing Deny."""
        answer, error = self._iam(plan, lambda iam: iam.get_role(RoleName=_role_name(plan)))
        if error is None:
            return _weaknesses(answer["Role"])
        if isinstance(problem := trouble(error), Refused):
            return [f"whether it still has its boundary cannot be read ({problem}): the revoker needs iam:GetRole"]
        raise problem

    def _iam(self, plan: Plan, call: Callable[[Sdk], Sdk]) -> tuple[Sdk, Exception | None]:
        """Call IAM as the revoker of the plan's account."""
        return self._clients.as_revoker("iam", plan.revoker_arn, call)

    def _inline(self, plan: Plan) -> tuple[list[str], Exception | None]:
        """Return the names of the role's inline policies, from every page."""
        role = _role_name(plan)
        listed, error = self._iam(
            plan, lambda iam: list(iam.get_paginator("list_role_policies").paginate(RoleName=role))
        )
        return [name for page in listed or () for name in page["PolicyNames"]], error

    def _is_changed(self, plan: Plan, grant_id: str) -> bool:
        """Tell whether the Deny of a grant is not the one that we write; one that has just gone is."""
        name, role = documents.revoke_name(grant_id), _role_name(plan)
        answer, error = self._iam(plan, lambda iam: iam.get_role_policy(RoleName=role, PolicyName=name))
        if error is not None and code(error) != "NoSuchEntity":
            raise trouble(error)
        return error is not None or answer["PolicyDocument"] != json.loads(documents.revoke_policy(grant_id))

    def _read_expiry(self, handle: Handle) -> Reading:
        if handle.expiration is None:
            return Reading(ProofOutcome.UNKNOWN, 0, 0, None, "no expiry is recorded for this grant")
        until = time.monotonic() + START_CALLS_WITHIN_SECONDS
        there = self._readings.past(handle.expiration, lambda: self._aws_time(until))
        expiry = documents.iam_time(handle.expiration)
        times = f"AWS's clock reads {documents.iam_time(there)}, the session expires {expiry}"
        if there > handle.expiration:
            return Reading(ProofOutcome.PROVEN, 0, 0, there, times, read_at=there)
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
        return lambda: told(client.describe_regions)

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


def _role_name(plan: Plan) -> str:
    return plan.role_arn.rpartition("/")[2]


def _weaknesses(role: Sdk) -> list[str]:
    """Say what of a base role would let a session out."""
    found = []
    if not role.get("PermissionsBoundary"):
        found.append("it has no permissions boundary: its sessions can take other roles, and lift their own Deny")
    if any(tag["Key"] == documents.GRANT_TAG for tag in role.get("Tags", ())):
        found.append(f"it is tagged {documents.GRANT_TAG} itself: sessions without a grant pass")
    return found


def _foreign(policies: Sequence[str]) -> list[str]:
    """Say which inline policies take the room of a role's Denies."""
    if not policies:
        return []
    named = ", ".join(policies[:3]) + (" …" if len(policies) > 3 else "")
    return [f"it has inline policies that are not ours ({named}): they take the room of its Denies"]
