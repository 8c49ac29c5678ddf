import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from approvers.roster import Roster
from bot.reviewer_figures import Asks, Reviewers
from bot.reviewers import MAX_CLICKS, Answered, read, with_last
from tests.bot.console.conftest import Visit, Visitor
from tests.bot.console.world import BOT, World, serve
from workers.stores import layout
from workers.stores.memory import memory_store
from workers.stores.port import Commit, Versioned


async def figures(visitor: Visitor) -> dict[str, list[str]]:
    """Return name → asks, median, approvals in a row, in the order of the page."""
    _, page = await visitor.get("/console/reviewers")
    rows = re.findall(r'<tr data-key="(.*?)">.*?</tr>', page)
    cells = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr data-key=.*?</tr>", page)]
    return dict(zip(rows, cells, strict=True))


async def test_who_is_asked_how_often_and_answers_how(visit: Visit) -> None:
    ahead = timedelta()
    async with serve(memory_store(lambda: datetime.now(UTC) + ahead)) as world:
        visitor = visit(world)
        await visitor.be("robin")
        assert await figures(visitor) == {name: ["0", "–", "0"] for name in ("alex", "dana", "kim", "robin")}
        asked = [await world.ask() for _ in range(3)]
        await world.ask(reason="")  # policy says no: nobody is asked
        seconds = (4, 90, 5)
        for view, wait, verdict in zip(asked, seconds, ("approve", "approve", "deny"), strict=True):
            ahead = timedelta(seconds=wait)
            await visitor.review(view.request.id, verdict)
        found = await figures(visitor)
        assert list(found) == ["alex", "kim", "robin", "dana"]  # dana is behind the agent, and so is not asked
        assert found["alex"] == ["3", "–", "0"]
        assert found["dana"] == ["0", "–", "0"]
        count, median, streak = found["robin"]
        assert (count, streak) == ("3", '0 <span class="muted">(once 2)</span>')
        assert re.fullmatch(r"5\.\d s", median)
        ahead = timedelta(minutes=62)
        assert (await figures(visitor))["robin"][0] == "0"  # an hour later nothing was asked within the last one


async def test_the_page_is_for_those_who_are_signed_in_and_says_how_to_read_it(visitor: Visitor) -> None:
    assert (await visitor.get("/console/reviewers"))[0] == 401
    await visitor.be("robin")
    status, page = await visitor.get("/console/reviewers")
    assert status == 200
    assert "somebody clicks and no longer reads" in page
    assert '<a href="/console/reviewers" aria-current="page">' in page


async def test_a_name_is_text_and_nothing_else(world: World, visitor: Visitor) -> None:
    await visitor.be("robin")
    policies, trick = (
        world.deps.policies,
        "<img src=x onerror=alert(1)>",
    )  # no roster takes such a name; this page would
    book = policies.current
    persons = {**book.roster.persons, trick: book.roster.persons["alex"]}
    sre = book.roster.groups["sre"].model_copy(update={"people": tuple(persons)})
    policies._book = replace(book, roster=Roster.model_construct(persons=persons, groups={"sre": sre}))
    _, page = await visitor.get("/console/reviewers")
    assert '<th scope="row"><bdi>&lt;img src=x onerror=alert(1)&gt;</bdi></th>' in page
    assert "<img" not in page


async def test_an_answer_is_news_on_the_page(world: World, visitor: Visitor) -> None:
    await visitor.be("robin")
    view = await world.ask()
    _, page = await visitor.get("/console/reviewers")
    token = re.search(r'data-token="([^"]+)"', page)
    await visitor.review(view.request.id, "approve")
    status, body = await visitor.get("/console/reviewers/live", params={"after": token[1] if token else ""})
    assert status == 200
    assert "<td>1</td>" in json.loads(body)["html"]


async def test_of_a_long_hour_it_says_at_least(world: World) -> None:
    for _ in range(4):
        await world.ask()
    seen = await Reviewers(world.deps, look_back=3).look()
    assert seen.at_least
    assert {one.name: one.asked for one in seen.people} == {"alex": 3, "kim": 3, "robin": 3, "dana": 0}


async def test_what_is_skipped_and_older_than_the_hour_changes_nothing() -> None:
    ahead = timedelta()
    async with serve(memory_store(lambda: datetime.now(UTC) + ahead)) as world:
        for _ in range(4):
            await world.ask()
        ahead = timedelta(hours=2)
        await world.ask()
        asks = Asks(world.deps.store.log, 3)
        now = await world.deps.store.records.now()
        assert sum((await asks.read_on(now)).values()) == 1
        assert not asks.skipped


async def test_a_request_whose_text_looks_like_a_record_counts_once(world: World) -> None:
    await world.ask(reason='"type":"request.submitted"')
    await world.deps.desk.cancel(BOT, (await world.ask()).request.id)
    asks = await Asks(world.deps.store.log).read_on(await world.deps.store.records.now())
    assert sum(asks.values()) == 2


async def test_a_record_of_before_has_no_figures_and_gets_them(world: World, visitor: Visitor) -> None:
    records, key = world.deps.store.records, layout.decided_key("user:robin")
    old = Commit(at=await records.now(), expects={key: 0}, puts={key: '{"v": 1, "requests": ["req_1"]}'})
    await records.commit(old)
    view = await world.ask()
    await visitor.be("robin")
    await visitor.review(view.request.id, "approve")
    after = read((await records.read([key])).records[key])
    assert after.requests == (view.request.id, "req_1")
    assert (len(after.took_ms), after.streak, after.longest) == (1, 1, 1)


async def test_the_record_stays_small(world: World, visitor: Visitor) -> None:
    view = await world.ask()
    await visitor.be("robin")
    await visitor.review(view.request.id, "approve")
    request = (await world.deps.reader.look(view.request.id)).request
    answered = read(Versioned())
    for number in range(3 * MAX_CLICKS):
        answered = with_last(answered, request.model_copy(update={"id": f"req_{number:026}"}), 20)
    assert (len(answered.requests), len(answered.took_ms)) == (20, MAX_CLICKS)
    assert (answered.streak, answered.longest) == (3 * MAX_CLICKS, 3 * MAX_CLICKS)
    assert len(answered.model_dump_json()) < 2_000


@pytest.mark.parametrize(("took_ms", "median"), [((), None), ((3_000,), 3.0), ((1_000, 9_000, 2_000), 2.0)])
def test_the_median(took_ms: tuple[int, ...], median: float | None) -> None:
    found = Answered(took_ms=took_ms).median_time
    assert (found and found.total_seconds()) == median
