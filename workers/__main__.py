"""Run one worker: `python -m workers`. Jobs run in this process, one after the other; start as many as you need."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack

from workers import jobs, logs
from workers.config import ConfigurationError, load
from workers.queue import work
from workers.settings import Settings
from workers.stores.port import StoreError
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
    with asyncio.Runner() as runner:
        try:
            tools = runner.run(resources.enter_async_context(open_tools(settings, with_providers=True)))
            jobs.install(runner, tools)
            _serve(settings)
        except StoreError as error:
            _log.error("worker.refused", why=str(error))
            return 1
        finally:
            runner.run(resources.aclose())
    return 0


def _serve(settings: Settings) -> None:
    _log.info("worker.started", pid=os.getpid(), providers=list(settings.providers))
    work(settings.queue_url)
    _log.info("worker.stopped")


if __name__ == "__main__":
    sys.exit(main())
