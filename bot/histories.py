"""Know what a principal did before, as rules and risk read it, and count every ask in the commit that stores it.

Strict: the commit of an ask names the versions of both records that it was ruled on by, so no two asks are counted as
one. They are kept in this process, so that an ask costs no read; another process's ask or approval is found as a
Conflict, and read then. The asks of one principal take turns here (`turn`), or they would all name the same version.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from weakref import WeakValueDictionary

from approvers.action import Action
from approvers.facts import History
from approvers.grant import Plan
from approvers.history import Known, Past, counted, decided, facts_of, read_known, read_past, write_known, write_past
from approvers.request import Request
from workers.stores import layout
from workers.stores.layout import Part
from workers.stores.port import Commit, Records, Versioned

PATIENCE_SECONDS = 0.25
"""How long an ask waits for its turn: a commit takes a few milliseconds, and a store that is away, much longer."""
MOST_PRINCIPALS = 2_000
"""Of how many principals this process keeps what it has seen; the one that has not asked for longest is read again."""


class Seen(NamedTuple):
    """One principal's two records, parsed, with their versions."""

    past: Past
    past_version: int
    known: Known
    known_record: Versioned


@dataclass(frozen=True)
class Counted:
    """What was counted for one ask, and what it was counted from."""

    facts: History
    principal: str
    seen: Seen

    def part(self, request: Request) -> Part:
        """Return the part of the commit that counts this ask, and notes what a rule approves at once."""
        seen, now = self.seen, request.submitted_at
        past, known = layout.history_key(self.principal), layout.known_key(self.principal)
        puts = {past: write_past(counted(seen.past, now))}
        after = decided(seen.known, request, now)
        if after is not seen.known:
            puts[known] = write_known(after)
        return {"expects": {past: seen.past_version, known: seen.known_record.version}, "puts": puts}


class Histories:
    """Keep two records of counters per principal."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._seen: OrderedDict[str, Seen] = OrderedDict()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def turn(self, principal: str) -> AsyncIterator[None]:
        """Hold this from `of` until the commit's answer: in this process, a principal's asks take turns.

        Nobody waits long: who goes on out of turn meets a Conflict at worst, and asks again.
        """
        lock = self._turns.setdefault(principal, asyncio.Lock())
        held = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                held = await lock.acquire()
        try:
            yield
        finally:
            if held:
                lock.release()

    async def of(self, principal: str, action: Action, plan: Plan | None, now: datetime) -> Counted:
        """Return what this principal did before this ask, the ask itself counted."""
        seen = self._seen.get(principal) or self._keep(principal, await self._read(principal))
        return Counted(facts_of(seen.past, seen.known, action, plan, now), principal, seen)

    def won(self, principal: str, commit: Commit) -> None:
        """Take what the commit of an ask has written for what is stored now."""
        past, known = layout.history_key(principal), layout.known_key(principal)
        before = self._seen.get(principal)
        if before is None or past not in commit.puts:
            return
        seen = before._replace(past=read_past(commit.puts[past]), past_version=commit.expects[past] + 1)
        if known in commit.puts:
            record = Versioned(commit.expects[known] + 1, commit.puts[known])
            seen = seen._replace(known=read_known(record.json), known_record=record)
        self._keep(principal, seen)

    def forget(self, principal: str) -> None:
        """Read the records anew before their next use: a commit has found another version, or has changed them."""
        self._seen.pop(principal, None)

    async def known(self, principal: str) -> Versioned:
        """Return the record of what a principal is known for: as last seen, read if it was not."""
        if seen := self._seen.get(principal):
            return seen.known_record
        key = layout.known_key(principal)
        return (await self._records.read([key])).records[key]

    async def _read(self, principal: str) -> Seen:
        past, known = layout.history_key(principal), layout.known_key(principal)
        found = (await self._records.read([past, known])).records
        return Seen(read_past(found[past].json), found[past].version, read_known(found[known].json), found[known])

    def _keep(self, principal: str, seen: Seen) -> Seen:
        self._seen[principal] = seen
        self._seen.move_to_end(principal)
        if len(self._seen) > MOST_PRINCIPALS:
            self._seen.popitem(last=False)
        return seen
