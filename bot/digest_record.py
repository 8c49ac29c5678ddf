"""Keep which requests are in one list, and where that is: the record `digest:…`. Intent before effect, as for cards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from approvers.times import to_ms
from approvers.upgrades import read
from bot.surfaces.port import MessageRef
from workers.stores import layout
from workers.stores.port import Commit, Records, Snapshot, transact


class Listing(BaseModel):
    """One list in one channel.

    Attributes:
        tries: posts begun whose outcome is not known to be "nothing arrived".
        channel: where the platform put it; with `message`, empty until that is known.
        requests: all that ever were in it, oldest first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    v: Literal[1] = 1
    tries: int = 0
    channel: str = ""
    message: str = ""
    requests: tuple[str, ...] = ()

    def trying(self, requests: Iterable[str]) -> Listing:
        """Take these in, and note that it is about to be shown."""
        all_of_them = tuple(dict.fromkeys([*self.requests, *requests]))
        return self.model_copy(update={"requests": all_of_them, "tries": self.tries + (not self.message)})

    def unsent(self) -> Listing:
        """Take back a post that was begun: nothing arrived."""
        return self if self.message else self.model_copy(update={"tries": self.tries - 1})

    def posted(self, ref: MessageRef) -> Listing:
        """Note where it arrived."""
        return self.model_copy(update={"channel": ref.channel, "message": ref.message})


def name_of(surface: str, to: str, now: datetime) -> str:
    """Return the name of the list in this channel at this minute."""
    return f"{surface}:{to}:{to_ms(now) // 60_000}"


def digest_key(name: str) -> str:
    """Return the record key of a list."""
    return f"digest:{name}"


async def find(records: Records, name: str) -> Listing:
    """Return a list; an empty one where there is none."""
    return _listing(await records.read([digest_key(name)]), name)


async def change(records: Records, name: str, step: Callable[[Listing], Listing]) -> Listing:
    """Commit one change of a list, and return what stands then."""

    def decide(seen: Snapshot) -> tuple[Commit | None, Listing]:
        before = _listing(seen, name)
        after = step(before)
        if after == before:
            return None, after
        put = layout.put(digest_key(name), seen.records[digest_key(name)].version, after.model_dump_json())
        return layout.commit(seen.now, put), after

    return await transact(records, [digest_key(name)], decide)


def _listing(seen: Snapshot, name: str) -> Listing:
    record = seen.records[digest_key(name)]
    return read(Listing, record.json, {Listing: ()}) if record.version else Listing()
