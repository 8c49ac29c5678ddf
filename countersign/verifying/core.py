"""Check the bytes: records in their one form, a chain for each subject, one tree over all, signed at some sizes.

This file can be read in one sitting, and shares no line with what writes the log. What has to hold:

- a record is a line of JSON that RFC 8785 writes in exactly these bytes, without fractions and long numbers;
- the records of one subject count up from 1, and each has the SHA-256 of the one before it (`prev`);
- leaf = SHA-256(0x00 ‖ record), node = SHA-256(0x01 ‖ left ‖ right), the root as in RFC 6962;
- a checkpoint is three lines (origin, size, root in base64) in a C2SP signed note, signed with Ed25519;
- a key is known by four bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from countersign.verifying import canonical
from countersign.verifying.findings import Wrong

RECORDS, CHECKPOINTS = "records.jsonl", "checkpoints.txt"
LONGEST_LINE = 4 << 20
MOST_SIGNATURES = 16
FIELDS = frozenset({"at", "by", "data", "n", "prev", "subject", "type", "v", "via"})
_SIGNATURE = re.compile(r"\u2014 (\S+) ([A-Za-z0-9+/]+={0,2})")
_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")


# ---- lines and records


def lines(file: BinaryIO, name: str) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of each line. Raises Wrong: one is too long, or the last one has no end."""
    number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if not line.endswith(b"\n"):
            why = "is longer than any line can be" if len(line) == LONGEST_LINE else "has no end: the file was cut"
            raise Wrong(name, number, "bad_line", f"the line {why}")
        yield number, line[:-1]


class Seen(NamedTuple):
    """One record as it was read: its position in the log (from 1), its line, its bytes, and what they say.

    `stored` is what they say where texts were put back into `record` afterwards.
    """

    position: int
    line: int
    body: bytes
    record: dict[str, Any]
    stored: dict[str, Any] | None = None


def parsed(body: bytes) -> dict[str, Any]:
    """Return what a record says. Raises ValueError, in words, unless its bytes are the one form of that."""
    try:
        record = canonical.read(body)
    except canonical.OtherForm:
        raise
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON of a record ({type(error).__name__})") from error
    if not isinstance(record, dict) or record.keys() != FIELDS or not _plain(record):
        raise ValueError("it is no record: its fields are not those of one")
    return record


def _plain(record: dict[str, Any]) -> bool:
    texts = all(isinstance(record[name], str) for name in ("at", "prev", "subject", "type", "via"))
    return texts and type(record["n"]) is int and type(record["v"]) is int and isinstance(record["data"], dict)


# ---- chains


class Broken(Wrong):
    """A record does not continue its chain; `before` is the line of the one before it (0: it is not here)."""

    def __init__(self, line: int, what: str, before: int) -> None:
        super().__init__(RECORDS, line, "broken_chain", what)
        self.before = before


class Chains:
    """Follow the chain of each subject; what is kept of each is its last number, hash and line."""

    def __init__(self, heads: dict[str, tuple[int, str]]) -> None:
        """`heads`: where chains stood when the records before the first one here were dropped."""
        self._ends = {subject: (n, bytes.fromhex(prev), 0) for subject, (n, prev) in heads.items()}

    def follow(self, seen: Seen) -> None:
        """Take the next record. Raises Broken if it does not continue its chain."""
        record = seen.record
        n, digest, line = self._ends.get(record["subject"], (0, b"", 0))
        if (record["n"], record["prev"]) != (n + 1, digest.hex()):
            raise Broken(seen.line, _broken(record, n, line), line)
        self._ends[record["subject"]] = n + 1, hashlib.sha256(seen.body).digest(), seen.line

    def __len__(self) -> int:
        return len(self._ends)


def _broken(record: dict[str, Any], n: int, line: int) -> str:
    subject = record["subject"]
    if record["n"] != n + 1:
        before = f"its record {n:,} stands in line {line:,}" if line else "it has none before"
        return f"this is record {record['n']:,} of {subject}, and {before}"
    where = f"in line {line:,}" if line else "before the first one here"
    return f"`prev` is not the hash of the record of {subject} {where}: that one, or this, was changed"


# ---- the tree


class Tree:
    """Keep the root of what was added: one hash for each full subtree, the largest first."""

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        """Begin with nothing, or with full subtrees that are known. Raises ValueError: they do not fit the size."""
        if len(peaks) != size.bit_count() or any(len(peak) != 32 for peak in peaks):
            raise ValueError(f"{len(peaks)} hashes are not the full subtrees of {size} records")
        self.size, self._peaks = size, list(peaks)

    def add(self, body: bytes) -> None:
        """Add one record, by its bytes."""
        node, level = hashlib.sha256(b"\x00" + body).digest(), self.size
        while level % 2:
            node, level = hashlib.sha256(b"\x01" + self._peaks.pop() + node).digest(), level // 2
        self._peaks.append(node)
        self.size += 1

    def root(self) -> bytes:
        """Return the root over all that was added."""
        if not self._peaks:
            return hashlib.sha256(b"").digest()
        root = self._peaks[-1]
        for peak in self._peaks[-2::-1]:
            root = hashlib.sha256(b"\x01" + peak + root).digest()
        return root


# ---- keys, notes, checkpoints


class Key(NamedTuple):
    """A public key and the name that it signs with."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """Return the four bytes that mark its signatures."""
        return hashlib.sha256(self.name.encode() + b"\n\x01" + self.public).digest()[:4]

    @property
    def text(self) -> str:
        """Return it as it is handed out: `name+id+base64`."""
        return "+".join([self.name, self.id.hex(), base64.b64encode(b"\x01" + self.public).decode()])

    @classmethod
    def parse(cls, text: str) -> Key:
        """Read `name+id+base64`. Raises ValueError, in words."""
        name, _, rest = text.partition("+")
        raw = _decoded(rest.partition("+")[2])
        key = cls(name, raw[1:])
        if len(raw) != 33 or not name or any(char.isspace() for char in name) or key.text != text:
            raise ValueError("this is no verifier key, which is written NAME+ID+BASE64")
        return key

    def signed(self, text: bytes, signature: bytes) -> bool:
        """Tell whether this key has signed the text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except InvalidSignature:
            return False
        return True


class Note(NamedTuple):
    """A checkpoint as it was signed: what it says, the signed text, and (name, id, signature) of each signature."""

    origin: str
    size: int
    root: bytes
    text: bytes
    signatures: tuple[tuple[str, bytes, bytes], ...]

    def signed_by(self, keys: Sequence[Key]) -> list[Key]:
        """Return which of the keys signed it. Raises ValueError: a signature that names one of them is not its own."""
        found = []
        for name, id_, signature in self.signatures:
            for key in keys:
                if (key.name, key.id) == (name, id_):
                    if not key.signed(self.text, signature):
                        raise ValueError(f"the signature of {name} is not by the key of that name")
                    found.append(key)
        return found


def read_note(note: str) -> Note:
    """Read a signed checkpoint, in exactly the form of one. Raises ValueError, in words."""
    text, gap, tail = note.rpartition("\n\n")
    head = text.split("\n")
    if not gap or not tail.endswith("\n") or len(head) != 3 or not head[0].isprintable() or not head[0]:
        raise ValueError("this is no checkpoint: origin, size and root, an empty line, signatures")
    root = _decoded(head[2])
    if _SIZE.fullmatch(head[1]) is None or len(root) != 32 or base64.b64encode(root).decode() != head[2]:
        raise ValueError("this is no checkpoint: its size is a number, its root a SHA-256 in base64")
    signatures = [_signature(line) for line in tail[:-1].split("\n")]
    if len(signatures) > MOST_SIGNATURES:
        raise ValueError("this is no checkpoint: it has too many signatures")
    return Note(head[0], int(head[1]), root, f"{text}\n".encode(), tuple(signatures))


def _signature(line: str) -> tuple[str, bytes, bytes]:
    found = _SIGNATURE.fullmatch(line)
    blob = _decoded(found[2]) if found else b""
    if found is None or len(blob) != 68 or base64.b64encode(blob).decode() != found[2]:
        raise ValueError("a line of signatures is none")
    return found[1], blob[:4], blob[4:]


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
