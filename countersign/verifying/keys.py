"""Know which keys count, and for which part of the log: those that were given, and those that they handed over to.

A new key counts only where a record names both, and both have signed one checkpoint; the old one counts up to that.
So whoever was given any one of the keys can verify the whole log.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from countersign.verifying.core import RECORDS, Key, Note, lines, parsed
from countersign.verifying.findings import Wrong


class Rotation(NamedTuple):
    """A record that says that another key signs from now on: its position, and both keys as they are handed out."""

    position: int
    old: str
    new: str


class Handover(NamedTuple):
    """What a rotation comes to: the old key counts up to a size, at which both have signed."""

    rotation: Rotation
    old: Key
    new: Key
    size: int


class Ring:
    """Hold the keys that count."""

    def __init__(self, given: Sequence[Key], rotations: Sequence[Rotation], notes: Iterable[Note]) -> None:
        """Begin with the given keys and take in those that they hand over to, or that handed over to them.

        The notes are gone through once, and only where a rotation is announced.
        """
        self._until: dict[Key, int] = {}
        self._keys = list(given)
        waiting = list(_handovers(rotations, notes))
        while taken := [one for one in waiting if self._take(one)]:
            waiting = [one for one in waiting if one not in taken]

    @property
    def keys(self) -> tuple[Key, ...]:
        """Return every key that counts for some part of the log."""
        return tuple(self._keys)

    def at(self, size: int) -> list[Key]:
        """Return the keys that count for what was signed at that size."""
        return [key for key in self._keys if size <= self._until.get(key, size)]

    def _take(self, one: Handover) -> bool:
        if one.old not in self._keys and one.new not in self._keys:
            return False
        self._until[one.old] = one.size
        self._keys += [key for key in (one.old, one.new) if key not in self._keys]
        return True


def _handovers(rotations: Sequence[Rotation], notes: Iterable[Note]) -> Iterator[Handover]:
    """Yield the rotations that both keys have signed, in their order, each with the size of the first such note."""
    pairs = {one: pair for one in rotations if (pair := _pair(one)) is not None}
    sizes: dict[Rotation, int] = {}
    for note in notes if pairs else ():
        for one in pairs.keys() - sizes.keys():
            if note.size >= one.position and _both(note, *pairs[one]):
                sizes[one] = note.size
        if len(sizes) == len(pairs):
            break
    for one, pair in pairs.items():
        if one in sizes:
            yield Handover(one, *pair, sizes[one])


def _pair(one: Rotation) -> tuple[Key, Key] | None:
    try:
        return Key.parse(one.old), Key.parse(one.new)
    except ValueError:
        return None


def _both(note: Note, old: Key, new: Key) -> bool:
    try:
        return {old, new} <= {*note.signed_by([old, new])}
    except ValueError:
        return False


def announced(records: Path, base: int) -> list[Rotation]:
    """Return what the records say of new keys; the first one here is at position `base` + 1. Raises Wrong."""
    with records.open("rb") as file:
        return [
            one for line, body in lines(file, RECORDS) if b'"type":"key.rotated"' in body
            for one in _announced(base + line, line, body)
        ]  # fmt: skip


def _announced(position: int, line: int, body: bytes) -> Iterator[Rotation]:
    try:
        record = parsed(body)
    except ValueError as error:
        raise Wrong(RECORDS, line, "not_canonical", str(error)) from error
    if record["type"] == "key.rotated":
        yield Rotation(position, str(record["data"].get("old")), str(record["data"].get("new")))
