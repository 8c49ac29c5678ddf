"""Keep everything in one Redis or Valkey, with every change in one Lua script (`commit.lua`).

Keys, all behind the prefix: `record:KEY` hashes (v version, c ids of the last commits, j JSON) · `audit:SUBJECT` lists
of bodies and `log`, the list of references to them · `name:NAME` · `index:INDEX` and `due:LANE` sorted sets, in ms ·
`claims` member → fence, `fences` counter, `wake:LANE` · `outbox` stream, `leader` · `sealed:GRANT` · `stats` ·
`beats` · `commit:ID` marks of commits without records, for a minute · `texts:SUBJECT` commitment → salt and text ·
`base` and `cut`: where a log begins whose first records were taken out, and where its chains do.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, get_args

from redis.exceptions import RedisError

from approvers.audit import Base, Head, head_of
from approvers.times import from_ms
from workers.stores.cutting import Cut
from workers.stores.encoding import arguments, check, cut_arguments
from workers.stores.link import Link, Script, guarded
from workers.stores.port import (
    Attempt,
    Commit,
    Conflict,
    Fenced,
    Full,
    Handout,
    Lane,
    Snapshot,
    Store,
    StoreError,
    Taken,
    TooLate,
    Truncated,
    Versioned,
    lane_of,
)

LANES: tuple[Lane, ...] = get_args(Lane)
LONGEST_WAIT = timedelta(seconds=1)
NOTHING_DUE = timedelta(hours=1)
MOST_ITEMS = 1000
REMEMBERED = 10_000
"""How many records' last signalled versions a process remembers, for `Signals.changed(seen=…)`."""

COMMIT, READ, MEMBERS = Script("commit"), Script("read"), Script("members")
CLAIM, HOLD, LAG = Script("claim"), Script("hold"), Script("lag")
TAIL, LEAD, BEAT = Script("tail"), Script("lead"), Script("beat")
SIZE, TEXTS, BASE, CUT = Script("size"), Script("texts"), Script("base"), Script("cut")


class NotDurable(StoreError):
    """The server may forget what it acknowledged; the text says what to set."""


async def connect(url: str, *, prefix: str = "{cs}:", durability: str | None = None) -> Store:
    """Open a store on a server that keeps what it acknowledges.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        prefix: put before every key; the braces keep all keys in one slot, as our scripts need.
        durability: `attested` where a managed service hides its settings and the operator vouches for them.

    Raises:
        NotDurable: no append-only file, or keys may be evicted.
        Unavailable: nobody answers.
    """
    if durability not in (None, "attested"):
        raise ValueError(f"durability can only be 'attested', not {durability!r}")
    link = Link(url, prefix)
    try:
        if durability is None:
            _refuse_forgetful(await link.call("INFO", "persistence") + await link.call("INFO", "memory"))
        await RedisRecords(link).now()
    except BaseException:
        await link.aclose()
        raise
    signals = RedisSignals(link)

    async def aclose() -> None:
        await signals.aclose()
        await link.aclose()

    return Store(RedisRecords(link), RedisDue(link), RedisLog(link), RedisOutbox(link), signals, aclose)


def _refuse_forgetful(info: bytes) -> None:
    facts = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
    faults = []
    if facts.get("aof_enabled") != "1":
        faults.append("set `appendonly yes` (and `appendfsync always`)")
    if facts.get("maxmemory_policy") != "noeviction":
        faults.append(f"set `maxmemory-policy noeviction` (now {facts.get('maxmemory_policy')})")
    if faults:
        hint = "where the service hides these settings but keeps every write: COUNTERSIGN_REDIS_DURABILITY=attested"
        raise NotDurable(f"the store would forget approvals: {' and '.join(faults)}; {hint}")


def _ms(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)


def _head(body: bytes, n: int) -> Head:
    """Return a chain's head by its last body, or by what is left of it where every record was taken out."""
    if body.startswith(b"="):
        return Head(n, body[1:].decode())
    return head_of(body, n) if n else Head()


class RedisRecords:
    """Read and change state."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def read(self, keys: Sequence[str], chains: Sequence[str] = ()) -> Snapshot:
        """Return records and chain heads as of one moment, in one round trip."""
        reply = await self._link.run(READ, [len(keys), *keys, *chains])
        self._link.clock.heard(reply[0])
        pairs = list(zip(reply[1::2], reply[2::2], strict=True))
        records = {key: Versioned(int(v), j.decode()) for key, (v, j) in zip(keys, pairs, strict=False)}
        ends = zip(chains, pairs[len(keys) :], strict=True)
        return Snapshot(
            now=from_ms(reply[0]),
            records=records,
            heads={subject: _head(body, n) for subject, (n, body) in ends},
        )

    async def commit(self, commit: Commit) -> None:
        """Apply the commit whole, or raise, changing nothing. An Unavailable commit may stand: resend the same one."""
        check(commit)
        reply = await self._link.run(COMMIT, arguments(commit))
        if isinstance(reply, int):
            return self._link.clock.heard(reply)
        refusal, *details = (part.decode() for part in reply)
        if details == ["time"]:
            self._link.clock.doubt()
        raise {"conflict": Conflict, "taken": Taken, "full": Full, "late": TooLate, "fenced": Fenced}[refusal](*details)

    async def now(self) -> datetime:
        """Return the store's time; asks for it only if no answer has told it within the last second."""
        if estimate := self._link.clock.read():
            return estimate
        seconds, micros = await self._link.call("TIME")
        self._link.clock.heard(int(seconds) * 1000 + int(micros) // 1000)
        return from_ms(int(seconds) * 1000 + int(micros) // 1000)

    async def find(self, name: str) -> str | None:
        """Return what a unique name stands for."""
        value = await self._link.call("GET", f"{self._link.prefix}name:{name}")
        return None if value is None else str(value.decode())

    async def members(self, index: str, *, limit: int = 100, after: str | None = None) -> list[str]:
        """Return members, oldest first; from the start if `after` has left the index."""
        return [member.decode() for member in await self._link.run(MEMBERS, [index, limit, after or ""])]

    async def sealed(self, grant: str) -> bytes | None:
        """Return a grant's sealed credential while there is one."""
        ciphertext: bytes | None = await self._link.call("GET", f"{self._link.prefix}sealed:{grant}")
        return ciphertext


class RedisDue:
    """Hand out what must be done."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def claim(self, lane: Lane, *, most: int, lease: timedelta) -> Handout:
        """Lease due items, at most 1,000 at once: a claim holds the server 12 µs for each."""
        if most <= 0:
            return Handout((), LONGEST_WAIT)
        reply = await self._link.run(CLAIM, [lane, min(most, MOST_ITEMS), _ms(lease)])
        now, next_ms, first, *members = reply
        self._link.clock.heard(now)
        items = [Attempt(member.decode(), first + i) for i, member in enumerate(members)]
        return Handout(items, timedelta(milliseconds=next_ms) if next_ms >= 0 else NOTHING_DUE)

    async def hold(self, attempt: Attempt, lease: timedelta) -> bool:
        """Begin or prolong an attempt; False if it was handed out again or re-armed since."""
        member = attempt.member
        return bool(await self._link.run(HOLD, [lane_of(member), member, attempt.fence, _ms(lease)]))

    async def wait(self, lane: Lane, timeout: timedelta) -> None:
        """Return when a commit made something due within a second, or after the timeout (at most 1 s)."""
        seconds = max(0.001, min(timeout, LONGEST_WAIT).total_seconds())
        await guarded(self._link.blocking.blpop([f"{self._link.prefix}wake:{lane}"], timeout=seconds))

    async def lag(self) -> Mapping[Lane, timedelta]:
        """Return how long the oldest overdue item of each lane has waited."""
        reply = await self._link.run(LAG, LANES)
        return {lane: timedelta(milliseconds=ms) for lane, ms in zip(LANES, reply, strict=True)}


class RedisLog:
    """Read the audit log."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def chain(self, subject: str) -> list[bytes]:
        """Return every record of a subject, oldest first."""
        return list(await self._link.call("LRANGE", f"{self._link.prefix}audit:{subject}", 0, -1))

    async def tail(self, after: int, limit: int = 500) -> list[bytes]:
        """Return up to `limit` records behind position `after`."""
        reply = await self._link.run(TAIL, [after, limit])
        if isinstance(reply, int):
            raise Truncated(reply)
        return list(reply)

    async def size(self) -> int:
        """Return how many records there are, with those that were taken out."""
        return int(await self._link.run(SIZE, []))

    async def texts(self, subjects: Sequence[str]) -> Mapping[str, str]:
        """Return what these subjects' records commit to, unless it was erased."""
        flat = await self._link.run(TEXTS, subjects)
        return {mark.decode(): held.decode() for mark, held in zip(flat[::2], flat[1::2], strict=True)}

    async def base(self) -> Base:
        """Return where the log begins."""
        size, peaks, *cut = await self._link.run(BASE, [])
        found = [row.decode().split(" ") for row in cut]
        heads = {subject: Head(int(n), prev) for subject, n, prev in found}
        return Base(int(size), tuple(map(bytes.fromhex, peaks.decode().split())), heads)

    async def cut(self, cut: Cut) -> None:
        """Take the first records out, and what goes with them. After an Unavailable it may stand: resend the same."""
        reply = await self._link.run(CUT, cut_arguments(cut))
        if not isinstance(reply, int):
            raise Conflict(reply[1].decode())


class RedisOutbox:
    """Hand on what must be told."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def lead(self, reader: str, lease: timedelta) -> bool:
        """Become or stay the one reader for the lease; False while somebody else is."""
        return bool(await self._link.run(LEAD, [reader, _ms(lease)]))

    async def unread(self, limit: int = 100) -> list[tuple[str, str]]:
        """Return (id, event JSON) pairs, oldest first."""
        rows = await self._link.call("XRANGE", f"{self._link.prefix}outbox", "-", "+", "COUNT", limit)
        return [(row_id.decode(), event.decode()) for row_id, (_, event) in rows]

    async def told(self, ids: Sequence[str]) -> None:
        """Drop events that were handed on."""
        if ids:
            await self._link.call("XDEL", f"{self._link.prefix}outbox", *ids)


class RedisSignals:
    """Carry hints: one subscription for the whole process, begun with the first one who waits."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._heard: OrderedDict[str, int] = OrderedDict()
        self._listener: asyncio.Task[None] | None = None
        self._closed = False

    async def changed(self, key: str, timeout: timedelta, *, seen: int | None = None) -> None:
        """Return when a commit has put that record, at once if a later version than `seen` was heard of, or at last."""
        if self._listener is None or self._listener.done():
            self._listener = asyncio.create_task(self._listen())
        if seen is not None and self._heard.get(key, 0) > seen:
            return
        event = asyncio.Event()
        self._waiting[key].add(event)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout.total_seconds()):
                    await event.wait()
        finally:
            self._waiting[key].discard(event)
            if not self._waiting[key]:
                del self._waiting[key]

    async def beat(self, process: str) -> None:
        """Note that a kind of process is alive, at the store's time."""
        await self._link.run(BEAT, [process])

    async def beats(self) -> Mapping[str, datetime]:
        """Return when each kind of process was last alive."""
        beats = await self._link.call("HGETALL", f"{self._link.prefix}beats")
        return {process.decode(): from_ms(int(ms)) for process, ms in beats.items()}

    async def counts(self) -> Mapping[str, int]:
        """Return every counter, and the sizes of the indexes `waiting` and `live`."""
        prefix = self._link.prefix
        stats, waiting, live = await asyncio.gather(
            self._link.call("HGETALL", f"{prefix}stats"),
            self._link.call("ZCARD", f"{prefix}index:waiting"),
            self._link.call("ZCARD", f"{prefix}index:live"),
        )
        counters = {counter.decode(): int(value) for counter, value in stats.items()}
        return counters | {"size:waiting": waiting, "size:live": live}

    async def aclose(self) -> None:
        """End the subscription."""
        self._closed = True
        if self._listener:
            while not self._listener.done():  # the library can lose a cancellation that comes while it connects
                self._listener.cancel()
                await asyncio.wait([self._listener], timeout=0.1)
            await asyncio.gather(self._listener, return_exceptions=True)

    async def _listen(self) -> None:
        while not self._closed:
            with suppress(RedisError, OSError):
                async with self._link.blocking.pubsub() as pubsub:
                    await pubsub.subscribe(f"{self._link.prefix}changed")
                    async for message in pubsub.listen():
                        self._hear(message)
            await asyncio.sleep(0.1)

    def _hear(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "subscribe":  # what was said while nobody listened is lost: let everybody look again
            for key in list(self._waiting):
                self._wake(key)
            return
        key, _, version = message["data"].decode().partition(" ")
        if version:
            self._heard[key] = int(version)
            self._heard.move_to_end(key)
            if len(self._heard) > REMEMBERED:
                self._heard.popitem(last=False)
        self._wake(key)

    def _wake(self, key: str) -> None:
        for event in self._waiting.get(key, ()):
            event.set()
