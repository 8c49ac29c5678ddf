"""Put together what looks at the records beside their bytes: schema, story, replay, and what is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from approvers import records
from countersign.verifying.core import RECORDS, Seen, Tree
from countersign.verifying.findings import Finding
from countersign.verifying.folder import BASE, open_export, read_base
from countersign.verifying.replaying import Replay
from countersign.verifying.replaying_rules import beside
from countersign.verifying.story import Story

SKIPPED = "Not decided once more"
"""The headline of what could not be replayed, by type and reason: nothing of it is guessed."""


class Schema:
    """Hold each record against the schema of its type."""

    def feed(self, seen: Seen) -> Iterator[Finding]:
        """Take the next record; yield what it should not hold."""
        try:
            records.check(seen.record if seen.stored is None else seen.stored)
        except records.NotASchema as error:
            yield Finding(RECORDS, seen.line, "bad_record", str(error))

    def end(self) -> Iterator[Finding]:
        """Yield nothing: a record stands for itself."""
        yield from ()


class Beginning:
    """Hold where the log begins against what it tells of itself: that records were taken out is a record, too."""

    def __init__(self, export: Path) -> None:
        """Take the folder: what lies below its first record is in `base.json`."""
        self._export = export
        self._told: dict[int, str] = {}

    def feed(self, seen: Seen) -> Iterator[Finding]:
        """Take the next record."""
        if seen.record["type"] == "log.truncated":
            self._told[seen.record["data"].get("size")] = seen.record["data"].get("root")
        yield from ()

    def end(self) -> Iterator[Finding]:
        """Find a beginning that no record tells of."""
        base = read_base(open_export(self._export))
        if base.size and self._told.get(base.size) != Tree(base.size, base.peaks).root().hex():
            what = f"records 1 to {base.size:,} are not here, and no record says so (log.truncated)"
            yield Finding(BASE, 1, "bad_story", what)


class Ends:
    """Count grants, and how they ended: by the kind of proof, or how else."""

    def __init__(self) -> None:
        self.grants: Counter[str] = Counter()

    def feed(self, seen: Seen) -> Iterator[Finding]:
        """Take the next record."""
        kind, data = seen.record["type"], seen.record["data"]
        if kind == "grant.opened":
            self.grants["opened"] += 1
        elif kind == "grant.revoked":
            proof = data.get("proof")
            found = proof.get("kind") if isinstance(proof, Mapping) else None
            self.grants[f"ended, proof: {found}"] += 1
        elif kind.startswith("grant.") and data.get("state") == "FAILED":
            self.grants["never minted"] += 1
        yield from ()

    def end(self) -> Iterator[Finding]:
        """Yield nothing: this only counts."""
        yield from ()


class Checks:
    """Everything that looks at the records of one export; `all` goes into `verify`, `told` into its report."""

    def __init__(self, export: Path) -> None:
        """Take the folder, for rules that were applied before its first record."""
        self._story, self._replay, self._ends = Story(), Replay(beside(export)), Ends()
        # the replay before the story: of a forged decision it says first that it does not follow from its policy
        self.all = (Schema(), self._replay, self._story, self._ends, Beginning(export))

    def told(self) -> dict[str, Mapping[str, int]]:
        """Return what was counted, by headline."""
        return {
            "Decided once more, with the same outcome": self._replay.replayed,
            SKIPPED: self._replay.skipped,
            "Grants": self._ends.grants,
            "How requests ended": self._story.ended,
        }

    @property
    def replayed(self) -> int:
        """Return how many decisions were made once more."""
        return self._replay.replayed.total()
