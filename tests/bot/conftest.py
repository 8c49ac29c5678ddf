"""Give the tests of the web process both stores, and one web process over each."""

from collections.abc import AsyncIterator

import pytest

from tests.worlds.fixtures import empty_valkey, redis_store, store, valkey
from tests.worlds.web import Web
from workers.stores.memory import memory_store
from workers.stores.port import Store

__all__ = ["empty_valkey", "redis_store", "store", "valkey"]


@pytest.fixture
async def web(store: Store) -> AsyncIterator[Web]:
    """The web process over memory, then over a real Valkey."""
    async with Web.over(store) as running:
        yield running


@pytest.fixture
async def quick_web() -> AsyncIterator[Web]:
    """The web process over memory alone, for what no store can change."""
    async with Web.over(memory_store()) as running:
        yield running
