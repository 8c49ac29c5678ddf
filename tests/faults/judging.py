"""Judge what AWS and the public API show, whatever the product believes of itself.

Nothing of the product is imported: credentials are those that the gates saw pass, tried with a signature of the
judge's own at AWS itself; ends are those that the minted policies say; records are the API's. Times are AWS's own.
"""

from __future__ import annotations

import hashlib
import json
import re
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import parse_qs, urlencode

from tests.faults.signing import Keys, ask

ENDED = ("REVOKED", "FAILED")
AT_REST = ("ACTIVE", *ENDED)
KEPT = timedelta(minutes=10)
"""How long past the last expiry a Deny stays; clocks here are up to five minutes apart."""
APART = timedelta(minutes=5, seconds=5)
OBJECT = "/customer-exports/2026/report.csv"
ROLE = "countersign-base-analytics"
ROOT: Keys = ("test", "test", None)
"""The local AWS's built-in administrator."""


class Seen(Protocol):
    """A call as a gate saw it."""

    name: str
    request: Any
    answer: bytes | None
    status: int | None


class Sighted(Protocol):
    """A call with what its grant's record said when it came."""

    @property
    def action(self) -> str: ...
    @property
    def grant(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def at_aws(self) -> datetime: ...


@dataclass(frozen=True)
class Session:
    """One session that AWS issued for a grant's caller, also where the answer was never delivered."""

    grant: str
    key: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    expiration: datetime
    ttl_end: datetime


@dataclass
class Verdict:
    """What was looked at, and what is wrong."""

    tried: int = 0
    alive: int = 0
    chains: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Verdict) -> None:
        """Take in another look."""
        self.tried, self.alive, self.chains = (
            self.tried + other.tried,
            self.alive + other.alive,
            self.chains + other.chains,
        )
        self.wrong += [line for line in other.wrong if line not in self.wrong]


def sessions(calls: Iterable[Seen]) -> list[Session]:
    """Return every caller session among the calls; twins, controls and the product's own are left out."""
    found = []
    for call in calls:
        if call.name != "sts:AssumeRole" or call.status != 200 or call.answer is None:
            continue
        form = {name: values[0] for name, values in parse_qs(call.request.decode()).items()}
        name = re.fullmatch(r"grant-(grt_[0-9A-Z]{26})", form["RoleSessionName"])
        end = re.search(r'"DateGreaterThan": ?{"aws:CurrentTime": ?"([^"]+)"}', form.get("Policy", ""))
        if name:
            assert end, f"the session of {name[1]} has no end in its policy"
            found.append(_session(name[1], call.answer, _moment(end[1])))
    return found


class AwsWitness:
    """Ask AWS, as a caller with a credential and as its administrator."""

    def __init__(self, url: str) -> None:
        self._url = url

    def now(self) -> datetime:
        """Return what AWS's clock shows: the Date of an answer."""
        with urllib.request.urlopen(f"{self._url}/_ministack/health", timeout=20) as answer:
            return parsedate_to_datetime(answer.headers["Date"]).astimezone(UTC)

    def alive(self, session: Session) -> bool:
        """Try to read the object that the grant was for; anything but a yes or a proper no is the judge's own error."""
        status, body = self._ask("GET", OBJECT, b"", (session.key, session.secret, session.token), "s3")
        refused = re.search(rb"<Code>(AccessDenied|ExpiredToken|InvalidAccessKeyId|InvalidToken)</Code>", body)
        assert status == 200 or refused, f"AWS answered the try with {status}: {body!r}"
        return status == 200

    def denies(self) -> set[str]:
        """Return the grants whose Deny stands."""
        found, more = set[str](), {"Action": "ListRolePolicies", "Version": "2010-05-08", "RoleName": ROLE}
        while more:
            status, body = self._ask("POST", "/", urlencode(more).encode(), ROOT, "iam")
            assert status == 200, body
            found |= set(re.findall(r"countersign-revoke-(grt_[0-9A-Z]{26})", body.decode()))
            marker = re.search(rb"<Marker>(.*?)</Marker>", body)
            more = {**more, "Marker": marker[1].decode()} if marker else {}
        return found

    def remove_deny(self, grant: str) -> bool:
        """Take a Deny away behind the product's back; tell whether it stood."""
        form = {"Action": "DeleteRolePolicy", "Version": "2010-05-08", "RoleName": ROLE}
        named = urlencode({**form, "PolicyName": f"countersign-revoke-{grant}"}).encode()
        return self._ask("POST", "/", named, ROOT, "iam")[0] == 200

    def _ask(self, method: str, path: str, body: bytes, keys: Keys, service: str) -> tuple[int, bytes]:
        return ask(method, self._url + path, body, keys, service, self.now())


def judge_sessions(
    aws: AwsWitness,
    issued: Sequence[Session],
    grants: Mapping[str, Mapping[str, Any]],
    collected: Mapping[str, str],
    state_now: Callable[[str], str],
) -> Verdict:
    """Try every session: dead after its end and where its grant has ended, alive where its grant is and was collected.

    Args:
        issued: what the gates saw.
        grants: by id, as the API tells them.
        collected: the access key that each caller has collected, by grant.
        state_now: where a grant stands by now; it may have moved on while its credential was tried.
    """
    verdict, living = Verdict(), dict[str, list[str]]()
    for session in issued:
        if (grant := grants.get(session.grant)) is None:
            verdict.wrong.append(f"a session was issued for {session.grant}, which has no grant")
            continue
        before = aws.now()
        alive = aws.alive(session)
        verdict.tried, verdict.alive = verdict.tried + 1, verdict.alive + alive
        where = f"a credential of {session.grant} ({grant['state']})"
        if alive:
            living.setdefault(session.grant, []).append(session.key)
            if before > session.ttl_end + timedelta(seconds=1):
                verdict.wrong.append(f"{where} is alive past its end")
            if grant["state"] in ENDED:
                verdict.wrong.append(f"{where} is alive")
        elif grant["state"] == "ACTIVE" and collected.get(session.grant) == session.key:  # noqa: SIM102 two thoughts
            if aws.now() < session.ttl_end and state_now(session.grant) == "ACTIVE":
                verdict.wrong.append(f"{where} is dead before its end")
    twice = [f"{len(keys)} credentials of {grant} are alive" for grant, keys in living.items() if len(keys) > 1]
    verdict.wrong += twice
    return verdict


def judge_rest(grants: Mapping[str, Mapping[str, Any]], ttl_ends: Mapping[str, datetime], now: datetime) -> list[str]:
    """Name the grants that are stuck on their way, or ACTIVE past their end."""
    stuck = [
        f"{name} is stuck in {grant['state']}: {grant.get('trouble')}"
        for name, grant in grants.items()
        if grant["state"] not in AT_REST
    ]
    late = [
        f"{name} is ACTIVE {now - end} after its end"
        for name, end in ttl_ends.items()
        if grants[name]["state"] == "ACTIVE" and now > end + timedelta(seconds=30)
    ]
    return stuck + late


def judge_denies(
    standing: set[str],
    stories: Mapping[str, Sequence[Mapping[str, Any]]],
    grants: Mapping[str, Any],
    issued: Sequence[Session],
    now: datetime,
) -> list[str]:
    """Compare the Denies at AWS with what the records say should stand.

    One that is gone where nothing can live any more is being collected: its record comes after it.

    Args:
        standing: grants whose Deny stands.
        stories: audit records by grant.
        issued: what the gates saw.
        now: what AWS's clock showed before it was asked what stands.
    """
    wrong, kept = [], {one.grant for one in issued if now < one.expiration + KEPT - APART}
    for name, story in stories.items():
        types = {record["type"] for record in story}
        proof = (grants[name].get("proof") or {}).get("kind")
        if proof == "probe_denied" and "grant.collected" not in types and name in kept - standing:
            wrong.append(f"the Deny of {name} is missing")
        if name in standing and (grants[name]["state"] not in ("REVOKING", "REVOKED") or "grant.collected" in types):
            wrong.append(f"a Deny of {name} stands, and its record says {grants[name]['state']}")
    wrong += [f"a Deny of {name} stands, which has no grant" for name in standing - set(stories)]
    return wrong


def judge_order(sightings: Iterable[Sighted], issued: Sequence[Session]) -> list[str]:
    """Find effects that came before their intent was on record, and Denies removed while a session could live."""
    latest: dict[str, datetime] = {}
    for session in issued:
        latest[session.grant] = max(latest.get(session.grant, session.expiration), session.expiration)
    wrong = []
    for one in sightings:
        if one.action == "AssumeRole" and one.state in ("PENDING", "none"):
            wrong.append(f"AWS was asked for a credential of {one.grant}, and its record said {one.state}")
        if one.action == "PutRolePolicy" and one.state in ("PENDING", "MINTING", "ACTIVE", "none"):
            wrong.append(f"a Deny of {one.grant} was written, and its record said {one.state}")
        if one.action == "DeleteRolePolicy" and one.grant in latest and one.at_aws < latest[one.grant] + KEPT - APART:
            wrong.append(f"the Deny of {one.grant} was removed before its credential had surely expired")
    return wrong


def judge_story(subject: str, bodies: Sequence[str], ttl_seconds: int) -> list[str]:
    """Check one chain: whole, in an order that makes sense, its ends proven and in time."""
    wrong, before, states = [], "", list[str]()
    for number, body in enumerate(bodies, 1):
        record = json.loads(body)
        if (record["subject"], record["n"], record["prev"]) != (subject, number, before):
            wrong.append(f"record {number} of {subject} does not continue its chain")
        before = hashlib.sha256(body.encode()).hexdigest()
        data = record["data"]
        if not record["type"].startswith("grant.") or "state" not in data:
            continue
        wrong += _move(subject, states[-1] if states else "", data, record["type"], ttl_seconds)
        states.append(data["state"])
    return wrong


FOLLOWS = {
    "": ("PENDING", "MINTING", "REVOKED", "FAILED"),
    "PENDING": ("PENDING", "MINTING", "REVOKED", "FAILED"),
    "MINTING": ("PENDING", "ACTIVE", "REVOKING", "FAILED"),
    "ACTIVE": ("ACTIVE", "REVOKING"),
    "REVOKING": ("REVOKING", "REVOKED"),
    "REVOKED": ("REVOKED",),
    "FAILED": ("FAILED",),
}
"""What may follow what in a chain; written down here anew, on purpose. ACTIVE repeats when its end is warned of."""


def _move(subject: str, last: str, data: Mapping[str, Any], kind: str, ttl_seconds: int) -> list[str]:
    state, wrong = data["state"], []
    if state not in FOLLOWS[last]:
        wrong.append(f"the chain of {subject} goes from {last or 'nothing'} to {state} by {kind}")
    if state == "REVOKED" and not data.get("proof", {}).get("kind"):
        wrong.append(f"the chain of {subject} says REVOKED without proof")
    if data.get("minted_at") and data.get("ends_at"):
        length = _moment(data["ends_at"]) - _moment(data["minted_at"])
        if length > timedelta(seconds=ttl_seconds) + APART:
            wrong.append(f"the grant of {subject} was to live {length}, and {ttl_seconds} s were approved")
    return wrong


def _session(grant: str, answer: bytes, ttl_end: datetime) -> Session:
    found = {element.tag.rpartition("}")[2]: element.text or "" for element in ET.fromstring(answer).iter()}
    secret, token = found["SecretAccessKey"], found["SessionToken"]
    return Session(grant, found["AccessKeyId"], secret, token, _moment(found["Expiration"]), ttl_end)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
