"""Make the connector fail on demand: away, hanging, refusing, redirecting, silent after it has stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Verb = Literal["*", "post", "create", "put", "delete", "get"]
"""post is every new message, create among them; get is every read."""
Kind = Literal["hang", "status", "drop_after", "drop", "no_id", "redirect", "truncated", "slow", "hold"]


@dataclass
class Fault:
    """One planned failure, for so many calls (None: until `up`)."""

    kind: Kind
    verb: str
    times: int | None
    number: float = 0
    retry_after: str | None = None
    html: bool = False
    stored: bool = False


class Faults:
    """Plan failures; what is planned first happens first. `up()` ends them all."""

    def __init__(self) -> None:
        self.is_down = False
        self.waiting = 0
        """Calls that hang or are held just now."""
        self.on_change: Callable[[], None] = lambda: None
        self._planned: list[Fault] = []
        self._gate = asyncio.Event()

    def down(self) -> None:
        """Drop every connection to the connector unread."""
        self.is_down = True

    def up(self) -> None:
        """End every failure; what hangs is let go."""
        self.is_down = False
        self._planned.clear()
        self.release()

    def release(self) -> None:
        """Let go what hangs or is held now, and what was planned to."""
        self._planned = [it for it in self._planned if it.kind not in {"hang", "hold"}]
        self._gate.set()
        self._gate = asyncio.Event()

    def hang(self, verb: Verb = "*", times: int | None = None) -> None:
        """Take calls, store nothing, and drop them unanswered at `release`."""
        self._planned.append(Fault("hang", verb, times))

    def hold(self, verb: Verb = "*", times: int | None = 1) -> None:
        """Store what is asked and hold the answer back until `release`."""
        self._planned.append(Fault("hold", verb, times))

    def status(
        self,
        verb: Verb,
        code: int,
        retry_after: float | str | None = None,
        html: bool = False,
        times: int | None = 1,
        stored: bool = False,
    ) -> None:
        """Answer with this status, an error body or a gateway's page; `stored`: after having done what was asked."""
        wait = None if retry_after is None else str(retry_after)
        self._planned.append(Fault("status", verb, times, code, wait, html, stored))

    def drop(self, verb: Verb, times: int | None = 1) -> None:
        """Read the call, store nothing, drop the connection."""
        self._planned.append(Fault("drop", verb, times))

    def drop_after(self, verb: Verb, times: int | None = 1) -> None:
        """Store what is asked, then drop the connection without an answer."""
        self._planned.append(Fault("drop_after", verb, times))

    def no_id(self, verb: Verb = "post", times: int | None = 1) -> None:
        """Store what is asked, and answer 201 without an id."""
        self._planned.append(Fault("no_id", verb, times))

    def truncated(self, verb: Verb, times: int | None = 1) -> None:
        """Store what is asked, and answer with half of the JSON."""
        self._planned.append(Fault("truncated", verb, times))

    def redirect(self, verb: Verb, times: int | None = 1, code: int = 307) -> None:
        """Answer with a redirect; whoever follows it is written into `violations`."""
        self._planned.append(Fault("redirect", verb, times, code))

    def slow(self, verb: Verb, seconds: float, times: int | None = None) -> None:
        """Take so long before each answer (real seconds)."""
        self._planned.append(Fault("slow", verb, times, seconds))

    # --- asked by the server

    def take(self, verbs: tuple[str, ...], *kinds: Kind, stored: bool | None = None) -> Fault | None:
        """Return and use up the first planned failure of these kinds for one of these verbs."""
        for fault in self._planned:
            if fault.kind in kinds and fault.verb in ("*", *verbs) and stored in (None, fault.stored):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self._planned.remove(fault)
                return fault
        return None

    async def wait(self) -> None:
        """Wait until `release` or `up`."""
        self.waiting += 1
        self.on_change()
        try:
            await self._gate.wait()
        finally:
            self.waiting -= 1
