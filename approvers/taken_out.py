"""Say what is no longer in a log whose first records were taken out, where an answer would else look whole. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from approvers.ids import request_id
from approvers.times import stamp

MOST_NAMED = 5
HELD = "an export holds "


class TakenOut(NamedTuple):
    """How many of a log's first records were taken out of it, and when the first of those that are left was written."""

    records: int
    before: datetime

    def hides(self, since: datetime | None) -> bool:
        """Tell whether what was written since that moment (None: ever) may lie among them."""
        return since is None or since < self.before

    def as_json(self) -> dict[str, Any]:
        """Return it as answers have it."""
        return {"records": self.records, "before": stamp(self.before)}

    def from_search(self) -> str:
        """Say what a search does not find."""
        return f"What was asked before {self._moment} is not found here: {self._gone}."

    def from_report(self, torn: Sequence[str] = ()) -> str:
        """Say what a report does not count; `torn`: requests whose ask was taken out, and of which the rest is left."""
        said = f"What was recorded before {self._moment} is not in this report: {self._gone}."
        return f"{said}{_torn(torn)}"

    def from_store(self, request: str) -> str:
        """Say why a request that may once have been there is not found."""
        if request >= request_id(self.before, bytes(10)):
            return ""
        return f" What had ended before {self._moment} was taken out of the log; {HELD}it."

    def from_reading(self) -> str:
        """Say what whoever reads all of the log does not see."""
        return f"What was recorded before {self._moment} is not looked at: {self._gone}."

    @property
    def _gone(self) -> str:
        if self.records == 1:
            return f"the first record was taken out of the log; {HELD}it"
        return f"the first {self.records:,} records were taken out of the log; {HELD}them"

    @property
    def _moment(self) -> str:
        return f"{self.before:%Y-%m-%d %H:%M} UTC"


def as_told(found: Mapping[str, Any]) -> TakenOut:
    """Read back what an answer has of it."""
    return TakenOut(int(found["records"]), datetime.fromisoformat(found["before"]))


def from_story(count: int) -> str:
    """Say how much of a story was taken out before its first record here."""
    if count == 1:
        return f"The first record of this story was taken out of the log; {HELD}it."
    return f"The first {count:,} records of this story were taken out of the log; {HELD}them."


def _torn(torn: Sequence[str]) -> str:
    if not torn:
        return ""
    more = f" and {len(torn) - MOST_NAMED:,} more" if len(torn) > MOST_NAMED else ""
    return f" Requests of which only later records are left count for nothing: {', '.join(torn[:MOST_NAMED])}{more}."
