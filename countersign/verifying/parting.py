"""Compare two exports of one log: they agree as far as both go, or it is said where they part."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from countersign.verifying.core import RECORDS, lines
from countersign.verifying.findings import Finding, Wrong
from countersign.verifying.folder import Export, open_export, read_base


def part(ours: Path, theirs: Path) -> Iterator[Finding]:
    """Find where another export differs from this one. Raises Unreadable."""
    try:
        here, there = open_export(ours), open_export(theirs)
        yield from _part(here, there)
    except Wrong as wrong:
        yield wrong.finding


def _part(here: Export, there: Export) -> Iterator[Finding]:
    if here.origin != there.origin:
        yield Finding(str(there.path), None, "witness_differs", f"it is of another log, {there.origin}")
        return
    bases = read_base(here).size, read_base(there).size
    first = max(bases)
    with here.file(RECORDS).open("rb") as one, there.file(RECORDS).open("rb") as other:
        ours = islice(lines(one, RECORDS), first - bases[0], None)
        theirs = islice(lines(other, RECORDS), first - bases[1], None)
        for position, ((line, body), (their_line, their_body)) in enumerate(zip(ours, theirs, strict=False), first + 1):
            if body != their_body:
                what = (
                    f"{there.path} has another record here (its line {their_line:,}): two exports that disagree. They "
                    f"agree up to size {position - 1:,}; which one was changed, a witness of a later size shows"
                )
                yield Finding(RECORDS, line, "witness_differs", what)
                return
