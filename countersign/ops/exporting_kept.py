"""Read what an older export in the folder holds: since the log was truncated, the store may no longer have it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

from approvers.checkpoint import read_checkpoint
from countersign.ops.exporting_records import blocks

SIGNED = b"\xe2\x80\x94 "
"""What a line of a signature begins with."""


def receipts(path: Path) -> Iterator[tuple[str, int, str]]:
    """Yield (request, size, receipt); what is none is passed over, for the store's own takes its place."""
    for line in _lines(path):
        try:
            payload = line.split(b".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
            yield str(claims["sub"]), int(claims["log"]["size"]), line.decode("ascii")
        except (IndexError, KeyError, TypeError, ValueError):
            continue


def notes(path: Path, below: int) -> Iterator[tuple[int, str]]:
    """Yield (size, note) of the checkpoints of a log of fewer records than that."""
    part: list[bytes] = []
    for line in _lines(path):
        if line or not (part and part[-1].startswith(SIGNED)):
            part.append(line)
            continue
        note, part = b"".join(b"%s\n" % one for one in part), []
        try:
            size = read_checkpoint(note.decode()).size
        except ValueError:
            continue
        if size < below:
            yield size, note.decode()


def texts(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (commitment, line) of each text."""
    for line in _lines(path):
        try:
            yield str(json.loads(line)["sha256"]), line + b"\n"
        except (KeyError, TypeError, ValueError):
            continue


def _lines(path: Path) -> Iterator[bytes]:
    if path.exists():
        for lines in blocks(path):
            yield from lines
