"""Bring one copy of a card up to date: post it, edit it, say in its thread what happened. Intent before effect.

A post is noted before it is tried, so that whoever finds the note without a message knows that one may have arrived. It
is then tried once more and no third time; a double that people click is adopted (`Postings.adopt`). Edits are harmless
to repeat. A thread line is noted first, too, and is not repeated when its answer is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial

from bot.digests import Digests, Lost
from bot.postings_alarms import Alarms
from bot.postings_lanes import Lane, NotNow
from bot.postings_lines import Line
from bot.postings_record import MOST_POSTS, Cards, Copy, change
from bot.postings_scenes import Scene
from bot.surfaces.port import OutcomeUnknown, Refused, Unreachable
from workers import logs
from workers.stores.port import Records, Unavailable

AGAIN_SECONDS = 0.5
RECORD_TRIES = 60
"""How often the store is asked to note what was sent, each half a second apart: forgotten, it would be sent twice."""
_log = logs.get_logger(__name__)


class Delivery:
    """Carry out what a scene asks of a lane."""

    def __init__(self, records: Records, alarms: Alarms, digests: Digests) -> None:
        self._records, self._alarms, self._digests = records, alarms, digests

    async def show(self, lane: Lane, scene: Scene) -> bool:
        """Bring every copy in this lane up to date; returns whether its threads have lines to be said after that.

        Raises:
            Unreachable, OutcomeUnknown: not yet; try again after what they say.
            NotNow: this process may not act any more.
        """
        for n, copy in enumerate(scene.cards.copies):
            if copy.lane != lane.name or not scene.needs(copy):
                continue
            try:
                await (self._edit if copy.state == "posted" else self._post)(lane, scene, n)
            except Refused as error:
                self._refused(lane, error)
                await self._note(scene, partial(Cards.having, n=n, state="refused"))
            except Lost:
                await self._lose(lane, scene, n)
        return bool(_unsaid(lane, scene))

    async def say(self, lane: Lane, scene: Scene) -> bool:
        """Say the next line that a thread in this lane lacks; returns whether there are more. Raises as `show` does."""
        owed = _unsaid(lane, scene)
        if owed:
            await self._say(lane, scene, *owed[0])
        return len(owed) > 1

    async def _post(self, lane: Lane, scene: Scene, n: int) -> None:
        if scene.cards.copies[n].tries >= MOST_POSTS:
            return await self._lose(lane, scene, n)
        if self._digests.takes(lane, scene, n):
            return await self._digests.post(lane, scene, n)
        lane.check()
        begun = await change(
            self._records, scene.request.id, lambda cards: cards.sending(n), begin=scene.cards, first=scene.seen
        )
        if begun.copies[n].message:  # a click has shown meanwhile where it is
            return await self._edit(lane, replace(scene, cards=begun), n)
        try:
            lane.check()
            ref = await lane.surface.post(lane.to, scene.card)
        except OutcomeUnknown:
            if begun.copies[n].tries >= MOST_POSTS:
                await self._lose(lane, scene, n)
            raise
        except Refused as error:
            self._refused(lane, error)
            return await self._note(scene, lambda cards: cards.unsent(n, "refused"))
        except (Unreachable, NotNow):
            await self._note(scene, lambda cards: cards.unsent(n))
            raise
        lane.well()
        self._digests.note(lane)
        self._alarms.clear("refused", lane.where)
        at, lost = scene.now, scene.request.unreached_at is not None
        await self._note(
            scene,
            lambda cards: cards.posted(n, ref, scene.face, scene.said, at),
            counted="posted",
            look_at=scene.seen.now if lost else None,
        )
        return None

    async def _edit(self, lane: Lane, scene: Scene, n: int) -> None:
        copy = scene.cards.copies[n]
        if copy.face == scene.face:
            return
        if copy.listed:
            return await self._digests.edit(lane, scene, n)
        lane.check()
        await lane.surface.update(copy.ref, scene.card)
        lane.well()
        await self._note(scene, lambda cards: cards.having(n, face=scene.face), counted="updated")
        return None

    async def _say(self, lane: Lane, scene: Scene, n: int, line: Line) -> None:
        """Say one line in the thread, at most once."""
        lane.check()
        await self._note(scene, lambda cards: cards.having(n, said=(*cards.copies[n].said, line.key)))
        try:
            lane.check()
            await lane.surface.reply(scene.cards.copies[n].ref, line.text)
        except Refused as error:  # the card itself can still be edited: only its thread is closed
            self._refused(lane, error)
        except (Unreachable, NotNow):
            await self._note(scene, lambda cards: cards.having(n, said=_without(cards.copies[n], line.key)))
            raise
        else:
            lane.well()

    async def _lose(self, lane: Lane, scene: Scene, n: int) -> None:
        """Give up on a copy: two posts were begun, and nobody knows of either."""
        await self._note(scene, lambda cards: cards.having(n, state="unknown"), counted="lost")
        handle = scene.request.handle
        summary = f"Nobody knows whether the card of {handle} is in {lane.to} ({lane.name[0]}); it is in the console."
        self._alarms.once("lost", f"{scene.request.id}:{lane.where}", summary)

    def _refused(self, lane: Lane, error: Refused) -> None:
        summary = f"{lane.name[0]} will not take cards for {lane.to}: {error}"
        self._alarms.sound("refused", lane.where, summary)

    async def _note(
        self, scene: Scene, step: Callable[[Cards], Cards], counted: str = "", look_at: datetime | None = None
    ) -> None:
        """Note what was done; the store's absence is waited out, for what was sent cannot be taken back."""
        counts = {f"cards:{counted}": 1} if counted else {}
        for last in (*(False,) * (RECORD_TRIES - 1), True):
            try:
                await change(self._records, scene.request.id, step, counts=counts, look_at=look_at)
                return
            except Unavailable as error:
                if last:
                    raise
                _log.warning("cards.not_noted", request=scene.request.id, why=str(error))
            await asyncio.sleep(AGAIN_SECONDS)


def _unsaid(lane: Lane, scene: Scene) -> list[tuple[int, Line]]:
    """Return what the threads in this lane lack, as number of the copy and line."""
    copies = [(n, copy) for n, copy in enumerate(scene.cards.copies) if copy.lane == lane.name and not copy.listed]
    return [(n, line) for n, copy in copies if copy.state == "posted" for line in scene.lines
            if line.key not in copy.said]  # fmt: skip


def _without(copy: Copy, key: str) -> tuple[str, ...]:
    return tuple(said for said in copy.said if said != key)
