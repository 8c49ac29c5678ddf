"""Prove of a base role, at the account itself, that no session gets out of it and that every session ends.

`countersign doctor --aws`. It mints three short sessions under ids of its own (`grt_00DOCTOR…`), which hold nothing
outside this process: a wide one that tries every way out (`escaperoutes`), one whose few seconds run out, and one that
a Deny ends. The Deny is collected again at once, though its session would come back to life by that: nobody has it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from approvers.grant import Plan, ProofKind
from approvers.times import spell
from countersign.ops.escaperoutes import BOUNDARY_REMEDY, NOBODY, ROUTES, Route, judge, refused, role_name
from countersign.ops.findings import Finding
from workers.providers import documents
from workers.providers.access import AwsAccess
from workers.providers.aws import AwsProvider
from workers.providers.aws_sdk import Clients, Sdk, told, tried, trouble
from workers.providers.port import Handle, Minted, ProofOutcome, ProviderError, Secret
from workers.providers.probing import Answer

AT_ONCE = 8
"""Roles that are tried side by side, of all accounts."""
WIDE_SECONDS = 600
"""The wide session's own TTL: long enough for every call, and then AWS ends it."""
SHORT_SECONDS = 4
ATTEMPTS = 3
PATIENCE_SECONDS = 120.0
TRUST_REMEDY = "give the role the trust policy of docs/aws.md"
PROBE_REMEDY = (
    f"let the role and its boundary do {documents.PROBE_ACTION}, and keep both Denies as docs/aws.md has them"
)
MINTER_REMEDY = "give the minter the rights of docs/aws.md and no others"
REVOKER_REMEDY = "give the revoker the rights of docs/aws.md and no others"
_NONE = frozenset({"NoSuchEntity"})


@dataclass(frozen=True)
class Ground:
    """What one base role is tried with; `local`: the local AWS, which does not know everything that AWS does."""

    plan: Plan
    clients: Clients
    provider: AwsProvider
    longest: timedelta
    local: bool = False
    short_seconds: int = SHORT_SECONDS
    patience_seconds: float = PATIENCE_SECONDS
    sleep: Callable[[float], None] = field(default=time.sleep)

    def named(self, what: str) -> str:
        """Return how a line about this role begins."""
        return f"{role_name(self.plan)}: {what}"

    def minted(self, actions: Sequence[str], ttl_seconds: int) -> tuple[Handle, Minted]:
        """Mint a session of the doctor's own. Raises ProviderError."""
        grant = f"grt_00DOCTOR{secrets.token_hex(9).upper()}"
        asked = {"actions": tuple(actions), "resources": ("*",), "ttl_seconds": ttl_seconds}
        plan = self.plan.model_copy(update=asked)
        got = self.provider.mint(grant, plan)
        return Handle(grant, plan, got.ends_at, got.expiration), got

    def ask(self, secret: Secret) -> Callable[[], Answer]:
        """Return a question that this session asks: the one harmless read, again where the answer is unclear."""
        client = self.clients.of_session("ec2", secret)

        def ask() -> Answer:
            for _ in range(ATTEMPTS):
                if (answer := told(client.describe_regions).answer) is not Answer.UNCLEAR:
                    break
            return answer

        return ask


def examine(
    access: AwsAccess, plans: Sequence[Plan], longest: timedelta, *, local: bool, **options: Any
) -> list[Finding]:
    """Try every role, several at once; one that cannot be tried says so and holds up no other."""
    clients, provider = Clients(access), AwsProvider(access)
    grounds = [Ground(plan, clients, provider, longest, local, **options) for plan in plans]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [one for found in pool.map(_of_role, grounds) for one in found]


def _of_role(ground: Ground) -> list[Finding]:
    try:
        return of_role(ground)
    except ProviderError as error:
        return [Finding("fail", ground.named("role"), f"it could not be tried: {error}", "check COUNTERSIGN_AWS_*")]


def of_role(ground: Ground) -> list[Finding]:
    """Return every finding about one base role."""
    found = [*setting(ground), *trust(ground), *identities(ground)]
    try:
        wide = ground.minted("*", WIDE_SECONDS)[1].secret
    except ProviderError as error:
        return [*found, Finding("fail", ground.named("mint"), str(error), f"{TRUST_REMEDY}; {MINTER_REMEDY}")]
    if (answer := ground.ask(wide)()) is not Answer.ALLOWED:
        words = f"{documents.PROBE_ACTION} is {answer.value}, so no end could be proven, and nothing else is tried"
        return [*found, Finding("fail", ground.named("probe"), words, PROBE_REMEDY)]
    found += [*routes(ground, wide)]
    for ends in (by_time, by_deny):
        try:
            found.append(ends(ground, wide))
        except ProviderError as error:
            found.append(Finding("fail", ground.named(ends.__name__.replace("_", " ")), str(error), PROBE_REMEDY))
    return found


def setting(ground: Ground) -> Iterator[Finding]:
    """Look at the role as it is set up, as the revoker."""
    name, arn = role_name(ground.plan), ground.plan.revoker_arn
    try:
        got, error = ground.clients.as_revoker("iam", arn, lambda iam: iam.get_role(RoleName=name))
        listed, unread = ground.clients.as_revoker(
            "iam", arn, lambda iam: list(iam.get_paginator("list_role_policies").paginate(RoleName=name))
        )
        problem = trouble(error or unread) if error or unread else None  # type: ignore[arg-type]  # one of them is
    except ProviderError as raised:
        problem = raised
    if problem is not None:
        yield Finding("fail", ground.named("role"), f"the revoker cannot read it: {problem}", REVOKER_REMEDY)
        return
    role, names = got["Role"], [one for page in listed for one in page["PolicyNames"]]
    cap = role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    yield _good(ground, "boundary", bool(cap), str(cap or "there is none"), BOUNDARY_REMEDY)
    tagged = any(tag["Key"] == documents.GRANT_TAG for tag in role.get("Tags", ()))
    words = "the role itself has one, so sessions without a grant pass" if tagged else "not on the role itself"
    yield _good(ground, "grant-id tag", not tagged, words, "take the tag off the role")
    foreign = sorted(one for one in names if one != documents.REVOKE_ALL and documents.revoked_id(one) is None)
    words = ", ".join(foreign) or "none besides Denies"
    yield _good(ground, "inline policies", not foreign, words, "make them managed policies: the room is for Denies")
    most = timedelta(seconds=role.get("MaxSessionDuration", 3_600))
    words = f"{spell(most)}, the longest TTL here is {spell(ground.longest)}"
    yield _good(ground, "longest session", most >= ground.longest, words, "raise the role's maximum session duration")
    if documents.REVOKE_ALL in names:
        words = f"{documents.REVOKE_ALL} stands: every session older than it is refused"
        yield Finding("warn", ground.named("everyone"), words, "delete it once its reason is gone (docs/direct.md)")


def trust(ground: Ground) -> Iterator[Finding]:
    """Ask for sessions, as the minter, that the trust policy must not give; one that is given is dropped at once."""
    tag = {"Key": documents.GRANT_TAG, "Value": NOBODY}
    good = {"RoleSessionName": f"grant-{NOBODY}", "SourceIdentity": f"grant-{NOBODY}", "Tags": [tag]}
    outside = {"ExternalId": ground.plan.external_id} if ground.plan.external_id else {}
    wrong: dict[str, dict[str, Any]] = {
        "untagged session": {**outside, **good, "Tags": []},
        "session of another name": {**outside, **good, "RoleSessionName": NOBODY},
        "second tag": {**outside, **good, "Tags": [tag, {"Key": NOBODY, "Value": "x"}]},
        "other source identity": {**outside, **good, "SourceIdentity": NOBODY},
    }
    if outside:
        wrong["without external id"] = good
    for what, ask in wrong.items():
        error = _assume(ground.clients.get("sts", "minter"), ground.plan, ask)
        if ground.local and what == "other source identity" and error is None:
            words = "the local AWS does not check source identities; try it on the real one"
            yield Finding("unknown", ground.named(what), words)
        else:
            yield refused(ground.named(what), error, frozenset(), TRUST_REMEDY)


def identities(ground: Ground) -> Iterator[Finding]:
    """See that the minter can write nothing and the revoker issue nothing; what is written to does not exist."""
    plan, name = ground.plan, role_name(ground.plan)
    iam = ground.clients.get("iam", "minter")
    error = tried(lambda: iam.delete_role_policy(RoleName=name, PolicyName=NOBODY))[1]
    yield refused(ground.named("minter writes"), error, _NONE, MINTER_REMEDY)
    outside = {"ExternalId": plan.external_id} if plan.external_id else {}
    tag = {"Key": documents.GRANT_TAG, "Value": NOBODY}
    good = {"RoleSessionName": f"grant-{NOBODY}", "SourceIdentity": f"grant-{NOBODY}", "Tags": [tag], **outside}
    untag = {"RoleName": name, "TagKeys": [NOBODY]}
    tries: dict[str, tuple[str, Callable[[Sdk], Sdk]]] = {
        "revoker mints": ("sts", lambda sts: sts.assume_role(RoleArn=plan.role_arn, DurationSeconds=900, **good)),
        "revoker changes roles": ("iam", lambda iam: iam.untag_role(**untag)),
        "revoker writes elsewhere": ("iam", lambda iam: iam.delete_role_policy(RoleName=NOBODY, PolicyName=NOBODY)),
    }
    for what, (service, call) in tries.items():
        yield refused(ground.named(what), _as_revoker(ground, service, call), _NONE, REVOKER_REMEDY)
    yield _unbound(ground)


def routes(ground: Ground, wide: Secret, ways: Sequence[Route] = ROUTES) -> Iterator[Finding]:
    """Try every way out as a session that may do everything its role may."""
    for route in ways:
        error = _as_session(ground, wide, route)
        yield judge(ground.named(route.what), error, route, local=ground.local)


def by_time(ground: Ground, _: Secret) -> Finding:
    """See a session of a few seconds end by AWS's clock, with proof. Raises ProviderError."""
    what, began = ground.named("ends by its time"), time.monotonic()
    handle, got = ground.minted([documents.PROBE_ACTION], ground.short_seconds)
    ask = ground.ask(got.secret)
    if ask() is not Answer.ALLOWED:
        return Finding("unknown", what, "it was refused before its time, which proves nothing", "try again")
    if not _until(ground, lambda: ask() is Answer.EXPLICIT_DENY):
        return Finding("fail", what, f"it still works {_since(began)} after it was issued", PROBE_REMEDY)
    seconds = time.monotonic() - began
    reading = ground.provider.verify(handle, ProofKind.TTL_DENIED)
    if reading.outcome is not ProofOutcome.PROVEN:
        return Finding("unknown", what, reading.detail, "try again")
    return Finding("ok", what, f"issued for {ground.short_seconds} s, refused {seconds:.1f} s after it was asked for")


def by_deny(ground: Ground, wide: Secret) -> Finding:
    """See a session end by its Deny while another lives on, and take the Deny away again. Raises ProviderError."""
    what = ground.named("ends by a Deny")
    handle, got = ground.minted([documents.PROBE_ACTION], WIDE_SECONDS)
    ask = ground.ask(got.secret)
    if ask() is not Answer.ALLOWED:
        return Finding("unknown", what, "it was refused before its Deny, which proves nothing", "try again")
    began = time.monotonic()
    try:
        ground.provider.revoke(handle)
        proven = _until(
            ground, lambda: ground.provider.verify(handle, ProofKind.PROBE_DENIED).outcome is ProofOutcome.PROVEN
        )
        seconds, own, other = time.monotonic() - began, ask(), ground.ask(wide)()
    finally:
        ground.provider.collect(handle)
    if not proven or own is not Answer.EXPLICIT_DENY:
        words = f"not proven within {seconds:.0f} s; the session itself is {own.value}"
        return Finding("fail", what, words, f"{PROBE_REMEDY}; {REVOKER_REMEDY}")
    if other is not Answer.ALLOWED:
        return Finding("fail", what, f"another grant's session is {other.value} by it too", PROBE_REMEDY)
    return Finding("ok", what, f"proven {seconds:.1f} s after it was asked for, while another session lives on")


def _unbound(ground: Ground) -> Finding:
    """Write as the revoker to a base role that is not there, so that has no boundary: the condition must refuse."""
    what, nobody = ground.named("revoker needs the boundary"), f"{documents.ROLE_PREFIX}{NOBODY}"
    if ground.local:
        words = "the local AWS does not know iam:PermissionsBoundary; try it on the real one"
        return Finding("unknown", what, words)
    error = _as_revoker(ground, "iam", lambda iam: iam.delete_role_policy(RoleName=nobody, PolicyName=NOBODY))
    return refused(what, error, _NONE, "tie the revoker's writes to iam:PermissionsBoundary, as docs/aws.md does")


def _as_session(ground: Ground, wide: Secret, route: Route) -> Exception | None:
    try:
        client = ground.clients.of_session(route.service, wide, route.region)
        return tried(lambda: route.call(client, ground.plan))[1]
    except ProviderError as error:
        return error


def _as_revoker(ground: Ground, service: str, call: Callable[[Sdk], Sdk]) -> Exception | None:
    try:
        return ground.clients.as_revoker(service, ground.plan.revoker_arn, call)[1]
    except ProviderError as error:
        return error


def _assume(sts: Sdk, plan: Plan, ask: dict[str, Any]) -> Exception | None:
    """Ask for a session that could do nothing but the harmless read."""
    policy = documents.probe_policy()
    return tried(lambda: sts.assume_role(RoleArn=plan.role_arn, DurationSeconds=900, Policy=policy, **ask))[1]


def _good(ground: Ground, what: str, well: bool, words: str, remedy: str) -> Finding:
    return Finding("ok" if well else "fail", ground.named(what), words, "" if well else remedy)


def _until(ground: Ground, met: Callable[[], bool]) -> bool:
    """Ask until it is met or patience is over."""
    last = time.monotonic() + ground.patience_seconds
    while not met():
        if time.monotonic() > last:
            return False
        ground.sleep(0.3)
    return True


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.0f} s"
