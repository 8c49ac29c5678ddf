"""Let a person lend their own seats for some days, and take them back. Each is one commit and one record.

The cards of what waits say who answers for whom, so that the same commit has those that change told again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from approvers.audit import SYSTEM, Draft
from approvers.away import LONGEST_AWAY, Lent
from approvers.errors import Forbidden, Inadmissible
from approvers.times import stamp
from bot.identity import Identity
from bot.reading import Reader
from workers.policies import Policies, Rulebook
from workers.stores import layout
from workers.stores.port import Commit, Snapshot, Step, Store, StoreError, transact

T = TypeVar("T")
KEYS = (layout.AWAY,)


class Away:
    """Keep who is away, and who answers for them."""

    def __init__(self, store: Store, policies: Policies, reader: Reader) -> None:
        self._records, self._policies, self._reader = store.records, policies, reader

    async def lend(self, who: Identity, to: str, until: datetime) -> Lent:
        """Lend this person's seats to another (`bob` or `user:bob`) until a moment; replaces what they lent before.

        Raises:
            Forbidden: `people_only`; programs have no seats.
            Inadmissible: nobody of that name, themselves, a moment that is over, or one too far ahead.
        """
        giver, taker = _name(who), to.removeprefix("user:")
        asked = await self._asked(giver)

        def step(seen: Snapshot) -> tuple[Commit | None, Lent]:
            book = self._policies.current
            _check(book, giver, taker, until, seen.now)
            lent = Lent(giver, taker, until)
            entry = {"from": giver, "to": taker, "until": stamp(until), "by": who.by.person, "at": stamp(seen.now)}
            kept = [one for one in _entries(seen) if one["from"] != giver and one["until"] >= stamp(seen.now)]
            told = {"from": f"user:{giver}", "to": f"user:{taker}", "until": stamp(until)}
            draft = Draft(SYSTEM, "away.set", who.by, who.via, told)
            return _commit(book, who, seen, [*kept, entry], draft=draft, asked=asked), lent

        return await self._transact(step)

    async def end(self, who: Identity) -> bool:
        """Take this person's seats back; False if they had lent none. What the roster file lends is not touched."""
        giver = _name(who)
        asked = await self._asked(giver)

        def step(seen: Snapshot) -> tuple[Commit | None, bool]:
            entries = _entries(seen)
            mine = [one for one in entries if one["from"] == giver and one["until"] >= stamp(seen.now)]
            if not mine:
                return None, False
            kept = [one for one in entries if one["from"] != giver]
            told = {"from": f"user:{giver}", "to": f"user:{mine[-1]['to']}"}
            draft = Draft(SYSTEM, "away.ended", who.by, who.via, told)
            return _commit(self._policies.current, who, seen, kept, draft=draft, asked=asked), True

        return await self._transact(step)

    async def _asked(self, giver: str) -> list[str]:
        """Return the waiting requests that have, or may have, a seat for this person."""
        roster = self._policies.current.roster
        groups = roster.groups_of(giver) | roster.outside_groups
        waiting = (view.request for view in await self._reader.waiting())
        return [request.id for request in waiting if groups & request.ruling.seats.keys()]

    async def _transact(self, step: Step[T]) -> T:
        refresh = self._policies.refresh
        result = await transact(self._records, KEYS, step, chains=[SYSTEM], refresh=refresh)
        with contextlib.suppress(StoreError):  # it is committed, and this process hears of it as the others do
            await refresh()
        return result


def _name(who: Identity) -> str:
    if not who.is_person:
        raise Forbidden("Only people have seats to lend.", code="people_only")
    return who.principal.removeprefix("user:")


def _check(book: Rulebook, giver: str, taker: str, until: datetime, now: datetime) -> None:
    if giver not in book.roster.persons:
        raise Forbidden(f"user:{giver} is not in countersign.toml any more.", code="unknown_principal")
    if taker not in book.roster.persons:
        raise Inadmissible(f"There is no person {taker[:64]!r} in countersign.toml.", field="to", rule="person")
    if taker == giver:
        raise Inadmissible("Name somebody else: your own seats are yours already.", field="to", rule="person")
    if until <= now:
        raise Inadmissible("That moment is over.", field="until", rule="away")
    if (until.astimezone(book.policy.zone).date() - now.astimezone(book.policy.zone).date()) > LONGEST_AWAY:
        raise Inadmissible(f"Name a day within {LONGEST_AWAY.days} days.", field="until", rule="away")


def _entries(seen: Snapshot) -> list[dict[str, str]]:
    record = seen.records[layout.AWAY]
    return list(json.loads(record.json)["away"]) if record.version else []


def _commit(
    book: Rulebook, who: Identity, seen: Snapshot, entries: list[Any], *, draft: Draft, asked: Sequence[str]
) -> Commit:
    version = seen.records[layout.AWAY].version
    part = layout.put(layout.AWAY, version, json.dumps({"v": 1, "away": entries}))
    expects = {**book.versions, **who.proof, layout.AWAY: version}
    events = [layout.event("card.refresh", seen.now, request=request) for request in asked]
    return layout.commit(seen.now, part, drafts=[draft], events=events, heads=seen.heads, expects=expects)
