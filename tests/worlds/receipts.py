"""Sign receipts with keys made from a seed. Written apart from the product, so that both must agree."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ORIGIN = "receipts.countersign.invalid/log"
HEADER = {"alg": "EdDSA", "typ": "countersign-receipt+jwt"}


@dataclass(frozen=True)
class Key:
    """One signing key; it is a `workers.signing.Signer`."""

    name: str = ORIGIN
    seed: int = 1

    @cached_property
    def private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(bytes([self.seed]) * 32)

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)

    @property
    def id(self) -> str:
        return hashlib.sha256(self.name.encode() + b"\n\x01" + self.public).hexdigest()[:8]

    @property
    def verifier(self) -> str:
        return "+".join((self.name, self.id, base64.b64encode(b"\x01" + self.public).decode()))

    def jws(self, claims: dict[str, Any], **header: Any) -> str:
        """Sign any claims, under our header or another."""
        return self.token({**HEADER, "kid": self.id, **header}, json.dumps(claims).encode())

    def token(self, header: dict[str, Any], payload: bytes) -> str:
        signed = f"{text(json.dumps(header).encode())}.{text(payload)}"
        return f"{signed}.{text(self.sign(signed.encode()))}"


KEY, OTHER = Key(), Key(seed=2)
ROTATED = Key("2027.countersign.invalid/log", seed=3)


def text(raw: bytes) -> str:
    """Return unpadded base64url."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def claims(**changes: Any) -> dict[str, Any]:
    """Return what a good receipt says, signed a minute ago."""
    now = datetime.now(UTC)
    return {
        "iss": ORIGIN,
        "sub": "req_01JD3ZK6B1V6Q0X5R1ZC0W3E7H",
        "iat": int((now - timedelta(minutes=1)).timestamp()),
        "exp": int((now + timedelta(minutes=14)).timestamp()),
        "decision": "APPROVED",
        "because": "quorum",
        "action": "payments:Refund",
        "resource": "order/4711",
        "action_digest": "sha256:" + "a" * 64,
        "granted_digest": None,
        "policy_sha256": "b" * 64,
        "rules": ["refunds"],
        "reviewers": [{"person": "user:robin", "verdict": "approve"}],
        "principal": "caller:report-bot",
        "actor": "agent:report-bot",
        "grant": None,
        "ttl_seconds": 900,
        "log": {"size": 4_711, "root": "c" * 64},
        **changes,
    }
