"""Say what a store does: one commit, five small ports, and the errors that they share.

Every change of state is one `Commit`: expected versions, records, audit records, events, due times, unique names and
indexes, checked as a whole before anything is written, or refused with one of the errors below. `transact` is the only
loop that reads, asks a pure step, and commits.

Names. A record key is `kind:id` (`request:req_…`, `grant:grt_…`, `config:policy`). A due member is `kind:id` too; its
lane says who carries it out: `worker` (through RQ) or `clock` (in the clock process). Versions start at 1; 0 means
"does not exist".
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeVar

from approvers.audit import Base, Draft, Entry, Head, link
from workers.stores.cutting import Cut

T = TypeVar("T")
Lane = Literal["worker", "clock"]
CLOCK_TOLERANCE = timedelta(seconds=2)
"""How far `Commit.at` may lie from the store's own time; beyond it the commit is refused as a Conflict on `time`."""


class StoreError(Exception):
    """The store did not do it."""


class Unavailable(StoreError):
    """The store cannot be reached, is read-only, loading, full or slow: "we could not", never a decision."""


class Conflict(StoreError):
    """Something that the step had read has changed; read again and decide again. `key` names it."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} has changed since it was read")
        self.key = key


class Taken(StoreError):
    """A unique name is in use; `value` is what it stands for."""

    def __init__(self, name: str, value: str) -> None:
        super().__init__(f"{name} is taken")
        self.name, self.value = name, value


class Full(StoreError):
    """An index already holds as many members as `Commit.limits` allows."""

    def __init__(self, index: str) -> None:
        super().__init__(f"{index} is full")
        self.index = index


class TooLate(StoreError):
    """The store's time has reached `Commit.before`."""


class Truncated(StoreError):
    """These records were taken out of the log; an export holds them. `size` says how many were."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the log's first {size} records were taken out; an export holds them")
        self.size = size


class Fenced(StoreError):
    """The due item was handed out again or re-armed since; this attempt's result is dropped."""


@dataclass(frozen=True)
class Versioned:
    """Hold one record as stored: its version (0: none) and its JSON (empty: none)."""

    version: int = 0
    json: str = ""


@dataclass(frozen=True)
class Snapshot:
    """Hold what was read in one round trip: the store's time, records by key, chain heads by subject."""

    now: datetime
    records: Mapping[str, Versioned]
    heads: Mapping[str, Head] = field(default_factory=dict)


@dataclass(frozen=True)
class Attempt:
    """Name one due item as it was handed out: its member and the fence number of this hand-out."""

    member: str
    fence: int


@dataclass(frozen=True)
class Sealed:
    """Hold a credential that only its recipient can open, and when the store must forget it."""

    ciphertext: bytes
    until: datetime


@dataclass(frozen=True, kw_only=True)
class Commit:
    """Say everything that one decision changes, and everything that it relied on.

    Attributes:
        at: the store's time at which the step decided (`Snapshot.now`); stamped into the audit records.
        expects: record key → version that the step saw. Every key of `puts` must be in here (0: must not exist yet).
        puts: record key → JSON; the version becomes the expected one plus 1.
        drafts: audit records, linked to `heads` (a subject without head must have no chain yet).
        events: what must be told, one JSON text each, appended to the outbox.
        due: member → when it is due. Re-arms: an attempt under way on that member is fenced off.
        undue: members that are no longer due; an attempt under way is fenced off.
        attempt: the due item that this commit belongs to; refused as Fenced unless its fence is the current one. The
            item leaves the due set, unless `lease_until` is set (the attempt goes on) or `due` names it again.
        lease_until: keep the attempt's item and move its time here.
        unique: name → value, refused as Taken if the name stands for anything yet.
        forget: unique name → when it stops standing (None: at once).
        enter: index → {member: moment}; an index is read in order of its moments.
        leave: index → members.
        limits: index → the most members it may hold before this commit.
        sealed: grant id → sealed credential, or None to delete it.
        counts: counter → how much it grows (whole numbers; they feed /metrics).
        before: refused as TooLate when the store's time has reached this.
        erase: subject → commitments of texts that are forgotten; their marks stay in the log.
        salt: random; the salts of typed texts are drawn from it.
        id: makes a resend after a lost answer learn that it had won.
    """

    at: datetime
    expects: Mapping[str, int] = field(default_factory=dict)
    puts: Mapping[str, str] = field(default_factory=dict)
    drafts: Sequence[Draft] = ()
    heads: Mapping[str, Head] = field(default_factory=dict)
    events: Sequence[str] = ()
    due: Mapping[str, datetime] = field(default_factory=dict)
    undue: Sequence[str] = ()
    attempt: Attempt | None = None
    lease_until: datetime | None = None
    unique: Mapping[str, str] = field(default_factory=dict)
    forget: Mapping[str, datetime | None] = field(default_factory=dict)
    enter: Mapping[str, Mapping[str, datetime]] = field(default_factory=dict)
    leave: Mapping[str, Sequence[str]] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    sealed: Mapping[str, Sealed | None] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    before: datetime | None = None
    erase: Mapping[str, Sequence[str]] = field(default_factory=dict)
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    id: str = field(default_factory=lambda: secrets.token_hex(8))

    def entries(self) -> list[Entry]:
        """Return the audit records as they will be stored."""
        return link(self.drafts, self.at, self.heads, self.salt)


class Records(Protocol):
    """Read and change state."""

    async def read(self, keys: Sequence[str], chains: Sequence[str] = ()) -> Snapshot:
        """Return records and chain heads as of one moment; a missing one has version 0, or `Head()`."""
        ...

    async def commit(self, commit: Commit) -> None:
        """Apply the commit whole, or raise Conflict, Taken, Full, TooLate, Fenced or Unavailable, changing nothing."""
        ...

    async def now(self) -> datetime:
        """Return the store's time, good to a few milliseconds, mostly without a round trip."""
        ...

    async def find(self, name: str) -> str | None:
        """Return what a unique name stands for."""
        ...

    async def members(self, index: str, *, limit: int = 100, after: str | None = None) -> list[str]:
        """Return up to `limit` members of an index, oldest first, those after the member `after`."""
        ...

    async def sealed(self, grant: str) -> bytes | None:
        """Return a grant's sealed credential while there is one."""
        ...


@dataclass(frozen=True)
class Handout:
    """Hold what a claim gave: items now leased to this caller, and how long until the next one is due."""

    items: Sequence[Attempt]
    next_in: timedelta


class Due(Protocol):
    """Hand out what must be done; it leaves the due set only in the commit of its outcome."""

    async def claim(self, lane: Lane, *, most: int, lease: timedelta) -> Handout:
        """Lease up to `most` due items of a lane: each gets a new fence and comes back unless it is done by then."""
        ...

    async def hold(self, attempt: Attempt, lease: timedelta) -> bool:
        """Begin or prolong an attempt; False if it was handed out again or re-armed since."""
        ...

    async def wait(self, lane: Lane, timeout: timedelta) -> None:
        """Return when a commit made something of the lane due, or after the timeout (at most 1 s)."""
        ...

    async def lag(self) -> Mapping[Lane, timedelta]:
        """Return how long the oldest overdue item of each lane has waited (zero: none)."""
        ...


class Log(Protocol):
    """Read the audit log, and shorten it. Positions count from 1, over all subjects, in the order of the commits."""

    async def chain(self, subject: str) -> list[bytes]:
        """Return every record of a subject that the log still has, oldest first."""
        ...

    async def tail(self, after: int, limit: int = 500) -> list[bytes]:
        """Return up to `limit` records behind position `after`. Raises Truncated: they were taken out."""
        ...

    async def size(self) -> int:
        """Return how many records there are, with those that were taken out."""
        ...

    async def texts(self, subjects: Sequence[str]) -> Mapping[str, str]:
        """Return what these subjects' records commit to, unless it was erased: commitment → salt (hex) and text."""
        ...

    async def base(self) -> Base:
        """Return where the log begins."""
        ...

    async def cut(self, cut: Cut) -> None:
        """Take the first records out, whole, or raise Conflict or Unavailable, changing nothing. A resend is known."""
        ...


class Outbox(Protocol):
    """Hand on what must be told, in order; one reader leads at a time."""

    async def lead(self, reader: str, lease: timedelta) -> bool:
        """Become or stay the one reader for the lease; False while somebody else is."""
        ...

    async def unread(self, limit: int = 100) -> list[tuple[str, str]]:
        """Return (id, event JSON) pairs that nobody has marked as told, oldest first."""
        ...

    async def told(self, ids: Sequence[str]) -> None:
        """Drop events that were handed on."""
        ...


class Signals(Protocol):
    """Carry hints: something changed, somebody lives. The records are the truth."""

    async def changed(self, key: str, timeout: timedelta, *, seen: int | None = None) -> None:
        """Return when a commit has put that record, or after the timeout. Hints may be lost: re-read anyway.

        Pass the version last read as `seen`: what was put between that read and this call then returns at once.
        A commit whose records are all new wakes nobody. The key `outbox` stands for the outbox that was empty.
        """
        ...

    async def beat(self, process: str) -> None:
        """Note that a kind of process (`clock`, `worker`) is alive, at the store's time."""
        ...

    async def beats(self) -> Mapping[str, datetime]:
        """Return when each kind of process was last alive."""
        ...

    async def counts(self) -> Mapping[str, int]:
        """Return every counter, and as `size:INDEX` how many members each index named `waiting` or `live` has."""
        ...


@dataclass(frozen=True)
class Store:
    """Bundle the ports of one store."""

    records: Records
    due: Due
    log: Log
    outbox: Outbox
    signals: Signals
    aclose: Callable[[], Awaitable[None]]


PROOFS = ("key:", "session:")
"""Records that prove who asks. No step reads them again, so that a conflict on one is final."""


def lane_of(member: str) -> Lane:
    """Return who carries out a due member: grants, their activity and sweeps go to workers, the rest to the clock."""
    return "worker" if member.startswith(("grant:", "sweep:", "activity:")) else "clock"


Step = Callable[[Snapshot], tuple[Commit | None, T]]


async def transact(
    records: Records,
    keys: Sequence[str],
    step: Step[T],
    *,
    chains: Sequence[str] = (),
    refresh: Callable[[], Awaitable[None]] | None = None,
    first: Snapshot | None = None,
    tries: int = 40,
) -> T:
    """Read, ask the pure step, commit its answer; again while something it read has changed.

    Args:
        records: where to read and commit.
        keys: records that the step needs.
        step: returns the commit (None: nothing to change) and the result to return once it is committed.
        chains: subjects whose chains the commit extends.
        refresh: called after each conflict, so that what the caller caches outside the snapshot is read again too.
        first: what the caller has just read of these keys and chains; spares the first try its reading.
        tries: how often to try before the last Conflict is raised.
    """
    for attempt in range(tries):
        seen, first = first or await records.read(keys, chains), None
        commit, result = step(seen)
        if commit is None:
            return result
        try:
            await records.commit(commit)
            return result
        except Conflict as conflict:
            if attempt == tries - 1 or conflict.key.startswith(PROOFS):
                raise
            if refresh:
                await refresh()
            await asyncio.sleep(random.uniform(0, 0.002 * min(attempt, 10)))  # noqa: S311 jitter, not a secret
    raise AssertionError("unreachable")
