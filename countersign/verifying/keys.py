"""Know which keys count, and for which part of the log: those that were given, and those that they handed over to.

A new key counts only where a record names both, and both have signed one checkpoint; the old one counts up to that.
So whoever was given any one of the keys can verify the whole log.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from countersign.verifying.core import CHECKPOINTS, RECORDS, Key, Note, lines, parsed
from countersign.verifying.findings import Finding, Wrong


class Rotation(NamedTuple):
    """A record that says that another key signs from now on: its position, and both keys as they are handed out."""

    position: int
    old: str
    new: str


class Ring:
    """Hold the keys that count."""

    def __init__(self, given: Sequence[Key], rotations: Sequence[Rotation], notes: Sequence[Note]) -> None:
        """Begin with the given keys and take in those that they hand over to, or that handed over to them."""
        self._until: dict[Key, int] = {}
        self._keys = list(given)
        waiting = list(rotations)
        while taken := [one for one in waiting if self._take(one, notes)]:
            waiting = [one for one in waiting if one not in taken]

    @property
    def keys(self) -> tuple[Key, ...]:
        """Return every key that counts for some part of the log."""
        return tuple(self._keys)

    def at(self, size: int) -> list[Key]:
        """Return the keys that count for what was signed at that size."""
        return [key for key in self._keys if size <= self._until.get(key, size)]

    def _take(self, one: Rotation, notes: Sequence[Note]) -> bool:
        try:
            old, new = Key.parse(one.old), Key.parse(one.new)
        except ValueError:
            return False
        if not {old, new}.intersection(self._keys):
            return False
        for note in notes:
            if note.size >= one.position and _both(note, old, new):
                self._until[old] = note.size
                self._keys += [key for key in (old, new) if key not in self._keys]
                return True
        return False


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


def check_notes(notes: Sequence[tuple[int, Note]], ring: Ring, origin: str) -> Iterator[Finding]:
    """Find checkpoints of another log, and such as no key that counts there has signed."""
    last = -1
    for line, note in notes:
        if note.origin != origin:
            yield Finding(CHECKPOINTS, line, "unknown_key", f"it is a checkpoint of another log, {note.origin}")
        if note.size <= last:
            yield Finding(CHECKPOINTS, line, "bad_line", f"its size {note.size:,} comes after {last:,}")
        last = note.size
        try:
            if not note.signed_by(ring.at(note.size)):
                names = ", ".join(name for name, _, _ in note.signatures)
                yield Finding(CHECKPOINTS, line, "unknown_key", f"no key that counts here has signed it, only {names}")
        except ValueError as error:
            yield Finding(CHECKPOINTS, line, "bad_signature", str(error))
