"""Keep, per request, what the person behind it was told: the record `told:req_…`, so that nothing is told twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from approvers.upgrades import read
from workers.stores import layout
from workers.stores.port import Commit, Records, Snapshot, transact

MOST_TRIES = 2
"""How often something is told, at most, when nobody knows whether it arrived the first time."""


def told_key(request: str) -> str:
    """Return the record key of what the person behind a request was told."""
    return f"told:{request}"


class Told(BaseModel):
    """What one person was told of one request.

    Attributes:
        said: what was told, or was given up.
        trying: what was begun and may have arrived, and how often.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    v: Literal[1] = 1
    said: tuple[str, ...] = ()
    trying: Mapping[str, int] = {}

    def owed(self, kinds: Sequence[str]) -> tuple[str, ...]:
        """Return what is still to be told."""
        return tuple(kind for kind in kinds if kind not in self.said)

    def begun(self, kinds: Sequence[str]) -> Told:
        """Note that this is about to be told; what was tried often enough is given up."""
        tried = {kind: self.trying.get(kind, 0) + 1 for kind in self.owed(kinds)}
        lost = tuple(kind for kind, tries in tried.items() if tries > MOST_TRIES)
        going = {kind: tries for kind, tries in tried.items() if kind not in lost}
        return Told(said=(*self.said, *lost), trying={**self._without(lost), **going})

    def unsaid(self, kinds: Sequence[str]) -> Told:
        """Take back what `begun` noted: nothing arrived. An earlier try of unknown outcome stays counted."""
        left = {kind: self.trying.get(kind, 1) - 1 for kind in self.owed(kinds)}
        return Told(said=self.said, trying={**self._without(kinds), **{kind: n for kind, n in left.items() if n}})

    def done(self, kinds: Sequence[str]) -> Told:
        """Note that this was told, or that nobody will take it."""
        return Told(said=(*self.said, *self.owed(kinds)), trying=self._without(kinds))

    def _without(self, kinds: Sequence[str]) -> dict[str, int]:
        return {kind: tries for kind, tries in self.trying.items() if kind not in kinds}


def told_in(seen: Snapshot, request: str) -> Told:
    """Return the record out of a snapshot. Raises NewerRecord."""
    record = seen.records[told_key(request)]
    return read(Told, record.json, {Told: ()}) if record.version else Told()


async def change(
    records: Records, kinds: Mapping[str, Sequence[str]], step: Callable[[Told, Sequence[str]], Told]
) -> Mapping[str, Told]:
    """Commit one change of several requests' records at once, and return what stands then.

    `kinds` says for each request what is meant.
    """
    keys = [told_key(request) for request in kinds]

    def decide(seen: Snapshot) -> tuple[Commit, Mapping[str, Told]]:
        after = {request: step(told_in(seen, request), meant) for request, meant in kinds.items()}
        parts = [
            layout.put(told_key(request), seen.records[told_key(request)].version, told.model_dump_json())
            for request, told in after.items()
        ]
        return layout.commit(seen.now, *parts), after

    return await transact(records, keys, decide)
