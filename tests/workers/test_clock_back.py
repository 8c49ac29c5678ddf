"""The store's time goes back: what was to be done so and so long after a time that now lies ahead is done at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.bot.postings_town import Sink
from workers.clock.due import Clock
from workers.stores import layout
from workers.stores.memory import memory_store
from workers.stores.port import Commit

AHEAD = timedelta(minutes=5)
LEASE = timedelta(seconds=20)
SWEEPS = {layout.SWEEP, layout.TAG_SWEEP, layout.SESSION_SWEEP}
GRANT, REQUEST = "grt_01K", "req_01K"


@pytest.mark.parametrize(("back", "seen"), [(AHEAD, True), (timedelta(seconds=1), False), (-AHEAD, False)])
async def test_what_was_put_off_by_a_clock_that_ran_ahead_is_done_at_once(back: timedelta, seen: bool) -> None:
    time = datetime(2026, 11, 21, 9, tzinfo=UTC)
    store = memory_store(lambda: time)
    clock = Clock(store, None, LEASE, Sink())  # type: ignore[arg-type] # it hands out nothing
    later = time + timedelta(minutes=9)
    ends, waits = layout.grant_key(GRANT), layout.request_key(REQUEST)
    due = {**dict.fromkeys([*SWEEPS, ends, waits], later)}
    enter = {layout.LIVE_INDEX: {GRANT: time}, layout.WAITING: {REQUEST: time}}
    await store.records.commit(Commit(at=time, due=due, enter=enter))
    await clock.see_time()
    time -= back
    await clock.see_time()
    for lane, wanted in (("worker", {*SWEEPS, ends}), ("clock", {waits})):
        items = (await store.due.claim(lane, most=9, lease=LEASE)).items
        assert {one.member for one in items} == (wanted if seen else set())
    await clock.see_time()
    assert not (await store.due.claim("worker", most=9, lease=LEASE)).items, "once"
