"""Run one worker: `python -m workers`. Its items run in this process, many at a time; start as many as you need.

RQ has the main thread, where signals arrive; everything else happens in one event loop in a thread of its own.
"""

from __future__ import annotations

import os
import sys
from contextlib import AsyncExitStack

from workers import jobs, logs
from workers.carrying import Background
from workers.config import ConfigurationError, load
from workers.queue import work
from workers.settings import Settings
from workers.stores.port import StoreError
from workers.tools import Tools
from workers.wiring import open_tools

_log = logs.get_logger(__name__)


def main() -> int:
    """Read the settings, open the store, work until SIGTERM; returns the exit status."""
    try:
        settings = load(os.environ, "worker")
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201 there is no log yet
        return 2
    logs.configure("worker", settings.log_level)
    resources = AsyncExitStack()
    with Background() as loop:
        try:
            tools = loop.wait(resources.enter_async_context(open_tools(settings, with_providers=True)))
            _serve(settings, loop, tools)
        except StoreError as error:
            _log.error("worker.refused", why=str(error))
            return 1
        finally:
            loop.wait(resources.aclose())
    return 0


def _serve(settings: Settings, loop: Background, tools: Tools) -> None:
    carrier = jobs.install(loop, tools)
    _log.info("worker.started", pid=os.getpid(), providers=list(settings.providers))
    try:
        work(settings.queue_url)
    finally:
        loop.wait(carrier.settle(tools.lease))  # what is in hand is finished, or comes back by its lease
        loop.wait(tools.lanes.settle())
    _log.info("worker.stopped")


if __name__ == "__main__":
    sys.exit(main())
