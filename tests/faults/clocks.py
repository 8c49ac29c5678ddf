"""Give groups of processes clocks of their own, which jump and drift when told to: Debian's libfaketime.

Each group reads its offset from a file at every look at the clock, so a change holds at once. Monotonic clocks run on.
"""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.faults.plans import GROUPS

LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
MISSING = "the fault plans shift clocks by libfaketime: apt-get install faketime"


class Clocks:
    """Hold the offsets of all groups, in seconds from this machine's clock."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._lock = folder, threading.Lock()
        self._offsets = dict.fromkeys(GROUPS, 0)
        self._write()

    def env(self, group: str) -> dict[str, str]:
        """Return what a process of the group needs in its environment."""
        assert LIBRARY, MISSING
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._folder / group),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",  # else every timed wait of a thread ends at once: Python spins
            "FAKETIME_NO_CACHE": "1",
        }

    def now(self, group: str) -> datetime:
        """Return what the group's clock shows."""
        with self._lock:
            return datetime.fromtimestamp(time.time(), UTC) + timedelta(seconds=self._offsets[group])

    def jump(self, seconds: int) -> None:
        """Let time pass for everybody at once."""
        with self._lock:
            for group in GROUPS:
                self._offsets[group] += seconds
            self._write()

    def shift(self, group: str, seconds: int) -> None:
        """Set one group apart from the others.

        AWS's own clock never goes back, here as there: where it is to be behind, the others go ahead.
        """
        with self._lock:
            if group == "aws" and seconds < 0:
                for other in GROUPS:
                    self._offsets[other] -= seconds if other != "aws" else 0
            else:
                self._offsets[group] += seconds
            self._write()

    def agree(self) -> None:
        """Bring all groups together again; AWS's clock only goes forward."""
        with self._lock:
            meet = max(self._offsets["aws"], self._offsets["host"])
            self._offsets = dict.fromkeys(GROUPS, meet)
            self._write()

    def _write(self) -> None:
        for group, offset in self._offsets.items():
            beside = self._folder / f"{group}.new"
            beside.write_text(f"{offset:+d}\n")
            os.replace(beside, self._folder / group)
