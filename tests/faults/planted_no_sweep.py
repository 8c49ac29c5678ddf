"""A worker with a planted bug: its reconciler does nothing.

Run as `python -m tests.faults.boot tests.faults.planted_no_sweep` in the worker's place; the harness must find it.
"""

from __future__ import annotations

import sys
from datetime import timedelta

from workers.clock import reconcile
from workers.stores import layout
from workers.stores.port import Attempt, Commit
from workers.tools import Tools


async def sweep(tools: Tools, attempt: Attempt) -> str:
    """Say that all is well, and be due again."""
    now = await tools.store.records.now()
    await tools.store.records.commit(Commit(at=now, attempt=attempt, due={layout.SWEEP: now + timedelta(minutes=1)}))
    return "all is well"


if __name__ == "__main__":
    reconcile.sweep = sweep  # before anybody imports it by name
    from workers.__main__ import main

    sys.exit(main())
