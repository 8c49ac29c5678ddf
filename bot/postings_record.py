"""Keep, per request, where its cards are and what they last showed: the record `cards:req_…`, changed one way only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from approvers.times import Moment
from approvers.upgrades import read
from bot.surfaces.port import MessageRef
from workers.stores import layout
from workers.stores.port import Commit, Records, Snapshot, transact

MOST_POSTS = 2
"""How often a card is posted to one place, at most, when nobody knows whether the first post arrived."""
MOST_COPIES = 20
"""How many copies of one card are kept up, at most: what people forward and click must not grow for ever."""
MOST_ASKED = 200
"""How many copies a ladder may bring; whom the policy asks later is not left out because many were asked before."""
Lane = tuple[str, str]
"""A surface's name, and a channel or account on it: within one, messages keep their order."""


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Copy(_Value):
    """One card in one place.

    Attributes:
        to: what it is posted to: a place's channel, or a person's account.
        channel: where the platform put it; with `message`, empty until that is known.
        state: `due` is still to be posted, `sending` was begun and may have arrived; `unknown` was begun twice.
        tries: posts begun whose outcome is not known to be "nothing arrived".
        face: digest of the card as it was last sent; empty: send it again whatever it showed.
        said: which lines its thread has, by their keys.
        sent_at: when it is first known to have arrived; None for a copy of before that was kept.
        acted_at, acted_by: who last acted on this copy (`user:NAME`), and when.
        listed: the list that it is a row of, instead of a card of its own.
    """

    surface: str
    to: str
    channel: str = ""
    message: str = ""
    state: Literal["due", "sending", "posted", "refused", "unknown"] = "due"
    tries: int = 0
    face: str = ""
    said: tuple[str, ...] = ()
    sent_at: Moment | None = None
    acted_at: Moment | None = None
    acted_by: str = ""
    listed: str = ""

    @property
    def lane(self) -> Lane:
        """Return where it queues."""
        return self.surface, self.to

    @property
    def ref(self) -> MessageRef:
        """Return the posted message."""
        return MessageRef(self.surface, self.channel, self.message)


class Cards(_Value):
    """Every copy of one request's card. Copies are never removed, so that a number stands for the same one for ever.

    `seen_at`: when somebody with a seat first had the request's page in the console before them.
    """

    v: Literal[1] = 1
    copies: tuple[Copy, ...] = ()
    seen_at: Moment | None = None
    seen_by: str = ""

    def having(self, n: int, **changes: Any) -> Cards:
        """Return the record with one copy changed."""
        copies = list(self.copies)
        copies[n] = copies[n].model_copy(update=changes)
        return self.model_copy(update={"copies": tuple(copies)})

    def sending(self, n: int) -> Cards:
        """Note that a post is about to be tried; one whose message is known by now is left alone."""
        copy = self.copies[n]
        return self if copy.message else self.having(n, state="sending", tries=copy.tries + 1)

    def unsent(self, n: int, state: Literal["due", "refused"] = "due") -> Cards:
        """Take back what `sending` noted: nothing arrived. An earlier post of unknown outcome stays counted."""
        copy = self.copies[n]
        return self if copy.message else self.having(n, state=state, tries=copy.tries - 1)

    def posted(
        self, n: int, ref: MessageRef, face: str, said: tuple[str, ...], at: datetime | None = None
    ) -> Cards:  # fmt: skip
        """Note where the card arrived, and when.

        If a click has meanwhile shown another message here, this is one copy more.
        """
        if self.copies[n].message in ("", ref.message):
            shown = {"face": face, "said": said, "sent_at": at}
            return self.having(n, state="posted", channel=ref.channel, message=ref.message, **shown)
        return self.adopted(ref, said)

    def adopted(self, ref: MessageRef, said: tuple[str, ...]) -> Cards:
        """Take in the message that a click came from, to be shown anew. `said`: lines its thread does without."""
        known = {"channel": ref.channel, "message": ref.message, "state": "posted", "face": ""}
        for n, copy in enumerate(self.copies):
            if copy.ref == ref:
                return self.having(n, **known)
        for n, copy in enumerate(self.copies):  # the post whose answer was lost
            if copy.lane == (ref.surface, ref.channel) and not copy.message and copy.tries:
                return self.having(n, **known, said=said)
        if len(self.copies) >= MOST_COPIES:
            return self
        more = Copy(surface=ref.surface, to=ref.channel, said=said).model_copy(update=known)
        return self.model_copy(update={"copies": (*self.copies, more)})

    def acted(self, ref: MessageRef, by: str, at: datetime) -> Cards:
        """Note who acted on a copy."""
        for n, copy in enumerate(self.copies):
            if copy.ref == ref:
                return self.having(n, acted_by=by, acted_at=at)
        return self

    def seen(self, by: str, at: datetime) -> Cards:
        """Note who first had the request's page before them."""
        return self if self.seen_at else self.model_copy(update={"seen_at": at, "seen_by": by})

    @property
    def reached(self) -> bool:
        """Tell whether anybody is known to have been shown the request."""
        return self.seen_at is not None or any(copy.message for copy in self.copies)

    def also(self, lanes: Iterable[Lane], most: int = MOST_COPIES) -> Cards:
        """Add copies that are still to be posted, in lanes that have none; no more than `most` in all."""
        known = {copy.lane for copy in self.copies}
        more = [Copy(surface=surface, to=to) for surface, to in lanes if (surface, to) not in known]
        return self.model_copy(update={"copies": (*self.copies, *more)[: max(most, len(self.copies))]})

    def anew(self) -> Cards:
        """Have every copy sent again, those that were refused as well."""
        cards = self
        for n, copy in enumerate(self.copies):
            refused = {"state": "posted" if copy.message else "due"} if copy.state == "refused" else {}
            cards = cards.having(n, face="", **refused)
        return cards


def cards_in(seen: Snapshot, request: str) -> Cards | None:
    """Return the record out of a snapshot, or None where nothing was ever to be posted. Raises NewerRecord."""
    record = seen.records[layout.cards_key(request)]
    return read(Cards, record.json, {Cards: ()}) if record.version else None


async def change(
    records: Records,
    request: str,
    step: Callable[[Cards], Cards],
    *,
    begin: Cards | None = None,
    first: Snapshot | None = None,
    event: str = "",
    counts: Mapping[str, int] | None = None,
    look_at: datetime | None = None,
    keep: bool = False,
) -> Cards:
    """Commit one change of the record, over whatever others changed meanwhile, and return what stands then.

    Args:
        records: the store.
        request: whose cards.
        step: the change.
        begin: what to change where there is no record yet; None: then nothing happens.
        first: what was just read, the record included; spares a reading.
        event: told in the same commit, such as `card.refresh`.
        counts: counters that grow with it.
        look_at: when the clock is to look at the request, which this may have changed for; None: as it would.
        keep: write `begin` also where the step changes nothing of it.
    """
    key = layout.cards_key(request)

    def decide(seen: Snapshot) -> tuple[Commit | None, Cards]:
        before = cards_in(seen, request) or begin
        after = step(before) if before else Cards()
        missing = keep and not seen.records[key].version
        if before is None or (after == before and not event and not missing):
            return None, after
        events = [layout.event(event, seen.now, request=request)] if event else []
        part = layout.put(key, seen.records[key].version, after.model_dump_json())
        due = {layout.request_key(request): look_at} if look_at else {}
        return layout.commit(seen.now, part, events=events, counts=counts or {}, due=due), after

    return await transact(records, [key], decide, first=first)
