"""Measure evidence: what the audit adds to a commit, how fast a log is verified and exported, what a receipt costs.

    python -m bench audit [--commits 2000] [--requests 5000] [--records 100000] [--rounds 3]
                                                           [--only commits|log|made]

Commits: asks and deciding reviews of the desk, with their records and without, everything else the same, in turn
against the same Valkey (`appendfsync always`). The log is made by the desk, signed and given its receipts by what the
clock runs; each request in it is approved, minted (dry run), ended by time and proven. Verifying it stands beside one
SHA-256 over the same bytes, both in processor time, for nothing is waited for; exporting it beside one copy of them.
The longest logs are of a test's making: as many short records as one likes, with receipts, but nothing to replay.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import redis

from bench import audit_log as log
from bench.stage import House, at, callers_for, open_house, opened, table, took_ms, valkey
from workers.stores.port import Commit, Records

WITHOUT, WITH = "without its records", "with them"
SIDES = (WITHOUT, WITH)
WARM = 40
ASK, REVIEW = "ask (1 record)", "deciding review (3)"
PARTS = (0.1, 0.5)
"""Of the log, where memory is looked at besides its end."""


# ---- commits


@dataclass
class Took:
    """What the commits of one side took: from the call to its answer, and of it in this process and in the script."""

    ms: list[float] = field(default_factory=list)
    own_us: list[float] = field(default_factory=list)
    script_us: list[float] = field(default_factory=list)


class Timed:
    """Be the records of a store: commits of the side `without` leave their audit records out, and each is timed."""

    def __init__(self, records: Records, url: str) -> None:
        self._records, self._server = records, redis.Redis.from_url(url)
        self.side, self.took = WITH, Took()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    async def commit(self, commit: Commit) -> None:
        """Commit it, whole or without its records."""
        one = commit if self.side == WITH else replace(commit, drafts=())
        before = self._script_us()
        began, own = time.perf_counter(), time.thread_time()
        await self._records.commit(one)
        self.took.own_us.append((time.thread_time() - own) * 1e6)
        self.took.ms.append(took_ms(began))
        self.took.script_us.append(self._script_us() - before)

    def _script_us(self) -> float:
        """Return how long the server has spent in scripts so far, as it counts it."""
        return float(self._server.info("commandstats").get("cmdstat_evalsha", {}).get("usec", 0))


@dataclass
class Ground:
    """A house whose commits are timed."""

    house: House
    timed: Timed

    async def in_turn(
        self, items: Sequence[Any], do: Callable[[Any], Awaitable[Any]]
    ) -> tuple[list[Any], dict[str, Took]]:
        """Do it for one item after another, each second one without records; returns the answers, and what it took."""
        took, found = {side: Took() for side in SIDES}, []
        for number, item in enumerate(items):
            self.timed.side = SIDES[number % 2]
            self.timed.took = took[self.timed.side]
            found.append(await do(item))
        return found, took


async def commits(url: str, count: int) -> dict[str, dict[str, Took]]:
    """Return what the commits of asks and of deciding reviews took, one after another."""
    async with opened(url) as store:
        timed = Timed(store.records, url)
        ground = Ground(await open_house(replace(store, records=timed), callers_for(WARM + count)), timed)
        asked, _ = await ground.in_turn(range(WARM), ground.house.ask)
        await ground.in_turn(asked, ground.house.approve)
        asked, asks = await ground.in_turn(range(WARM, WARM + count), ground.house.ask)
        _, reviews = await ground.in_turn(asked, ground.house.approve)
    return {ASK: asks, REVIEW: reviews}


def show_commits(found: dict[str, dict[str, Took]]) -> str:
    """Return the table of what the records add to a commit."""
    rows: list[Sequence[str]] = []
    for name, sides in found.items():
        bare, ours = (_figures(sides[side]) for side in SIDES)
        rows += [(f"{name}, {side}", *shown) for side, shown in zip(SIDES, map(_shown, (bare, ours)), strict=True)]
        rows.append(
            ("**ratio**", *(f"**{one / max(other, 1e-9):.2f}**" for one, other in zip(ours, bare, strict=True)))
        )
    return table(("one commit", "p50 ms", "p99 ms", "this process, µs", "the script, µs"), rows)


def _figures(took: Took) -> list[float]:
    return [at(took.ms, 0.5), at(took.ms, 0.99), at(took.own_us, 0.5), at(took.script_us, 0.5)]


def _shown(figures: list[float]) -> list[str]:
    return [f"{one:.{digits}f}" for one, digits in zip(figures, (3, 3, 0, 0), strict=True)]


# ---- the log


@dataclass
class Logged:
    """What a log took, in seconds, each round; its size, and the memory that verifying it took."""

    records: int = 0
    bytes: int = 0
    took: dict[str, list[float]] = field(default_factory=dict)
    peaks: list[tuple[int, dict[str, log.Peak]]] = field(default_factory=list)
    sign_us: float = 0.0
    check_us: float = 0.0

    def note(self, name: str, seconds: float) -> None:
        """Add what a round took."""
        self.took.setdefault(name, []).append(seconds)


COPY, READ, EXPORT = "floor: copy of its files", "floor: read out and written", "export"
HASH, PARSE = "floor: SHA-256 of its files", "floor: each record parsed, and hashed"
VERIFY, REPLAY = "verify without the replay", "verify with story and replay"


async def logged(url: str, folder: Path, requests: int, rounds: int) -> Logged:
    """Grow a log, export it and verify it, in turn with the floors."""
    found = Logged()
    async with opened(url) as store:
        grown = await log.grow(store, requests)
        sizes = [await grown.to(max(1, int(requests * part))) for part in (*PARTS, 1)]
        found.records = sizes[-1]
        for number in range(rounds):
            out = folder / f"export{number}"
            found.note(EXPORT, await log.exported(store, out))
            found.note(READ, await log.read_out(store, folder / "read", found.records))
            found.note(COPY, log.copied(out, folder / f"copy{number}"))
        for size in sizes:
            await log.exported(store, folder / f"size{size}", size)
        found.sign_us, found.check_us = log.receipts_us(*await log.receipts_of(store, min(requests, 1000)))
    whole = folder / "export0"
    found.bytes = log.size_of(whole)
    for _ in range(rounds):
        found.note(HASH, log.seconds(lambda: log.hashed(whole), time.process_time))
        found.note(PARSE, log.seconds(lambda: log.parsed(whole), time.process_time))
        found.note(VERIFY, log.seconds(lambda: log.verified(whole, log.BYTES), time.process_time))
        found.note(REPLAY, log.seconds(lambda: log.verified(whole, log.EVERYTHING), time.process_time))
    found.peaks = [(size, {how: log.peak(folder / f"size{size}", how) for how in log.VERIFIES}) for size in sizes]
    return found


def show_log(found: Logged) -> str:
    """Return the tables of export, verify, memory and receipts."""

    def one(name: str, *floors: str) -> tuple[str, ...]:
        took = statistics.median(found.took[name])
        ratios = [
            f"**{statistics.median(a / b for a, b in zip(found.took[name], found.took[floor], strict=True)):.1f}**"
            for floor in floors
        ]
        return name, f"{took:.2f}", f"{took / found.records * 1e6:.1f}", *(ratios or ("", ""))

    what = f"{found.records:,} records, {found.bytes / 1e6:.0f} MB"
    first = (what, "s", "µs a record", "to the first floor", "to the second")
    memory = [
        (
            f"{size:,} records",
            *(f"{peaks[how].after:.0f} (+{peaks[how].after - peaks[how].before:.0f})" for how in log.VERIFIES),
        )
        for size, peaks in found.peaks
    ]
    return "\n\n".join(
        [
            table(first, [one(COPY), one(READ), one(EXPORT, COPY, READ)]),
            table(first, [one(HASH), one(PARSE), one(VERIFY, HASH, PARSE), one(REPLAY, HASH, PARSE)]),
            table(("most memory held, MiB (more than at its start)", VERIFY, REPLAY), memory),
            table(("one receipt", "µs"), [("signed", f"{found.sign_us:.0f}"), ("verified", f"{found.check_us:.0f}")]),
        ]
    )


# ---- a long log


def shown_made(folder: Path, records: int) -> str:
    """Verify logs of up to that many records of a test's making; returns the table."""
    cpu, rows = time.process_time, []
    for part in (*PARTS, 1):
        size = max(5, int(records * part) // log.RECORDS_EACH * log.RECORDS_EACH)
        path = log.made(folder / f"made{size}", size // log.RECORDS_EACH)
        hashing = log.seconds(lambda path=path: log.hashed(path), cpu)
        took = log.seconds(lambda path=path: log.verified(path, log.BYTES, log.MADE_KEY), cpu)
        most = log.peak(path, log.BYTES, log.MADE_KEY)
        shown = f"{log.size_of(path) / 1e6:.0f}", f"{hashing:.2f}", f"{took:.2f}", f"**{took / hashing:.0f}**"
        rows.append((f"{size:,}", *shown, f"{most.after:.0f} (+{most.after - most.before:.0f})"))
    return table(
        ("records", "MB", "SHA-256, s", "verify, s", "ratio", "most memory, MiB (more than at its start)"), rows
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench audit", description=__doc__.splitlines()[0])
    parser.add_argument("--commits", type=int, default=2_000)
    parser.add_argument("--requests", type=int, default=5_000)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("commits", "log", "made"))
    options = parser.parse_args(argv)
    if options.only in (None, "commits"):
        with valkey() as (server, _):
            print(show_commits(asyncio.run(commits(server.url, options.commits))), flush=True)
    if options.only in (None, "log"):
        with valkey() as (server, _), tempfile.TemporaryDirectory(prefix="bench-") as folder:
            found = asyncio.run(logged(server.url, Path(folder), options.requests, options.rounds))
        print(f"\n{show_log(found)}", flush=True)
    if options.only in (None, "made"):
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            print(f"\n{shown_made(Path(folder), options.records)}")


if __name__ == "__main__":
    main()
