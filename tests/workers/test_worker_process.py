"""A worker that is told to stop with slow work in hand, as a real process: it finishes it, or leaves it to the next."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from approvers.grant import Grant, GrantState
from approvers.upgrades import read
from bot.custody import Custody
from bot.deps import make_desk
from bot.directory import Directory
from bot.reading import Reader
from tests.bot.test_desk import World, caller, person
from tests.worlds.aws_gate import AwsGate
from tests.worlds.fixtures import empty_valkey, redis_store, valkey
from tests.worlds.ministack import Ministack, aws
from tests.worlds.processes import Process, start
from tests.worlds.valkey import Valkey
from workers.policies import Policies
from workers.queue import Queue
from workers.stores import layout
from workers.stores.port import Attempt, Store
from workers.vault import DeliveryKey, open_credential

__all__ = ["aws", "empty_valkey", "redis_store", "valkey"]
DELIVERY = DeliveryKey.generate()
LEASE = timedelta(seconds=3)


class Desk(World):
    """The desk over a real store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.policies = Policies(store.records, store.signals)
        self.reader = Reader(store)
        self.directory = Directory(self.policies)
        self.desk = make_desk(store, self.policies, self.reader, self.directory)
        self.custody = Custody(store, self.reader)


@dataclass
class Shop:
    """One worker process, a gate between it and AWS, and a clock that the test is."""

    desk: Desk
    valkey: Valkey
    queue: Queue
    gate: AwsGate
    worker: Process

    async def approved(self, number: int = 1) -> str:
        view = await self.desk.ask(f"k{number}", parameters={"ask": number})
        return (await self.desk.click(view, "robin")).grant.id

    async def hand_out(self) -> list[Attempt]:
        """Do what a clock does: lease what is due, and give it to the workers."""
        items = list((await self.desk.store.due.claim("worker", most=9, lease=LEASE)).items)
        await self.queue.push(items)
        return items

    async def held(self, grant_id: str) -> None:
        """Have the mint of a grant under way: AWS has issued it, and the worker has no answer yet."""
        hold = self.gate.hold(1, "after", "sts:AssumeRole")
        assert [one.member for one in await self.hand_out()] == [layout.grant_key(grant_id)]
        await asyncio.to_thread(hold.wait)

    async def grant(self, grant_id: str) -> Grant:
        key = layout.grant_key(grant_id)
        return read(Grant, (await self.desk.store.records.read([key])).records[key].json)

    async def told_to_stop(self, *numbers: signal.Signals) -> None:
        """Send the signals, and wait until the worker takes no further jobs: it has left RQ's books."""
        for number in numbers:
            os.kill(self.worker.pid, number)
        with self.valkey.client() as client:
            while client.smembers("rq:workers"):  # noqa: ASYNC110 another process: there is no event to wait for
                await asyncio.sleep(0.02)
        assert self.worker.running

    async def ended(self) -> int:
        return await asyncio.to_thread(self.worker.wait, 20)


@pytest.fixture
async def shop(redis_store: Store, valkey: Valkey, aws: Ministack, tmp_path: Path) -> AsyncIterator[Shop]:
    with AwsGate(aws.endpoint) as gate:
        env = {
            "COUNTERSIGN_REDIS_URL": valkey.url,
            "COUNTERSIGN_LEASE_SECONDS": str(int(LEASE.total_seconds())),
            "COUNTERSIGN_DELIVERY_PUBLIC_KEY": DELIVERY.public_text,
            "COUNTERSIGN_AWS_ENDPOINT_URL": gate.url,
            "COUNTERSIGN_AWS_REGION": "us-east-1",
        }
        for who in ("minter", "revoker"):
            keys = getattr(aws.prepared, who).keys
            env[f"COUNTERSIGN_AWS_{who.upper()}_ACCESS_KEY_ID"] = keys.access_key_id
            env[f"COUNTERSIGN_AWS_{who.upper()}_SECRET_ACCESS_KEY"] = keys.secret_access_key
        queue, desk = Queue(valkey.url), Desk(redis_store)
        await desk.start()
        with start("workers", env, tmp_path, name="worker") as worker:
            await asyncio.to_thread(worker.wait_line, "worker.started")
            yield Shop(desk, valkey, queue, gate, worker)
        await queue.aclose()


async def test_what_is_in_hand_is_finished_and_delivered(shop: Shop):
    grant_id = await shop.approved()
    await shop.held(grant_id)
    await shop.told_to_stop(signal.SIGTERM)
    await asyncio.sleep(0.5)  # that it stays has no event; one that did not wait would be gone by then
    later = await shop.approved(2)
    await shop.hand_out()
    shop.gate.release()
    assert await shop.ended() == 0, shop.worker.output.decode()
    assert (await shop.grant(grant_id)).state is GrantState.ACTIVE
    got = await shop.desk.custody.collect(caller(), grant_id)
    opened = open_credential(DELIVERY, got.ciphertext, grant_id, got.grant.principal)
    assert opened["access_key_id"] == shop.gate.issued[0].access_key_id
    assert (await shop.grant(later)).state is GrantState.PENDING, "what comes later is left to another worker"
    assert b"worker.stopped" in shop.worker.output


async def test_what_cannot_be_finished_within_its_lease_is_left_to_the_next_worker(shop: Shop):
    grant_id = await shop.approved()
    await shop.held(grant_id)
    await shop.told_to_stop(signal.SIGTERM)
    await asyncio.to_thread(shop.worker.wait_line, "worker.stopped")
    shop.gate.drop()  # the call itself would be waited for until it times out
    assert await shop.ended() == 0, shop.worker.output.decode()
    assert (await shop.grant(grant_id)).state is GrantState.MINTING, "nobody knows what came of it"
    shop.worker.restart()
    while (await shop.grant(grant_id)).state is not GrantState.REVOKED:
        handout = await shop.desk.store.due.claim("worker", most=9, lease=LEASE)
        await shop.queue.push(handout.items)
        await shop.desk.store.due.wait("worker", min(timedelta(seconds=1), handout.next_in))
    ended = await shop.grant(grant_id)
    assert (ended.ending.cause, ended.proof.kind) == ("stale", "probe_denied")


async def test_ctrl_c_lets_it_finish_an_end_though_its_supervisor_stops_it_at_the_same_time(shop: Shop):
    grant_id = await shop.approved()
    await shop.hand_out()
    while (await shop.grant(grant_id)).state is not GrantState.ACTIVE:
        await shop.desk.store.signals.changed(layout.grant_key(grant_id), timedelta(seconds=0.1))
    await shop.desk.custody.revoke(person("kim"), grant_id, "x")
    hold = shop.gate.hold(1, "before", "iam:PutRolePolicy")
    await shop.hand_out()
    await asyncio.to_thread(hold.wait)
    await shop.told_to_stop(signal.SIGINT, signal.SIGTERM)
    hold.release()
    assert await shop.ended() == 0, shop.worker.output.decode()
    assert (await shop.grant(grant_id)).state is GrantState.REVOKED
