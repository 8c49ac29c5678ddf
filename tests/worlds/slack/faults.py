"""Make the workspace fail on demand: away, hanging, slow, limiting, broken, silent after it has stored."""

from __future__ import annotations

import asyncio
import email.utils
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

DATE = "date"


@dataclass
class Fault:
    """One planned failure of a method (`*` is all), for so many calls (None: until `up`)."""

    kind: Literal["hang", "rate_limit", "status", "drop_after", "slow", "error", "hold", "garbage"]
    method: str
    times: int | None
    number: float = 0
    words: str | None = None


@dataclass
class Pace:
    """A rate: one call in so many seconds for each place, after a burst."""

    every: float
    burst: int


class Faults:
    """Plan failures; what is planned first happens first. `up()` ends them all."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.is_down = False
        self._clock = clock
        self._planned: list[Fault] = []
        self._gate = asyncio.Event()
        self._paces: dict[str, Pace] = {}
        self._spent: dict[tuple[str, str], tuple[float, float]] = {}
        self.waiting = 0
        """Calls that hang or are held just now."""
        self.on_down: Callable[[], None] = lambda: None

    def down(self) -> None:
        """Drop every connection before anything is read from it, sockets too."""
        self.is_down = True
        self.on_down()

    def up(self) -> None:
        """End every failure; what hangs is let go."""
        self.is_down = False
        self._planned.clear()
        self._paces.clear()
        self.release()

    def release(self) -> None:
        """Let go what hangs or is held now, and what was planned to."""
        self._planned = [fault for fault in self._planned if fault.kind not in {"hang", "hold"}]
        self._gate.set()
        self._gate = asyncio.Event()

    def hang(self, method: str = "*", times: int | None = None) -> None:
        """Take calls, store nothing, and answer nothing until `release`."""
        self._plan("hang", method, times)

    def hold(self, method: str = "*", times: int | None = 1) -> None:
        """Store what is asked and hold the answer back until `release`."""
        self._plan("hold", method, times)

    def slow(self, method: str, seconds: float, times: int | None = None) -> None:
        """Take so long before each answer (real seconds)."""
        self._plan("slow", method, times, seconds)

    def rate_limit(self, method: str = "*", retry_after: str | float | None = "1", times: int | None = 1) -> None:
        """Answer 429. `retry_after` is the header as it is sent; "date" writes an HTTP date, None leaves it out."""
        self._plan("rate_limit", method, times, words=None if retry_after is None else str(retry_after))

    def status(self, method: str, status: int, times: int | None = 1) -> None:
        """Answer with this status and a page that is not JSON, storing nothing."""
        self._plan("status", method, times, status)

    def error(self, method: str, error: str, times: int | None = 1) -> None:
        """Answer `{"ok": false}` with this error, storing nothing."""
        self._plan("error", method, times, words=error)

    def garbage(self, method: str, times: int | None = 1) -> None:
        """Store what is asked, and answer 200 with a page that is not JSON."""
        self._plan("garbage", method, times)

    def drop_after(self, method: str, times: int | None = 1) -> None:
        """Store what is asked, then drop the connection without an answer."""
        self._plan("drop_after", method, times)

    def pace(self, method: str, every: float = 1.0, burst: int = 3) -> None:
        """Answer 429 to more than one call in so many seconds for each channel, after a burst."""
        self._paces[method] = Pace(every, burst)

    # --- asked by the server

    def take(self, method: str, *kinds: str) -> Fault | None:
        """Return and use up the first planned failure of these kinds for this method."""
        for fault in self._planned:
            if fault.kind in kinds and fault.method in {"*", method}:
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self._planned.remove(fault)
                return fault
        return None

    def wait_seconds(self, method: str, place: str) -> int:
        """Return 0 and count the call, or how long it has to wait for its turn at the paced rate."""
        pace = self._paces.get(method)
        if pace is None:
            return 0
        now = self._clock()
        left, at = self._spent.get((method, place), (float(pace.burst), now))
        left = min(float(pace.burst), left + (now - at) / pace.every)
        if left < 1:
            self._spent[method, place] = (left, now)
            return max(1, math.ceil((1 - left) * pace.every))
        self._spent[method, place] = (left - 1, now)
        return 0

    def retry_after(self, words: str | None) -> dict[str, str]:
        """Return the header of a 429."""
        if words == DATE:
            words = email.utils.formatdate(self._clock() + 2, usegmt=True)
        return {} if words is None else {"Retry-After": words}

    async def wait(self) -> None:
        """Wait until `release` or `up`."""
        self.waiting += 1
        try:
            await self._gate.wait()
        finally:
            self.waiting -= 1

    def _plan(self, kind: str, method: str, times: int | None, number: float = 0, words: str | None = None) -> None:
        self._planned.append(Fault(kind, method, times, number, words))  # type: ignore[arg-type]
