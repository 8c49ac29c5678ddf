"""Keep what a person's answers tell of how they review: how soon they answer, and how many approvals come in a row.

It is part of the record of what they answered lately, which the commit of an answer writes anyway: no further key, no
further round trip. As with that list, no answer is ever held up for it: where many of one person's answers collide, one
may be missing here; the log has all.
"""

from __future__ import annotations

from datetime import timedelta
from statistics import median
from typing import Literal

from pydantic import BaseModel, ConfigDict

from approvers.request import Request
from workers.stores.port import Versioned

MAX_CLICKS = 50
"""Over how many of a person's last answers the median is taken."""


class Answered(BaseModel):
    """What one person answered lately.

    Attributes:
        requests: ids, newest first.
        took_ms: from the ask to the answer, newest first.
        streak: how many approvals stand in a row, up to the last answer; `longest` is the most there ever were.
    """

    model_config = ConfigDict(frozen=True)

    v: Literal[1] = 1
    requests: tuple[str, ...] = ()
    took_ms: tuple[int, ...] = ()
    streak: int = 0
    longest: int = 0

    @property
    def median_time(self) -> timedelta | None:
        """Return the median time from the ask to the answer; None where there is no answer."""
        return timedelta(milliseconds=median(self.took_ms)) if self.took_ms else None


def read(record: Versioned) -> Answered:
    """Return what a `decided:user:NAME` record holds; nothing where there is none."""
    return Answered.model_validate_json(record.json) if record.version else Answered()


def with_last(before: Answered, request: Request, most: int) -> Answered:
    """Return the record with the last answer to a request on top; `most` requests are kept."""
    last = request.reviews[-1]
    earlier = [one for one in before.requests if one != request.id]
    took_ms = max(0, round((last.at - request.submitted_at) / timedelta(milliseconds=1)))
    streak = before.streak + 1 if last.verdict == "approve" else 0
    return Answered(
        requests=(request.id, *earlier)[:most],
        took_ms=(took_ms, *before.took_ms)[:MAX_CLICKS],
        streak=streak,
        longest=max(streak, before.longest),
    )
