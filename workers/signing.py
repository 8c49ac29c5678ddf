"""Sign the log's checkpoints and receipts with Ed25519. Only the clock holds a key; who faces the internet never does.

`Signer` is the port: a key in this process now, one that never leaves a KMS later. A private key is written
`countersign-signing-key+NAME+BASE64`, where NAME is what it signs as: the log's own name, for its first key.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from approvers.errors import CountersignError
from approvers.notes import KEY_BYTES, PublicKey, Signature, check_name, note
from workers.settings import Settings

PREFIX = "countersign-signing-key"
FORM = f"{PREFIX}+NAME+BASE64"
LONGEST_FILE = 4_096


class SigningKeyTrouble(CountersignError):
    """A signing key cannot be used; the text names the setting and the remedy, never the key."""

    code = "signing_key"


class Signer(Protocol):
    """Sign as somebody: whoever holds the private half."""

    @property
    def name(self) -> str:
        """Return what it signs as."""
        ...

    @property
    def public(self) -> bytes:
        """Return the 32 bytes of the public half."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature, 64 bytes."""
        ...


@dataclass(frozen=True)
class SigningKey:
    """Hold a private key in this process; its repr does not show it."""

    name: str
    private: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def generate(cls, name: str) -> Self:
        """Make a new key. Raises BadNote: nothing can sign under that name."""
        return cls(check_name(name), Ed25519PrivateKey.generate())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `countersign-signing-key+NAME+BASE64`. Raises ValueError, without the text."""
        kind, _, rest = text.strip().partition("+")
        name, _, key = rest.partition("+")
        try:
            seed = base64.b64decode(key, validate=True)
        except (binascii.Error, ValueError):
            seed = b""
        if kind != PREFIX or len(seed) != KEY_BYTES:
            raise ValueError(f"not a signing key, which is written {FORM}") from None
        return cls(check_name(name), Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def text(self) -> str:
        """Spell the private key, for a file or `COUNTERSIGN_SIGNING_KEY`."""
        return f"{PREFIX}+{self.name}+{base64.b64encode(self.private.private_bytes_raw()).decode()}"

    @property
    def public(self) -> bytes:
        """Return the 32 bytes of the public half."""
        return self.private.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature, 64 bytes."""
        return self.private.sign(message)


@dataclass(frozen=True)
class Signers:
    """Hold the key that signs, and, while it takes another's place, that one."""

    current: Signer
    before: Signer | None = None


def public_of(signer: Signer) -> PublicKey:
    """Return a signer's key as verifiers know it."""
    return PublicKey(signer.name, signer.public)


def signed(text: str, *signers: Signer) -> str:
    """Return the text as a signed note. Raises BadNote."""
    return note(text, [Signature(one.name, one.public, one.sign(text.encode())) for one in signers])


def load_signers(settings: Settings) -> Signers:
    """Return the keys that the settings name. Raises SigningKeyTrouble: none, unreadable, or two that contradict."""
    current = _one(settings, "signing_key")
    if current is None:
        raise SigningKeyTrouble(
            "COUNTERSIGN_SIGNING_KEY_FILE is missing: make a key with `countersign keys signing new NAME` and name its "
            "file here"
        )
    before = _one(settings, "signing_key_before")
    if before is not None and public_of(before) == public_of(current):
        raise SigningKeyTrouble("COUNTERSIGN_SIGNING_KEY_BEFORE is the key that signs now: unset it")
    return Signers(current, before)


def _one(settings: Settings, name: str) -> SigningKey | None:
    setting = f"COUNTERSIGN_{name.upper()}"
    given, path = getattr(settings, name), getattr(settings, f"{name}_file")
    if given is not None and path is not None:
        raise SigningKeyTrouble(f"{setting} and {setting}_FILE are both set: unset one of them")
    if path is not None:
        return _from_file(f"{setting}_FILE", path)
    if given is None:
        return None
    try:
        return SigningKey.parse(given.get_secret_value())
    except ValueError:
        raise SigningKeyTrouble(f"{setting} holds no signing key, which is written {FORM}") from None


def _from_file(setting: str, path: Path) -> SigningKey:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(LONGEST_FILE)
    except OSError as error:
        raise SigningKeyTrouble(f"{setting}: {path} cannot be read ({error.strerror})") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SigningKeyTrouble(f"{setting}: others can read or change {path}: chmod 600 it")
    try:
        return SigningKey.parse(text.decode("ascii"))
    except ValueError:  # BadNote and UnicodeDecodeError are, too
        raise SigningKeyTrouble(f"{setting}: {path} holds no signing key, which is written {FORM}") from None
