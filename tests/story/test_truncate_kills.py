"""Kill `audit truncate` where it hurts, on a real server whose clock is nine days ahead: the same command finishes it.

By default some of the places are played; `KILLS=all` plays all of them, `KILLS=0`, `1` or `2` a third.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from approvers.audit import SYSTEM
from countersign.ops.exporting import export
from countersign.ops.exporting_folder import Folder, NotExported
from countersign.ops.signed_log import newest
from countersign.verifying.checks import Checks
from countersign.verifying.parting import part
from countersign.verifying.verify import verify
from tests.countersign.ops.export_world import no_bar
from tests.faults.clocks import LIBRARY, MISSING, Clocks
from tests.story.test_evidence_kills import (
    KEYS,
    LEASE,
    Place,
    commits,
    denied,
    desk_on,
    of_this_run,
    opened,
    receipted,
)  # fmt: skip
from tests.worlds.gate import Call
from tests.worlds.processes import Process, start
from tests.worlds.redis_gate import QUIET, RedisGate, lua_scripts
from tests.worlds.signing import CLOCK_ENV, VERIFY_KEY
from tests.worlds.valkey import Valkey
from workers.stores import layout
from workers.stores.port import Store

NINE_DAYS = 9 * 24 * 3600
REQUESTS = 250
"""Of two records each: so many that it takes more than two steps to take them out."""


def cuts(call: Call) -> bool:
    return call.name == "EVALSHA:cut"


PLACES = [
    Place("nothing is recorded", commits(b"log:truncated"), "before"),
    Place("it is recorded", commits(b"log:truncated"), "after"),
    Place("the record of it is signed", commits(b"log:truncated"), "before"),
    Place("that is noted", commits(b"log:truncated"), "after"),
    Place("the first step", cuts, "before"),
    Place("the first step is done", cuts, "after", nth=1),
    Place("the second step is done", cuts, "after", nth=1),
]
"""In the order in which one truncation passes them: each run goes on where the one before it was killed."""
AIMED = [PLACES[1], PLACES[5]]


async def save(store: Store, path: Path) -> Path:
    await export(store, Folder(path), (await newest(store)).checkpoint, no_bar)
    return path


async def grown_old(store: Store, clocks: Clocks, path: Path) -> list[str]:
    """Fill a log, export it, and let nine days pass in the store."""
    desk = await desk_on(store)
    for begin in range(0, REQUESTS, 50):
        old = await denied(desk, *(f"old-{number}" for number in range(begin, begin + 50)))
    await receipted(store, old)
    await save(store, path)
    clocks.shift("redis", NINE_DAYS)
    while await store.records.now() < datetime.now(UTC) + timedelta(days=8):  # noqa: ASYNC110 its estimate ages
        await asyncio.sleep(0.05)
    return old


@pytest.mark.timeout(180)
@pytest.mark.skipif(LIBRARY is None, reason=MISSING)
async def test_a_truncation_is_finished_wherever_it_was_killed(tmp_path: Path, show: Callable[[str], None]) -> None:
    clocks, places = Clocks(tmp_path / "clocks"), of_this_run(AIMED, PLACES)
    with (
        Valkey(tmp_path / "valkey", env=clocks.env("redis")) as valkey,
        RedisGate(valkey.url, scripts=lua_scripts(), ignore=QUIET) as gate,
        start("workers.clock", {**CLOCK_ENV, **LEASE, "COUNTERSIGN_REDIS_URL": valkey.url}, tmp_path / "out"),
    ):
        async with opened(valkey) as store:
            old = await grown_old(store, clocks, tmp_path / "whole")
            before = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")
            words = (sys.executable, "-m", "countersign", "audit", "truncate", "--before", before, "--why", "a test",
                     "--export", str(tmp_path / "whole"), "--key", VERIFY_KEY)  # fmt: skip
            process = Process(words, {"COUNTERSIGN_REDIS_URL": gate.url}, tmp_path / "out", "truncate")
            desk = await desk_on(store)
            for number, place in enumerate(places):
                hold = gate.hold(place.nth, place.when, place.only)  # type: ignore[arg-type]
                process.restart()
                await asyncio.to_thread(hold.wait, 30)
                process.kill()
                hold.drop()
                gate.forgo(hold)
                await receipted(store, await denied(desk, f"young-{number}"))  # it all goes on meanwhile
                await refused_half(store, tmp_path / f"half-{number}")
            assert await asyncio.to_thread(process.restart().wait) == 0, process.output.decode()
            await judge(store, old, tmp_path)
    show(f"audit truncate killed {len(places)} times: {', '.join(place.name for place in places)}")


async def refused_half(store: Store, path: Path) -> None:
    """See that no export is made of a log of which some records are out and others of them not yet."""
    if (await store.log.base()).size:
        with pytest.raises(NotExported, match="the log is being truncated"):
            await save(store, path)


async def judge(store: Store, old: list[str], folder: Path) -> None:
    size = (await store.log.base()).size
    assert size > 2 * REQUESTS - 10
    kinds = [json.loads(body)["type"] for body in await store.log.chain(SYSTEM)]
    assert kinds.count("log.truncated") == 1
    keys = [layout.request_key(one) for one in old[:40]]
    assert not any(one.version for one in (await store.records.read(keys)).records.values())
    checks = Checks(folder / "after")
    found = verify(await save(store, folder / "after"), KEYS, checks=checks.all)
    assert (found.findings, found.base) == ([], size)
    await save(store, folder / "whole")
    for one, other in (("after", "whole"), ("whole", "after")):
        assert list(part(folder / one, folder / other)) == []
    assert verify(folder / "whole", KEYS, checks=Checks(folder / "whole").all).findings == []
