"""A worker with a planted bug: it ends a grant at AWS before it commits that it ends it.

Run as `python -m tests.faults.boot tests.faults.planted_deny_first` in the worker's place; the harness must find it.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from approvers.grant import Grant
from approvers.upgrades import read
from workers import tools
from workers.providers.port import Handle
from workers.stores.port import Attempt

ENDS = {"stale", "outcome_unknown", "ttl_elapsed", "never_collected", "heartbeat_lost"}
_moved = tools.moved


async def moved(of: tools.Tools, attempt: Attempt, event: str, *rest: Any, **fields: Any) -> tuple[Grant, Grant, bool]:
    """Do the right things in the wrong order."""
    if event in ENDS:
        seen = await of.store.records.read([attempt.member])
        grant = read(Grant, seen.records[attempt.member].json)
        handle = Handle(grant.id, grant.plan, grant.ends_at, grant.expiration)
        await asyncio.to_thread(of.provider(grant.plan.provider).revoke, handle)
    return await _moved(of, attempt, event, *rest, **fields)


if __name__ == "__main__":
    tools.moved = moved  # before anybody imports it by name
    from workers.__main__ import main

    sys.exit(main())
