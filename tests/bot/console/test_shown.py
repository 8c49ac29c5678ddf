"""The request's page tells where it was shown, and counts as showing it to whoever may answer."""

from __future__ import annotations

import pytest

from approvers.upgrades import read
from bot.postings_record import Cards, Copy, change
from bot.reading import View
from tests.bot.console.conftest import Visit, Visitor
from tests.bot.console.world import World, serve
from workers.stores import layout

QUEUED = Cards(copies=(Copy(surface="slack", to="C01"),))
SENT = Cards(copies=(Copy(surface="slack", to="C01", channel="C01", message="1.0", state="posted"),))


async def keep(world: World, view: View, cards: Cards) -> None:
    await change(world.deps.store.records, view.request.id, lambda same: same, begin=cards, keep=True)


async def cards_of(world: World, view: View) -> Cards:
    key = layout.cards_key(view.request.id)
    return read(Cards, (await world.deps.store.records.read([key])).records[key].json, {Cards: ()})


async def look(visitor: Visitor, person: str, view: View) -> str:
    await visitor.be(person)
    status, page = await visitor.get(f"/console/requests/{view.request.id}")
    assert status == 200
    return page


async def test_a_page_says_in_which_places_a_request_stands(world: World, visitor: Visitor) -> None:
    view = await world.ask()
    await keep(world, view, QUEUED)
    page = await look(visitor, "dana", view)
    assert "Shown in C01 (Slack)" in page and "queued" in page and "to nobody yet" in page


async def test_who_may_answer_and_looks_has_been_shown_it_and_the_clock_is_told(world: World, visitor: Visitor) -> None:
    view = await world.ask()
    await keep(world, view, QUEUED)
    await look(visitor, "robin", view)
    assert (await cards_of(world, view)).seen_by == "user:robin"
    due = await world.deps.store.due.claim("clock", most=9, lease=layout.IDEMPOTENCY_KEPT)
    assert [item.member for item in due.items] == [layout.request_key(view.request.id)]
    assert "to robin, " in await look(visitor, "alex", view)
    assert (await cards_of(world, view)).seen_by == "user:robin"


@pytest.mark.parametrize(("person", "cards"), [("dana", QUEUED), ("robin", SENT)], ids=["barred", "shown_before"])
async def test_who_may_not_answer_or_comes_later_is_not_noted(
    world: World, visitor: Visitor, person: str, cards: Cards
) -> None:
    view = await world.ask()
    await keep(world, view, cards)
    await look(visitor, person, view)
    assert await cards_of(world, view) == cards


async def test_whom_four_eyes_bars_may_not_answer_in_a_lent_seat_either(visit: Visit) -> None:
    lent = '\n[[delegation]]\nfrom = "robin"\nto = "dana"\nuntil = 2099-01-01\n'
    async with serve(more=lent) as world:
        view = await world.ask()
        await keep(world, view, QUEUED)
        await look(visit(world), "dana", view)
        assert await cards_of(world, view) == QUEUED


async def test_without_any_chat_a_page_keeps_no_ledger(world: World, visitor: Visitor) -> None:
    view = await world.ask()
    assert "Shown" not in await look(visitor, "robin", view)
    key = layout.cards_key(view.request.id)
    assert not (await world.deps.store.records.read([key])).records[key].version
