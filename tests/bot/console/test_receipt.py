"""The page of a request shows its receipt, and shows it by itself though it is no record."""

from __future__ import annotations

import asyncio

from tests.bot.console.conftest import Visitor
from tests.bot.console.test_news import live, token_of
from tests.bot.console.world import World
from tests.bot.test_receipts import sign

BLOCK = '<h2 id="h-receipt">Receipt</h2>'


async def test_an_open_page_shows_the_receipt_moments_after_the_decision(world: World, visitor: Visitor):
    view = await world.ask()
    page = f"/console/requests/{view.request.id}"
    await visitor.be("robin")
    token = await token_of(visitor, page)
    await visitor.review(view.request.id, "deny", preset="not_now")
    news = await asyncio.wait_for(live(visitor, token, f"{page}/live"), 5)
    assert BLOCK not in news["html"]
    await sign(world.deps.store)  # no record, so the log is as long as before
    news = await asyncio.wait_for(live(visitor, news["token"], f"{page}/live"), 3)
    receipt = (await world.deps.reader.look(view.request.id)).request.receipt
    assert BLOCK in news["html"]
    signed = f"{receipt.at:%Y-%m-%d %H:%M:%S} UTC"
    for part in (f"{receipt.size:,}", receipt.root, receipt.key, receipt.jws, signed):
        assert part in news["html"], part
