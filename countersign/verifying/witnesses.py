"""Read what others kept of a log: checkpoints, receipts, and the lines that chat messages end with.

Any text will do: a mail, a chat export, a folder of receipts. What is found is compared with the log; it needs no
signature, for whoever kept it knows where it came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from countersign.verifying.core import read_note
from countersign.verifying.findings import Finding, Unreadable
from countersign.verifying.receipts import claims_of

LEAST_HEX = 32
"""Fewer hex digits of a root could be found by trying."""
_CHAT = re.compile(r"Log ([0-9][0-9,._  ]{0,20}) · root ([0-9a-f]{6,64})")
_JWS = re.compile(r"eyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_NOTE = re.compile(r"(?m)^[^\n]+\n[0-9]{1,18}\n[A-Za-z0-9+/=]{44}\n(?:[^\n]+\n)*\n(?:\u2014 [^\n]+\n)+")


class WitnessSaid(NamedTuple):
    """One thing that somebody kept: in which file, and the root (hex, at least its beginning) at a size."""

    file: str
    line: int
    size: int
    root: str


def read_witnesses(paths: list[Path]) -> list[WitnessSaid]:
    """Return all that these files hold. Raises Unreadable: one cannot be read, or holds nothing of the kind."""
    found: list[WitnessSaid] = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise Unreadable(f"the witness {path} cannot be read: {error.strerror}") from error
        here = list(_in(path.name, text))
        if not here:
            raise Unreadable(f"the witness {path} holds no checkpoint, no receipt and no line of a chat message")
        found += here
    return found


def _in(name: str, text: str) -> Iterator[WitnessSaid]:
    for line, match in _found(_CHAT, text):
        if len(match[2]) < LEAST_HEX:
            raise Unreadable(f"{name}: a root of {len(match[2])} digits proves nothing; give at least {LEAST_HEX}")
        yield WitnessSaid(name, line, int(re.sub(r"\D", "", match[1])), match[2])
    for line, match in _found(_NOTE, text):
        try:
            note = read_note(match[0])
        except ValueError:
            continue
        yield WitnessSaid(name, line, note.size, note.root.hex())
    for line, match in _found(_JWS, text):
        try:
            log = claims_of(match[0])["log"]
            yield WitnessSaid(name, line, int(log["size"]), str(log["root"]))
        except (ValueError, KeyError, TypeError):
            continue


def _found(what: re.Pattern[str], text: str) -> Iterator[tuple[int, re.Match[str]]]:
    """Yield each match and its line."""
    line, at = 1, 0
    for match in what.finditer(text):
        line, at = line + text.count("\n", at, match.start()), match.start()
        yield line, match


def check_witnesses(said: list[WitnessSaid], roots: Mapping[int, bytes], size: int, base: int) -> Iterator[Finding]:
    """Find witnesses that this log contradicts; one of what was dropped before `base` cannot be compared."""
    agreed = max((one.size for one in said if _agrees(one, roots)), default=0)
    for one in sorted(said, key=lambda one: one.size):
        if one.size > size:
            what = f"it saw {one.size:,} records, and this log has {size:,}: it was cut"
            yield Finding(one.file, one.line, "cut", what)
        elif one.size >= base and not _agrees(one, roots):
            after = f"after size {agreed:,}" if agreed and agreed < one.size else "before"
            what = f"at size {one.size:,} it saw another root: the log was changed {after}"
            yield Finding(one.file, one.line, "witness_differs", what)


def agreeing(said: list[WitnessSaid], roots: Mapping[int, bytes]) -> tuple[int, int]:
    """Return how many witnesses agree with this log, and the size that the newest of them saw."""
    sizes = [one.size for one in said if _agrees(one, roots)]
    return len(sizes), max(sizes, default=0)


def _agrees(one: WitnessSaid, roots: Mapping[int, bytes]) -> bool:
    return one.size in roots and roots[one.size].hex().startswith(one.root)
