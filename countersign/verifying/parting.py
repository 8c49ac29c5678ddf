"""Compare two exports of one log: they agree as far as both go, or it is said where they part."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from countersign.verifying.core import RECORDS, Tree, lines
from countersign.verifying.findings import Finding, Wrong
from countersign.verifying.folder import BASE, Export, open_export, read_base

Lines = Iterator[tuple[int, bytes]]


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
    trees = _begun(here), _begun(there)
    first = max(tree.size for tree in trees)
    with here.file(RECORDS).open("rb") as one, there.file(RECORDS).open("rb") as other:
        ours, theirs = lines(one, RECORDS), lines(other, RECORDS)
        for export, tree, found in ((here, trees[0], ours), (there, trees[1], theirs)):
            if not _reaches(tree, found, first):
                what = f"{export.path} ends at record {tree.size:,}, and the other one begins behind {first:,}: a gap"
                yield Finding(BASE, 1, "cut", what)
                return
        if trees[0].root() != trees[1].root():
            what = f"{there.path} has another root at size {first:,}, where one of the two begins: they disagree"
            yield Finding(BASE, 1, "witness_differs", what)
            return
        yield from _compared(there, first, ours, theirs)


def _begun(export: Export) -> Tree:
    """Return the tree below an export's first record. Raises Wrong."""
    base = read_base(export)
    try:
        return Tree(base.size, base.peaks)
    except ValueError as error:
        raise Wrong(BASE, 1, "bad_file", str(error)) from error


def _reaches(tree: Tree, found: Lines, size: int) -> bool:
    """Add records until the tree has that size; False: there are not so many."""
    while tree.size < size:
        line = next(found, None)
        if line is None:
            return False
        tree.add(line[1])
    return True


def _compared(there: Export, first: int, ours: Lines, theirs: Lines) -> Iterator[Finding]:
    for position, ((line, body), (their_line, their_body)) in enumerate(zip(ours, theirs, strict=False), first + 1):
        if body != their_body:
            what = (
                f"{there.path} has another record here (its line {their_line:,}): two exports that disagree. They "
                f"agree up to size {position - 1:,}; which one was changed, a witness of a later size shows"
            )
            yield Finding(RECORDS, line, "witness_differs", what)
            return
