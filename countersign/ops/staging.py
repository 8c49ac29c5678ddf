"""Run the demo's three processes on the ground that is laid: rules, keys, start, readiness, and the stop in order."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import aiohttp

from countersign.ops import fittings
from countersign.ops.children import Child
from countersign.ops.connect import open_store
from countersign.ops.fittings import MODULES
from countersign.ops.ground import Ground, NotStaged, Step
from countersign.ops.supervise import Supervisor
from countersign.ops.tokens import Tokens, find_tokens
from workers.config import load
from workers.stores.port import Store

if TYPE_CHECKING:
    from countersign.ops.slackdemo import Cast, Wish

READY_SECONDS = 30.0
FALLS = 3
"""A process that dies this often before it is ready will not become so."""


@dataclass(frozen=True)
class Stage:
    """The demo, running."""

    ground: Ground
    store: Store
    tokens: Tokens
    supervisor: Supervisor
    cast: Cast | None = None


@asynccontextmanager
async def open_stage(
    ground: Ground, step: Step, told: Callable[[str], None], slack: Wish | None = None
) -> AsyncIterator[Stage]:
    """Apply the rules, find or make the keys, run the three processes; stop them in order at the end.

    Args:
        ground: what stands already.
        step: told of each step.
        told: told when a process died and when it runs again.
        slack: put the cards into this Slack, too.

    Raises:
        NotStaged: with what to do.
    """
    async with open_store(load({"COUNTERSIGN_REDIS_URL": ground.redis_url})) as store:
        cast, roster = await _cast(slack, store, step) if slack else (None, None)
        step(await fittings.apply_rules(store.records, roster))
        tokens = await find_tokens(ground.folder, store.records)
        environ = fittings.slack_environment(ground, slack.environ) if slack else {}
        fittings.write_for_scripts(ground, tokens, environ.get(fittings.SLACK_SIGNING))
        supervisor = Supervisor(told)
        try:
            step("web, worker, clock: starting …")
            began = await store.records.now()
            for child in _children(ground, environ):
                await supervisor.start(child)
            await wait_until_ready(ground.base_url, store, supervisor, began)
            yield Stage(ground, store, tokens, supervisor, cast)
        finally:
            step("stopping clock, worker and web …")
            await supervisor.stop()


async def wait_until_ready(base_url: str, store: Store, supervisor: Supervisor, since: datetime) -> None:
    """Return once web answers that it is ready, and worker and clock have shown life since that moment.

    Raises:
        NotStaged: one of them keeps dying, or takes too long; with the end of its log.
    """
    waiting = set(MODULES)
    try:
        async with asyncio.timeout(READY_SECONDS), aiohttp.ClientSession() as http:
            while waiting:
                waiting -= {name for name, at in (await store.signals.beats()).items() if at >= since and name != "web"}
                if "web" in waiting and await _is_ready(http, base_url):
                    waiting.remove("web")
                for child in supervisor.children.values():
                    if child.starts >= FALLS:
                        raise NotStaged(f"{child.name} does not stay up; the end of {child.log}:\n{child.tail()}")
                await asyncio.sleep(0.05)  # other processes, which only leave marks: there is no event to wait for
    except TimeoutError:
        child = supervisor.children[min(waiting)]
        why = f"{child.name} is not ready after {READY_SECONDS:.0f} s; the end of {child.log}:\n{child.tail()}"
        raise NotStaged(why) from None


async def _cast(slack: Wish, store: Store, step: Step) -> tuple[Cast | None, str | None]:
    """Find channel and people, and the roster that names them; neither where an operator's own roster does."""
    from countersign.ops import slackdemo  # noqa: PLC0415 loads Slack's SDK: only where it is asked for

    if others := await fittings.operators(store.records):
        step(f"slack: channel and people as in the countersign.toml applied by {', '.join(others)}")
        return None, None
    cast = await slackdemo.find_cast(slack)
    step(f"slack: {cast}")
    return cast, slackdemo.roster_with(fittings.demo_file("countersign.toml"), cast)


def _children(ground: Ground, slack: Mapping[str, str]) -> list[Child]:
    logs = ground.folder.path / "logs"
    environs = fittings.environments(ground, fittings.delivery_key(ground), slack)
    return [
        Child(name, [sys.executable, "-m", MODULES[name]], environ, logs / f"{name}.log")
        for name, environ in environs.items()
    ]


async def _is_ready(http: aiohttp.ClientSession, base_url: str) -> bool:
    try:
        async with http.get(f"{base_url}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
