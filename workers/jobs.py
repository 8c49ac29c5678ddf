"""Run what RQ brings: the one function that a job may name, a thin shell around one coroutine for each of its items.

`python -m workers` opens the tools once and installs them here; a job that arrives in any other process fails.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta

from workers import logs
from workers.carrying import Background, Carrier
from workers.clock.reconcile import sweep
from workers.clock.sessions import sweep_sessions
from workers.lanes import Later
from workers.leasing import advance
from workers.queue import MOST_IN_A_JOB
from workers.stores.layout import SESSION_SWEEP, SWEEP, TAG_SWEEP
from workers.stores.port import Attempt, Fenced, Unavailable
from workers.tagging import sweep_tags
from workers.tools import Tools
from workers.watching import look

Doer = Callable[[Tools, Attempt], Awaitable[str]]
SWEEPS: Mapping[str, Doer] = {SWEEP: sweep, TAG_SWEEP: sweep_tags, SESSION_SWEEP: sweep_sessions}
_log = logs.get_logger(__name__)
_installed: list[tuple[Background, Tools, Carrier]] = []


def install(loop: Background, tools: Tools) -> Carrier:
    """Give this process what its jobs run with; returns what carries their items."""

    async def one(attempt: Attempt) -> str:
        return await carry(tools, attempt)

    carrier = Carrier(one)
    _installed[:] = [(loop, tools, carrier)]
    return carrier


def run(items: Sequence[tuple[str, int]]) -> str:
    """Carry out due items; returns a few words for RQ's log. May be run twice, or die anywhere."""
    if len(items) > MOST_IN_A_JOB:
        raise ValueError(f"a job holds at most {MOST_IN_A_JOB} items, this one {len(items)}")
    [(loop, tools, carrier)] = _installed
    return loop.wait(_run(tools, carrier, [Attempt(member, fence) for member, fence in items]))


async def _run(tools: Tools, carrier: Carrier, attempts: Sequence[Attempt]) -> str:
    try:
        return await carrier.take(attempts)
    finally:
        with contextlib.suppress(Unavailable):
            await tools.store.signals.beat("worker")  # last: who waits for a credential does not wait for this


async def carry(tools: Tools, attempt: Attempt) -> str:
    """Carry out one due item within its lease; returns one word for the log."""
    limit: timedelta = tools.lease * 3 / 4  # before the lease ends, so that no two attempts run at once
    with logs.bound(due=attempt.member):
        try:
            async with asyncio.timeout(limit.total_seconds()):
                word = await _doer(attempt.member)(tools, attempt)
        except Later as error:
            word = await _postpone(tools, attempt, error.delay)
        except Fenced:
            word = "fenced"  # somebody else has the item, or made it due again; our result is dropped
        except (Unavailable, TimeoutError) as error:
            word = f"given up: {type(error).__name__}"  # the item's lease brings it back
        _log.info("job.ended", outcome=word, fence=attempt.fence)
        return word


async def _postpone(tools: Tools, attempt: Attempt, delay: timedelta) -> str:
    """Let the item come due again after the delay: its time is moved, nothing else changes."""
    try:
        held = await tools.store.due.hold(attempt, delay)
    except Unavailable as error:
        return f"given up: {type(error).__name__}"
    return "postponed" if held else "fenced"


def _doer(member: str) -> Doer:
    kind, _, name = member.partition(":")
    match kind:
        case "grant":
            return advance
        case "activity":
            return look
        case "sweep" if member in SWEEPS:
            return _sweep
    raise ValueError(f"nobody does items of the kind {kind!r} ({name!r})")


async def _sweep(tools: Tools, attempt: Attempt) -> str:
    """Begin a sweep only where it is still ours, with a whole lease before it: no two of a kind run at once."""
    if not await tools.store.due.hold(attempt, tools.lease):
        return "fenced"
    return await SWEEPS[attempt.member](tools, attempt)
