"""Measure punctuality: a thousand grants whose time ends in the same second.

    python -m bench due [--grants 1000]

Real Valkey, clock and two workers of the dry-run provider, so that no cloud is waited for. Late is what lies between a
grant's `ends_at` and the record that it has ended, and the record that its end is proven; both times are the store's.
The same again with the clock and both workers SIGKILLed in the middle and started anew at once; and both again with
RQ's own scheduler in the due set's place: `enqueue_at`, two workers, and the same two commits for each grant.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import redis
from rq import Queue
from rq.serializers import JSONSerializer

from approvers.ids import grant_of
from bench.stage import at, callers_for, drain, each, open_house, opened, start_clock, start_worker, table, valkey
from tests.worlds.processes import Process, start
from workers.stores import layout
from workers.stores.port import Store

TTL = timedelta(minutes=10)
"""Below the session's own 15 minutes, so that the end is proven at once."""
STARTING = timedelta(seconds=8)
"""How long the processes may take until they are at rest."""
PATIENCE_SECONDS = 40
"""How long to wait for the last grant: one lease of 20 s, and as long again."""
RQ_QUEUE = "ends"
Start = Callable[[str, Path], list[Process]]


class TooBusy(AssertionError):
    """The machine was not ready when the first grant ended: nothing measured now would mean anything."""


@dataclass(frozen=True)
class Late:
    """How late each grant was, in seconds: ended, and proven. Those that never were are missing."""

    grants: int
    ended: Sequence[float]
    proven: Sequence[float]

    def cells(self) -> list[str]:
        """Return p50, p99 and max of both, and how many came to their end."""
        ended, proven = (_figures(values) for values in (self.ended, self.proven))
        return [ended, proven, f"{len(self.proven)} of {self.grants}"]


def _figures(values: Sequence[float]) -> str:
    return " / ".join(f"{one:.2f}" for one in (at(values, 0.5), at(values, 0.99), max(values))) if values else "none"


@asynccontextmanager
async def ending_together(
    url: str, count: int, starting: timedelta = STARTING
) -> AsyncIterator[tuple[Store, list[str], datetime]]:
    """Give a store that holds so many ACTIVE grants, their requests, and the second in which they all end.

    The ask, the approval and the mint of each went through desk and worker; only the provider's clock is set, so that
    every end falls into one second.
    """
    async with opened(url) as store:
        ends_at = await store.records.now()
        house = await open_house(store, callers_for(count), lambda: ends_at - TTL)
        began = time.monotonic()
        ttl = int(TTL.total_seconds())
        requests = await each(range(count), lambda number: house.ask(number, ttl_seconds=ttl))
        await each(requests, house.approve)
        took = timedelta(seconds=time.monotonic() - began)
        ends_at = (await store.records.now() + took + starting).replace(microsecond=0)
        while await house.work():
            pass
        await drain(store)
        yield store, requests, ends_at


async def measure(
    url: str,
    out: Path,
    count: int,
    begin: Start,
    *,
    kill: bool,
    starting: timedelta = STARTING,
    patience_seconds: float = PATIENCE_SECONDS,
) -> Late:
    """Let so many grants end in one second, with a kill of everything in the middle or without."""
    async with ending_together(url, count, starting) as (store, requests, ends_at):
        with ExitStack() as stack:
            if begin is rq_alone:
                schedule(url, requests, ends_at)
            processes = [stack.enter_context(ended_whole(process)) for process in begin(url, out)]
            for process in processes:  # in a thread: whatever else is measured on this loop must not stand still
                await asyncio.to_thread(process.wait_line, "started")
            left = (ends_at - await store.records.now()).total_seconds()
            if left < 0.5:
                raise TooBusy(f"the machine is too busy: it took {0.5 - left:.1f} s too long to get ready")
            await asyncio.sleep(left)
            before = await store.log.size()
            if kill:
                await _until(store, before + count // 2, 20)
                for process in processes:
                    kill_whole(process)
                for process in processes:
                    process.restart()
            await _until(store, before + 2 * count, patience_seconds)
            return await lateness(store, requests, ends_at)


async def _until(store: Store, records: int, seconds: float) -> None:
    """Wait until the log has that many records, or the time is over."""
    give_up = time.monotonic() + seconds
    while await store.log.size() < records and time.monotonic() < give_up:  # noqa: ASYNC110
        await asyncio.sleep(0.05)  # another process works; asking more often would slow it down


async def lateness(store: Store, requests: Sequence[str], ends_at: datetime) -> Late:
    """Read from the audit records how late each grant ended, and was proven to have ended."""
    ended, proven = [], []
    for body in [json.loads(line) for request in requests for line in await store.log.chain(request)]:
        for kind, values in (("grant.ended", ended), ("grant.revoked", proven)):
            if body["type"] == kind:
                values.append((datetime.fromisoformat(body["at"]) - ends_at).total_seconds())
    return Late(len(requests), ended, proven)


# ---- who keeps the time


def due_set(url: str, out: Path) -> list[Process]:
    """Start the product's clock and two of its workers."""
    return [start_clock(url, out), *(start_worker(url, out, f"worker-{number}") for number in (1, 2))]


def rq_alone(url: str, out: Path) -> list[Process]:
    """Start two RQ workers, of which one keeps the time."""
    return [start("bench.rq_worker", {}, out, url, RQ_QUEUE, "--scheduler", name=f"rq-{number}") for number in (1, 2)]


def schedule(url: str, requests: Sequence[str], ends_at: datetime) -> None:
    """Hand every end to RQ's scheduler."""
    queue = Queue(RQ_QUEUE, connection=redis.Redis.from_url(url), serializer=JSONSerializer)
    for request in requests:
        queue.enqueue_at(ends_at, "bench.rq_worker.end", layout.grant_key(grant_of(request)))


def kill_whole(process: Process) -> None:
    """SIGKILL a process with its children: RQ's scheduler is one."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # each was started in a session of its own
    process.wait()


@contextmanager
def ended_whole(process: Process) -> Iterator[Process]:
    """Leave nothing of it running."""
    try:
        yield process
    finally:
        kill_whole(process)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench due", description=__doc__.splitlines()[0])
    parser.add_argument("--grants", type=int, default=1000)
    options = parser.parse_args(argv)
    head = (f"{options.grants} grants end in one second", "ended late, s (p50 / p99 / max)", "proven late, s", "proven")
    print(table(head, ()), flush=True)
    ways: list[tuple[str, Start]] = [("due set, clock and 2 workers", due_set), ("RQ's scheduler, 2 workers", rq_alone)]
    for name, begin in ways:
        for kill in (False, True):
            with valkey() as (server, out):
                late = asyncio.run(measure(server.url, out, options.grants, begin, kill=kill))
            cells = [name + (", all SIGKILLed in the middle" if kill else ""), *late.cells()]
            print(f"| {' | '.join(cells)} |", flush=True)  # as they come: a run may be cut off by its limit


if __name__ == "__main__":
    main()
