"""Write a signed token: a compact JWS (RFC 7515) by Ed25519, through whatever holds the key.

Written here, because PyJWT signs with keys that it is given, and ours may be one that nobody is given.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from approvers.audit import canonical
from approvers.notes import key_id
from workers.signing import Signer

ALGORITHM = "EdDSA"
"""The name that verifiers know; few know the newer `Ed25519`."""


def compact(claims: Mapping[str, Any], kind: str, signer: Signer) -> str:
    """Return the token; `kind` is its `typ`, and its `kid` the id of the signer's key, in hex."""
    header = {"alg": ALGORITHM, "kid": kid(signer), "typ": kind}
    signed = f"{_text(canonical(header))}.{_text(canonical(dict(claims)))}"
    return f"{signed}.{_text(signer.sign(signed.encode()))}"


def kid(signer: Signer) -> str:
    """Return the id of the signer's key, as in its verifier key."""
    return key_id(signer.name, signer.public).hex()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
