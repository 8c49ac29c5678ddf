"""Open an exported folder: which files there are, and that each is as it was written."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import rfc8785

from countersign.verifying.findings import Finding, Unreadable, Wrong

MANIFEST, BASE = "manifest.json", "base.json"
NEEDED = frozenset({"records.jsonl", "checkpoints.txt", "receipts.txt", "texts.jsonl", "keys.txt", "README.txt"})
RULES = re.compile(r"(policies|rosters)/([0-9a-f]{64})\.toml")
LONGEST_MANIFEST = 64 << 20
_HEX = re.compile(r"[0-9a-f]{64}")


class Base(NamedTuple):
    """What the log was up to where its records were dropped: size, full subtrees, and the ends of chains that go on."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()
    heads: Mapping[str, tuple[int, str]] = {}


class Export(NamedTuple):
    """An export: where it lies, and what its manifest says."""

    path: Path
    origin: str
    records: int
    checkpoint: int
    root: str
    made_at: str
    files: Mapping[str, tuple[int, str]]

    def file(self, name: str) -> Path:
        """Return where a file lies."""
        return self.path / name


def open_export(path: Path) -> Export:
    """Read the manifest. Raises Unreadable: there is none; Wrong: it is not as one is written."""
    if not path.is_dir():
        raise Unreadable(f"{path} is no folder: name that of an export")
    if not (path / MANIFEST).is_file():
        raise Unreadable(f"{path} has no {MANIFEST}: half an export, or none. Export again into it: it resumes")
    raw = _read(path / MANIFEST)
    try:
        found = json.loads(raw)
        log = found["log"]
        files = {str(name): (int(one["bytes"]), str(one["sha256"])) for name, one in found["files"].items()}
        as_written = rfc8785.dumps(found) + b"\n" == raw
        export = Export(
            path, str(found["origin"]), int(log["records"]), int(log["checkpoint"]), str(log["root"]),
            str(found["made_at"]), files,
        )  # fmt: skip
        own = hashlib.sha256(rfc8785.dumps({name: one for name, one in found.items() if name != "sha256"}))
        whole = found.keys() == {"files", "log", "made_at", "origin", "sha256", "v"} and found["v"] == 1
        whole = whole and found["sha256"] == own.hexdigest()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, rfc8785.CanonicalizationError) as error:
        raise Wrong(MANIFEST, 1, "bad_file", "it is no manifest of an export, or not of this version") from error
    if not as_written or not whole or not all(_HEX.fullmatch(sha256) for _, sha256 in files.values()):
        raise Wrong(MANIFEST, 1, "bad_file", "it is not as a manifest is written: it was changed")
    return export


def check_names(export: Export) -> Iterator[Finding]:
    """Find files that are missing, that are not part of an export, or that are no plain files."""
    there = {found.relative_to(export.path).as_posix(): found for found in sorted(export.path.rglob("*"))}
    for name in sorted((NEEDED | export.files.keys()) - there.keys()):
        yield Finding(name, None, "bad_file", "the file is missing")
    for name in sorted(NEEDED - export.files.keys()):
        yield Finding(MANIFEST, 1, "bad_file", f"it does not name {name}")
    for name, found in there.items():
        known = name in NEEDED or name == BASE or RULES.fullmatch(name)
        if found.is_symlink() or not (found.is_file() or (found.is_dir() and name in ("policies", "rosters"))):
            yield Finding(name, None, "bad_file", "it is neither a plain file nor a folder of an export")
        elif found.is_file() and name != MANIFEST and (not known or name not in export.files):
            yield Finding(name, None, "bad_file", "it is not part of this export")


def check_sums(export: Export) -> Iterator[Finding]:
    """Find files that are not as they were written."""
    for name, (size, sha256) in sorted(export.files.items()):
        with export.file(name).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if (export.file(name).stat().st_size, digest) != (size, sha256):
            yield Finding(name, None, "bad_file", "it is not as the manifest says: one of the two was changed")


def read_base(export: Export) -> Base:
    """Return what the log was up to its first record here. Raises Wrong."""
    if BASE not in export.files:
        return Base()
    raw = _read(export.file(BASE))
    try:
        found: dict[str, Any] = json.loads(raw)
        heads = {str(subject): (int(one["n"]), str(one["prev"])) for subject, one in found["heads"].items()}
        base = Base(int(found["size"]), tuple(bytes.fromhex(peak) for peak in found["peaks"]), heads)
        fine = rfc8785.dumps(found) + b"\n" == raw and found.keys() == {"heads", "peaks", "size"}
        fine = fine and all(_HEX.fullmatch(prev) for _, prev in heads.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, rfc8785.CanonicalizationError) as error:
        raise Wrong(BASE, 1, "bad_file", "it is no base of a log") from error
    if not fine:
        raise Wrong(BASE, 1, "bad_file", "it is not as a base is written: it was changed")
    return base


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(min(path.stat().st_size, LONGEST_MANIFEST))
    except OSError as error:
        raise Unreadable(f"{path} cannot be read: {error.strerror}") from error
