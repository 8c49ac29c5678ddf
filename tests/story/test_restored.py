"""A store restored from an older backup while it was in use: on-call is told, and nothing is signed until they say so.

The server and the clock are real processes; the backup is a copy of the append-only file, taken while both run.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from approvers.checkpoint import Checkpoint, read_checkpoint
from approvers.request import Receipt, Request
from bot.deps import make_desk
from bot.directory import Directory
from bot.reading import Reader
from countersign.ops.exporting import export
from countersign.ops.exporting_folder import Folder
from countersign.ops.signed_log import newest
from countersign.verifying.checks import Checks
from countersign.verifying.core import Key
from countersign.verifying.verify import Verified, verify
from tests.bot.test_desk import caller
from tests.countersign.ops.export_world import no_bar
from tests.worlds import samples
from tests.worlds.alert_sink import AlertSink
from tests.worlds.processes import ROOT, Process, start
from tests.worlds.signing import CLOCK_ENV, VERIFY_KEY
from tests.worlds.valkey import Valkey
from workers.policies import Policies, apply
from workers.stores import layout
from workers.stores.port import Store
from workers.stores.redis import connect

ROLLED_BACK = "log.rolled_back"
LOOKS = timedelta(seconds=3)
"""Long enough for a clock that looks every second, and tries to sign twice a second what is due."""
DENIED_BY_RULE = {"action": "s3:DeleteObject", "access": None}


@dataclass
class World:
    """One store's server, its clock, on-call's pager, and the disk on which the clock keeps its witness."""

    folder: Path
    valkey: Valkey
    clock: Process
    pager: AlertSink

    @property
    def witness(self) -> Path:
        return self.folder / "another-disk" / "witness"

    @property
    def witnessed(self) -> Checkpoint | None:
        return read_checkpoint(self.witness.read_text()) if self.witness.exists() else None

    def restore(self, backup: Path) -> None:
        """Put an older copy in the place of what the server holds."""
        self.valkey.kill()
        shutil.rmtree(self.valkey.data_dir)
        shutil.copytree(backup, self.valkey.data_dir)
        self.valkey.start()

    async def wait_witnessed(self, size: int) -> Checkpoint:
        """Return what the witness's file says once it covers that size."""
        async with asyncio.timeout(20):
            while (found := self.witnessed) is None or found.size < size:  # noqa: ASYNC110 another process writes it
                await asyncio.sleep(0.05)
        return found

    async def wait_witnessed_anew(self, before: Checkpoint) -> None:
        """Return once the witness's file speaks of another log than before: it is written a moment after signing."""
        async with asyncio.timeout(20):
            while self.witnessed == before:  # noqa: ASYNC110 another process writes it
                await asyncio.sleep(0.05)

    async def paged(self, *, over: bool) -> str:
        """Return what on-call was told of the log, once they were."""
        count = 1
        while True:
            posts = await asyncio.to_thread(self.pager.wait_for, count, 20)
            found = [post["summary"] for post in posts if (post["key"], post["cleared"]) == (ROLLED_BACK, over)]
            if found:
                return str(found[0])
            count = len(posts) + 1


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "another-disk").mkdir()
    with Valkey(tmp_path / "valkey") as valkey, AlertSink() as pager:
        env = {
            **CLOCK_ENV, "COUNTERSIGN_REDIS_URL": valkey.url,
            "COUNTERSIGN_ALERT_WEBHOOK_URL": pager.url("alertmanager"),
            "COUNTERSIGN_WITNESS_FILE": str(tmp_path / "another-disk" / "witness"),
        }  # fmt: skip
        with start("workers.clock", env, tmp_path, name="clock") as clock:
            yield World(tmp_path, valkey, clock, pager)


@asynccontextmanager
async def opened(world: World) -> AsyncIterator[Store]:
    store = await connect(world.valkey.url)
    yield store
    await store.aclose()


async def decided(store: Store, key: str) -> Request:
    """Ask for what a rule denies: a decision, and so a receipt that is due."""
    policies = Policies(store.records, store.signals)
    await policies.refresh()
    desk = make_desk(store, policies, Reader(store), Directory(policies))
    return (await desk.submit(caller(), samples.action(**DENIED_BY_RULE), key)).request


async def receipt(store: Store, request: Request, patience: timedelta = timedelta(seconds=20)) -> Receipt | None:
    """Return a request's receipt as soon as it is there; None when patience is over."""
    key = layout.request_key(request.id)
    until = time.monotonic() + patience.total_seconds()
    view = await Reader(store).look(request.id)
    while view.request.receipt is None and (left := until - time.monotonic()) > 0:
        await store.signals.changed(key, timedelta(seconds=min(left, 1)), seen=view.version)  # hints may be lost
        view = await Reader(store).look(request.id)
    return view.request.receipt


async def held_against(store: Store, folder: Path, *kept: Receipt) -> Verified:
    """Export the log, and hold it against what callers kept."""
    await export(store, Folder(folder / "export"), (await newest(store)).checkpoint, no_bar)
    said = folder / "kept"
    said.write_text("".join(f"{one.jws}\n" for one in kept))
    checks = Checks(folder / "export")
    return verify(folder / "export", [Key.parse(VERIFY_KEY)], witnesses_in=[said], checks=checks.all)


def accept(world: World) -> subprocess.CompletedProcess[str]:
    """Say, as on-call, that the log is rightly another one."""
    words = ("keys", "signing", "accept-rollback", "--why", "restored on purpose")
    env = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "COUNTERSIGN_REDIS_URL": world.valkey.url, "HOME": "/"}
    asked = [sys.executable, "-m", "countersign", *words]
    return subprocess.run(asked, env=env, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("clock", ["lives-through-it", "knows-the-file-alone"])
async def test_an_older_backup_is_told_and_not_signed_until_on_call_says_so(world: World, clock: str) -> None:
    async with opened(world) as store:
        await apply(store.records, policy=samples.POLICY_TEXT, roster=samples.ROSTER_TEXT, by="user:dana", why="test")
        before = await receipt(store, await decided(store, "before"))
        backup = shutil.copytree(world.valkey.data_dir, world.folder / "backup")
        lost = await receipt(store, await decided(store, "lost"))
        assert before and lost and lost.size > before.size
    newest_of_all = await world.wait_witnessed(lost.size)

    if clock == "knows-the-file-alone":
        world.clock.kill()
    world.restore(backup)
    if clock == "knows-the-file-alone":
        world.clock.restart()

    async with opened(world) as store:
        assert f"at size {newest_of_all.size}" in await world.paged(over=False)
        signed = await store.records.members(layout.CHECKPOINTS)
        since = await decided(store, "since")
        assert await receipt(store, since, LOOKS) is None
        assert await store.records.members(layout.CHECKPOINTS) == signed
        assert world.witnessed == newest_of_all
        assert ROLLED_BACK in world.pager.firing

        accepted = await asyncio.to_thread(accept, world)
        assert accepted.returncode == 0, accepted.stderr
        after = await receipt(store, since)
        assert after and after.size > before.size
        await world.paged(over=True)
        await world.wait_witnessed_anew(newest_of_all)

        assert (await held_against(store, world.folder, before, after)).findings == []
        found = await held_against(store, world.folder, before, lost)
        assert [one.code for one in found.findings if one.grave] == ["witness_differs"]
        types = [body for body in await store.log.chain("sys") if ROLLED_BACK.encode() in body]
        assert len(types) == 1
