"""Say what a list of requests shows in a channel where there are too many at once for a card each. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from approvers.card import shown_digest
from approvers.card_words import actor, progress, title, uncovered
from approvers.request import Request, RequestState

MAX_ROWS = 20


@dataclass(frozen=True)
class Row:
    """One request that waits. All texts are visible, on one line, and not yet escaped for any markup.

    Attributes:
        shown: the digest that an answer to this row carries.
        flag: what must be known before anything else; mostly empty.
    """

    request_id: str
    shown: str
    handle: str
    title: str
    who: str
    risk: str
    quorum: str
    until: str
    flag: str

    @property
    def below(self) -> str:
        """Return the line under the title."""
        flag = f" · {self.flag}" if self.flag else ""
        return f"{self.risk} · {self.handle} · {self.who} · {self.quorum} · until {self.until} UTC{flag}"


@dataclass(frozen=True)
class Digest:
    """One list: the first rows that still wait, and how many more there are.

    Attributes:
        id: names its record, for a button that concerns all of it.
        waiting: how many wait, the rows included.
        total: how many it began with.
    """

    id: str
    rows: tuple[Row, ...]
    waiting: int
    total: int

    @property
    def heading(self) -> str:
        """Return what a notification says."""
        if not self.waiting:
            return f"All {self.total} requests of this list are decided" if self.total > 1 else "This one is decided"
        return f"{self.waiting} of {self.total} requests in one list wait for an answer"

    @property
    def more(self) -> str:
        """Say where the rest is to be found; empty where all are shown."""
        hidden = self.waiting - len(self.rows)
        return f"and {hidden} more: App Home and the console have all of them" if hidden else ""

    def first(self, count: int) -> Digest:
        """Return it with fewer rows."""
        return Digest(self.id, self.rows[:count], self.waiting, self.total)

    def lines(self) -> Iterator[str]:
        """Yield it as plain lines, for a platform that draws no list."""
        yield self.heading
        yield from (f"{row.title} · {row.below}" for row in self.rows)
        if self.more:
            yield self.more


def digest(name: str, requests: Sequence[Request]) -> Digest:
    """Return the list of these requests, of which those that are decided have left it."""
    waiting = [one for one in requests if one.state is RequestState.PENDING]
    return Digest(name, tuple(_row(one) for one in waiting[:MAX_ROWS]), len(waiting), len(requests))


def _row(request: Request) -> Row:
    risk = request.ruling.risk
    return Row(
        request_id=request.id,
        shown=shown_digest(request),
        handle=request.handle,
        title=title(request),
        who=actor(request),
        risk=f"{risk.level.upper()} {risk.score}",
        quorum=progress(request),
        until=f"{request.expires_at:%H:%M}",
        flag="headline does not cover the credential" if any(uncovered(request)) else "",
    )
