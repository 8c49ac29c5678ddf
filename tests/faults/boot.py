"""Run a program under libfaketime: `python -m tests.faults.boot MODULE`, or MODULE:FUNCTION.

Debian's libfaketime refuses the absolute sleep that Python's `time.sleep` is made of (EINVAL), whatever the offset; so
the programs of this harness sleep by `select`. Nothing else of them is changed.
"""

from __future__ import annotations

import importlib
import runpy
import select
import sys
import time


def sleep(seconds: float) -> None:
    """Wait by a call that takes a length of time, not a moment."""
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    select.select((), (), (), seconds)


if __name__ == "__main__":
    time.sleep = sleep
    module, _, function = sys.argv[1].partition(":")
    sys.argv = [module]
    if function:
        getattr(importlib.import_module(module), function)()
    else:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
