"""Seal credentials so that only their recipient can open them, and make and hash what callers sign in with.

The worker seals with HPKE (RFC 9180: X25519, HKDF-SHA256, AES-128-GCM) to the caller's public key, else to the web
process's delivery key, and cannot read it back. The seal is bound to the grant and to the caller's principal: opened
for another grant, for another caller or after a flipped bit, it does not open at all.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
import sys
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from approvers.errors import CountersignError, Inadmissible
from approvers.times import stamp
from workers.providers.port import Secret

SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)
ENCAPSULATED_BYTES = 32
"""HPKE's answer is the encapsulated key, this long, and then the ciphertext."""
TokenKind = Literal["key", "session", "link"]
_PREFIXES: dict[TokenKind, str] = {"key": "cs_", "session": "css_", "link": "csl_"}


class SealBroken(CountersignError):
    """The sealed credential does not open: another grant, another caller, another key, or it was changed."""

    code = "seal_broken"


@dataclass(frozen=True)
class DeliveryKey:
    """Hold an X25519 private key; its repr says nothing."""

    private: X25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        """Make a new key."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the base64 form that `text` writes. Raises ValueError, without the text, for anything else."""
        return cls(X25519PrivateKey.from_private_bytes(_decode(text)))

    @property
    def text(self) -> str:
        """Spell the private key in base64, for `COUNTERSIGN_DELIVERY_KEY`."""
        return base64.b64encode(self.private.private_bytes_raw()).decode()

    @property
    def public(self) -> bytes:
        """Return the 32 bytes of the public half."""
        return self.private.public_key().public_bytes_raw()

    @property
    def public_text(self) -> str:
        """Spell the public half in base64, for `COUNTERSIGN_DELIVERY_PUBLIC_KEY` or a request's `public_key`."""
        return base64.b64encode(self.public).decode()


def parse_public_key(text: str) -> bytes:
    """Read a base64 X25519 public key and make sure that something can be sealed to it.

    Raises:
        Inadmissible: not base64, not 32 bytes, or a point of small order, to which nothing can be sealed.
    """
    try:
        public = _decode(text)
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:
        raise Inadmissible("not an X25519 public key: give its 32 bytes in base64", field="public_key") from error
    return public


def seal_credential(secret: Secret, recipient_public: bytes, grant_id: str, principal: str) -> bytes:
    """Return the credential's JSON, sealed: 32 bytes of encapsulated key, then the ciphertext.

    Of what is no AWS session, the JSON is its environment in place of the three keys.
    """
    keys = {
        "access_key_id": secret.access_key_id,
        "secret_access_key": secret.secret_access_key,
        "session_token": secret.session_token,
    }
    what = keys if secret.environment is None else {"environment": dict(secret.environment)}
    recipient = X25519PublicKey.from_public_bytes(recipient_public)
    plaintext = json.dumps({**what, "expiration": stamp(secret.expiration)}).encode()
    return SUITE.encrypt(plaintext, recipient, _info(grant_id, principal))


def open_credential(key: DeliveryKey, sealed: bytes, grant_id: str, principal: str) -> dict[str, Any]:
    """Open a sealed credential and return its fields. Raises SealBroken."""
    try:
        plaintext = SUITE.decrypt(sealed, key.private, _info(grant_id, principal))
    except InvalidTag as error:
        raise SealBroken(f"the credential of {grant_id} does not open with this key for {principal}") from error
    opened: dict[str, Any] = json.loads(plaintext)
    return opened


def new_token(kind: TokenKind) -> str:
    """Return a new secret to sign in with: a prefix that names its kind, and 32 random bytes in URL-safe base64."""
    return _PREFIXES[kind] + secrets.token_urlsafe(32)


def new_api_key() -> str:
    """Return a new API key, `cs_…`. It is shown once; only `hash_key` of it is stored."""
    return new_token("key")


def hash_key(token: str) -> str:
    """Return the SHA-256 (hex) under which a key or token is stored; 32 random bytes need no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def _info(grant_id: str, principal: str) -> bytes:
    if "|" in grant_id or "|" in principal:
        raise ValueError("a grant id or principal with '|' in it could be read as another pair")
    return f"countersign/1|{grant_id}|{principal}".encode()


def _decode(text: str) -> bytes:
    """Return the 32 bytes of a key; `from None`, because binascii's error would carry nothing useful."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64") from None
    if len(raw) != ENCAPSULATED_BYTES:
        raise ValueError(f"{len(raw)} bytes instead of 32")
    return raw


def main() -> None:
    """Print a new delivery key as the two settings: the first for web processes alone, the second for workers."""
    key = DeliveryKey.generate()
    sys.stdout.write(f"COUNTERSIGN_DELIVERY_KEY={key.text}\nCOUNTERSIGN_DELIVERY_PUBLIC_KEY={key.public_text}\n")


if __name__ == "__main__":
    main()
