"""Measure memory: what a waiting request, and a finished one, cost the store.

    python -m bench memory [--requests 2000]

The difference of Redis's own `used_memory`, over so many of each, made by desk and worker in this process: first all of
them wait, then all are approved, minted (dry run), ended by time and proven. A finished one still has its
Idempotency-Key, which is forgotten a day later; its events were told, and are gone from the outbox.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import Sequence

import redis

from bench.stage import House, callers_for, drain, each, open_house, opened, table, valkey

WARM = 20
"""Requests lived before the count begins, so that scripts, counters and buffers are there."""
KINDS = {"record:request": "request", "record:grant": "grant", "audit": "audit chain", "log": "log of references",
         "name": "names", "index": "indexes and due set", "due": "indexes and due set"}  # fmt: skip


async def live_through(house: House, requests: Sequence[str]) -> None:
    """Approve, mint, end and prove all of them. Their TTL is a second, and they end by themselves."""
    await each(requests, house.approve)
    while await house.store.records.members("live", limit=1):
        if not await house.work():
            await asyncio.sleep(0.1)  # until the second is over: the provider's own clock decides that
    await drain(house.store)


def parts(client: redis.Redis) -> dict[str, int]:
    """Return the bytes of all keys by kind, as `MEMORY USAGE` counts them; sampling is off."""
    found: Counter[str] = Counter()
    keys = [key for key in client.scan_iter("{cs}:*", count=1000)]
    for begin in range(0, len(keys), 1000):
        pipeline = client.pipeline(transaction=False)
        for key in keys[begin : begin + 1000]:
            pipeline.memory_usage(key, samples=0)
        for key, size in zip(keys[begin : begin + 1000], pipeline.execute(), strict=True):
            words = key.decode().removeprefix("{cs}:").split(":")
            kind = ":".join(words[:2]) if words[0] == "record" else words[0]
            found[KINDS.get(kind, "other")] += size
    return found


async def measure(url: str, count: int) -> list[tuple[str, float, dict[str, float]]]:
    """Return, for waiting and finished, the bytes of one request, and of its parts."""
    client = redis.Redis.from_url(url)
    async with opened(url) as store:
        house = await open_house(store, callers_for(WARM + count))
        await live_through(house, await each(range(WARM), lambda number: house.ask(number, ttl_seconds=1)))
        base, base_parts = client.info("memory")["used_memory"], parts(client)
        requests = await each(range(WARM, WARM + count), lambda number: house.ask(number, ttl_seconds=1))
        await drain(store)
        found = [_per_request("waiting", client, base, base_parts, count)]
        await live_through(house, requests)
        return [*found, _per_request("finished", client, base, base_parts, count)]


def _per_request(
    name: str, client: redis.Redis, base: int, base_parts: dict[str, int], count: int
) -> tuple[str, float, dict[str, float]]:
    used, now = client.info("memory")["used_memory"], parts(client)
    grown = {kind: (now.get(kind, 0) - base_parts.get(kind, 0)) / count for kind in now}
    return name, (used - base) / count, grown


def main(argv: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench memory", description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=2000)
    options = parser.parse_args(argv)
    with valkey() as (server, _):
        rows = asyncio.run(measure(server.url, options.requests))
    shown = list(dict.fromkeys(KINDS.values()))
    cells = [
        [name, f"**{total:,.0f}**", *(f"{grown.get(kind, 0):,.0f}" for kind in shown)] for name, total, grown in rows
    ]
    print(table((f"bytes of one request, over {options.requests}", "used_memory", *shown), cells))


if __name__ == "__main__":
    main()
