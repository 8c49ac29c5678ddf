"""Break-glass in the console: a card that is no approval, and the after-review on it."""

import pytest

from bot.reading import View
from tests.bot.console.conftest import Visitor, note
from tests.bot.console.world import World
from tests.bot.test_desk import person
from tests.worlds import glass, samples
from workers.policies import apply

BUTTON = 'value="justified"'


@pytest.fixture
async def taken(world: World) -> View:
    """A use of break-glass by dana."""
    await apply(world.deps.store.records, policy=glass.POLICY, roster=None, by="ops", why="test")
    await world.deps.policies.refresh()
    return await world.deps.desk.submit(person("dana"), samples.action(**glass.ASK), "glass")


async def found(visitor: Visitor, view: View, verdict: str, **more: str) -> tuple[int, str]:
    fields = {"form_token": await visitor.field("form_token"), "verdict": verdict, "back": "request", **more}
    return await visitor.post(f"/console/requests/{view.request.id}/after-review", **fields)


async def test_it_is_on_the_page_that_nobody_reviewed_it_and_one_click_says_that_it_was_justified(
    world: World, visitor: Visitor, taken: View
) -> None:
    await visitor.be("robin")
    _, page = await visitor.get(f"/console/requests/{taken.request.id}")
    assert "BREAK-GLASS: dana took s3:GetObject" in page
    assert "Nobody reviewed this: dana took it by break-glass." in page
    assert BUTTON in page and 'name="verdict" value="approve"' not in page
    status, page = await found(visitor, taken, "justified")
    assert status == 200
    assert note(page).startswith(f"You found the break-glass of {taken.request.handle} justified.")
    assert "Found justified by robin" in page and BUTTON not in page
    after = (await world.deps.reader.look(taken.request.id)).request.after_review
    assert after and (after.verdict, after.by) == ("justified", "user:robin")
    assert "reviews the break-glass of dana and finds it justified" in page, "the timeline says so"


async def test_the_overview_offers_it_too_also_once_the_grant_has_ended(
    world: World, visitor: Visitor, taken: View
) -> None:
    await visitor.be("robin")
    _, page = await visitor.get("/console/")
    assert f'action="/console/requests/{taken.request.id}/after-review"' in page
    assert taken.grant
    await world.deps.custody.revoke(person("robin"), taken.grant.id, "enough")
    _, page = await visitor.get("/console/")
    assert f'action="/console/requests/{taken.request.id}/after-review"' in page


async def test_not_justified_needs_words_and_everybody_reads_them(world: World, visitor: Visitor, taken: View) -> None:
    await visitor.be("robin")
    _, page = await found(visitor, taken, "unjustified", reason="  ")
    assert note(page).startswith("Say in a few words why it was not justified")
    _, page = await found(visitor, taken, "unjustified", reason="There was time to <ask>.")
    assert "NOT justified by robin" in page and "There was time to &lt;ask&gt;." in page


async def test_whoever_used_it_is_refused_on_the_record(world: World, visitor: Visitor, taken: View) -> None:
    await visitor.be("dana")
    _, page = await found(visitor, taken, "justified")
    assert note(page).startswith("You took this yourself; somebody else has to review it.")
    assert "break_glass.review_refused" in await world.kinds(taken.request.id)


async def test_another_verdict_is_no_answer(world: World, visitor: Visitor, taken: View) -> None:
    await visitor.be("robin")
    status, _ = await found(visitor, taken, "approve")
    assert status == 400
    after = (await world.deps.reader.look(taken.request.id)).request.after_review
    assert after and after.verdict is None
