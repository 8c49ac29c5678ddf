"""The pages for whoever asks later: search, access reports, the story with its evidence, the stored bytes."""

import csv
import hashlib
import html
import io
import re
from datetime import UTC, datetime, timedelta

import pytest

from approvers.audit import check_chain
from approvers.times import stamp
from bot.commands import Commands
from bot.commits import Click
from bot.stories import story_of
from bot.surfaces import console_reports
from tests.bot.console.conftest import Visit, Visitor, until
from tests.bot.console.world import BOT, BUCKET, World, serve
from tests.bot.test_searching import person
from workers.stores.memory import memory_store
from workers.stores.port import Commit


async def live(world: World, **changes: object) -> str:
    """Ask, approve, and wait until the credential is there; return the request's id."""
    view = await world.ask(**changes)
    await world.deps.desk.review(Click(person("robin"), view.request.id, "approve", "fine"))
    await world.deps.reader.wait(view.request.id, after=None, timeout=timedelta(seconds=5))
    return view.request.id


async def test_search_finds_what_is_asked_for_and_leads_to_its_story(world: World, visitor: Visitor) -> None:
    found = await live(world, resource=f"{BUCKET}/needle/*")
    hay = (await world.ask()).request.id
    await visitor.be("alex")
    _, form = await visitor.get("/console/search")
    assert "h-found" not in form and 'aria-current="page">Search' in form
    _, page = await visitor.get(f"/console/search?resource={BUCKET}/needle/&person=robin&as=decided&state=")
    assert f"/console/requests/{found}" in page and hay not in page
    assert "1 found" in page and "All of it has been searched" in page
    assert f'value="{BUCKET}/needle/"' in page and '<option value="decided" selected>' in page
    _, page = await visitor.get("/console/search?person=nobody&from=2026-01-01")
    assert "Nothing found" in page and "Try fewer fields" in page


async def test_a_long_search_goes_on_where_it_stopped(world: World, visitor: Visitor) -> None:
    asked = [(await world.ask()).request.id for _ in range(27)]
    await visitor.be("alex")
    _, first = await visitor.get("/console/search?actor=report-bot")
    assert "25 found, and there may be more" in first
    more = re.search(r'class="button" href="([^"]+)"', first)
    assert more
    _, second = await visitor.get(more[1].replace("&amp;", "&"))
    assert [one in first for one in asked] == [False] * 2 + [True] * 25
    assert [one in second for one in asked] == [True] * 2 + [False] * 25
    assert "2 found" in second and 'value="report-bot"' in second


async def test_bad_input_is_told_beside_what_was_typed(world: World, visitor: Visitor) -> None:
    await visitor.be("alex")
    for path, words in (
        ("search?from=yesterday&actor=<b>", "is no time: write a day"),
        ("search?state=GONE", "state is one of PENDING"),
        ("search?colour=red", "colour is not a parameter"),
        ("reports?from=soon", "is no time: write a day"),
        ("reports?from=2026-10-02&to=2026-10-01", "the period is empty"),
    ):
        status, page = await visitor.get(f"/console/{path}")
        assert status == 400, path
        assert words in page and 'role="alert"' in page
        assert "<b>" not in page
    _, page = await visitor.get("/console/search?from=yesterday&actor=<b>")
    assert 'value="&lt;b&gt;"' in page and 'value="yesterday"' in page
    assert (await visitor.get("/console/reports.csv?from=soon"))[0] == 400


async def test_a_report_says_who_had_what_and_what_changed(world: World, visitor: Visitor) -> None:
    found = await live(world)
    await world.ask(reason="")  # policy denies what has no reason
    await visitor.be("alex")
    _, page = await visitor.get("/console/reports?from=7d")
    for words in ("2 asked, 1 approved, 1 denied", f"/console/requests/{found}", "robin", "applies the policy sha256:",
                  "Made from the log up to size", "no signed checkpoint covers it yet"):  # fmt: skip
        assert words in page, words
    _, text = await visitor.get("/console/reports.csv?from=7d")
    (row,) = list(csv.DictReader(io.StringIO(text, newline="")))
    assert (row["request"], row["approved_by"], row["role"]) == (found, "user:robin", "analytics")
    _, page = await visitor.get("/console/reports?from=2026-01-01&to=2026-01-02")
    assert "No grant was open in this period" in page and "0 asked" in page


async def test_the_story_is_on_the_page_and_its_bytes_can_be_had(world: World, visitor: Visitor) -> None:
    found = await live(world)
    await visitor.be("alex")
    page = await until(visitor, f"/console/requests/{found}", "mints the credential")
    for words in (
        "Approved by robin after",
        "Known by api-key, as robin",
        "No card came with the answer",
        "Policy sha256:",
        "The people whom policy asks for have said yes.",
        "each holding the hash of the one before: whole.",
    ):
        assert words in page, words
    assert re.search(r"</strong> approved at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", page)
    async with visitor.http.get(f"/console/requests/{found}/records.jsonl") as answer:
        text = await answer.read()
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{found}.jsonl"'
        assert answer.headers["Cache-Control"] == "no-store"
    bodies = text.splitlines()
    check_chain(found, bodies)
    assert f'"prev":"{hashlib.sha256(bodies[0]).hexdigest()}"'.encode() in bodies[1]
    assert 'id="record-2"' in page
    assert (await visitor.get("/console/requests/req_0/records.jsonl"))[0] == 404


async def test_console_and_chat_tell_the_same_story(world: World, visitor: Visitor) -> None:
    found = await live(world, reason="<b>why</b> ⏎ not", undo="a\nb")
    await visitor.be("alex")
    view = await world.deps.reader.look(found)
    told = (await story_of(world.deps.store.log, view.request)).story
    page = html.unescape((await visitor.get(f"/console/requests/{found}"))[1])
    chat = (await Commands(world.deps).run(person("alex"), f"audit {found}")).lines
    assert told.standing in page and told.standing in chat
    for line in told.lines:
        assert line.text in chat
        assert all(text in page for text in (line.who, line.words, *line.more))
    assert "To undo it: a ⏎ b" in page


async def test_an_erased_text_is_told_as_erased_and_the_chain_stays_whole(world: World, visitor: Visitor) -> None:
    found = await live(world, reason="Dana Doe asked for it")
    records, log = world.deps.store.records, world.deps.store.log
    await visitor.be("alex")
    told = (await story_of(log, (await world.deps.reader.look(found)).request)).story
    assert "The reason given: Dana Doe asked for it" in told.lines[0].more
    await records.commit(Commit(at=await records.now(), erase={found: list(await log.texts([found]))}))
    page = html.unescape((await visitor.get(f"/console/requests/{found}"))[1])
    timeline = page[page.index("h-timeline") :]
    assert "The reason given: (this text was erased)" in timeline and "approves: (this text was erased)" in timeline
    assert "Dana Doe" not in timeline
    assert "each holding the hash of the one before: whole." in timeline


async def test_only_who_is_signed_in_sees_them(world: World, visitor: Visitor) -> None:
    for path in ("search", "reports", "reports.csv?from=7d", "requests/K7QF/records.jsonl"):
        assert (await visitor.get(f"/console/{path}"))[0] == 401


async def test_a_long_report_is_cut_on_the_page_and_says_by_how_much(
    world: World, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_reports, "SHOWN", 1)
    monkeypatch.setattr(console_reports, "NAMED", 0)
    first, second = await live(world), await live(world)
    await visitor.be("alex")
    _, page = await visitor.get("/console/reports?from=7d")
    assert f"/console/requests/{first}" in page and second not in page
    assert "The first 1 of 2 are shown; the file has all." in page
    assert "1 more with fewer asks" in page and "agent:report-bot</bdi></th>" not in page
    assert page.count("applies the") == 1 and "more are in the report as JSON" in page
    _, text = await visitor.get("/console/reports.csv?from=7d")
    assert first in text and second in text


async def test_a_story_of_several_days_names_each_day_once(visit: Visit) -> None:
    days = 0
    async with serve(memory_store(lambda: datetime.now(UTC) + timedelta(days=days))) as world:
        request = (await world.ask_two(ttl_seconds=60)).request
        await world.deps.desk.review(Click(person("robin"), request.id, "approve"))
        days = 1
        await world.deps.desk.cancel(BOT, request.id)
        visitor = visit(world)
        await visitor.be("alex")
        _, page = await visitor.get(f"/console/requests/{request.id}")
        named = re.findall(r'class="day" data-key="([^"]+)"', page)
        assert named == [at[:10] for at in (stamp(request.submitted_at), stamp(await world.deps.store.records.now()))]
