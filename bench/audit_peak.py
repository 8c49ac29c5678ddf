"""Verify one export in a process of its own, and print the most memory it held in MiB: before, and when it was done."""

from __future__ import annotations

import sys
from pathlib import Path

from countersign.verifying.checks import Checks
from countersign.verifying.core import Key
from countersign.verifying.verify import verify


def high_water_mib() -> float:
    """Return the most memory that this process has held (Linux; `ru_maxrss` would count its parent's)."""
    line = next(one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    before, export = high_water_mib(), Path(sys.argv[1])
    whole = verify(
        export, [Key.parse(sys.argv[2])], checks=Checks(export).all if "everything" in sys.argv else ()
    ).whole
    print(before, high_water_mib())
    sys.exit(not whole)
