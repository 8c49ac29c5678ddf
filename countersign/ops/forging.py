"""Forge an export as somebody would who can write everything in it but signatures: for the demo, to be found out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from approvers.audit import canonical
from approvers.tree import Frontier
from countersign.ops.exporting_folder import MANIFEST, RECORDS


def forge(export: Path, request: str) -> int:
    """Turn a denial into an approval, chain that request's records anew, and put root and sums of the export right.

    Returns the line of the forged record; 0: there is no denial.
    """
    bodies = (export / RECORDS).read_bytes().split(b"\n")[:-1]
    forged, prev = 0, None
    for number, body in enumerate(bodies):
        record = json.loads(body)
        if record["subject"] != request:
            continue
        if prev is not None:
            record["prev"] = prev
        if record["data"].get("verdict") == "deny":
            record["data"]["verdict"], forged = "approve", number + 1
        bodies[number] = canonical(record)
        prev = hashlib.sha256(bodies[number]).hexdigest()
    written = b"".join(body + b"\n" for body in bodies)
    (export / RECORDS).write_bytes(written)
    _name(export / MANIFEST, written, bodies)
    return forged


def _name(manifest: Path, written: bytes, bodies: list[bytes]) -> None:
    """Have the manifest name these records, as if an export had been made of them."""
    found = json.loads(manifest.read_bytes())
    found.pop("sha256")
    tree = Frontier()
    tree.extend(bodies)
    found["files"][RECORDS] = {"bytes": len(written), "sha256": hashlib.sha256(written).hexdigest()}
    found["log"]["root"] = tree.root().hex()
    own = hashlib.sha256(canonical(found)).hexdigest()
    manifest.write_bytes(canonical({**found, "sha256": own}) + b"\n")
