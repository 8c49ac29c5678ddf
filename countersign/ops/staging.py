"""Run the demo's three processes on the ground that is laid: rules, keys, start, readiness, and the stop in order."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

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


@asynccontextmanager
async def open_stage(ground: Ground, step: Step, told: Callable[[str], None]) -> AsyncIterator[Stage]:
    """Apply the rules, find or make the keys, run the three processes; stop them in order at the end.

    Args:
        ground: what stands already.
        step: told of each step.
        told: told when a process died and when it runs again.

    Raises:
        NotStaged: with what to do.
    """
    async with open_store(load({"COUNTERSIGN_REDIS_URL": ground.redis_url})) as store:
        step(await fittings.apply_rules(store.records))
        tokens = await find_tokens(ground.folder, store.records)
        fittings.write_for_scripts(ground, tokens)
        supervisor = Supervisor(told)
        try:
            step("web, worker, clock: starting …")
            began = await store.records.now()
            for child in _children(ground):
                await supervisor.start(child)
            await wait_until_ready(ground.base_url, store, supervisor, began)
            yield Stage(ground, store, tokens, supervisor)
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


def _children(ground: Ground) -> list[Child]:
    logs = ground.folder.path / "logs"
    environs = fittings.environments(ground, fittings.delivery_key(ground))
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
