"""Work with RQ alone: the floor of `bench.mint`, and the other way to be on time in `bench.due`.

    python -m bench.rq_worker URL QUEUE [--scheduler]

It prints one line when it works. Its jobs are a no-op, and the end of a grant by the product's own code, for which RQ
keeps the time instead of the due set.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from contextlib import AsyncExitStack

import redis
from rq import SimpleWorker
from rq.serializers import JSONSerializer

from bench.stage import DELIVERY
from workers.config import load
from workers.leasing import advance
from workers.stores.port import Attempt
from workers.tools import Tools
from workers.wiring import open_tools

_opened: list[tuple[asyncio.Runner, Tools, redis.Redis]] = []


def noop() -> str:
    """Do nothing."""
    return "done"


def end(member: str) -> str:
    """End a grant by time and prove it: what the product's worker does in two jobs, with a fence made up here."""
    [(runner, tools, client)] = _opened
    word = ""
    for _ in range(2):
        client.hset("{cs}:claims", member, 1)
        word = runner.run(advance(tools, Attempt(member, 1)))
    return word


def main(url: str, queue: str, *options: str) -> None:
    """Work until a signal comes."""
    settings = load(
        {
            "COUNTERSIGN_REDIS_URL": url,
            "COUNTERSIGN_PROVIDERS": "dry_run",
            "COUNTERSIGN_DELIVERY_PUBLIC_KEY": DELIVERY.public_text,
        },
        "worker",
    )
    resources = AsyncExitStack()
    with asyncio.Runner() as runner:
        tools = runner.run(resources.enter_async_context(open_tools(settings, with_providers=True)))
        _opened[:] = [(runner, tools, redis.Redis.from_url(url))]
        worker = SimpleWorker([queue], connection=redis.Redis.from_url(url), serializer=JSONSerializer)
        print("bench.rq_worker started", flush=True)
        worker.work(with_scheduler="--scheduler" in options, logging_level="WARNING")
        runner.run(resources.aclose())


if __name__ == "__main__":
    # The jobs name this module, not `__main__`, and look there for what was opened.
    importlib.import_module("bench.rq_worker").main(*sys.argv[1:])
