"""Keep what a platform said about its accounts and groups, for a minute at most."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
KEPT_SECONDS = 60.0
MOST = 10_000


class Kept(dict[str, tuple[float, T]]):
    """Keep answers for a minute, by id. What was forgotten while it was being asked is not kept."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Start empty; the clock counts seconds and never goes back."""
        super().__init__()
        self.now, self.age = clock, 0

    def fresh(self, name: str) -> T | None:
        """Return what is kept under this name and not a minute old."""
        found = self.get(name)
        return found[1] if found and self.now() < found[0] else None

    def keep(self, name: str, value: T, age: int, began: float) -> None:
        """Keep it from when the asking began, unless something was forgotten since `age`."""
        if age == self.age:
            if len(self) >= MOST:
                self.clear()
            self[name] = (began + KEPT_SECONDS, value)

    def forget(self, name: str | None = None) -> None:
        """Forget one, or all."""
        self.age += 1
        if name is None:
            self.clear()
        else:
            self.pop(name, None)
