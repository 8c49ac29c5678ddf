"""Read the checkpoints beside the records, one at a time: however many there are, memory does not grow with them."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from countersign.verifying import core
from countersign.verifying.core import CHECKPOINTS, Note
from countersign.verifying.findings import Finding, Wrong
from countersign.verifying.keys import Ring

MOST_LINES = 4 + core.MOST_SIGNATURES
"""A checkpoint is origin, size, root, an empty line, signatures."""


class Noted(NamedTuple):
    """A checkpoint, and the line where it begins."""

    line: int
    note: Note


class Checkpoints:
    """Compare checkpoints with the log. `found` is what is wrong with them in themselves, `newest` the largest size.

    They are written in the order of their sizes. One out of that order is known from the beginning, so that its root is
    compared all the same; the log is not whole then.
    """

    def __init__(self, path: Path) -> None:
        """Look through the file for what is out of order. Raises Wrong: a checkpoint is none."""
        self._all, self._strays = notes_in(path), dict[int, Noted]()
        self.found: list[Finding] = []
        self.count, self.newest, self.at_base = 0, -1, False
        highest = -1
        for one in notes_in(path):
            self.count += 1
            if one.note.size <= highest:
                self._strays[one.note.size] = one
            highest = max(highest, one.note.size)

    @property
    def wanted(self) -> set[int]:
        """Return the sizes whose roots are asked for in the end."""
        return {*self._strays}

    def begin(self, ring: Ring, origin: str, base: int) -> None:
        """Read it again, with the keys that count in the log named `origin`, whose first `base` records were dropped.

        Raises Wrong.
        """
        self._ring, self._origin, self._base = ring, origin, base
        self._passed, self._last = list[Noted](), -1
        self._next = self._read()

    def at(self, size: int) -> Noted | None:
        """Return the checkpoint of a size, if there is one; to be asked for one size after the other. Raises Wrong."""
        while self._next is not None and self._next.note.size < size:
            if self._next.note.size == self._base or self._next.note.size in self._strays:
                self._passed.append(self._next)
            self._next = self._read()
        here = self._next if self._next is not None and self._next.note.size == size else None
        return self._strays.get(size, here)

    def end(self, size: int, roots: Mapping[int, bytes]) -> Iterator[Finding]:
        """Find checkpoints that the log, which has that size and these roots, does not bear out. Raises Wrong."""
        for line, note in self._rest():
            if note.size > size:
                what = f"{note.size:,} records were signed, and the log has {size:,}: it was cut"
                yield Finding(CHECKPOINTS, line, "cut", what)
            elif note.size in roots and roots[note.size] != note.root:
                yield Finding(CHECKPOINTS, line, "wrong_root", f"at size {note.size:,} the log has another root")
        if self._strays and not self.found:
            raise Wrong(CHECKPOINTS, None, "bad_file", "it was changed while it was read")

    def close(self) -> None:
        """Close the file."""
        self._all.close()

    def _rest(self) -> Iterator[Noted]:
        yield from self._passed
        while self._next is not None:
            yield self._next
            self._next = self._read()

    def _read(self) -> Noted | None:
        one = next(self._all, None)
        if one is not None:
            self.found += self._check(*one)
            self._last = size = one.note.size
            self.newest, self.at_base = max(self.newest, size), self.at_base or size == self._base
        return one

    def _check(self, line: int, note: Note) -> Iterator[Finding]:
        """Find that it is of another log, out of order, or signed by no key that counts there."""
        if note.origin != self._origin:
            yield Finding(CHECKPOINTS, line, "unknown_key", f"it is a checkpoint of another log, {note.origin}")
        if note.size <= self._last:
            yield Finding(CHECKPOINTS, line, "bad_line", f"its size {note.size:,} comes after {self._last:,}")
        try:
            if not note.signed_by(self._ring.at(note.size)):
                names = ", ".join(name for name, _, _ in note.signatures)
                yield Finding(CHECKPOINTS, line, "unknown_key", f"no key that counts here has signed it, only {names}")
        except ValueError as error:
            yield Finding(CHECKPOINTS, line, "bad_signature", str(error))


def notes_in(path: Path) -> Generator[Noted, None, None]:
    """Yield each checkpoint of a file. Raises Wrong: one is none."""
    begun, part = 1, list[str]()
    with path.open("rb") as file:
        for number, raw in core.lines(file, CHECKPOINTS):
            line = raw.decode("utf-8", "replace")
            whole = not line and any(one.startswith("\u2014 ") for one in part)
            if not whole and len(part) <= MOST_LINES:
                part.append(line)
                continue
            yield Noted(begun, _note_in(begun, part))
            begun, part = number + 1, []
    if part:
        raise Wrong(CHECKPOINTS, begun, "bad_line", "the last checkpoint is not whole: the file was cut")


def _note_in(begun: int, part: Sequence[str]) -> Note:
    try:
        return core.read_note("".join(f"{line}\n" for line in part))
    except ValueError as error:
        raise Wrong(CHECKPOINTS, begun, "bad_line", str(error)) from error
