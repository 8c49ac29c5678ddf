"""Write logs and exports for the verifier: right ones, and forged ones. Hashes and signatures are made here, anew.

A log is a list of records as plain values; `Log.export` chains, roots and signs it. So a forger's work is one call:
change a record, export again, with the real key or with another.
"""

from __future__ import annotations

import base64
import hashlib
import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ORIGIN = "audit.countersign.invalid/log"
README = "The audit log of a test.\n"
Record = dict[str, Any]


@dataclass(frozen=True)
class Signing:
    """A signing key and the name it signs with."""

    name: str = ORIGIN
    seed: int = 7

    @property
    def private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(bytes([self.seed]) * 32)

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    @property
    def id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n\x01" + self.public).digest()[:4]

    @property
    def text(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes([1]) + self.public).decode()}"


OURS, OTHERS, NEXT = Signing(), Signing(seed=8), Signing("2027.countersign.invalid/log", 9)


def leaf(body: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + body).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root of RFC 6962, level by level."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    level = list(leaves)
    while len(level) > 1:
        pairs = [
            hashlib.sha256(b"\x01" + level[at] + level[at + 1]).digest() if at + 1 < len(level) else level[at]
            for at in range(0, len(level), 2)
        ]
        level = pairs
    return level[0]


def note(size: int, at: bytes, *signers: Signing, origin: str = ORIGIN) -> str:
    text = f"{origin}\n{size}\n{base64.b64encode(at).decode()}\n"
    lines = [
        f"\u2014 {one.name} {base64.b64encode(one.id + one.private.sign(text.encode())).decode()}\n" for one in signers
    ]
    return f"{text}\n{''.join(lines)}"


def jws(claims: Record, signer: Signing) -> str:
    header = {"alg": "EdDSA", "kid": signer.id.hex(), "typ": "countersign-receipt+jwt"}
    parts = [base64.urlsafe_b64encode(rfc8785.dumps(one)).rstrip(b"=") for one in (header, claims)]
    signed = b".".join(parts)
    return f"{signed.decode()}.{base64.urlsafe_b64encode(signer.private.sign(signed)).rstrip(b'=').decode()}"


def chained(records: Iterable[Record]) -> list[bytes]:
    """Number and link the records of each subject, and write them."""
    ends: dict[str, tuple[int, str]] = {}
    bodies = []
    for record in records:
        n, prev = ends.get(record["subject"], (0, ""))
        body = rfc8785.dumps({**record, "n": n + 1, "prev": prev})
        ends[record["subject"]] = n + 1, hashlib.sha256(body).hexdigest()
        bodies.append(body)
    return bodies


@dataclass
class Log:
    """A log as values: records without `n` and `prev`, checkpoint sizes, who signs, receipts by request."""

    records: list[Record] = field(default_factory=list)
    every: int = 250
    signers: Callable[[int], Sequence[Signing]] = lambda _size: (OURS,)
    texts: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    decisions: dict[str, int] = field(default_factory=dict)

    def add(self, subject: str, kind: str, *, by: str | None = None, **data: Any) -> None:
        at = (datetime(2026, 11, 21, 9, tzinfo=UTC) + timedelta(seconds=len(self.records))).strftime("%FT%T.000Z")
        who = {"iss": "countersign", "person": by, "sub": "test"}
        self.records.append({"at": at, "by": who, "data": data, "subject": subject, "type": kind, "v": 2, "via": "api"})

    def typed(self, subject: str, text: str) -> Record:
        """Put a text aside, and return the mark that stands for it."""
        salt = hashlib.sha256(f"{subject} {text} {len(self.texts)}".encode()).digest()
        mark = hashlib.sha256(salt + text.encode()).hexdigest()
        self.texts[mark] = (salt.hex(), subject, text)
        return {"chars": len(text), "text_sha256": mark}

    def copy(self) -> Log:
        return deepcopy(self)

    def bodies(self) -> list[bytes]:
        return chained(self.records)

    def export(self, path: Path, *, bodies: Sequence[bytes] | None = None, **other: Any) -> Export:
        """Write it as an export. `other`: `sizes` of checkpoints in place of the usual ones, `receipts` in theirs."""
        lines = list(self.bodies() if bodies is None else bodies)
        leaves = [leaf(body) for body in lines]
        sizes = other.get("sizes") or sorted({*range(self.every, len(lines) + 1, self.every), len(lines)})
        notes = [note(size, root(leaves[:size]), *self.signers(size)) for size in sizes]
        held = other.get("receipts")
        if held is None:
            held = self.receipts(lines, sizes)
        return write(path, lines, notes, held, list(self.texts.items()))

    def receipts(self, bodies: Sequence[bytes], sizes: Sequence[int]) -> list[str]:
        """Return the receipt of every decision, over the first checkpoint that holds it."""
        digests, leaves, found = {}, [leaf(body) for body in bodies], []
        roots = {size: root(leaves[:size]) for size in sizes}
        people: dict[str, list[Record]] = {}
        for position, body in enumerate(bodies, 1):
            record = json.loads(body)
            subject, data = record["subject"], record["data"]
            if record["type"] == "request.submitted":
                digests[subject] = data
                people[subject] = []
            if record["type"] == "review.recorded":
                people[subject].append({"person": record["by"]["person"], "verdict": data["verdict"]})
            if record["type"] in ("request.approved", "request.denied"):
                size = sizes[bisect_left(sizes, position)]
                one = claims(subject, digests[subject], data, size, roots[size])
                found.append((size, subject, {**one, "reviewers": people[subject]}))
        return [jws(one, self.signers(size)[-1]) for size, _, one in sorted(found, key=lambda one: one[:2])]


def claims(subject: str, asked: Record, decided: Record, size: int, at: bytes) -> Record:
    """Return what the receipt of a decision claims."""
    return {
        "iss": ORIGIN, "sub": subject, "iat": 1_795_000_000, "exp": 1_795_000_900, "decision": decided["state"],
        "because": decided["because"], "action": "s3:GetObject", "resource": "arn:aws:s3:::b/*",
        "action_digest": asked["action_digest"], "granted_digest": None, "policy_sha256": decided["policy_sha256"],
        "rules": [], "reviewers": [], "principal": "caller:bot", "actor": "agent:bot", "grant": None,
        "ttl_seconds": 900, "log": {"size": size, "root": at.hex()},
    }  # fmt: skip


@dataclass(frozen=True)
class Export:
    """A written export, and what of it others may have kept."""

    path: Path
    notes: list[str]
    receipts: list[str]


def write(
    path: Path, bodies: Sequence[bytes], notes: list[str], receipts: list[str],
    texts: Sequence[tuple[str, tuple[str, str, str]]] = (),
) -> Export:  # fmt: skip
    """Write the files of an export, and its manifest last."""
    path.mkdir(parents=True, exist_ok=True)
    files = {
        "records.jsonl": b"".join(body + b"\n" for body in bodies),
        "checkpoints.txt": "".join(f"{one}\n" for one in notes).encode(),
        "receipts.txt": "".join(f"{one}\n" for one in receipts).encode(),
        "texts.jsonl": b"".join(
            rfc8785.dumps({"salt": salt, "sha256": mark, "subject": subject, "text": text}) + b"\n"
            for mark, (salt, subject, text) in texts
        ),
        "keys.txt": f"{OURS.text}\n".encode(),
        "README.txt": README.encode(),
    }
    for name, content in files.items():
        (path / name).write_bytes(content)
    seal(path, bodies)
    return Export(path, notes, receipts)


def seal(path: Path, bodies: Sequence[bytes]) -> None:
    """Write the manifest over what is there, as a forger would, too."""
    sums = {
        one.relative_to(path).as_posix(): {
            "bytes": one.stat().st_size, "sha256": hashlib.sha256(one.read_bytes()).hexdigest()
        }
        for one in sorted(path.rglob("*")) if one.is_file() and one.name != "manifest.json"
    }  # fmt: skip
    log = {"checkpoint": len(bodies), "records": len(bodies), "root": root([leaf(body) for body in bodies]).hex()}
    manifest = {"files": sums, "log": log, "made_at": "2026-11-21T12:00:00.000Z", "origin": ORIGIN, "v": 1}
    own = hashlib.sha256(rfc8785.dumps(manifest)).hexdigest()
    (path / "manifest.json").write_bytes(rfc8785.dumps({**manifest, "sha256": own}) + b"\n")


def requests(count: int, records_each: int = 5, *, every: int = 250) -> Log:
    """Return a log of requests in turn: asked, looked at a few times, approved or denied."""
    log, policy = Log(every=every), hashlib.sha256(b"policy").hexdigest()
    for step in range(records_each):
        for number in range(count):
            subject = f"req_{number:026}"
            if step == 0:
                reason = log.typed(subject, f"reason {number}")
                digest = f"sha256:{hashlib.sha256(str(number).encode()).hexdigest()}"
                ruling = {"policy_sha256": policy}
                log.add(subject, "request.submitted", action_digest=digest, reason=reason, ruling=ruling)
            elif step < records_each - 1:
                log.add(
                    subject,
                    "review.recorded",
                    by=f"user:{step}",
                    verdict="approve" if number % 3 else "deny",
                    step=step,
                )
            else:
                state, kind = ("APPROVED", "request.approved") if number % 3 else ("DENIED", "request.denied")
                log.add(subject, kind, state=state, because="quorum", policy_sha256=policy)
    return log
