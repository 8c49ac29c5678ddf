"""Run what RQ brings: the one function that a job may name, a thin shell around one coroutine.

`python -m workers` opens the tools once and installs them here; a job that arrives in any other process fails.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

from workers import logs
from workers.clock.reconcile import sweep
from workers.leasing import advance
from workers.stores.layout import SWEEP, TAG_SWEEP
from workers.stores.port import Attempt, Unavailable
from workers.tagging import sweep_tags
from workers.tools import Tools

SWEEPS = {SWEEP: sweep, TAG_SWEEP: sweep_tags}
_log = logs.get_logger(__name__)
_installed: list[tuple[asyncio.Runner, Tools]] = []


def install(runner: asyncio.Runner, tools: Tools) -> None:
    """Give this process what its jobs run with."""
    _installed[:] = [(runner, tools)]


def run(member: str, fence: int) -> str:
    """Carry out one due item; returns one word for RQ's log. May be run twice, or die anywhere."""
    [(runner, tools)] = _installed
    return runner.run(_run(tools, Attempt(member, fence)))


async def _run(tools: Tools, attempt: Attempt) -> str:
    limit: timedelta = tools.lease * 3 / 4  # before the lease ends, so that no two attempts run at once
    with logs.bound(due=attempt.member):
        try:
            async with asyncio.timeout(limit.total_seconds()):
                word = await SWEEPS.get(attempt.member, advance)(tools, attempt)
            with contextlib.suppress(Unavailable):
                await tools.store.signals.beat("worker")  # last: who waits for a credential does not wait for this
        except (Unavailable, TimeoutError) as error:
            word = f"given up: {type(error).__name__}"  # the item's lease brings it back
        _log.info("job.ended", outcome=word, fence=attempt.fence)
        return word
