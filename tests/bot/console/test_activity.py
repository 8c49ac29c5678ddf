"""The page of a request shows what its session did, and hostile names in the log stay text."""

from __future__ import annotations

from tests.bot.console.conftest import Visitor, until
from tests.bot.console.world import World
from tests.bot.test_activities import misdeeds, note


async def test_its_page_shows_what_a_session_did(world: World, visitor: Visitor):
    view = await world.ask()
    page = f"/console/requests/{view.request.id}"
    await visitor.be("robin")
    await visitor.review(view.request.id, "approve")
    assert "What it did" not in await until(visitor, page, "ACTIVE")
    live = (await world.deps.reader.look(view.request.id)).grant
    await note(world.deps.store.records, live.id, misdeeds(live))
    _, shown = await visitor.get(page)
    assert "What it did" in shown
    assert "five or more calls were refused" in shown
    assert "0 went through, 5 refused" in shown
    assert "<script>alert" not in shown
    assert "\u202e" not in shown
    assert "&lt;script&gt;alert(1)" in shown
