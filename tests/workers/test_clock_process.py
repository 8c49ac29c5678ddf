"""The clock as a process, over a real store: on-call hears over HTTP what nobody can answer, a SIEM every record."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bot.deps import make_desk
from bot.directory import Directory
from bot.reading import Reader
from tests.bot.test_desk import caller
from tests.workers.test_clock_waiting import ONE_SEAT, ONLY_DANA
from tests.worlds import samples
from tests.worlds.alert_sink import AlertSink
from tests.worlds.fixtures import empty_valkey, redis_store, valkey
from tests.worlds.processes import start
from tests.worlds.siem import SiemSink
from tests.worlds.signing import CLOCK_ENV
from tests.worlds.valkey import Valkey
from workers.policies import Policies, apply
from workers.stores.port import Store

__all__ = ["empty_valkey", "redis_store", "valkey"]


async def test_an_emptied_group_is_told_over_http_and_so_is_that_it_is_over(
    redis_store: Store, valkey: Valkey, tmp_path: Path
):
    records, policies = redis_store.records, Policies(redis_store.records, redis_store.signals)
    await apply(records, policy=ONE_SEAT, roster=samples.ROSTER_TEXT, by="user:kim", why="test")
    await policies.refresh()
    desk = make_desk(redis_store, policies, Reader(redis_store), Directory(policies))
    view = await desk.submit(caller(), samples.action(), "k1")
    with AlertSink() as sink, SiemSink() as siem:
        env = {**CLOCK_ENV, "COUNTERSIGN_REDIS_URL": valkey.url}
        env |= {"COUNTERSIGN_ALERT_WEBHOOK_URL": sink.url("alertmanager")}
        env |= {"COUNTERSIGN_SIEM_URL": siem.url, "COUNTERSIGN_SIEM_TOKEN": "t0ken"}
        with start("workers.clock", env, tmp_path, name="clock"):
            await apply(records, policy=None, roster=ONLY_DANA, by="user:kim", why="all others left")
            (told,) = await asyncio.to_thread(sink.wait_for, 1)
            assert (told["key"], told["cleared"]) == ("group.empty:sre", False)
            await apply(records, policy=None, roster=samples.ROSTER_TEXT, by="user:kim", why="they are back")
            _, over = await asyncio.to_thread(sink.wait_for, 2)
            assert (over["key"], over["cleared"]) == ("group.empty:sre", True)
            size = await redis_store.log.size()
            sent = await asyncio.to_thread(siem.wait_for, size)
    after = (await Reader(redis_store).look(view.request.id)).request
    assert (after.level, after.empty) == (1, ())
    assert [*sent][:size] == [*range(1, size + 1)], "every record goes to the SIEM, in order"
    assert sent[3]["type"] == "request.submitted"
    assert sent[3]["data"]["action"]["reason"] == view.request.action.reason
    assert siem.tokens == {"Bearer t0ken"}
