"""A log whose first records were taken out: every answer says what it has no more of, and no page breaks for it."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from approvers.ids import request_id
from approvers.taken_out import TakenOut
from bot.commits import Click
from bot.reports import Access, Reports, as_json, file_name, rows_as_csv
from bot.reviewer_figures import Asks, Reviewers
from bot.searching import Searching, found_answer
from bot.searching_query import Query
from bot.stories import story_of
from bot.surfaces.console_fragments import Ended
from tests.approvers.test_reporting import shifted
from tests.bot.console.conftest import Visitor, visit, visitor
from tests.bot.console.world import World, serve
from tests.bot.test_reports import DAY, HOUR, Filled, records
from tests.bot.test_searching import READER, person
from tests.worlds.samples import NOW
from tests.worlds.shortened import shorten
from workers.stores.port import Log, Store

__all__ = ["visit", "visitor"]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with serve() as served:
        yield served


async def denied(world: World) -> str:
    """Ask for what policy denies at once; return the request's id."""
    return (await world.ask(reason="")).request.id


async def place(store: Store, subject: str, n: int) -> int:
    """Return the position of a record in the log."""
    base = (await store.log.base()).size
    bodies = enumerate(await store.log.tail(base, 10_000), base + 1)
    return next(at for at, body in bodies if (one := json.loads(body))["subject"] == subject and one["n"] == n)


async def behind(store: Store, subject: str) -> TakenOut:
    """Take out everything up to the end of a chain."""
    return await shorten(store, await place(store, subject, len(await store.log.chain(subject))))


async def test_a_search_finds_what_is_left_and_says_what_it_cannot_find(world: World) -> None:
    first, second, third = [await denied(world) for _ in range(3)]
    gone = await behind(world.deps.store, first)
    searching = Searching(world.deps)
    found = await searching.search(READER, Query())
    assert [hit.view.request.id for hit in found.hits] == [third, second]
    assert (found.go_on, found.taken_out) == (None, gone)
    assert found_answer(found)["taken_out"]["records"] == gone.records
    assert found.looked_at == await world.deps.store.log.size() - gone.records
    later = await searching.search(READER, Query(since=gone.before))
    assert (len(later.hits), later.taken_out) == (2, None), "nothing of what was wanted is gone"
    assert (await searching.search(READER, Query(), before=gone.records)).hits == []


async def test_a_search_goes_on_while_records_are_taken_out(world: World) -> None:
    asked = [await denied(world) for _ in range(3)]
    searching = Searching(world.deps)
    step = await searching.search(READER, Query(), limit=1)
    assert [hit.view.request.id for hit in step.hits] == asked[2:]
    await behind(world.deps.store, asked[0])
    step = await searching.search(READER, Query(), limit=5, before=step.go_on)
    assert ([hit.view.request.id for hit in step.hits], step.go_on) == (asked[1:2], None)


async def test_one_missing_record_breaks_no_page(world: World, visitor: Visitor) -> None:
    """Its ask is still in the log, as it may be for a moment; the request itself is no longer there."""
    first, second = await denied(world), await denied(world)
    del world.deps.store.records._state.records[f"request:{first}"]  # type: ignore[attr-defined]
    views = await world.deps.reader.views([first, second])
    assert [view.request.id for view in views] == [second]
    assert [hit.view.request.id for hit in (await Searching(world.deps).search(READER, Query())).hits] == [second]
    await visitor.be("alex")
    for path in ("", "search?actor=report-bot", "reports?from=7d"):
        status, page = await visitor.get(f"/console/{path}")
        assert status == 200, path
        assert second in page or path.startswith("reports"), path
    assert (await visitor.get(f"/console/requests/{first}"))[0] == 404


async def test_what_ended_lately_is_read_from_where_the_log_begins(world: World) -> None:
    first, second = await denied(world), await denied(world)
    ended = Ended(world.deps.store.log)
    await behind(world.deps.store, first)
    assert await ended.read_on() == [second]
    third = await denied(world)
    assert await ended.read_on() == [third, second]


async def test_figures_of_reviewers_say_at_least_where_the_last_hour_was_shortened(world: World) -> None:
    asked = [(await world.ask()).request.id for _ in range(3)]
    await shorten(world.deps.store, await place(world.deps.store, asked[0], 1))
    seen = await Reviewers(world.deps).look()
    assert ({one.asked for one in seen.people if one.name != "dana"}, seen.at_least) == ({2}, True)


async def test_what_is_gone_and_older_than_an_hour_was_not_skipped() -> None:
    filled = await Filled().write(records(("plain", 0)))
    await shorten(filled.store, 1)  # its ask; no other is left
    for hours, skipped in ((0.5, True), (3, False)):
        asks = Asks(filled.store.log)
        assert (await asks.read_on(NOW + hours * HOUR), asks.skipped) == ({}, skipped)


async def test_the_console_says_what_cannot_be_found(world: World, visitor: Visitor) -> None:
    first, second = await denied(world), await denied(world)
    gone = await behind(world.deps.store, first)
    await visitor.be("alex")
    _, page = await visitor.get("/console/search?actor=report-bot")
    assert "1 found" in page and second in page and first not in page
    assert gone.from_search() in page
    _, page = await visitor.get("/console/reports?from=7d")
    assert gone.from_report() in page
    _, text = await visitor.get("/console/reports.csv?from=7d")
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["request"] == gone.from_report() and set(row.values()) == {gone.from_report(), ""}
    tomorrow = f"{gone.before + DAY:%Y-%m-%d}"
    _, page = await visitor.get(f"/console/reports?from={tomorrow}&to={gone.before + 3 * DAY:%Y-%m-%d}")
    assert "taken out" not in page, "that is later"


async def test_who_looks_for_what_is_gone_is_told_where_it_is(world: World, visitor: Visitor) -> None:
    first, second = await denied(world), await denied(world)
    await behind(world.deps.store, first)
    await visitor.be("alex")
    status, page = await visitor.get(f"/console/requests/{first}")
    assert status == 404 and "was taken out of the log; an export holds it." in page
    assert (await visitor.get(f"/console/requests/{second}"))[0] == 200
    later = request_id(await world.deps.store.records.now() + HOUR, bytes(10))
    assert "taken out" not in (await visitor.get(f"/console/requests/{later}"))[1]


async def test_a_story_says_how_much_of_it_is_gone_and_is_whole(world: World, visitor: Visitor) -> None:
    view = await world.ask()
    await world.deps.desk.review(Click(person("robin"), view.request.id, "approve", "fine"))
    await world.deps.reader.wait(view.request.id, after=None, timeout=timedelta(seconds=5))
    store, found = world.deps.store, view.request.id
    await shorten(store, await place(store, found, 2))
    told = await story_of(store.log, (await world.deps.reader.look(found)).request)
    said = "The first 2 records of this story were taken out of the log; an export holds them."
    assert (told.story.lines[0].words, told.fault, min(told.records)) == (said, "", 3)
    await visitor.be("alex")
    page = html.unescape((await visitor.get(f"/console/requests/{found}"))[1])
    assert said in page and "each holding the hash of the one before: whole from record 3 on." in page
    assert told.chain in told.story.evidence
    async with visitor.http.get(f"/console/requests/{found}/records.jsonl") as answer:
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{found}-from-3.jsonl"'


class Late:
    """A log of which records are taken out right after the first chain was read, or `before` it is."""

    def __init__(self, store: Store, size: int, *, before: bool = False) -> None:
        self._store, self._size, self._before = store, size, before

    async def chain(self, subject: str) -> list[bytes]:
        size, self._size = self._size, 0
        if size > (await self._store.log.base()).size and self._before:
            await shorten(self._store, size)
        bodies = await self._store.log.chain(subject)
        if size and not self._before:
            await shorten(self._store, size)
        return bodies

    def __getattr__(self, name: str) -> object:
        return getattr(self._store.log, name)


async def test_a_story_that_is_read_while_records_are_taken_out_is_not_called_broken(world: World) -> None:
    request = (await world.ask()).request
    await world.deps.desk.review(Click(person("robin"), request.id, "approve"))
    log: Log = Late(world.deps.store, await place(world.deps.store, request.id, 1))  # type: ignore[assignment]
    told = await story_of(log, request)
    assert (told.fault, min(told.records)) == ("", 2)


async def test_a_report_says_what_it_has_no_more_of() -> None:
    filled = await Filled().write(records(("plain", 0), ("killed", 30), ("narrowed", 120)))
    whole = await filled.access(-DAY, DAY)
    assert (as_json(whole)["taken_out"], whole.missing) == (None, "")
    first, second, _ = [one.request for one in whole.report.rows()]
    gone = await shorten(filled.store, await place(filled.store, second, 2))
    made = await filled.access(-DAY, DAY)
    assert [one.request for one in made.report.rows()] == [row.request for row in whole.report.rows()][2:]
    assert as_json(made)["taken_out"] == {**gone.as_json(), "requests": [second]}
    assert made.missing == gone.from_report([second]) and first not in made.missing
    lines = list(csv.reader(io.StringIO("".join(rows_as_csv(made)), newline="")))
    assert [len(line) for line in lines] == [len(lines[0])] * 3 and lines[1][0] == made.missing
    assert file_name(made) == file_name(whole)
    assert (await filled.access(HOUR, DAY)).missing == "", "all of that is later, and what came of it is there"


async def test_a_request_without_its_ask_is_named_where_its_grant_may_be_open_in_the_period() -> None:
    filled = await Filled().write(records(("narrowed", 0)))
    lives = next((await filled.access(-DAY, DAY)).report.rows()).request
    await shorten(filled.store, await place(filled.store, lives, 3))

    async def torn(since: timedelta, until: timedelta) -> list[str]:
        made: Access = await Reports(filled.store).access(NOW + since, NOW + until)
        return made.taken_out is not None and as_json(made)["taken_out"]["requests"]

    assert await torn(-DAY, DAY) == [lives]
    assert await torn(2 * DAY, 3 * DAY) == [lives], "it has no record there, and lives"
    assert not await torn(-2 * DAY, -DAY)


@pytest.mark.parametrize("size", [7, 9, 11])
async def test_what_came_of_a_request_is_not_guessed_where_it_is_taken_out_meanwhile(size: int) -> None:
    filled = await Filled().write(records(("plain", 0), ("denied", 30)))
    asked = shifted("plain", 0).records[0]["subject"]
    await filled.signed(7, bytes(32))  # what came of it stands behind the checkpoint
    (row,) = (await filled.access(-DAY, DAY)).report.rows()
    assert row.ended_at == ""
    log = Late(filled.store, size, before=True)
    made = await Reports(replace(filled.store, log=log)).access(NOW - DAY, NOW + DAY)  # type: ignore[arg-type]
    assert [one.request for one in made.report.rows()] == ([asked] if size == 7 else [])
    assert made.report.torn == ([] if size == 7 else [asked])
    assert made.taken_out and made.taken_out.records == size


async def test_a_report_begins_anew_where_the_log_is_taken_out_while_it_is_read() -> None:
    filled = await Filled().write(records(("plain", 0), ("killed", 30), ("plain", 60)))
    whole = await filled.access(-DAY, DAY)
    asked = [shifted(*one).records[0]["subject"] for one in (("plain", 0), ("killed", 30), ("plain", 60))]
    assert whole.report.summary().total.asked == 3
    size = await place(filled.store, asked[1], 2)

    class Shrinking(Late):
        async def tail(self, after: int, limit: int) -> list[bytes]:
            if after == 5 and limit == 5:
                await shorten(self._store, size)
            return await self._store.log.tail(after, limit)

    log = Shrinking(filled.store, 0)
    made = await Reports(replace(filled.store, log=log), page=5).access(NOW - DAY, NOW + DAY)  # type: ignore[arg-type]
    assert (made.report.summary().total.asked, made.report.torn) == (1, [asked[1]])
    assert made.taken_out and made.taken_out.records == size


async def test_what_ended_before_the_period_is_no_part_of_it_though_its_ask_is_gone() -> None:
    filled = await Filled().write(records(("plain", 0), ("plain", 180)))
    ended = shifted("plain", 0).records[0]["subject"]
    await shorten(filled.store, await place(filled.store, ended, 2))
    made = await filled.access(2 * HOUR, DAY)
    assert (made.report.summary().total.asked, made.missing) == (1, "")
    assert as_json(await filled.access(-DAY, DAY))["taken_out"]["requests"] == [ended]
