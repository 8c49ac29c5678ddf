"""Keep what the last sweep saw on each base role, for /metrics, the doctor and the next sweep."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from approvers.times import Moment
from workers.stores import layout
from workers.stores.port import Records, Versioned

ROOM = 59
"""Denies that one base role holds: 10,240 characters at 172 each (aws.md 4)."""
ALERT_AT = 45
"""On-call hears of it while there is still room."""


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RoomSeen(_Value):
    """One base role: its alias, the Denies that stand there, and how many it may come to need.

    `needed` counts the grants that hold a Deny there or are live on it: all of them may have to be ended at once.
    """

    role: str
    denies: int
    needed: int
    everyone: bool = False
    seen_at: Moment

    @property
    def tight(self) -> bool:
        """Tell whether on-call is to hear of it."""
        return self.denies >= ALERT_AT or self.overbooked

    @property
    def overbooked(self) -> bool:
        """Tell whether not all that is live there could be ended at once."""
        return self.denies >= ROOM or self.needed > ROOM


class Alarm(_Value):
    """An alarm that stands: its key, the base role on which it was found, and what on-call was told."""

    key: str
    role_arn: str
    severity: Literal["critical", "warning", "info"]
    summary: str


class RoomsSeen(_Value):
    """What stood on every base role, by ARN, when the sweep last looked; and the alarms that it left standing."""

    v: Literal[1] = 1
    roles: dict[str, RoomSeen] = {}
    alarms: tuple[Alarm, ...] = ()
    indexed: bool = False
    """Whether grants from before there was an index of rooms have been entered into it."""


async def rooms_seen(records: Records) -> tuple[RoomsSeen, Versioned]:
    """Return what the last sweep saw (nothing before the first), and the record as read."""
    record = (await records.read([layout.ROOMS])).records[layout.ROOMS]
    return RoomsSeen.model_validate_json(record.json) if record.version else RoomsSeen(), record
