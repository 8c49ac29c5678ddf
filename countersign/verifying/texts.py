"""Put texts back in place of the salted hashes that records hold, and check each against its hash.

A text that is not there was erased, or is one that nobody may hand out: the record still proves that it was there, and
how long it was. In its place stands a block for each character, so that a rule on length answers as it did.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from countersign.verifying import canonical
from countersign.verifying.core import LONGEST_LINE, RECORDS, Seen, lines
from countersign.verifying.findings import Finding, Wrong

TEXTS = "texts.jsonl"
MARK = "text_sha256"
NAMED = f'"{MARK}":'.encode()
"""Stands in the bytes of every record that holds a mark."""
ERASED = "\u25a0"
_NESTED = (dict, list)
REMEMBERED = 8_192
"""How many texts are remembered, those that were named last: an export writes what is named again soon only once."""


class Texts:
    """Read the texts beside the records, in their order."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises Wrong: its first line is none."""
        self._file: BinaryIO = path.open("rb")
        self._lines = lines(self._file, TEXTS)
        self._known: OrderedDict[str, str | None] = OrderedDict()
        self.count = self.erased = self._at = 0
        try:
            self._next = self._read()
        except Wrong:
            self.close()
            raise

    def told(self, seen: Seen) -> Seen:
        """Return a record with its texts put back. Raises Wrong."""
        self._at = seen.line
        if NAMED not in seen.body:
            return seen
        return seen._replace(record=self._restored(seen.record), stored=seen.record)

    def _restored(self, value: Any) -> Any:
        """Return a value with its texts put back; what holds none is not copied."""
        if type(value) is dict and MARK in value:
            return self._text(str(value[MARK]), value.get("chars"))
        after = value
        for name, one in value.items() if type(value) is dict else enumerate(value):
            if type(one) in _NESTED and (back := self._restored(one)) is not one:
                after = value.copy() if after is value else after
                after[name] = back
        return after

    def end(self) -> Iterator[Finding]:
        """Find texts that no record names."""
        if self._next is not None:
            line, _, _, _ = self._next
            yield Finding(TEXTS, line, "bad_text", "no record names this text, or not here")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _text(self, mark: str, chars: Any) -> str:
        if type(chars) is not int or not 0 <= chars <= LONGEST_LINE:
            raise Wrong(RECORDS, self._at, "bad_text", "it does not say how many characters a text has")
        if mark not in self._known:
            found: str | None = None
            if self._next is not None and self._next[1] == mark:
                line, _, found, fits = self._next
                if not fits:
                    raise Wrong(TEXTS, line, "bad_text", "it is not the text that its record commits to")
                if len(found) != chars:  # text and mark agree: what the record says besides was changed
                    what = f"it says that a text has {chars:,} characters, and the text has {len(found):,}"
                    raise Wrong(RECORDS, self._at, "bad_text", what)
                self._next = self._read()
                self.count += 1
            else:
                self.erased += 1
            self._known[mark] = found
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(mark)
        text = self._known[mark]
        return ERASED * chars if text is None else text

    def _read(self) -> tuple[int, str, str, bool] | None:
        for line, raw in self._lines:
            try:
                found = canonical.read(raw)
                salt, sha256, text = str(found["salt"]), str(found["sha256"]), str(found["text"])
                digest = hashlib.sha256(bytes.fromhex(salt) + text.encode()).hexdigest()
                fine = found.keys() == {"salt", "sha256", "subject", "text"}
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise Wrong(TEXTS, line, "bad_text", "it is no line of texts: it was changed") from error
            if not fine or len(salt) != 64:
                raise Wrong(TEXTS, line, "bad_text", "it is not as texts are written: it was changed")
            return line, sha256, text, digest == sha256
        return None
