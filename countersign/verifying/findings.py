"""Name what is wrong with an export: a closed list, each with one sentence for whoever has to act on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

CODES: Mapping[str, str] = {
    "bad_file": "The export is not as it was written: a file is missing, changed or not part of it.",
    "bad_line": "A line is not what a line of this file can be.",
    "not_canonical": "A record is not in the one form in which records are written: it was changed.",
    "broken_chain": "A record does not continue the chain of its subject: one was changed, removed or put in.",
    "wrong_root": "The records are not those that were signed: some were changed, removed, put in or moved.",
    "cut": "The log is shorter than what was signed.",
    "bad_signature": "A signature is not by the key that it names.",
    "unknown_key": "Nothing that the given key has signed shows this.",
    "bad_receipt": "A receipt does not say what the log says.",
    "no_receipt": "A decision has no receipt.",
    "bad_text": "A text is not the one that its record commits to.",
    "bad_rules": "A policy or roster is not the one that was applied.",
    "witness_differs": "Somebody else holds a root of this log that it does not have.",
    "bad_record": "A record does not hold what records of its type hold.",
    "bad_story": "What the records tell cannot have happened by the rules.",
    "does_not_follow": "A decision does not follow from its policy and its reviews.",
    "flag": "It may be right, and somebody should look at it.",
}
FLAGS = frozenset({"flag", "no_receipt"})
"""Findings that make no export bad by themselves."""


class Finding(NamedTuple):
    """One thing that is wrong: in which file and line (None: the file as a whole), of which kind, in words."""

    file: str
    line: int | None
    code: str
    what: str

    @property
    def grave(self) -> bool:
        """Tell whether the export is not whole because of it."""
        return self.code not in FLAGS

    def __str__(self) -> str:
        where = f"{self.file}, line {self.line:,}" if self.line else self.file
        return f"{where}: {self.what} [{self.code}]"


class Wrong(Exception):
    """What was looked at is wrong, in the way that `finding` says."""

    def __init__(self, file: str, line: int | None, code: str, what: str) -> None:
        super().__init__(what)
        assert code in CODES, code
        self.finding = Finding(file, line, code, what)


class Unreadable(Exception):
    """There is no export to verify; the text says why and what to do."""
