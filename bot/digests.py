"""Show requests in one list where there would be too many cards: one message per channel and minute, edited quietly.

Which list a request is in is noted with its copy before the list is shown, and the list's own record says whether it
may have arrived: whoever takes over shows nothing twice and leaves nothing out.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from functools import partial

from approvers.request import Because
from bot import digest_record
from bot.digest import digest
from bot.digest_record import Listing, name_of
from bot.postings_lanes import Lane, NotNow
from bot.postings_record import MOST_POSTS, Cards, change
from bot.postings_record import Lane as Name
from bot.postings_scenes import Scene, Scenes
from bot.surfaces.port import Lists, MessageRef, Refused, SurfaceError, Unreachable
from workers.stores.port import Records

CARDS_PER_MINUTE = 5
"""How many cards of their own one channel gets within a minute; the rest go into a list."""
MINUTE_SECONDS = 60.0
MOST_AT_ONCE = 200
"""How many of those that wait in a lane are taken into a list at a time."""
BATCH = 20


class Lost(SurfaceError):
    """A list was posted twice, and nobody knows of either."""


class Digests:
    """Know which channels are crowded, and show what is too much there in lists."""

    def __init__(self, records: Records, scenes: Scenes, cards_per_minute: int = CARDS_PER_MINUTE) -> None:
        """Start with no channel crowded."""
        self._records, self._scenes, self._most = records, scenes, cards_per_minute
        self._posted: defaultdict[Name, deque[float]] = defaultdict(partial(deque, maxlen=cards_per_minute))

    def note(self, lane: Lane) -> None:
        """Count a card that was posted by itself."""
        self._posted[lane.name].append(time.monotonic())

    def takes(self, lane: Lane, scene: Scene, n: int) -> bool:
        """Tell whether a copy that is due goes into a list; one whose post was begun as a card stays a card."""
        copy = scene.cards.copies[n]
        if not isinstance(lane.surface, Lists):
            return False
        return bool(copy.listed) or (copy.tries == 0 and self._crowded(lane) and _may_be_listed(scene))

    async def post(self, lane: Lane, scene: Scene, n: int) -> None:
        """Put this copy, and what else waits in the lane, into the list of this minute.

        Raises:
            Lost: it was begun twice, and nobody knows of either; Refused: it will not be taken.
            Unreachable, OutcomeUnknown, NotNow: not yet.
        """
        name = scene.cards.copies[n].listed or name_of(*lane.name, scene.now)
        joining = await self._joining(lane, scene, name)
        for one in joining.values():
            await self._noted(lane, one, name)
        lane.check()
        before = await digest_record.find(self._records, name)
        if not before.message and before.tries >= MOST_POSTS:
            raise Lost(f"nobody knows whether the list {name} has arrived")
        listing = await digest_record.change(self._records, name, lambda now: now.trying(joining))
        try:
            listing, scenes = await self._show(lane, name, listing)
        except (Unreachable, Refused, NotNow):
            await digest_record.change(self._records, name, Listing.unsent)
            raise
        await self._seen(lane, name, listing, scenes)

    async def edit(self, lane: Lane, scene: Scene, n: int) -> None:
        """Have the list of a copy show what stands; all that is in it is up to date then."""
        name = scene.cards.copies[n].listed
        listing, scenes = await self._show(lane, name, await digest_record.find(self._records, name))
        await self._seen(lane, name, listing, scenes)

    def _crowded(self, lane: Lane) -> bool:
        posted = self._posted[lane.name]
        return len(posted) >= self._most and time.monotonic() - posted[0] < MINUTE_SECONDS

    async def _joining(self, lane: Lane, scene: Scene, name: str) -> dict[str, Scene]:
        """Return what goes into the list now: this one, and what waits behind it and was not begun elsewhere."""
        found = {scene.request.id: scene}
        for other in await self._read([one for one in lane.waiting if one != scene.request.id][:MOST_AT_ONCE]):
            number = _number(lane, other, "")
            if number is None:
                number = _number(lane, other, name)
            if number is not None and _is_due(other, number):
                found[other.request.id] = other
        return found

    async def _noted(self, lane: Lane, scene: Scene, name: str) -> None:
        """Note with a copy which list it is in, before it is shown there."""

        def step(cards: Cards) -> Cards:
            number = next(
                (n for n, copy in enumerate(cards.copies) if copy.lane == lane.name and not copy.listed), None
            )
            fit = number is not None and not cards.copies[number].message and not cards.copies[number].tries
            return cards.having(number, listed=name) if number is not None and fit else cards

        await change(self._records, scene.request.id, step, begin=scene.cards)

    async def _show(self, lane: Lane, name: str, listing: Listing) -> tuple[Listing, Sequence[Scene]]:
        """Post the list, or edit it; returns it, and what it shows."""
        scenes = await self._read(listing.requests)
        shown = digest(name, [one.request for one in scenes])
        surface = lane.surface
        assert isinstance(surface, Lists)
        lane.check()
        if listing.message:
            await surface.show_list(MessageRef(surface.name, listing.channel, listing.message), shown)
        else:
            ref = await surface.show_list(lane.to, shown)
            listing = await digest_record.change(self._records, name, lambda now: now.posted(ref))
        lane.well()
        return listing, scenes

    async def _seen(self, lane: Lane, name: str, listing: Listing, scenes: Sequence[Scene]) -> None:
        """Note for each request in the list that it is shown, and as what."""
        ref = MessageRef(lane.surface.name, listing.channel, listing.message)
        for scene in scenes:
            n = _number(lane, scene, name)
            if n is None or (scene.cards.copies[n].message and scene.cards.copies[n].face == scene.face):
                continue
            first = not scene.cards.copies[n].message
            step = partial(Cards.posted, n=n, ref=ref, face=scene.face, said=scene.said, at=scene.now)
            again = partial(Cards.having, n=n, face=scene.face)
            await change(
                self._records,
                scene.request.id,
                step if first else again,
                counts={"cards:listed": 1} if first else {},
                look_at=scene.seen.now if first and scene.request.unreached_at is not None else None,
            )

    async def _read(self, requests: Sequence[str]) -> list[Scene]:
        found: list[Scene] = []
        for start in range(0, len(requests), BATCH):
            page = requests[start : start + BATCH]
            scenes = await self._scenes.read(page)
            found += [scenes[one] for one in page if one in scenes]
            await asyncio.sleep(0)  # a list is long, and others wait for the loop
        return found


def _number(lane: Lane, scene: Scene, listed: str) -> int | None:
    """Return which copy in this lane is in that list (empty: in none)."""
    copies = enumerate(scene.cards.copies)
    return next((n for n, copy in copies if copy.lane == lane.name and copy.listed == listed), None)


def _is_due(scene: Scene, n: int) -> bool:
    copy = scene.cards.copies[n]
    return copy.state == "due" and not copy.tries and not copy.message and _may_be_listed(scene)


def _may_be_listed(scene: Scene) -> bool:
    """Tell whether a row of a list is enough: break-glass is always a card of its own."""
    return scene.request.because is not Because.BREAK_GLASS
