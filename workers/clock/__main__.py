"""Run one clock: `python -m workers.clock`. Any number may run, on any hosts."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta

from approvers.errors import CountersignError
from workers import logs
from workers.alerts import open_alerts
from workers.clock.due import Clock
from workers.clock.notary import Notary
from workers.clock.receipting import Receipting
from workers.clock.streaming import open_streaming
from workers.clock.witness import Witness
from workers.config import ConfigurationError, load
from workers.queue import Queue
from workers.settings import Settings
from workers.signing import Signers, load_signers
from workers.stores.port import StoreError
from workers.stores.redis import connect

_log = logs.get_logger(__name__)


def main() -> int:
    """Read the settings and run until SIGTERM; returns the exit status."""
    try:
        settings = load(os.environ, "clock")
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201 there is no log yet
        return 2
    logs.configure("clock", settings.log_level)
    try:
        asyncio.run(_run(settings, load_signers(settings), Witness(settings.witness_file)))
    except (StoreError, CountersignError) as error:
        _log.error("clock.refused", why=str(error))
        return 1
    return 0


async def _run(settings: Settings, signers: Signers, witness: Witness) -> None:
    store = await connect(settings.store_url, durability=settings.redis_durability)
    lease = timedelta(seconds=settings.lease_seconds)
    queue = Queue(settings.queue_url, job_seconds=max(1, settings.lease_seconds * 9 // 10))
    try:
        async with open_alerts(settings) as alerts, open_streaming(settings, store, alerts) as streaming:
            notary = Notary(store, signers, alerts, witness)
            await notary.ready()
            receipting = Receipting(store, notary, alerts)
            clock = Clock(store, queue, lease, alerts, notary=notary, receipting=receipting, streaming=streaming)
            running = asyncio.ensure_future(clock.run())
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, running.cancel)
            _log.info("clock.started", pid=os.getpid())
            await asyncio.wait([running])
            await clock.leave()
            witness.write()
        if not running.cancelled():
            running.result()
        _log.info("clock.stopped")
    finally:
        await queue.aclose()
        await store.aclose()


if __name__ == "__main__":
    sys.exit(main())
