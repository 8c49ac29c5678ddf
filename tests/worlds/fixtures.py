"""Give tests a real Valkey, started once, and stores that are empty each time. Import what you need in a conftest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.worlds.valkey import Valkey
from workers.stores.memory import memory_store
from workers.stores.port import Store
from workers.stores.redis import connect


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """The session's server. Tests that kill or freeze one start their own."""
    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def empty_valkey(valkey: Valkey) -> Valkey:
    """The session's server with nothing in it."""
    with valkey.client() as client:
        client.flushall()
    return valkey


@pytest.fixture
async def redis_store(empty_valkey: Valkey) -> AsyncIterator[Store]:
    store = await connect(empty_valkey.url)
    yield store
    await store.aclose()


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """Both siblings, one after the other: the contract suite asks for this one."""
    if request.param == "memory":
        yield memory_store()
        return
    opened = await connect(request.getfixturevalue("empty_valkey").url)
    yield opened
    await opened.aclose()
