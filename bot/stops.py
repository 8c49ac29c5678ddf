"""Stop all approvals and mints, and let them go on: one switch above policy, on the record.

Everything that decides names the version of `config:freeze` in its commit: an approval or a mint that was under way
when the freeze was committed finds a Conflict, reads again, and is refused.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from approvers.audit import SYSTEM, Draft
from approvers.errors import Malformed
from approvers.times import stamp
from bot.duty import check_on_call, check_reviewer
from bot.identity import Identity
from workers.policies import Policies
from workers.stores import layout
from workers.stores.port import Commit, Snapshot, Store, StoreError, Versioned, transact

if TYPE_CHECKING:
    from bot.directory import Directory

LONGEST_WHY = 500
"""Characters: it is read on every card and in every refusal."""


@dataclass(frozen=True)
class Freeze:
    """Say how the switch stands: since when, by whom and why; `changed` where this call has moved it."""

    on: bool
    why: str = ""
    by: str = ""
    at: datetime | None = None
    changed: bool = False


class Stops:
    """Move the switch."""

    def __init__(self, store: Store, policies: Policies, directory: Directory) -> None:
        self._records, self._policies, self._directory = store.records, policies, directory

    async def look(self) -> Freeze:
        """Return how the switch stands."""
        return _freeze((await self._records.read([layout.FREEZE])).records[layout.FREEZE])

    async def freeze(self, who: Identity, why: str) -> Freeze:
        """Stop approvals and mints. What is frozen already stays as it is, with its first reason.

        Raises:
            Forbidden: `not_a_reviewer`.
            Malformed: no reason, or a longer one than people read.
        """
        await check_reviewer(who, self._directory, "freeze")
        if not why.strip():
            raise Malformed("say why approvals and mints are to stop", field="reason")
        return await self._move(who, on=True, why=_checked(why))

    async def unfreeze(self, who: Identity, why: str) -> Freeze:
        """Let approvals and mints go on; where nothing is frozen, nothing changes.

        Raises:
            Forbidden: `not_on_call`.
            Malformed: a longer reason than people read.
        """
        await check_on_call(who, self._directory, "lift a freeze")
        return await self._move(who, on=False, why=_checked(why))

    async def _move(self, who: Identity, *, on: bool, why: str) -> Freeze:
        def step(seen: Snapshot) -> tuple[Commit | None, Freeze]:
            record = seen.records[layout.FREEZE]
            before = _freeze(record)
            if before.on == on:
                return None, before
            after = Freeze(on, why, who.principal, seen.now, changed=True)
            told = {"v": 1, "on": on, "why": why, "by": who.principal, "at": stamp(seen.now)}
            data = {"why": why} if on else {"why": why, "was": before.why, "since": stamp(before.at or seen.now)}
            draft = Draft(SYSTEM, "freeze.set" if on else "freeze.lifted", who.by, who.via, data)
            part = layout.put(layout.FREEZE, record.version, json.dumps(told))
            fields = {"drafts": [draft], "heads": seen.heads, "expects": dict(who.proof)}
            return layout.commit(seen.now, part, **fields), after

        after = await transact(self._records, [layout.FREEZE], step, chains=[SYSTEM])
        with contextlib.suppress(StoreError):  # it is committed, and this process hears of it as the others do
            await self._policies.refresh()
        return after


def _checked(why: str) -> str:
    why = " ".join(why.split())
    if len(why) > LONGEST_WHY:
        raise Malformed(f"the reason has {len(why)} characters; at most {LONGEST_WHY} are read", field="reason")
    return why


def _freeze(record: Versioned) -> Freeze:
    """Return the switch as stored. A record of an older form may lack who and when."""
    stored: dict[str, Any] = json.loads(record.json) if record.version else {"on": False}
    at = datetime.fromisoformat(stored["at"]) if stored.get("at") else None
    return Freeze(bool(stored["on"]), stored.get("why", ""), stored.get("by", ""), at)
