"""Open a credential that was sealed to our own key: HPKE base mode, bound to the grant and to the caller's principal.

The worker seals, only the holder of the private key opens: not the queue, the store or the web process between them.
"""

from __future__ import annotations

import base64
import binascii

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from countersign.errors import CannotOpen

SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_128_GCM)


def new_key() -> X25519PrivateKey:
    """Make a key pair for one request."""
    return X25519PrivateKey.generate()


def public_text(private: X25519PrivateKey) -> str:
    """Return the public half as the `public_key` field wants it: 32 raw bytes in base64."""
    return base64.b64encode(private.public_key().public_bytes_raw()).decode()


def info_for(grant_id: str, principal: str) -> bytes:
    """Return what a sealed credential is bound to; neither id may hold `|`."""
    return f"countersign/1|{grant_id}|{principal}".encode()


def open_(private: X25519PrivateKey, sealed: str, info: bytes) -> bytes:
    """Open base64 of the encapsulated key followed by the ciphertext.

    Raises:
        CannotOpen: another key, another grant, another caller, or changed on the way.
    """
    try:
        return SUITE.decrypt(base64.b64decode(sealed, validate=True), private, info)
    except (InvalidTag, ValueError, binascii.Error) as error:
        raise CannotOpen(
            "The credential is sealed to another key (another process asked first, or this one was restarted), or was "
            "changed on the way. Release the grant and ask again, or give the client a lasting `delivery_key`."
        ) from error
