"""A worker with a planted bug, for the kill story alone: it mints before it commits that it will.

Run as `python -m tests.story.planted` in the worker's place. The story must find the credential that this leaks.
"""

import asyncio
import sys

from approvers.grant import Grant
from approvers.upgrades import read
from workers import leasing
from workers.__main__ import main
from workers.stores.port import Attempt, Snapshot
from workers.tools import Tools


async def mint_first(tools: Tools, attempt: Attempt, request_id: str, seen: Snapshot) -> str:
    """Do the right things in the wrong order."""
    grant = read(Grant, seen.records[attempt.member].json)
    issued = await asyncio.to_thread(tools.providers["aws"].mint, grant.id, grant.plan)
    claimed = await leasing._claim(tools, attempt, request_id, seen)
    return await leasing._deliver(tools, attempt, claimed, issued) if claimed else "overtaken"


if __name__ == "__main__":
    leasing._mint = mint_first
    sys.exit(main())
