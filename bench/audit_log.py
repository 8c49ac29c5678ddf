"""Make a log as long as it takes, export it, verify it, and say what each took beside a floor of the same run."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from approvers.request import Request
from approvers.upgrades import read
from bench.common import ROOT
from bench.memory import live_through
from bench.stage import House, callers_for, each, open_house
from countersign.ops.exporting import export
from countersign.ops.exporting_folder import Folder
from countersign.ops.signed_log import newest, signed_at
from countersign.receipts import verify_receipt
from countersign.verifying.checks import Checks
from countersign.verifying.core import Key, Tree
from countersign.verifying.verify import verify
from tests.countersign.verifying import logs
from tests.worlds.signing import KEY, VERIFY_KEY
from workers.alerts import LogAlerts
from workers.clock import receipting
from workers.clock.notary import Notary
from workers.clock.receipting import Receipting
from workers.signing import Signers
from workers.stores import layout
from workers.stores.port import Store

PAGE = 500
CHECKPOINT_EVERY, RECEIPTS_EVERY = 5, 2_500
"""The clock signs after each decision; at which sizes receipts are, matters to nobody."""
AT_ONCE = 500
"""How many requests live side by side: their TTL of a second has to be over."""
DAY = timedelta(days=1)
RECORDS_EACH = 5
MADE_KEY = logs.OURS.text
BYTES, EVERYTHING = VERIFIES = "bytes", "everything"
"""Bytes, chains, tree, signatures, texts and receipts; and with them schema, story and every decision once more."""


@contextmanager
def no_bar(_what: str, _total: int) -> Iterator[Callable[[int], None]]:
    """Show nothing."""
    yield lambda _done: None


def seconds(do: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the seconds that it takes; with `time.process_time`, those of this process's processor."""
    began = clock()
    do()
    return clock() - began


# ---- the log


class Grown:
    """A store whose log grows by requests that live through all: approved, minted, ended by time, proven, receipted."""

    def __init__(self, store: Store, house: House) -> None:
        self.store, self._house, self._asked = store, house, 0
        self._notary = Notary(store, Signers(KEY, None), LogAlerts())
        self._receipting = Receipting(store, self._notary, LogAlerts())

    async def to(self, requests: int) -> int:
        """Grow to that many requests; returns the size that is signed then."""
        while self._asked < requests:
            until = min(self._asked + AT_ONCE, requests)
            asked = await each(range(self._asked, until), lambda number: self._house.ask(number, ttl_seconds=1))
            await live_through(self._house, asked)
            self._asked = until
            await self._receipts()
        return (await self._notary.cover(await self.store.log.size())).size

    async def _receipts(self) -> None:
        while items := (await self.store.due.claim("clock", most=receipting.AT_ONCE, lease=DAY)).items:
            self._receipting.begin([item for item in items if item.member.startswith("receipt:")])
            if any(item.member.startswith("receipt:") for item in items):
                await self._receipting.turn()


async def grow(store: Store, requests: int) -> Grown:
    """Apply the rules for that many requests, and return the log before the first of them."""
    return Grown(store, await open_house(store, callers_for(requests)))


def made(to: Path, requests: int) -> Path:
    """Write a log of that many requests, five short records each, with checkpoint and receipt; nothing to replay.

    So many live side by side as in the other log: what is open is what a verifier has to remember.
    """
    log = logs.requests(requests, RECORDS_EACH)
    times = [record["at"] for record in log.records]
    log.records = [
        log.records[step * requests + number]
        for begin in range(0, requests, AT_ONCE)
        for step in range(RECORDS_EACH)
        for number in range(begin, min(begin + AT_ONCE, requests))
    ]
    for record, at in zip(log.records, times, strict=True):
        record["at"] = at
    bodies, tree, notes = log.bodies(), Tree(), []
    for body in bodies:
        tree.add(body)
        if tree.size % CHECKPOINT_EVERY == 0:
            notes.append(logs.note(tree.size, tree.root(), logs.OURS))
    sizes = sorted({*range(RECEIPTS_EVERY, len(bodies), RECEIPTS_EVERY), len(bodies)})
    logs.write(to, bodies, notes, log.receipts(bodies, sizes), list(log.texts.items()))
    return to


# ---- exporting


async def exported(store: Store, to: Path, size: int | None = None) -> float:
    """Export the log up to a size that is signed (None: all of it); returns the seconds."""
    found = await newest(store, patience=None) if size is None else await signed_at(store.records, size)
    assert found, size
    began = time.perf_counter()
    await export(store, Folder(to), found.checkpoint, no_bar)
    return time.perf_counter() - began


async def read_out(store: Store, to: Path, size: int) -> float:
    """Read the records out of the store, page by page, and write them, as any export must; returns the seconds."""
    began, at = time.perf_counter(), 0
    with to.open("wb") as file:
        while at < size:
            bodies = await store.log.tail(at, min(PAGE, size - at))
            file.write(b"".join([body + b"\n" for body in bodies]))
            at += len(bodies)
    return time.perf_counter() - began


def copied(export_: Path, to: Path) -> float:
    """Copy the files of an export; returns the seconds."""
    return seconds(lambda: shutil.copytree(export_, to))


# ---- verifying


def size_of(export_: Path) -> int:
    """Return the bytes of all files."""
    return sum(one.stat().st_size for one in export_.rglob("*") if one.is_file())


def hashed(export_: Path) -> None:
    """Take one SHA-256 over each file."""
    for one in export_.rglob("*"):
        if one.is_file():
            with one.open("rb") as file:
                hashlib.file_digest(file, "sha256")


def parsed(export_: Path) -> None:
    """Read each record as JSON, and take its SHA-256: the least that anything does that looks into them."""
    with (export_ / "records.jsonl").open("rb") as file:
        for line in file:
            json.loads(line)
            hashlib.sha256(line)


def verified(export_: Path, how: str, key: str = VERIFY_KEY) -> None:
    """Verify it with the right key; it must be whole."""
    checks = Checks(export_).all if how == EVERYTHING else ()
    found = verify(export_, [Key.parse(key)], checks=checks)
    assert found.whole, found.findings[:3]


@dataclass(frozen=True)
class Peak:
    """The most memory that a process held, in MiB: before it verified an export, and when it had."""

    before: float
    after: float


def peak(export_: Path, how: str, key: str = VERIFY_KEY) -> Peak:
    """Verify it in a fresh process."""
    command = [sys.executable, "-m", "bench.audit_peak", str(export_), key, how]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return Peak(*map(float, out.split()))


# ---- receipts


async def receipts_of(store: Store, count: int) -> tuple[list[Any], list[str]]:
    """Return what it takes to sign so many receipts, and the receipts."""
    bodies = await store.log.tail(0, count * 12)
    ids = [json.loads(body)["subject"] for body in bodies if b'"type":"request.approved"' in body][:count]
    keys = [layout.request_key(one) for one in ids]
    seen = await store.records.read(keys)
    requests = [read(Request, seen.records[key].json) for key in keys]
    held = [request.receipt.jws for request in requests if request.receipt]
    assert len(held) == len(ids)
    checkpoint = (await newest(store, patience=None)).checkpoint
    return [(request, checkpoint, KEY, seen) for request in requests], held


def receipts_us(signing: Sequence[Any], held: Sequence[str]) -> tuple[float, float]:
    """Return the microseconds to sign one receipt, and to verify one."""
    cpu = time.process_time
    sign = seconds(lambda: [receipting.signed(*one) for one in signing], cpu) / len(signing)
    check = seconds(lambda: [verify_receipt(one, key=VERIFY_KEY, decision=None) for one in held], cpu) / len(held)
    return sign * 1e6, check * 1e6
