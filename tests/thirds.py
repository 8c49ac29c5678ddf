"""Play a third of what is many and slow, another third each day; all of it where an environment variable says so.

What is left out today is played tomorrow and the day after; the thirds differ by nothing but their turn.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar

T = TypeVar("T")
THIRDS = 3


def chosen(name: str) -> str:
    """Return which third is played: what the variable says (`all`, `0`, `1` or `2`), else today's."""
    return os.environ.get(name) or str(datetime.now(UTC).timetuple().tm_yday % THIRDS)


def played(items: Sequence[T], which: str) -> list[T]:
    """Return the third of that number, or all."""
    return list(items) if which == "all" else list(items)[int(which) :: THIRDS]
