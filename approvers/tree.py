"""Fix a whole log in one hash: the Merkle tree of RFC 6962 over the stored bytes of its records.

`tree_root` is the definition; a `Frontier` keeps the same root up to date, one leaf at a time, with at most log2(n)
hashes. Nothing is ever serialised again to be hashed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

HASH_BYTES = 32
EMPTY = hashlib.sha256(b"").digest()
"""The root of no leaves at all."""


def leaf_hash(body: bytes) -> bytes:
    """Return the hash (32 bytes) of one record's stored bytes."""
    return hashlib.sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees; its prefix keeps a node from posing as a leaf."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes, by the definition: the left subtree is the largest full one."""
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node_hash(tree_root(leaves[:split]), tree_root(leaves[split:]))


@dataclass
class Frontier:
    """Keep the root of a growing log.

    Attributes:
        size: how many leaves there are.
        peaks: roots of the full subtrees, the largest first: one for each bit that is set in `size`.
    """

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.peaks) != self.size.bit_count():
            raise ValueError(f"{len(self.peaks)} peaks do not belong to {self.size} leaves")
        if any(len(peak) != HASH_BYTES for peak in self.peaks):
            raise ValueError("a peak is no SHA-256")

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        full = self.size
        while full & 1:  # a peak of equal height stands at the end: merge both
            leaf = node_hash(self.peaks.pop(), leaf)
            full >>= 1
        self.peaks.append(leaf)
        self.size += 1

    def extend(self, bodies: Iterable[bytes]) -> None:
        """Add records, by their stored bytes."""
        for body in bodies:
            self.append(leaf_hash(body))

    def root(self) -> bytes:
        """Return the root at the present size."""
        if not self.peaks:
            return EMPTY
        *rest, root = self.peaks
        for peak in reversed(rest):
            root = node_hash(peak, root)
        return root

    def copy(self) -> Frontier:
        """Return one that grows apart from this."""
        return Frontier(self.size, list(self.peaks))

    def hexes(self) -> list[str]:
        """Return the peaks as text, for a record."""
        return [peak.hex() for peak in self.peaks]

    @classmethod
    def of(cls, size: int, hexes: Iterable[str]) -> Frontier:
        """Return the frontier that a record holds. Raises ValueError if these peaks cannot belong to this size."""
        return cls(size, [bytes.fromhex(peak) for peak in hexes])
