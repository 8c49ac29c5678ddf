"""Play a long history, signed and with receipts, and export it as the product does: in several processes, a log each.

    python -m tests.worlds.long_history --requests 100000 --logs 2 --minutes 15 --out DIR

Every log has the same policy, roster and key. What has ended lies on the disk meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from countersign.ops.exporting import export
from countersign.ops.exporting_folder import Folder
from countersign.ops.signed_log import newest
from tests.countersign.ops.export_world import no_bar
from tests.countersign.verifying.exported import SignedHistory
from tests.worlds.shelf import Aside

STRETCH = 250
RECENT = 100
"""So many requests stay in memory; older ones have ended, but for after-reviews that nobody makes."""


class Wanted(NamedTuple):
    """One log: how many requests, or how long at most."""

    seed: int
    requests: int
    seconds: float
    out: Path


async def played(wanted: Wanted) -> dict[str, float]:
    """Play one log and export it; returns figures."""
    history, began = await SignedHistory(wanted.seed).begin(), time.perf_counter()
    work = wanted.out.with_name(f"{wanted.out.name}.aside")
    aside = Aside(history.store, work)
    for goal in _stretches(wanted.requests):
        while history.asked < goal:
            await history.turn()
        await aside.put(set(history.ids[-RECENT:]))
        del history.ids[:-RECENT]
        history.over.intersection_update(history.ids)
        took = time.perf_counter() - began
        if goal % (4 * STRETCH) == 0:
            records = await history.store.log.size()
            told = f"{goal:,} requests, {records:,} records, {took:.0f} s, {_rss()} MB"
            print(f"log {wanted.seed}: {told}", file=sys.stderr)
        if took > wanted.seconds:
            break
    await history.close()
    history.time += timedelta(minutes=5)
    await history.work()
    size = (await history.notary.cover(await history.store.log.size())).size
    took = time.perf_counter() - began
    await export(history.store, Folder(wanted.out), (await newest(history.store, patience=None)).checkpoint, no_bar)
    aside.close()
    shutil.rmtree(work)
    return {
        "requests": history.asked, "records": size,
        "played_seconds": round(took), "all_seconds": round(time.perf_counter() - began), "rss_mb": _rss(),
    }  # fmt: skip


def _run(wanted: Wanted) -> dict[str, float]:
    return asyncio.run(played(wanted))


def _stretches(requests: int) -> Iterator[int]:
    yield from range(STRETCH, requests, STRETCH)
    yield requests


def _rss() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """Play so many requests in so many logs, export them, and say how long it took."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--requests", type=int, default=1_000)
    parser.add_argument("--logs", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    each = -(-given.requests // given.logs)
    wanted = [
        Wanted(given.seed + number, each, given.minutes * 60, given.out / f"log-{number + 1}")
        for number in range(given.logs)
    ]
    given.out.mkdir(parents=True, exist_ok=True)
    with multiprocessing.get_context("spawn").Pool(given.logs) as pool:
        for figures in pool.imap(_run, wanted):
            print(json.dumps(figures))


if __name__ == "__main__":
    main()
