"""Reports over a store's log: any period finds each grant that was open in it, whole, and what came of it later."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvers.audit import By, Draft, Head, head_of
from approvers.checkpoint import Checkpoint
from approvers.ids import grant_of
from approvers.reporting import Report
from bot.reports import Access, Reports, TooMuch, as_json, file_name, newest, rows_as_csv
from tests.approvers import test_reporting as told
from tests.approvers import test_storytelling as plays
from tests.worlds.samples import NOW
from workers.stores import layout
from workers.stores.memory import memory_store
from workers.stores.port import Commit, Store

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
ENDED = {"grant.revoked", "grant.refused", "grant.overtaken"}


class Filled:
    """A store whose log holds these records, each written at its own time."""

    def __init__(self) -> None:
        self.time = NOW - 40 * DAY
        self.store: Store = memory_store(lambda: self.time)
        self._heads: dict[str, Head] = {}

    async def write(self, records: Iterable[dict[str, Any]]) -> Filled:
        for one in sorted(records, key=lambda one: (one["at"], one["n"])):
            self.time = datetime.fromisoformat(one["at"])
            by = By(one["by"]["person"], one["by"]["iss"], one["by"]["sub"])
            draft = Draft(one["subject"], one["type"], by, one["via"], one["data"])
            heads = {one["subject"]: self._heads[one["subject"]]} if one["subject"] in self._heads else {}
            await self.store.records.commit(Commit(at=self.time, drafts=[draft], heads=heads, **_live(one)))
            body = (await self.store.log.chain(one["subject"]))[-1]
            self._heads[one["subject"]] = head_of(body, json.loads(body)["n"])
        return self

    async def signed(self, size: int, root: bytes) -> None:
        note = Checkpoint("log.test", size, root).text() + "\n— log.test AAAA\n"
        record = json.dumps({"v": 1, "origin": "log.test", "size": size, "note": note})
        await self.store.records.commit(layout.commit(self.time, layout.put(layout.NOTARY, 0, record)))

    async def access(self, since: timedelta, until: timedelta) -> Access:
        return await Reports(self.store).access(NOW + since, NOW + until)


def _live(record: dict[str, Any]) -> dict[str, Any]:
    """Return what the record's commit does to the index of grants that have not ended."""
    grant = grant_of(record["subject"])
    if record["type"] == "grant.opened":
        return {"enter": {layout.LIVE_INDEX: {grant: datetime.fromisoformat(record["at"])}}}
    return {"leave": {layout.LIVE_INDEX: [grant]}} if record["type"] in ENDED else {}


def records(*picked: tuple[str, int]) -> list[dict[str, Any]]:
    return [record for name, minutes in picked for record in told.shifted(name, minutes).records]


async def test_a_grant_that_lived_on_into_the_period_is_in_it_with_all_its_story() -> None:
    filled = await Filled().write(records(("plain", 0), ("denied", 30)))
    (row,) = (await filled.access(timedelta(minutes=2), HOUR)).report.rows()
    assert (row.approved_by, row.minutes_to_decision, row.held_seconds) == (("user:robin",), 0.7, 183)


async def test_a_grant_that_hangs_for_days_without_a_record_is_in_every_period_until_it_ends() -> None:
    filled = await Filled().write(records(("narrowed", 0)))
    (row,) = (await filled.access(2 * DAY, 3 * DAY)).report.rows()
    assert (row.minted_at, row.ended_at) == ("2026-11-20T10:00:31.000Z", "")
    assert list((await filled.access(-2 * DAY, -DAY)).report.rows()) == [], "it was asked for later"


async def test_what_came_later_than_the_period_is_told_and_what_was_asked_later_is_not() -> None:
    filled = await Filled().write(records(("break_glass", 0), ("plain", 50)))
    made = await filled.access(-DAY, timedelta(minutes=20))  # its after-review came two hours later
    (row,) = made.report.rows()
    assert (row.after_review, row.after_review_by) == ("justified", "user:kim")
    assert made.report.summary().total.asked == 1


async def test_a_request_that_waited_for_days_is_completed_from_its_chain() -> None:
    late = told.shifted("plain", 0).records
    late[0]["at"] = "2026-11-15T10:00:00.000Z"
    filled = await Filled().write(late)
    (row,) = (await filled.access(-HOUR, HOUR)).report.rows()
    assert row.asked_at == "2026-11-15T10:00:00.000Z"
    assert (await filled.access(-HOUR, HOUR)).report.summary().total.asked == 0


async def test_it_says_up_to_which_size_and_root_and_uses_nothing_behind_it() -> None:
    filled = await Filled().write(records(("plain", 0)))
    assert await newest(filled.store) == (10, "", 0)
    before = await filled.access(-DAY, DAY)
    assert next(before.report.rows()).ended_at
    await filled.signed(7, bytes(range(32)))
    made = await filled.access(-DAY, DAY)
    assert made.log == (7, bytes(range(32)).hex(), 3)
    assert next(made.report.rows()).ended_at == "", "the end stands behind the checkpoint"
    said = as_json(made)
    assert said["log"] == {"size": 7, "root": bytes(range(32)).hex(), "left_out": 3}
    assert file_name(made) == "access-20261119-20261121-log-7.csv"


async def test_json_and_csv_have_the_same_rows() -> None:
    filled = await Filled().write(records(("plain", 0), ("two_people", 5), ("killed", 9)))
    made = await filled.access(-DAY, DAY)
    said = json.loads(json.dumps(as_json(made)))
    rows = list(csv.DictReader(io.StringIO("".join(rows_as_csv(made)), newline="")))
    assert [one["request"] for one in rows] == [one["request"] for one in said["grants"]]
    assert [one["approved_by"] for one in rows] == ["user:robin", "user:robin user:kim", "user:robin"]
    assert (said["from"], said["time_zone"], said["v"]) == ("2026-11-19T10:00:00.000Z", "UTC", 1)
    assert said["summary"]["total"]["asked"] == 3


async def test_a_period_that_is_too_long_says_so() -> None:
    filled = await Filled().write(records(("plain", 0)))
    with pytest.raises(TooMuch, match="choose a shorter one"):
        await Reports(filled.store, most_records=3).access(NOW - DAY, NOW + DAY)


PICKED = st.lists(st.tuples(st.sampled_from(sorted(plays.PLAYS)), st.integers(0, 2_000)), max_size=6, unique=True)


@settings(max_examples=25)
@given(PICKED, st.integers(-100, 2_100), st.integers(1, 1_500))
def test_any_period_has_the_grants_that_reading_all_of_the_log_has(
    picked: list[tuple[str, int]], start: int, length: int
) -> None:
    since, until = timedelta(minutes=start), timedelta(minutes=start + length)
    naive = Report(NOW + since, NOW + until)

    async def made() -> Access:
        filled = await Filled().write(records(*picked))
        for body in await filled.store.log.tail(0, 10_000):
            naive.feed(json.loads(body))
        return await filled.access(since, until)

    report = asyncio.run(made()).report
    assert list(report.rows()) == list(naive.rows())
    assert report.summary() == naive.summary()
