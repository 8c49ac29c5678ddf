"""Hold which of the log's first records are to be taken out: the record `log:truncated`, behind a signed record of it.

It is written before the first of them goes, so that one that was interrupted is known, and can be gone on with.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from approvers.times import Moment
from workers.stores.port import Versioned

TRUNCATED = "log:truncated"


class Truncation(BaseModel):
    """What was taken out last, or is being taken out.

    Attributes:
        size: how many of the log's first records; `root` is the log's at that size.
        until: all of them are older than this.
        manifest_sha256: of the export that holds them.
        policy, roster: the texts in force at that size; the records that applied them may be among those taken out.
        signed: the size of a checkpoint that covers the record of it; None: nothing may be taken out yet.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    v: Literal[1] = 1
    size: int
    root: str
    until: Moment
    manifest_sha256: str
    policy: str = ""
    roster: str = ""
    signed: int | None = None


def truncation_in(record: Versioned) -> Truncation | None:
    """Return what was truncated last; None: nothing ever. Raises ValidationError: a newer version wrote it."""
    return Truncation.model_validate_json(record.json) if record.version else None
