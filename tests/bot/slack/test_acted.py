"""A click that counts is noted on the copy that it came from."""

from __future__ import annotations

import asyncio

from approvers.upgrades import read
from bot.postings_record import Cards
from tests.bot.slack.town import SlackTown
from workers.stores import layout


async def test_the_ledger_names_who_acted_on_which_copy(town: SlackTown):
    view = await town.ask_two()
    key = layout.cards_key(view.request.id)
    await town.click("dana", await town.card(view), "cs_approve")
    assert "behind" in await town.heard("dana")
    await town.click("robin", await town.card(view), "cs_approve")
    async with asyncio.timeout(30):
        while '"acted_by":"user:robin"' not in (  # noqa: ASYNC110
            record := (await town.deps.store.records.read([key])).records[key].json
        ):
            await asyncio.sleep(0.005)
    (copy,) = read(Cards, record, {Cards: ()}).copies
    assert copy.acted_at and copy.sent_at and copy.acted_at >= copy.sent_at
