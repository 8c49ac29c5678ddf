"""Record what was refused before it became a request, under `sys`: who tried what, and which rule said no.

An authenticated refusal is a record each. Refusals of strangers are counted: one record per source and minute, at most
60 a minute over all processes; what a flood leaves over is a number in the next record. Nothing of a body is in a
record, only the error's own words. Recording never changes the answer: what cannot be written within two seconds is
logged.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from approvers.action import NOT_BUILT, Access, Action, Actor
from approvers.audit import SYSTEM, By, Draft
from approvers.times import to_ms
from bot.identity import Identity
from bot.problems import Told
from workers import logs
from workers.stores import layout
from workers.stores.port import Commit, Records, Snapshot, Step, StoreError, transact

T = TypeVar("T")
STRANGERS = "refusals:strangers"
"""The record that says which sources have been written down in the present minute."""
A_MINUTE = 60
"""Records about strangers per minute, at most."""
REMEMBERED = 10_000
PATIENCE = timedelta(seconds=2)
LONGEST_DETAIL = 500
_FIELDS = frozenset(
    {*Action.model_fields, *Actor.model_fields, *Access.model_fields, *NOT_BUILT}
    | {"Idempotency-Key", "Content-Type", "Prefer", "action_digest", "verdict", "shown"}
)
"""Names of ours. A field of any other name is the caller's own text."""
_PARTS = re.compile(r"[.\[\]]+|\d+")
_log = logs.get_logger(__name__)


class Refusals:
    """Write refusals down, one at a time: they all extend the same chain."""

    def __init__(self, records: Records) -> None:
        """Start with nothing counted."""
        self._records = records
        self._turn = asyncio.Lock()
        self._counted: dict[str, int] = {}
        self._minute = -1
        self._told: set[str] = set()
        self._others = 0

    async def asked(self, who: Identity, kind: str, route: str, told: Told, source: str) -> None:
        """Record that an ask, or another call, of this principal was refused. `kind`: `ask.refused`, `call.refused`."""
        data = {"principal": who.principal, "route": route, "source": source, **_words(told)}
        draft = Draft(SYSTEM, kind, who.by, who.via, data)

        def step(seen: Snapshot) -> tuple[Commit | None, None]:
            counts = {f"refused:{told.code}": 1}
            return layout.commit(seen.now, drafts=[draft], heads=seen.heads, counts=counts), None

        await self._quietly(self._write([], step))

    async def stranger(self, source: str) -> None:
        """Count a caller without a valid key, and record its source once a minute."""

        def told(count: int) -> Draft:
            data: dict[str, str | int] = {"source": source, "failures": count}
            data |= {"others": self._others} if self._others else {}
            return Draft(SYSTEM, "sign_in.refused", By(None, "api", "unknown"), "api", data)

        await self._quietly(self._count(source, told))

    async def outsider(self, by: By, via: str, route: str, told: Told) -> None:
        """Count an account that chat vouches for but that is nobody here, and record it once a minute."""

        def drafted(count: int) -> Draft:
            data = {"principal": None, "route": route, "source": by.sub, "failures": count, **_words(told)}
            return Draft(SYSTEM, "call.refused", by, via, data)

        await self._quietly(self._count(f"{by.iss} {by.sub}", drafted))

    async def _count(self, source: str, drafted: Callable[[int], Draft]) -> None:
        if len(self._counted) >= REMEMBERED:  # a flood from everywhere
            self._sum_up()
        self._counted[source] = self._counted.get(source, 0) + 1
        minute = _minute_of(await self._records.now())
        if minute != self._minute:
            self._minute, self._told = minute, set()
            if len(self._counted) > A_MINUTE:
                self._sum_up(but=source)
        if source in self._told or len(self._told) >= A_MINUTE:
            return
        self._told.add(source)
        draft = drafted(self._counted.pop(source))
        told = int(draft.data["failures"]) + int(draft.data.get("others", 0))
        self._others -= int(draft.data.get("others", 0))
        if not await self._write([STRANGERS], lambda seen: _stranger(seen, source, draft, told)):
            self._others += told  # another process has written enough for this minute

    def _sum_up(self, but: str = "") -> None:
        """Forget which sources were counted, but for one; not how often."""
        kept = self._counted.pop(but, 0)
        self._others += sum(self._counted.values())
        self._counted.clear()
        if kept:
            self._counted[but] = kept

    async def _write(self, keys: list[str], step: Step[T]) -> T:
        async with self._turn:
            return await transact(self._records, keys, step, chains=[SYSTEM])

    async def _quietly(self, work: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                await work
        except (StoreError, TimeoutError) as error:
            _log.warning("refusal.not_recorded", why=type(error).__name__)
        except Exception as error:  # recording must never turn a refusal into something else
            _log.error("refusal.not_recorded", exc_info=error)


def _stranger(seen: Snapshot, source: str, draft: Draft, count: int) -> tuple[Commit | None, bool]:
    """Return the commit of one stranger's record, and that it is one, unless this minute has it, or enough, already."""
    record, minute = seen.records[STRANGERS], _minute_of(seen.now)
    before: Mapping[str, Any] = json.loads(record.json) if record.version else {}
    sources: list[str] = before["sources"] if before.get("minute") == minute else []
    if source in sources or len(sources) >= A_MINUTE:
        return None, False
    text = json.dumps({"v": 1, "minute": minute, "sources": [*sources, source]})
    part = layout.put(STRANGERS, record.version, text)
    return layout.commit(seen.now, part, drafts=[draft], heads=seen.heads, counts={"strangers": count}), True


def _minute_of(moment: datetime) -> int:
    return to_ms(moment) // 60_000


def _words(told: Told) -> dict[str, str | None]:
    """Say what was refused without repeating what was typed: of what could not be read only the field is named.

    Why approvals are stopped stands in `freeze.set`, where it can be erased. A rule's refusal names the action, role or
    actor that was tried: each has a strict form by then.
    """
    field = told.field if told.field and _FIELDS.issuperset(filter(None, _PARTS.split(told.field))) else None
    detail = None if told.code in ("malformed", "frozen") else logs.scrub(told.detail)[:LONGEST_DETAIL]
    return {"code": told.code, "field": field, "rule": told.rule, "detail": detail}
