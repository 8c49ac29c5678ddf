"""A worker with a planted bug, for the kill story alone: it mints before it commits that it will.

Run as `python -m tests.story.planted` in the worker's place. The story must find the credential that this leaks.
"""

import asyncio
import sys

from approvers.grant import Grant
from approvers.upgrades import read
from workers import leasing
from workers.__main__ import main
from workers.stores.port import Attempt
from workers.tools import Tools


async def mint_first(tools: Tools, attempt: Attempt, grant_id: str) -> str:
    """Do the right things in the wrong order."""
    grant = read(Grant, (await tools.store.records.read([attempt.member])).records[attempt.member].json)
    issued = await asyncio.to_thread(tools.providers["aws"].mint, grant.id, grant.plan)
    claimed = await leasing._claim(tools, attempt, grant_id)
    return await leasing._deliver(tools, attempt, claimed, issued) if claimed else "overtaken"


if __name__ == "__main__":
    leasing._mint = mint_first
    sys.exit(main())
