"""Measure punctuality under a steady load: 10,000 grants whose TTL ends within one minute, on one worker.

    python -m bench ends [--grants 10000] [--seconds 60]

Real Valkey, clock and one worker of the dry-run provider, so that no cloud is waited for: what is measured is the due
set, RQ and the two commits of each end. The ends fall on whole seconds, as AWS's own clock stamps them. Late is what
lies between a grant's `ends_at` and the record that it has ended, and the record that its end is proven, by the store's
time. The floor keeps every end in the memory of one process (an asyncio timer each) and makes two plain writes of the
size of a grant to the same Valkey for each: no due set, no queue, nothing that would survive its process.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

from bench.common import cpu_seconds
from bench.due import TTL, Late, TooBusy
from bench.stage import at, callers_for, drain, each, open_house, opened, start_clock, start_worker, table, valkey
from workers.stores.link import Link
from workers.stores.port import Store

STARTING = timedelta(seconds=6)
PATIENCE_SECONDS = 60
GRANT_BYTES = 1_700
"""About what a grant's record takes."""


@asynccontextmanager
async def ending_in_turn(
    url: str, count: int, spread: timedelta, starting: timedelta
) -> AsyncIterator[tuple[Store, list[str], datetime]]:
    """Give a store that holds so many ACTIVE grants, their requests, and when the first of them ends.

    Each was asked for, approved and minted by desk and worker; only the provider's clock is set, so that the ends are
    spread evenly.
    """
    async with opened(url) as store:
        begins = await store.records.now()
        numbers = itertools.count()

        def clock() -> datetime:
            return begins - TTL + spread * (next(numbers) / count)

        house = await open_house(store, callers_for(count), clock)
        began = time.monotonic()
        requests = await each(range(count), lambda one: house.ask(one, ttl_seconds=int(TTL.total_seconds())))
        await each(requests, house.approve)
        begins = await store.records.now() + timedelta(seconds=time.monotonic() - began) + starting
        while await house.work(256):
            await drain(store)
        yield store, requests, begins


async def measure(
    url: str, out: Path, count: int, spread: timedelta, starting: timedelta = STARTING
) -> tuple[Late, float]:
    """Let the grants end; returns how late each was, and the worker's processor seconds."""
    async with ending_in_turn(url, count, spread, starting) as (store, requests, begins):
        with ExitStack() as stack:
            worker = stack.enter_context(start_worker(url, out))
            clock = stack.enter_context(start_clock(url, out))
            for process in (worker, clock):
                process.wait_line("started")
            left = (begins - await store.records.now()).total_seconds()
            if left < 0:
                raise TooBusy(f"the machine is too busy: it took {-left:.1f} s too long to get ready")
            used = cpu_seconds(worker.pid)
            size = await store.log.size()
            await asyncio.sleep(left + spread.total_seconds())
            give_up = time.monotonic() + PATIENCE_SECONDS
            while await store.log.size() < size + 2 * count and time.monotonic() < give_up:
                await drain(store)
                await asyncio.sleep(0.1)
            return await _lateness(store, requests), cpu_seconds(worker.pid) - used


async def _lateness(store: Store, requests: Sequence[str]) -> Late:
    """Read from the audit records how late each grant ended, and was proven to have ended, by its own `ends_at`."""
    found: dict[str, list[float]] = {"grant.ended": [], "grant.revoked": []}
    for request in requests:
        for body in map(json.loads, await store.log.chain(request)):
            if body["type"] in found:
                ends_at = datetime.fromisoformat(body["data"]["ends_at"])
                found[body["type"]].append((datetime.fromisoformat(body["at"]) - ends_at).total_seconds())
    return Late(len(requests), found["grant.ended"], found["grant.revoked"])


async def timers(url: str, count: int, spread: timedelta) -> Late:
    """Do the same with a timer each, and two writes."""
    link, loop = Link(url, "floor:"), asyncio.get_running_loop()
    begins, text = loop.time() + 1, "x" * GRANT_BYTES
    ended: list[float] = []
    proven: list[float] = []

    async def end(number: int, due: float) -> None:
        await asyncio.sleep(due - loop.time())
        for values in (ended, proven):
            await link.call("SET", f"floor:{number}", text)
            values.append(loop.time() - due)

    dues = (begins + int(spread.total_seconds() * number / count) for number in range(count))
    await asyncio.gather(*(end(number, due) for number, due in enumerate(dues)))
    await link.aclose()
    return Late(count, ended, proven)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench ends", description=__doc__.splitlines()[0])
    parser.add_argument("--grants", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args(argv)
    spread = timedelta(seconds=options.seconds)
    with valkey() as (server, out):
        floor = asyncio.run(timers(server.url, options.grants, spread))
        late, used = asyncio.run(measure(server.url, out, options.grants, spread))
    ends = f"{options.grants:,} ends in {options.seconds} s"
    rows = [
        ("floor: timers in memory, two writes", *floor.cells()),
        ("due set, clock and 1 worker", *late.cells()),
        ("**ratio**, p50 / p99", *_ratios(late, floor), ""),
    ]
    print(table((ends, "ended late, s (p50 / p99 / max)", "proven late, s", "proven"), rows))
    print(f"\nThe worker used {used:.1f} s of processor time: {used / options.grants * 1000:.2f} ms for each end.")


def _ratios(late: Late, floor: Late) -> list[str]:
    pairs = ((late.ended, floor.ended), (late.proven, floor.proven))
    return [" / ".join(f"**{at(a, part) / at(b, part):.1f}**" for part in (0.5, 0.99)) for a, b in pairs]


if __name__ == "__main__":
    main()
