"""Read what a card is made of: request, grant and the record of its copies, as of one moment."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from approvers.card import Card, render
from approvers.grant import Grant, GrantState
from approvers.ids import grant_of
from approvers.request import Request
from bot.postings_lines import Line, lines
from bot.postings_record import Cards, Copy, Lane, cards_in
from bot.reading import NotFound, Reader
from workers import logs
from workers.policies import Policies, Rulebook
from workers.stores import layout
from workers.stores.port import Records, Snapshot

FRESH_SECONDS = 0.05
"""How old a reading may be that a card is sent from; whatever changed since has an event of its own."""
_log = logs.get_logger(__name__)


@dataclass(frozen=True)
class Scene:
    """One request as it stood when it was read.

    Attributes:
        cards: its copies; where none were recorded yet, those that are to be.
        seen: the snapshot that it was read from, the record of the copies included.
        at: when that was, in seconds of the monotonic clock.
        stand_ins: who answers for whom, as the card says it.
    """

    request: Request
    grant: Grant | None
    cards: Cards
    seen: Snapshot
    at: float
    stand_ins: tuple[str, ...]

    @cached_property
    def card(self) -> Card:
        """Return what every surface shows."""
        return render(self.request, self.grant, stand_ins=self.stand_ins)

    @cached_property
    def face(self) -> str:
        """Return the digest of what people see; what waits for its mint looks the same while it is minted."""
        same = {"grant_state": GrantState.PENDING} if self.card.grant_state == GrantState.MINTING else {}
        return hashlib.sha256(self.card.model_copy(update=same).model_dump_json().encode()).hexdigest()[:16]

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Return what the threads under its cards say by now."""
        return tuple(lines(self.request, self.grant))

    @property
    def recorded(self) -> bool:
        """Tell whether it is on record where its copies are, or are to be."""
        return self.seen.records[layout.cards_key(self.request.id)].version > 0

    @property
    def now(self) -> datetime:
        """Return the store's time, as it must be by now."""
        return self.seen.now + timedelta(seconds=time.monotonic() - self.at)

    @property
    def fresh(self) -> bool:
        """Tell whether it may still be sent."""
        return time.monotonic() - self.at <= FRESH_SECONDS

    @property
    def said(self) -> tuple[str, ...]:
        """Return the keys of its lines."""
        return tuple(line.key for line in self.lines)

    def needs(self, copy: Copy) -> bool:
        """Tell whether there is anything to do for a copy."""
        if copy.state == "posted":
            return copy.face != self.face or not (copy.listed or set(self.said) <= set(copy.said))
        return copy.state in ("due", "sending")

    def needs_in(self, lane: Lane) -> bool:
        """Tell whether there is anything to do in a lane."""
        return any(copy.lane == lane and self.needs(copy) for copy in self.cards.copies)


class Scenes:
    """Read scenes, in few round trips."""

    def __init__(self, records: Records, policies: Policies, reader: Reader) -> None:
        self._records, self._policies, self._reader = records, policies, reader

    async def read(self, requests: Sequence[str]) -> dict[str, Scene]:
        """Return what stands; a request that is not there, or cannot be read, is left out and logged.

        Raises:
            NotConfigured: there are no rules yet.
        """
        if self._policies.roster is None:
            await self._policies.refresh()
        book = self._policies.current
        keys = [key for one in requests for key in _keys(one)]
        at, seen = time.monotonic(), await self._records.read(keys)
        scenes: dict[str, Scene] = {}
        for one in requests:
            try:
                scenes[one] = self._scene(book, one, seen, at)
            except Exception as error:  # one record that nobody can read must not silence all others
                _log.error("cards.not_read", request=one, exc_info=None if isinstance(error, NotFound) else error)
        return scenes

    def _scene(self, book: Rulebook, name: str, seen: Snapshot, at: float) -> Scene:
        request = self._reader.parse(seen, name)
        grant_id = grant_of(name)
        grant = self._reader.parse_grant(seen, grant_id) if seen.records[layout.grant_key(grant_id)].version else None
        stand_ins = book.stand_ins(request.ruling.seats, seen.now)
        scene = Scene(request, grant, cards_in(seen, name) or Cards(), seen, at, stand_ins)
        if scene.cards.copies:  # what cannot be rendered shows here, and not where all wait for each other
            assert scene.face
        return scene


def _keys(request: str) -> tuple[str, str, str]:
    return layout.request_key(request), layout.grant_key(grant_of(request)), layout.cards_key(request)
