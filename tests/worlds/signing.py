"""A signing key for clocks of tests and benches; it signs nothing that anybody relies on."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from workers.signing import SigningKey, public_of

LOG = "tests.countersign.invalid/log"
KEY = SigningKey(LOG, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
VERIFY_KEY = public_of(KEY).text
CLOCK_ENV = {"COUNTERSIGN_SIGNING_KEY": KEY.text}
"""What a clock needs in its environment, beside the store's address."""
