"""The rates that Teams allows, and the manners of whoever was told to wait."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable, Mapping

SEND = ((1.0, 7), (2.0, 8), (30.0, 60), (3600.0, 1800))
READ = ((1.0, 14), (30.0, 120), (3600.0, 3600))
APP = ((1.0, 30),)
"""(seconds, calls): so many calls in any such span. Microsoft's figures per bot and conversation; APP per tenant."""


class Limits:
    """Count calls in sliding windows on the world's clock, and watch how the app waits."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.enforced = True
        self.violations: list[str] = []
        self._clock = clock
        self._calls: defaultdict[tuple[str, str], deque[float]] = defaultdict(deque)
        self._not_before: dict[str, float] = {}
        self._in_flight: defaultdict[str, int] = defaultdict(int)

    def off(self) -> None:
        """Allow any rate."""
        self.enforced = False

    def wait_seconds(self, kind: str, conversation: str) -> int:
        """Return 0 and count the call, or how long it has to wait."""
        if not self.enforced:
            return 0
        windows = SEND if kind == "send" else READ
        wait = max(self._wait((kind, conversation), windows), self._wait(("app", ""), APP))
        if wait <= 0:
            for key in ((kind, conversation), ("app", "")):
                self._calls[key].append(self._clock())
        return math.ceil(wait)

    def _wait(self, key: tuple[str, str], windows: tuple[tuple[float, int], ...]) -> float:
        now, calls = self._clock(), self._calls[key]
        while calls and calls[0] <= now - windows[-1][0]:
            calls.popleft()
        waits = [0.0]
        for span, most in windows:
            recent = [at for at in calls if at > now - span]
            if len(recent) >= most:
                waits.append(recent[-most] + span - now)
        return max(waits)

    # --- manners

    def began(self, message: str) -> None:
        """An attempt for this message arrived."""
        if self._in_flight[message]:
            self.violations.append(f"two attempts at once for {message}")
        early = self._not_before.pop(message, 0.0) - self._clock()
        if early > 0:
            self.violations.append(f"{message} came again {early:.2f} s before Retry-After")
        self._in_flight[message] += 1

    def ended(self, message: str, headers: Mapping[str, str]) -> None:
        """The attempt was answered."""
        self._in_flight[message] -= 1
        if headers.get("Retry-After", "").isdigit():
            self._not_before[message] = self._clock() + int(headers["Retry-After"])
