"""Hold what a grant's session was seen doing: calls as the account's own log has them, and the record made from them.

The record is bounded: it counts everything, and writes down the first of each kind. What is in it comes from the log of
the account and may hold anybody's words: texts are made harmless and cut when they are written down. The flags that the
calls raise are in `activity_flags`, the words in `activity_words`, what was used of the grant in `activity_report`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import Literal

from pydantic import BaseModel, ConfigDict

from approvers.card_text import one_line
from approvers.times import Moment

FlagKind = Literal["after_end", "blinds", "escalation", "other_address", "refusals", "outside_action",
                   "outside_resource", "other_region", "unknown_action"]  # fmt: skip
MOST_TEXT = 200
"""Characters of one text from the log."""
NETWORK_BITS = {4: 24, 6: 64}
"""Addresses of one such network count as one place: one way out of a building, or one host with changing addresses."""
_REFUSAL = re.compile(r"AccessDenied|Unauthorized|NotAuthorized|Forbidden|AuthFailure|ExpiredToken|InvalidClientToken")
_PROBES = ("grant-probe-", "grant-control-")


@dataclass(frozen=True)
class Call:
    """One call of an API, as the account's log has it; never what was answered.

    Attributes:
        action: `s3:ListBucket`; where `known` is False, the log's own words, which may be no action at all.
        write: whether it changes something (levels Write, Tagging and Permissions management).
        lists: the risk lists that hold the action.
        resources: what it names: ARNs, or bare names where the log has no more.
        error: the code of the refusal or failure; empty where the call went through.
        session: the session's name.
        opens: of the taking of a role, the name of the session that it asks for.
    """

    id: str
    at: datetime
    action: str
    known: bool
    write: bool
    lists: frozenset[str]
    resources: tuple[str, ...]
    region: str
    address: str
    error: str = ""
    session: str = ""
    opens: str = ""

    @property
    def refused(self) -> bool:
        """Tell whether it was not allowed; another error means that it was allowed and came to nothing."""
        return bool(_REFUSAL.search(self.error))

    @property
    def for_us(self) -> bool:
        """Tell whether a service of the cloud made it to carry out an earlier call of the session."""
        return self.address.endswith(".amazonaws.com") or self.address == "AWS Internal"

    @property
    def ours(self) -> bool:
        """Tell whether Countersign itself made it, to see whether a grant has ended."""
        return self.session.startswith(_PROBES)

    @property
    def place(self) -> str:
        """Return the network that it came from; the address itself where that is none."""
        try:
            bits = NETWORK_BITS[ip_address(self.address).version]
        except ValueError:
            return one_line(self.address, 100)
        return str(ip_network(f"{self.address}/{bits}", strict=False))

    @property
    def text(self) -> str:
        """Return the call as one harmless line."""
        on = f" on {self.resources[0]}" if self.resources else ""
        came = f"refused ({self.error})" if self.refused else f"failed ({self.error})" if self.error else "went through"
        return one_line(f"{self.action}{on}, {came}, from {self.address} in {self.region}", MOST_TEXT)


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Noted(_Value):
    """One call, written down."""

    at: Moment
    text: str


class Flag(_Value):
    """Something that a session should not do: the points of the worst call of this kind, and the first calls."""

    kind: FlagKind
    points: int
    through: bool
    evidence: tuple[Noted, ...] = ()


class Used(_Value):
    """How often an action, or a resource, was used: calls that went through, were refused, or failed otherwise."""

    name: str
    through: int = 0
    refused: int = 0
    failed: int = 0


class Place(_Value):
    """A network that the session's calls came from, and the first of them."""

    name: str
    first: Noted


class Activity(_Value):
    """What a grant's session was seen doing, as stored under `activity:grt_…`.

    Attributes:
        looked_at: when the log was last read whole; None: never yet.
        read_from: from when on it is read next: late calls come in, and those in `seen` are not counted twice.
        seen: shortened ids of the calls since then, the oldest first.
        complete: False once there were more calls than could be read or remembered: counts then are "at least".
        calls: how many were seen, of which `by_services` were a service's own.
        refusals: how many were refused before the end.
        used: what was done, by action, and by resource in `touched`; the first of each only, `more` says of how many.
        unnamed: calls that went through and named no resource: then nobody can say which were left alone.
        writes: the first calls that changed something, `write_calls` how many there were.
        waits: how often in a row there was no turn to read the log.
        failures: how often in a row the log could not be read, and since when.
        told_points: the points that people were last told of.
        asked_at: when on-call was last asked to look at it.
        owes: alerts that on-call is still to be told (`killed`, `ask`, `incident`).
        reported_at: when the last word was said; nothing is read after that.
    """

    v: Literal[1] = 1
    grant_id: str
    looked_at: Moment | None = None
    read_from: Moment | None = None
    seen: tuple[str, ...] = ()
    complete: bool = True
    calls: int = 0
    by_services: int = 0
    refusals: int = 0
    flags: tuple[Flag, ...] = ()
    used: tuple[Used, ...] = ()
    touched: tuple[Used, ...] = ()
    more: int = 0
    unnamed: int = 0
    writes: tuple[Noted, ...] = ()
    write_calls: int = 0
    refused: tuple[Noted, ...] = ()
    places: tuple[Place, ...] = ()
    waits: int = 0
    failures: int = 0
    unread_since: Moment | None = None
    told_points: int = 0
    asked_at: Moment | None = None
    owes: tuple[str, ...] = ()
    killed_at: Moment | None = None
    incident_at: Moment | None = None
    reported_at: Moment | None = None

    @property
    def points(self) -> int:
        """Return what all flags come to."""
        return sum(flag.points for flag in self.flags)

    @property
    def deadly(self) -> int:
        """Return the points that may end a grant: what has no known name may be anything, so it never does."""
        return sum(flag.points for flag in self.flags if flag.kind != "unknown_action")

    @property
    def asking(self) -> int:
        """Return the points that people are asked about: what was refused after the end needs nobody."""
        return sum(flag.points for flag in self.flags if flag.kind != "after_end" or flag.through)


def count(names: Mapping[str, Used], name: str, call: Call) -> Used:
    """Return how often a name was used, with one call more."""
    known = names.get(name) or Used(name=name)
    field = "refused" if call.refused else "failed" if call.error else "through"
    return known.model_copy(update={field: getattr(known, field) + 1})


def short_id(event_id: str) -> str:
    """Return what is remembered of an event's id: enough to know it again."""
    return event_id.replace("-", "")[:12]
