"""Flip bytes spread over all files of an export, or with `FLIPS=all` every one, and keep what was not noticed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from countersign.verifying.core import Key
from tests.countersign.verifying.flipping import Flip, flips

ALL = os.environ.get("FLIPS") == "all"
SECONDS = 7200 if ALL else 180
"""How long a test may take that flips."""


@dataclass
class Flipped:
    """What became of the flips: how many by file, which went unseen, and for which another file was named."""

    total: int
    by_file: Counter[str] = field(default_factory=Counter)
    unseen: list[Flip] = field(default_factory=list)
    elsewhere: list[Flip] = field(default_factory=list)

    def __str__(self) -> str:
        files = ", ".join(f"{name} {count:,}" for name, count in sorted(self.by_file.items()))
        return f"bytes flipped: {self.by_file.total():,} of {self.total:,} ({files}); undetected: {len(self.unseen)}"


def flip_some(export: Path, keys: Sequence[Key], scratch: Path, some: int) -> Flipped:
    """Flip about so many bytes, one after the other; all of them with `FLIPS=all`."""
    found = Flipped(sum(path.stat().st_size for path in export.rglob("*") if path.is_file()))
    for flip in flips(export, keys, scratch, step=1 if ALL else max(1, found.total // some)):
        found.by_file[flip.file.partition("/")[0]] += 1
        if flip.found is None:
            found.unseen.append(flip)
        elif flip.found.file != flip.file:
            found.elsewhere.append(flip)
    assert found.by_file.keys() == {one.name for one in export.iterdir()}, "a file was left out"
    return found
