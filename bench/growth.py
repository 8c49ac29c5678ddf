"""Measure growth: one commit with a thousand requests on record, and with a hundred thousand.

    python -m bench growth [--small 1000] [--large 100000] [--commits 1000]

The commit is that of an ask: request, ruling, audit record, event, due time, names and indexes, in one Lua call. All
requests on record wait, so that indexes and due set are as long as they can be. Two servers run side by side, a small
and a large one, and take each measured commit in turn: what else the machine does then meets both alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from approvers.times import to_ms
from bench.floor_server import AT, ID
from bench.intake import record_call
from bench.stage import WAITING_EACH, apply_rules, at, each, opened, table, took_ms, valkey
from workers.stores.encoding import Argument
from workers.stores.link import Link, Script

PRINCIPAL = "caller:report-bot"
COMMIT = Script("commit")
TRIES = 5


@dataclass
class Shelf:
    """One server, and how many requests it has on record."""

    link: Link
    template: list[Argument]
    size: int = 0
    took: list[float] = field(default_factory=list)

    async def commit(self, number: int) -> float:
        """Store one more waiting request; returns the milliseconds of the call."""
        row = self._row(number, await self._now_ms())
        began = time.perf_counter()
        reply = await self.link.run(COMMIT, row)
        took = took_ms(began)
        assert isinstance(reply, int), reply
        self.link.clock.heard(reply)
        self.size += 1
        return took

    async def fill(self, size: int) -> None:
        """Store requests until there are so many, and let the server come to rest."""
        await each(range(self.size, size), self.commit, at_once=64)
        while b"aof_rewrite_in_progress:0" not in await self.link.call("INFO", "persistence"):  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # the server compacts its file after a fill, and tells nobody when it is done

    async def _now_ms(self) -> int:
        if now := self.link.clock.read():
            return to_ms(now)
        seconds, micros = await self.link.call("TIME")
        self.link.clock.heard(int(seconds) * 1000 + int(micros) // 1000)
        return int(seconds) * 1000 + int(micros) // 1000

    def __post_init__(self) -> None:
        self._texts = [
            (index, value)
            for index, value in enumerate(self.template)
            if isinstance(value, str) and (ID in value or PRINCIPAL in value)
        ]
        self._times = [index for index, value in enumerate(self.template) if value == AT]

    def _row(self, number: int, now_ms: int) -> list[Argument]:
        row, fresh, who = list(self.template), secrets.token_hex(8), f"caller:bot-{number // WAITING_EACH}"
        for index, value in self._texts:
            row[index] = value.replace(ID, fresh).replace(PRINCIPAL, who)
        for index in self._times:
            row[index] = now_ms
        return row


async def shelf(url: str, template: list[Argument]) -> Shelf:
    """Open a server with the rules applied."""
    async with opened(url) as store:
        await apply_rules(store, 0)
    return Shelf(Link(url, "{cs}:"), template)


async def measure(urls: Sequence[str], sizes: Sequence[int], commits: int) -> list[Shelf]:
    """Fill each server to its size, then commit to them in turn."""
    template = json.loads(await record_call())["arguments"]
    shelves = [await shelf(url, template) for url in urls]
    for one, size in zip(shelves, sizes, strict=True):
        await one.fill(size)
    for number in range(commits):
        for one, size in zip(shelves, sizes, strict=True):
            one.took.append(await one.commit(size + number))
    for one in shelves:
        await one.link.aclose()
    return shelves


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench growth", description=__doc__.splitlines()[0])
    parser.add_argument("--small", type=int, default=1_000)
    parser.add_argument("--large", type=int, default=100_000)
    parser.add_argument("--commits", type=int, default=1_000)
    options = parser.parse_args(argv)
    sizes = (options.small, options.large)
    with ExitStack() as stack:
        urls = [stack.enter_context(valkey())[0].url for _ in sizes]
        small, large = asyncio.run(measure(urls, sizes, options.commits))
    rows = [(f"{size:,} on record", *(f"{at(one.took, part):.2f}" for part in (0.5, 0.99)))
            for size, one in zip(sizes, (small, large), strict=True)]  # fmt: skip
    ratios = [f"**{at(large.took, part) / at(small.took, part):.2f}**" for part in (0.5, 0.99)]
    print(table((f"one commit, {options.commits} times", "p50 ms", "p99 ms"), [*rows, ("**ratio**", *ratios)]))


if __name__ == "__main__":
    main()
