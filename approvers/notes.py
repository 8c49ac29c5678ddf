"""Write what is signed as a C2SP signed note, and name keys as it does. Text and hashes only; signing is elsewhere.

A note is a text, an empty line, and one line for each signature. A key is known by the name that it signs with and by
four bytes of a hash over name and key, so that a note can carry signatures of several keys.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

ED25519 = b"\x01"
"""The byte that stands for Ed25519 in signed notes."""
KEY_BYTES = 32
NAME = re.compile(r"[^\s+]{1,200}")
"""A key's name: no spaces and no plus sign; a log's is like a URL without a scheme."""


class BadNote(ValueError):
    """The text, name or key has not the form of a signed note; it says why."""


class PublicKey(NamedTuple):
    """A key as verifiers know it: the name it signs with, and its 32 bytes."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """Return the four bytes that mark its signatures."""
        return key_id(self.name, self.public)

    @property
    def text(self) -> str:
        """Return the form in which it is handed out: `name+keyid+base64`."""
        return verifier_text(self.name, self.public)


class Signature(NamedTuple):
    """One signature of a note's text."""

    name: str
    public: bytes
    signature: bytes


def key_id(name: str, public: bytes) -> bytes:
    """Return the four bytes that mark a signature as made by this key under this name."""
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + public).digest()[:4]


def check_name(name: str) -> str:
    """Return the name. Raises BadNote unless a key can sign with it."""
    if NAME.fullmatch(name) is None or not name.isprintable():
        raise BadNote("a key's name is 1 to 200 printable characters without spaces and plus signs")
    return name


def verifier_text(name: str, public: bytes) -> str:
    """Return a public key as it is handed out: `name+keyid+base64`. Raises BadNote."""
    check_name(name)
    if len(public) != KEY_BYTES:
        raise BadNote("an Ed25519 key has 32 bytes")
    return f"{name}+{key_id(name, public).hex()}+{base64.b64encode(ED25519 + public).decode()}"


def parse_verifier(text: str) -> PublicKey:
    """Read `name+keyid+base64`. Raises BadNote if it is of another form, or its id is not that of its key."""
    name, _, rest = text.strip().partition("+")
    id_hex, _, key = rest.partition("+")
    try:
        raw = base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if raw[:1] != ED25519 or len(raw) != KEY_BYTES + 1:
        raise BadNote("this is no verifier key; one is written NAME+KEYID+BASE64")
    found = PublicKey(check_name(name), raw[1:])
    if found.text != text.strip():
        raise BadNote(f"the id {id_hex!r} is not that of the key {name}")
    return found


def note(text: str, signatures: Sequence[Signature]) -> str:
    """Return the signed note. Raises BadNote: the text does not end its last line, or nobody signs."""
    if not text.endswith("\n") or any(char < " " and char != "\n" for char in text) or not signatures:
        raise BadNote("a note's text ends with a line feed and has no other control characters, and somebody signs it")
    lines = [
        f"\u2014 {check_name(one.name)} {base64.b64encode(key_id(one.name, one.public) + one.signature).decode()}\n"
        for one in signatures
    ]
    return f"{text}\n{''.join(lines)}"
