"""Say one thing that a check has found: what was looked at, how it is, what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warn", "fail", "unknown"]
"""`unknown`: nobody could say. It is never counted as well, and spelled `?` in a line."""


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it is, and, where it is not well, what to do."""

    verdict: Verdict
    what: str
    words: str
    remedy: str = ""

    def __str__(self) -> str:
        """Spell the line."""
        verdict = "?" if self.verdict == "unknown" else self.verdict
        return f"{verdict:4}  {self.what:12}  {self.words}" + (f"; {self.remedy}" if self.remedy else "")
