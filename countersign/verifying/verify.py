"""Verify an export: everything follows from the given key and the bytes, or the first line that does not is named.

One pass over the records: bytes, chains, the tree, texts, what they tell, and every decision once more under its own
policy. Then whatever names a root: checkpoints, receipts, witnesses. Then the files, as they were written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NoReturn, Protocol

from countersign.verifying import core, folder, witnesses
from countersign.verifying.checkpoints import Checkpoints, notes_in
from countersign.verifying.core import CHECKPOINTS, RECORDS, Broken, Chains, Key, Note, Seen, Tree
from countersign.verifying.decisions import Decisions
from countersign.verifying.findings import Finding, Wrong
from countersign.verifying.keys import Ring, announced
from countersign.verifying.receipts import RECEIPTS, Receipts
from countersign.verifying.rules import Rules
from countersign.verifying.texts import TEXTS, Texts
from countersign.verifying.witnesses import WitnessSaid

KEYS = "keys.txt"
Moved = Callable[[int, int], None]
"""Told how many records of how many were read."""


class Check(Protocol):
    """Look at the records one by one, texts put back, and say what is wrong."""

    def feed(self, seen: Seen) -> Iterable[Finding]:
        """Take the next record; yield what it shows to be wrong."""
        ...

    def end(self) -> Iterable[Finding]:
        """Yield what is wrong now that no more records come."""
        ...


@dataclass
class Verified:
    """What was looked at, and what was found.

    Attributes:
        counts: how many of what was looked at.
        types: how many records there are of each type.
        agreed: how many witnesses agree, and the size that the newest of them saw.
        told: what else was counted, by headline.
    """

    export: folder.Export
    keys: tuple[str, ...] = ()
    trusted: bool = False
    base: int = 0
    size: int = 0
    root: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    witnesses: int = 0
    agreed: tuple[int, int] = (0, 0)
    findings: list[Finding] = field(default_factory=list)
    told: dict[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Tell whether nothing is wrong; flags are for people to look at."""
        return not any(one.grave for one in self.findings)


def verify(
    path: Path,
    keys: Sequence[Key],
    *,
    witnesses_in: Sequence[Path] = (),
    trust_exported: bool = False,
    checks: Sequence[Check] = (),
    everything: bool = False,
    moved: Moved = lambda _done, _total: None,
) -> Verified:
    """Verify an export.

    Args:
        path: its folder.
        keys: verifier keys, from outside the export.
        witnesses_in: files in which others kept checkpoints, receipts or chat lines.
        trust_exported: take the keys that the export itself names, which proves little.
        checks: what looks at the records besides: the story, the replay.
        everything: go on after the first thing that is wrong.
        moved: told how far it is.

    Raises:
        Unreadable: there is no whole export, or a witness cannot be read.
    """
    said = witnesses.read_witnesses(list(witnesses_in))
    try:
        export = folder.open_export(path)
    except Wrong as wrong:
        return Verified(folder.Export(path, "", 0, 0, "", "", {}), findings=[wrong.finding])
    found = Verified(export, trusted=trust_exported, witnesses=len(said))
    try:
        trusted = _exported(export) if trust_exported else []
    except Wrong as wrong:
        found.findings.append(wrong.finding)
        return found
    run = _Run(export, found, [*keys, *trusted], said, checks=checks, moved=moved)
    for one in run.findings():
        found.findings.append(one)
        if one.grave and not everything:
            break
    return found


def _exported(export: folder.Export) -> list[Key]:
    """Return the keys that the export names itself. Raises Wrong."""
    found = []
    try:
        texts = export.file(KEYS).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise Wrong(KEYS, None, "bad_file", "it is missing, or no text") from error
    for line, text in enumerate(texts, 1):
        try:
            found.append(Key.parse(text))
        except ValueError as error:
            raise Wrong(KEYS, line, "bad_line", str(error)) from error
    return found


class _Run:
    """One verification: what the pass over the records leaves for those after it."""

    def __init__(
        self, export: folder.Export, found: Verified, keys: Sequence[Key], said: list[WitnessSaid],
        *, checks: Sequence[Check], moved: Moved,
    ) -> None:  # fmt: skip
        self._export, self._found, self._given, self._said = export, found, keys, said
        self._checks, self._moved = checks, moved
        self._open = ExitStack()
        self._notes: Checkpoints
        self._wanted: set[int] = set()
        self._roots: dict[int, bytes] = {}
        self._ring = Ring(keys, [], [])
        self._decisions, self._handed = Decisions(), list[Finding]()
        self._rules = Rules()

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong, in the order in which it is looked at."""
        with self._open:
            for step in (self._names, self._prepare, self._records, self._after, self._files):
                try:
                    yield from step()
                except Wrong as wrong:
                    yield wrong.finding
                    return  # what comes after would rest on it

    def _names(self) -> Iterator[Finding]:
        missing = False
        for one in folder.check_names(self._export):
            missing = True
            yield one
        if missing:
            raise Wrong(folder.MANIFEST, 1, "bad_file", "what it names and what is there are not the same files")

    def _prepare(self) -> Iterator[Finding]:
        """Read what names a size whose root is wanted after the records."""
        self._notes = self._open.enter_context(closing(Checkpoints(self._export.file(CHECKPOINTS))))
        self._wanted = self._notes.wanted | {one.size for one in self._said}
        yield from ()

    def _records(self) -> Iterator[Finding]:
        base = folder.read_base(self._export)
        try:
            tree = Tree(base.size, base.peaks)
        except ValueError as error:
            raise Wrong(folder.BASE, 1, "bad_file", str(error)) from error
        rotations = announced(self._export.file(RECORDS), base.size)
        with closing(notes_in(self._export.file(CHECKPOINTS))) as notes:
            self._ring = Ring(self._given, rotations, (one.note for one in notes))
        self._notes.begin(self._ring, self._export.origin, base.size)
        handed = Receipts(self._export.file(RECEIPTS), self._export.origin, self._ring)
        with closing(handed), closing(Texts(self._export.file(TEXTS))) as texts:
            yield from self._read(base, tree, texts, handed)

    def _read(self, base: folder.Base, tree: Tree, texts: Texts, handed: Receipts) -> Iterator[Finding]:
        found, chains = self._found, Chains(dict(base.heads))
        found.base, self._roots[base.size] = base.size, tree.root()
        last = base.size
        handed.begin()
        at = ""
        with self._export.file(RECORDS).open("rb") as file:
            rest = _seen(file, tree.size)
            for seen in rest:
                line, body = seen.line, seen.body
                chains.follow(seen)
                tree.add(body)
                told = texts.told(seen)
                self._note(told)
                for check in self._checks:
                    yield from check.feed(told)
                handed.over(tree, base.size, self._decisions)
                at = told.record["at"]
                if tree.size in self._wanted:
                    self._roots[tree.size] = tree.root()
                if (signed := self._notes.at(tree.size)) is not None:
                    if signed.note.root != tree.root():
                        self._differs(*signed, last - base.size, chains, rest)
                    last = tree.size
                if line % 1_000 == 0:
                    self._moved(line, self._export.records)
        found.size, found.root = tree.size, tree.root().hex()
        found.counts.update(records=tree.size - base.size, subjects=len(chains), texts=texts.count, erased=texts.erased)
        found.counts.update(receipts=handed.count, decisions=self._decisions.count)
        self._handed = [*handed.end(tree.size), *self._decisions.end(at)]
        yield from texts.end()
        for check in self._checks:
            yield from check.end()

    def _differs(self, line: int, note: Note, last: int, chains: Chains, rest: Iterable[Seen]) -> NoReturn:
        """Raise Wrong: the checkpoint was changed, if its signature says so; else a record since the last one.

        Which one, a later record of the same subject may tell, by the hash that it names.
        """
        try:
            note.signed_by(self._given)
        except ValueError as error:
            raise Wrong(CHECKPOINTS, line, "bad_signature", f"{error}: it was changed") from error
        until = note.size - self._found.base
        for seen in rest:
            try:
                chains.follow(seen)
            except Broken as broken:
                if last < broken.before <= until:
                    what = f"it is not the record whose hash line {seen.line:,} names: it was changed, removed or moved"
                    raise Wrong(RECORDS, broken.before, "broken_chain", what) from broken
                break
        raise Wrong(RECORDS, last + 1, "wrong_root", _between(last, until, note.size))

    def _note(self, seen: Seen) -> None:
        """Keep what checkpoints and receipts are compared with."""
        self._found.types[seen.record["type"]] += 1
        self._rules.follow(seen)
        self._decisions.follow(seen)

    def _after(self) -> Iterator[Finding]:
        found = self._found
        found.keys = tuple(key.text for key in self._ring.keys)
        found.counts.update(checkpoints=self._notes.count)
        yield from self._sizes()
        yield from self._notes.found
        yield from self._handed
        yield from witnesses.check_witnesses(self._said, self._roots, found.size, found.base)
        found.agreed = witnesses.agreeing(self._said, self._roots)

    def _sizes(self) -> Iterator[Finding]:
        """Find what the checkpoints and the manifest say of sizes and roots that the records do not bear out."""
        found, export = self._found, self._export
        yield from self._notes.end(found.size, self._roots)
        if (newest := self._notes.newest) < found.size:
            after = f"{max(newest, found.base) + 1:,} to {found.size:,}"
            what = f"records {after} are under no checkpoint: nothing is known of them"
            yield Finding(RECORDS, max(newest - found.base, 0) + 1, "cut", what)
        if found.base and not self._notes.at_base:
            yield Finding(folder.BASE, 1, "unknown_key", "no checkpoint shows what the log was where it was truncated")
        if (export.records, export.checkpoint, export.root) != (found.size - found.base, found.size, found.root):
            yield Finding(folder.MANIFEST, 1, "bad_file", "it names another size or root than the records have")

    def _files(self) -> Iterator[Finding]:
        yield from self._rules.check(self._export.path, truncated=self._found.base > 0)
        yield from folder.check_sums(self._export)


def _seen(file: BinaryIO, base: int) -> Iterator[Seen]:
    """Yield each record. Raises Wrong: a line is not as a record is written."""
    for line, body in core.lines(file, RECORDS):
        try:
            yield Seen(base + line, line, body, core.parsed(body))
        except ValueError as error:
            raise Wrong(RECORDS, line, "not_canonical", str(error)) from error


def _between(last: int, until: int, size: int) -> str:
    return (
        f"lines {last + 1:,} to {until:,} are not what was signed at size {size:,}: one or more of them "
        "were changed, removed, put in or moved"
    )
