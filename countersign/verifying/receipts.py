"""Check every receipt that was handed out: its signature, the log that it names, and that it says what the log says."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from countersign.receipts import BadReceipt, ReceiptClaims, verify_receipt
from countersign.verifying.core import Tree, lines
from countersign.verifying.decisions import Decisions
from countersign.verifying.findings import Finding
from countersign.verifying.keys import Ring

RECEIPTS = "receipts.txt"
NONE = "it is no receipt: it was cut or changed"


class _Receipt(NamedTuple):
    line: int
    jws: str
    size: int
    signed_at: datetime
    key: str


class Receipts:
    """Read the receipts beside the records, in the order of the logs that they name."""

    def __init__(self, path: Path, origin: str, ring: Ring) -> None:
        """Open the file; `ring` has the keys that count in the log named `origin`."""
        self._file: BinaryIO = path.open("rb")
        self._lines = lines(self._file, RECEIPTS)
        self._origin, self._ring = origin, ring
        self.found: list[Finding] = []
        self.count = 0
        self._next: _Receipt | None = None

    def begin(self) -> None:
        """Read the first one. Raises Wrong."""
        self._next = self._read()

    def over(self, tree: Tree, base: int, decisions: Decisions) -> None:
        """Check those over the log as it is now; each takes its decision with it. Raises Wrong: a line is none."""
        while self._next is not None and self._next.size <= tree.size:
            one = self._next
            self.found += [
                Finding(RECEIPTS, one.line, code, what) for code, what in self._check(one, tree, base, decisions)
            ]
            self.count += 1
            self._next = self._read()

    def end(self, size: int) -> Iterator[Finding]:
        """Yield all that is wrong, those over a log that is longer than this one last. Raises Wrong."""
        yield from self.found
        while self._next is not None:
            what = f"it names a log of {self._next.size:,} records, and this one has {size:,}: it was cut"
            yield Finding(RECEIPTS, self._next.line, "cut", what)
            self._next = self._read()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _check(self, one: _Receipt, tree: Tree, base: int, decisions: Decisions) -> Iterator[tuple[str, str]]:
        try:
            # until when it may be acted upon is its own matter; that it was rightly signed is true for ever
            found = verify_receipt(one.jws, key=[key.text for key in self._ring.keys], decision=None, at=one.signed_at)
        except BadReceipt as error:
            yield "bad_receipt", error.detail
            return
        if one.key not in {key.id.hex() for key in self._ring.at(one.size)}:
            yield "bad_receipt", f"the key that signed it does not count at size {one.size:,}"
        if one.size < base:
            return  # what it tells of was dropped: that it was signed is all that can be seen
        if one.size < tree.size:
            yield "bad_line", f"it names a log of {one.size:,} records, and stands after one of a longer log"
        elif tree.root().hex() != found.log.root:
            yield "wrong_root", f"at size {one.size:,} this log has another root than it names"
        yield from self._told(found, base, decisions)

    def _told(self, found: ReceiptClaims, base: int, decisions: Decisions) -> Iterator[tuple[str, str]]:
        what = decisions.take(found.sub)
        if what is not None:
            said, log = found.model_dump(mode="json"), {"iss": self._origin, **what.claims}
            for name in sorted(log):
                if said[name] != log[name]:
                    yield "bad_receipt", f"it says {name} {_plain(said[name])}, and the log {_plain(log[name])}"
        elif not base:
            yield "bad_receipt", f"the log that it names holds no decision of {found.sub}, or it is the second receipt"

    def _read(self) -> _Receipt | None:
        for line, raw in self._lines:
            try:
                jws = raw.decode("ascii")
                claims, key = claims_of(jws), str(_part(jws, 0).get("kid"))
                signed_at = datetime.fromtimestamp(int(claims["iat"]), UTC)
                return _Receipt(line, jws, int(claims["log"]["size"]), signed_at, key)
            except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
                self.found.append(Finding(RECEIPTS, line, "bad_receipt", NONE))
        return None


def claims_of(jws: str) -> Mapping[str, Any]:
    """Return what a receipt claims, unchecked. Raises ValueError."""
    return _part(jws, 1)


def _part(jws: str, number: int) -> Mapping[str, Any]:
    parts = jws.split(".")
    if len(parts) != 3:
        raise ValueError("not a compact JWS")
    found = json.loads(base64.urlsafe_b64decode(parts[number] + "=" * (-len(parts[number]) % 4)))
    if not isinstance(found, dict):
        raise ValueError("no claims")
    return found


def _plain(value: object) -> str:
    """Return a claim as it is told: a list or null as JSON."""
    return value if isinstance(value, str) else json.dumps(value)
