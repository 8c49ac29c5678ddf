"""Say what a whole log was at one size: three lines that are signed, and that anybody can keep as a witness."""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple

from approvers.notes import BadNote
from approvers.tree import HASH_BYTES

_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")


class Checkpoint(NamedTuple):
    """State the root (32 bytes) that one log had at one size. `origin` names the log, by the name of its first key."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return the three lines that are signed. Raises BadNote."""
        if not self.origin or not self.origin.isprintable():
            raise BadNote("an origin is one line that is not empty")
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def read_checkpoint(note: str) -> Checkpoint:
    """Read the three lines of a note, whoever signed it. Raises BadNote."""
    lines = note.split("\n")
    if len(lines) < 5 or _SIZE.fullmatch(lines[1]) is None:
        raise BadNote("this is no checkpoint: its lines are origin, size and root")
    try:
        root = base64.b64decode(lines[2], validate=True)
    except (binascii.Error, ValueError):
        root = b""
    found = Checkpoint(lines[0], int(lines[1]), root)
    if len(root) != HASH_BYTES or not note.startswith(found.text()):
        raise BadNote("the root of this checkpoint is no SHA-256 in base64")
    return found
