"""Keep everything in this process: the sibling for tests and for trying things out. One event loop, nothing on disk.

It gives the same answers as Redis, in the same order of checks; its clock can be handed in.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import get_args

from approvers.audit import Base, Head, head_of
from approvers.times import from_ms, to_ms
from workers.stores.cutting import Cut
from workers.stores.encoding import OUTBOX, check, lengths, wakes
from workers.stores.memory_cut import take_out
from workers.stores.port import (
    CLOCK_TOLERANCE,
    Attempt,
    Commit,
    Conflict,
    Fenced,
    Full,
    Handout,
    Lane,
    Sealed,
    Snapshot,
    Store,
    Taken,
    TooLate,
    Truncated,
    Versioned,
    lane_of,
)

LANES: tuple[Lane, ...] = get_args(Lane)
LONGEST_WAIT = timedelta(seconds=1)
NOTHING_DUE = timedelta(hours=1)
REMEMBERED = 10_000
"""How many commits are remembered by their ids, so that a resend is known."""


def memory_store(clock: Callable[[], datetime] | None = None) -> Store:
    """Open an empty store; `clock` is its time (default: the machine's)."""
    memory = MemoryStore(clock or (lambda: datetime.now(UTC)))

    async def aclose() -> None:
        """Nothing to close."""

    return Store(memory, memory, memory, memory, memory, aclose)


@dataclass
class State:
    """What Redis holds under its keys, as plain tables."""

    records: dict[str, Versioned] = field(default_factory=dict)
    commits: OrderedDict[str, None] = field(default_factory=OrderedDict)
    chains: defaultdict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    log: list[bytes] = field(default_factory=list)
    texts: defaultdict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    base: Base = field(default_factory=Base)
    names: dict[str, tuple[str, datetime | None]] = field(default_factory=dict)
    indexes: defaultdict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    due: dict[Lane, dict[str, int]] = field(default_factory=lambda: {lane: {} for lane in LANES})
    claims: dict[str, int] = field(default_factory=dict)
    fences: int = 0
    outbox: dict[str, str] = field(default_factory=dict)
    events: int = 0
    leader: tuple[str, datetime] | None = None
    sealed: dict[str, Sealed] = field(default_factory=dict)
    stats: Counter[str] = field(default_factory=Counter)
    beats: dict[str, datetime] = field(default_factory=dict)


class MemoryStore:
    """Be all five ports over plain tables. Nothing awaits between a check and its write, so a commit is whole."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._state = State()
        self._changed: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._roused: dict[Lane, asyncio.Event] = {lane: asyncio.Event() for lane in LANES}

    # --- Records ---

    async def read(self, keys: Sequence[str], chains: Sequence[str] = ()) -> Snapshot:
        """Return records and chain heads as of one moment."""
        state, none = self._state, Versioned()
        cut = state.base.heads
        ends = {subject: bodies for subject in chains if (bodies := state.chains.get(subject))}
        heads = {subject: head_of(end[-1], len(end) + cut.get(subject, Head()).n) for subject, end in ends.items()}
        return Snapshot(
            now=self._now(),
            records={key: state.records.get(key, none) for key in keys},
            heads={subject: heads.get(subject) or cut.get(subject, Head()) for subject in chains},
        )

    async def commit(self, commit: Commit) -> None:
        """Apply the commit whole, or raise, changing nothing."""
        await asyncio.sleep(0)  # as over a network, others may get in between a read and its commit
        check(commit)
        state = self._state
        if commit.id in state.commits:
            return
        self._check_time(commit)
        self._check_state(commit)
        self._write_records(commit)
        self._write_due(commit)
        self._write_names(commit)
        state.commits[commit.id] = None
        if len(state.commits) > REMEMBERED:
            state.commits.popitem(last=False)
        for key in wakes(commit):
            self._wake(key)

    async def now(self) -> datetime:
        """Return the store's time."""
        return self._now()

    async def find(self, name: str) -> str | None:
        """Return what a unique name stands for."""
        return self._find(name)

    async def members(self, index: str, *, limit: int = 100, after: str | None = None) -> list[str]:
        """Return members, oldest first; from the start if `after` has left the index."""
        moments = self._state.indexes[index]
        ordered = sorted(moments, key=lambda member: (moments[member], member.encode()))
        first = ordered.index(after) + 1 if after in moments else 0
        return ordered[first : first + limit]

    async def sealed(self, grant: str) -> bytes | None:
        """Return a grant's sealed credential while there is one."""
        held = self._state.sealed.get(grant)
        return held.ciphertext if held and self._now() < held.until else None

    # --- Due ---

    async def claim(self, lane: Lane, *, most: int, lease: timedelta) -> Handout:
        """Lease up to `most` due items of a lane."""
        if most <= 0:
            return Handout((), LONGEST_WAIT)
        due, now = self._state.due[lane], to_ms(self._now())
        ready = sorted((moment, member.encode()) for member, moment in due.items() if moment <= now)[:most]
        items = []
        for _, member in ready:
            self._state.fences += 1
            items.append(Attempt(member.decode(), self._state.fences))
            self._state.claims[items[-1].member] = self._state.fences
            due[items[-1].member] = now + _ms(lease)
        return Handout(items, timedelta(milliseconds=max(0, min(due.values()) - now)) if due else NOTHING_DUE)

    async def hold(self, attempt: Attempt, lease: timedelta) -> bool:
        """Begin or prolong an attempt; False if it was handed out again or re-armed since."""
        if self._state.claims.get(attempt.member) != attempt.fence:
            return False
        self._state.due[lane_of(attempt.member)][attempt.member] = to_ms(self._now()) + _ms(lease)
        return True

    async def wait(self, lane: Lane, timeout: timedelta) -> None:
        """Return when a commit made something due within a second, or after the timeout (at most 1 s)."""
        event = self._roused[lane]
        with suppress(TimeoutError):
            async with asyncio.timeout(min(timeout, LONGEST_WAIT).total_seconds()):
                await event.wait()
        event.clear()

    async def lag(self) -> Mapping[Lane, timedelta]:
        """Return how long the oldest overdue item of each lane has waited."""
        now = to_ms(self._now())
        oldest = {lane: min(self._state.due[lane].values(), default=now) for lane in LANES}
        return {lane: timedelta(milliseconds=max(0, now - moment)) for lane, moment in oldest.items()}

    # --- Log ---

    async def chain(self, subject: str) -> list[bytes]:
        """Return every record of a subject, oldest first."""
        return list(self._state.chains.get(subject, ()))

    async def tail(self, after: int, limit: int = 500) -> list[bytes]:
        """Return up to `limit` records behind position `after`."""
        first = after - self._state.base.size
        if first < 0:
            raise Truncated(self._state.base.size)
        return self._state.log[first : first + limit]

    async def size(self) -> int:
        """Return how many records there are, with those that were taken out."""
        return self._state.base.size + len(self._state.log)

    async def texts(self, subjects: Sequence[str]) -> Mapping[str, str]:
        """Return what these subjects' records commit to, unless it was erased."""
        texts = self._state.texts
        return {mark: held for subject in subjects for mark, held in texts.get(subject, {}).items()}

    async def base(self) -> Base:
        """Return where the log begins."""
        return self._state.base

    async def cut(self, cut: Cut) -> None:
        """Take the first records out, and what goes with them."""
        take_out(self._state, cut)

    # --- Outbox ---

    async def lead(self, reader: str, lease: timedelta) -> bool:
        """Become or stay the one reader for the lease; False while somebody else is."""
        now, leader = self._now(), self._state.leader
        if leader and leader[0] != reader and now < leader[1]:
            return False
        self._state.leader = (reader, now + lease)
        return True

    async def unread(self, limit: int = 100) -> list[tuple[str, str]]:
        """Return (id, event JSON) pairs, oldest first."""
        return list(self._state.outbox.items())[:limit]

    async def told(self, ids: Sequence[str]) -> None:
        """Drop events that were handed on."""
        for event_id in ids:
            self._state.outbox.pop(event_id, None)

    # --- Signals ---

    async def changed(self, key: str, timeout: timedelta, *, seen: int | None = None) -> None:
        """Return when a commit has put that record, at once if a later version than `seen` is there, or at last."""
        if seen is not None and self._state.records.get(key, Versioned()).version > seen:
            return
        event = asyncio.Event()
        self._changed[key].add(event)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout.total_seconds()):
                await event.wait()
        self._changed[key].discard(event)

    async def beat(self, process: str) -> None:
        """Note that a kind of process is alive, at the store's time."""
        self._state.beats[process] = self._now()

    async def beats(self) -> Mapping[str, datetime]:
        """Return when each kind of process was last alive."""
        return dict(self._state.beats)

    async def counts(self) -> Mapping[str, int]:
        """Return every counter, and the sizes of the indexes `waiting` and `live`."""
        sizes = {f"size:{index}": len(self._state.indexes[index]) for index in ("waiting", "live")}
        return dict(self._state.stats) | sizes

    # --- The commit, in the order of commit.lua ---

    def _now(self) -> datetime:
        return from_ms(to_ms(self._clock()))

    def _find(self, name: str) -> str | None:
        value, until = self._state.names.get(name, (None, None))
        return None if until and self._now() >= until else value

    def _check_time(self, commit: Commit) -> None:
        if commit.attempt and self._state.claims.get(commit.attempt.member) != commit.attempt.fence:
            raise Fenced
        if abs(self._now() - commit.at) > CLOCK_TOLERANCE:
            raise Conflict("time")
        if commit.before and self._now() >= commit.before:
            raise TooLate

    def _check_state(self, commit: Commit) -> None:
        state = self._state
        for key, version in commit.expects.items():
            if state.records.get(key, Versioned()).version != version:
                raise Conflict(key)
        for subject, length in lengths(commit).items():
            if len(state.chains.get(subject, ())) + state.base.heads.get(subject, Head()).n != length:
                raise Conflict(f"audit:{subject}")
        for name in commit.unique:
            if (value := self._find(name)) is not None:
                raise Taken(name, value)
        for index, most in commit.limits.items():
            if len(state.indexes[index]) >= most:
                raise Full(index)

    def _write_records(self, commit: Commit) -> None:
        state = self._state
        for entry in commit.entries():  # first: it is what may still fail, on a value that has no canonical form
            state.chains[entry.subject].append(entry.body)
            state.log.append(entry.body)
            state.texts[entry.subject].update(entry.texts)
        for subject, marks in commit.erase.items():
            for mark in marks:
                state.texts[subject].pop(mark, None)
        for key, json in commit.puts.items():
            state.records[key] = Versioned(commit.expects[key] + 1, json)
        if commit.events and not state.outbox:
            self._wake(OUTBOX)
        for event in commit.events:
            state.events += 1
            state.outbox[f"{state.events}-0"] = event
        state.stats.update(commit.counts)

    def _write_due(self, commit: Commit) -> None:
        state, soon = self._state, self._now() + LONGEST_WAIT
        if commit.attempt and commit.lease_until:
            state.due[lane_of(commit.attempt.member)][commit.attempt.member] = to_ms(commit.lease_until)
        done = [commit.attempt.member] if commit.attempt and not commit.lease_until else []
        for member in [*done, *commit.undue]:
            state.due[lane_of(member)].pop(member, None)
            state.claims.pop(member, None)
        for member, moment in commit.due.items():
            state.due[lane_of(member)][member] = to_ms(moment)
            state.claims.pop(member, None)
            if moment <= soon:
                self._roused[lane_of(member)].set()

    def _write_names(self, commit: Commit) -> None:
        state = self._state
        state.names.update({name: (value, None) for name, value in commit.unique.items()})
        for name, until in commit.forget.items():
            if until is None or self._find(name) is None:
                state.names.pop(name, None)
            else:
                state.names[name] = (state.names[name][0], from_ms(to_ms(until)))
        for index, members in commit.leave.items():
            for member in members:
                state.indexes[index].pop(member, None)
        for index, moments in commit.enter.items():
            state.indexes[index].update({member: to_ms(moment) for member, moment in moments.items()})
        for grant, held in commit.sealed.items():
            if held is None:
                state.sealed.pop(grant, None)
            else:
                state.sealed[grant] = Sealed(held.ciphertext, from_ms(to_ms(held.until)))

    def _wake(self, key: str) -> None:
        for event in self._changed.get(key, ()):
            event.set()


def _ms(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)
