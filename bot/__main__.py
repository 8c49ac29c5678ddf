"""Run the web process: `python -m bot`. Intake API, console and chat, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import sys
from collections.abc import Sequence

from aiohttp import web

from bot.app import open_app
from workers import logs
from workers.config import ConfigurationError, Settings, load
from workers.stores.port import StoreError

STOP_SECONDS = 10.0
"""How long a call under way may take to end when the process is told to stop."""
BAD_SETTINGS, NO_STORE = 2, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the settings, serve until told to stop, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bot", description="Run the web process.")
    parser.add_argument("--reuse-port", action="store_true", help="let several processes listen on the same port")
    options = parser.parse_args(arguments)
    try:
        settings = load(os.environ, "web")
        logs.configure("web", settings.log_level)
        asyncio.run(serve(settings, reuse_port=options.reuse_port))
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return BAD_SETTINGS
    except (StoreError, OSError) as error:
        sys.stderr.write(f"{logs.scrub(str(error))}\n")
        return NO_STORE
    return 0


async def serve(settings: Settings, *, reuse_port: bool = False) -> None:
    """Serve until SIGTERM or SIGINT; says on stdout when it does."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_app(settings) as app:
        _settle_memory()
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_SECONDS)
        await runner.setup()
        try:
            site = web.TCPSite(runner, settings.host, settings.port, reuse_port=reuse_port or None)
            await site.start()
            sys.stdout.write(f"listening on {_address(settings, runner)}\n")
            sys.stdout.flush()
            await stop.wait()
        finally:
            await runner.cleanup()


def _settle_memory() -> None:
    """Keep the collector off what was loaded at start: it lives for ever, and each look at it is a pause."""
    gc.collect()
    gc.freeze()


def _address(settings: Settings, runner: web.AppRunner) -> str:
    """Return where it really listens: with port 0 the system has chosen one."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{runner.addresses[0][1]}"


if __name__ == "__main__":
    sys.exit(main())
