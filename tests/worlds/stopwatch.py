"""Read a clock that stands still while this process waits for a core that somebody else has.

A limit of time says how long our code takes; on a busy machine the wall's clock says how busy it is. What is waited for
counts: a timer, a socket, another process.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

THREADS = Path("/proc/self/task")
"""Linux tells for each thread how long it was ready to run and did not; elsewhere the wall's clock has to do."""


def own_time() -> float:
    """Return seconds, of use only to subtract one reading from a later one; threads must not end between them."""
    return time.monotonic() - sum(map(_kept_waiting, THREADS.glob("*/schedstat")))


def _kept_waiting(thread: Path) -> float:
    with suppress(OSError):  # it has just ended
        return int(thread.read_bytes().split()[1]) / 1e9
    return 0.0
