"""Be the forger who holds the real key: change an export's records, and make everything that rests on them anew.

Chains, roots, checkpoints, receipts (with what the changed log bears out) and the manifest all fit afterwards.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from approvers.audit import canonical
from approvers.checkpoint import Checkpoint
from approvers.tree import Frontier
from countersign.verifying.core import Seen
from countersign.verifying.decisions import Decisions
from tests.countersign.verifying.retelling import Record, chained
from tests.worlds.signing import KEY, LOG
from workers import jws
from workers.signing import signed

Forge = Callable[[list[Record]], None]
TYP = "countersign-receipt+jwt"


def records_of(export: Path) -> list[Record]:
    """Return an export's records."""
    return [json.loads(line) for line in (export / "records.jsonl").read_bytes().splitlines()]


def forged(export: Path, to: Path, forge: Forge) -> Path:
    """Copy an export, forge its records in place, and write and sign all the rest anew."""
    shutil.copytree(export, to)
    records = records_of(export)
    before = [id(one) for one in records]
    kept = list(records)  # so that no record's id is given to another
    forge(records)
    seen = chained(records)
    (to / "records.jsonl").write_bytes(b"".join(one.body + b"\n" for one in seen))
    sizes = _sizes(before, [id(one) for one in records])
    assert len(kept) == len(before)
    roots = _roots(seen)
    _checkpoints(to, [sizes[size] for size in _signed_sizes(export)], roots)
    _receipts(export, to, seen, sizes, roots)
    _manifest(to, len(seen), roots[len(seen)])
    return to


def _sizes(before: Sequence[int], after: Sequence[int]) -> dict[int, int]:
    """Return where the log now is that was of a size: up to the same record, or the end."""
    places = {one: place for place, one in enumerate(after, 1)}
    sizes, last = {}, 0
    for size, one in enumerate(before, 1):
        last = sizes[size] = places.get(one, last)
    return {**sizes, len(before): len(after)}


def _roots(seen: Sequence[Seen]) -> list[bytes]:
    frontier = Frontier()
    roots = [frontier.root()]
    for one in seen:
        frontier.extend([one.body])
        roots.append(frontier.root())
    return roots


def _signed_sizes(export: Path) -> list[int]:
    notes = (export / "checkpoints.txt").read_text().split(f"{LOG}\n")[1:]
    return [int(note.partition("\n")[0]) for note in notes]


def _checkpoints(to: Path, sizes: Sequence[int], roots: Sequence[bytes]) -> None:
    notes = [signed(Checkpoint(LOG, size, roots[size]).text(), KEY) for size in sizes]
    (to / "checkpoints.txt").write_text("".join(f"{note}\n" for note in notes))


def _receipts(export: Path, to: Path, seen: Sequence[Seen], sizes: dict[int, int], roots: Sequence[bytes]) -> None:
    """Sign every receipt anew, with what the log now bears out."""
    decisions = Decisions()
    for one in seen:
        decisions.follow(one)
    lines = []
    for line in (export / "receipts.txt").read_text().splitlines():
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(line.split(".")[1] + "=="))
        decided = decisions.take(claims["sub"])
        assert decided is not None
        told = {**decided.claims, "reviewers": [_bare(one) for one in decided.claims["reviewers"]]}
        size = sizes[claims["log"]["size"]]
        until = datetime.fromisoformat(decided.at) + timedelta(minutes=15)
        exp = claims["exp"] if claims["decision"] == told["decision"] else int(until.timestamp())
        said = {**claims, **told, "exp": exp, "log": {"size": size, "root": roots[size].hex()}}
        lines.append((size, claims["sub"], jws.compact(said, TYP, KEY)))
    (to / "receipts.txt").write_text("".join(f"{line}\n" for _, _, line in sorted(lines)))


def _bare(reviewer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in reviewer.items() if value is not None}


def _manifest(to: Path, size: int, root: bytes) -> None:
    manifest = json.loads((to / "manifest.json").read_bytes())
    del manifest["sha256"]
    for name in manifest["files"]:
        raw = (to / name).read_bytes()
        manifest["files"][name] = {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    manifest["log"] = {"checkpoint": size, "records": size, "root": root.hex()}
    own = hashlib.sha256(canonical(manifest)).hexdigest()
    (to / "manifest.json").write_bytes(canonical({**manifest, "sha256": own}) + b"\n")
