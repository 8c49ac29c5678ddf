"""Flip every byte of every file of an export, one after the other, and see that it is noticed, and where."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from countersign.verifying.core import Key
from countersign.verifying.findings import Finding, Unreadable
from countersign.verifying.verify import Check, verify


class Flip(NamedTuple):
    """One flipped byte: in which file, in which line, and what was found first (None: nothing)."""

    file: str
    at: int
    line: int
    found: Finding | None


def flips(
    export: Path, keys: Sequence[Key], scratch: Path, *, step: int = 1, checks: Sequence[Check] = ()
) -> Iterator[Flip]:  # fmt: skip
    """Flip a bit of every `step`-th byte of each file in a copy, verify, and put it back."""
    copy = scratch / "flipped"
    shutil.copytree(export, copy)
    for path in sorted(one for one in copy.rglob("*") if one.is_file()):
        original = path.read_bytes()
        name = path.relative_to(copy).as_posix()
        for at in range(0, len(original), step):
            path.write_bytes(original[:at] + bytes([original[at] ^ 1]) + original[at + 1 :])
            yield Flip(name, at, original.count(b"\n", 0, at) + 1, _found(copy, keys, checks))
        path.write_bytes(original)
    shutil.rmtree(copy)


def _found(copy: Path, keys: Sequence[Key], checks: Sequence[Check]) -> Finding | None:
    try:
        found = verify(copy, keys, checks=checks)
    except Unreadable as error:
        return Finding(str(error), None, "bad_file", "")
    return next((one for one in found.findings if one.grave), None)
