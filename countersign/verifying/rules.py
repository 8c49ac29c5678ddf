"""Compare the policies and rosters beside the records with those that the records say were applied."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from countersign.verifying.core import RECORDS, Seen
from countersign.verifying.findings import Finding, Wrong
from countersign.verifying.folder import RULES

FOLDERS = {"policy.applied": "policies", "roster.applied": "rosters"}


class Rules:
    """Follow what is applied: each text has the hash that its record names."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        """Which files there must be, and the line of the record that applied them."""

    def follow(self, seen: Seen) -> None:
        """Take the next record. Raises Wrong if it applies another text than it says."""
        folder = FOLDERS.get(seen.record["type"])
        if folder is None:
            return
        data = seen.record["data"]
        sha256 = hashlib.sha256(str(data.get("text")).encode()).hexdigest()
        if sha256 != data.get("sha256"):
            what = "the text of these rules has not the hash that the record names"
            raise Wrong(RECORDS, seen.line, "bad_rules", what)
        self.names.setdefault(f"{folder}/{sha256}.toml", seen.line)

    def check(self, path: Path, *, truncated: bool) -> Iterator[Finding]:
        """Find rules that are missing beside the records, changed, or that nobody applied."""
        there = {one.relative_to(path).as_posix() for one in path.rglob("*.toml")}
        for name in sorted(self.names.keys() - there):
            yield Finding(name, None, "bad_rules", f"it is missing; line {self.names[name]:,} of {RECORDS} applied it")
        for name in sorted(there):
            found = RULES.fullmatch(name)
            if found is None or (name not in self.names and not truncated):
                yield Finding(name, None, "bad_rules", "nobody applied it")
            elif hashlib.sha256((path / name).read_bytes()).hexdigest() != found[2]:
                yield Finding(name, None, "bad_rules", "it is not the text that was applied: it was changed")
