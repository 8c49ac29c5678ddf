"""A store that is closed while its subscription is being made is closed all the same: Ctrl-C must end a command."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.worlds.fixtures import empty_valkey, valkey
from tests.worlds.valkey import Valkey
from workers.stores.redis import connect

__all__ = ["empty_valkey", "valkey"]


async def test_closing_in_the_middle_of_connecting_ends(empty_valkey: Valkey) -> None:
    for turns in range(24):  # each a little later in the connection's making
        store = await connect(empty_valkey.url)
        waiting = asyncio.create_task(store.signals.changed("notary:log", timedelta(seconds=30)))
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        async with asyncio.timeout(5):
            await store.aclose()
