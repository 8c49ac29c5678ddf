import asyncio
import json
import re
import time
from datetime import UTC, datetime

import pytest

from approvers.audit import Draft
from tests.bot.console.conftest import Visit, Visitor
from tests.bot.console.world import BOT, World, serve, store_of
from workers.stores.memory import MemoryStore
from workers.stores.port import Commit, Unavailable


async def live(visitor: Visitor, token: str, path: str = "/console/live") -> dict:
    status, body = await visitor.get(path, params={"after": token})
    assert status == 200
    return json.loads(body)


async def token_of(visitor: Visitor, path: str = "/console/") -> str:
    found = re.search(r'data-token="([^"]+)"', (await visitor.get(path))[1])
    assert found
    return found[1]


async def test_news_come_when_there_are_any(world: World, visitor: Visitor) -> None:
    await visitor.be("robin")
    waiting = asyncio.create_task(live(visitor, await token_of(visitor)))
    done, _ = await asyncio.wait([waiting], timeout=0.7)
    assert not done
    view = await world.ask()
    began = time.monotonic()
    news = await asyncio.wait_for(waiting, 20)
    assert time.monotonic() - began < 10  # a page waits for twenty
    assert view.request.handle in news["html"]
    assert abs(news["now"] / 1000 - time.time()) < 5


async def test_what_changes_nothing_visible_wakes_nobody(world: World, visitor: Visitor) -> None:
    await visitor.be("robin")
    waiting = asyncio.create_task(live(visitor, await token_of(visitor)))
    now = await world.deps.store.records.now()
    heads = (await world.deps.store.records.read([], ["sys"])).heads
    await world.deps.store.records.commit(Commit(at=now, drafts=[Draft("sys", "x.noted", BOT.by, "api")], heads=heads))
    done, _ = await asyncio.wait([waiting], timeout=1.0)
    assert not done
    waiting.cancel()


@pytest.mark.parametrize("token", ["", "x", "-", "999999999999999999999-x", "１-x", "0-" + "é" * 10])
async def test_any_other_token_gets_the_news_at_once(visitor: Visitor, token: str) -> None:
    await visitor.be("robin")
    assert "Waiting" in (await asyncio.wait_for(live(visitor, token), 5))["html"]


async def test_every_page_has_its_own_news(world: World, visitor: Visitor) -> None:
    view = await world.ask()
    await visitor.be("robin")
    page = f"/console/requests/{view.request.id}"
    waiting = asyncio.create_task(live(visitor, await token_of(visitor, page), f"{page}/live"))
    await asyncio.sleep(0)
    await visitor.review(view.request.id, "deny", preset="not_now")
    assert "denies: Not now." in (await asyncio.wait_for(waiting, 20))["html"]


async def test_stopping_lets_waiting_pages_go(visit: Visit) -> None:
    async with serve() as world:
        visitor = visit(world)
        await visitor.be("robin")
        token = await token_of(visitor)
        waiting = [asyncio.create_task(live(visitor, token)) for _ in range(20)]
        await asyncio.sleep(0.3)
        world.deps.closing.set()
        began = time.monotonic()
        for news in await asyncio.wait_for(asyncio.gather(*waiting), 20):
            assert "html" not in news
        assert time.monotonic() - began < 10


class Moody(MemoryStore):
    """A memory store whose server can go away."""

    gone = False

    async def read(self, keys, chains=()):
        if self.gone:
            raise Unavailable("gone")
        return await super().read(keys, chains)

    async def size(self) -> int:
        if self.gone:
            raise Unavailable("gone")
        return await super().size()


async def test_a_store_that_is_away_is_told_and_comes_back(visit: Visit) -> None:
    moody = Moody(lambda: datetime.now(UTC))

    async with serve(store_of(moody)) as world:
        visitor = visit(world)
        await visitor.be("robin")
        token = await token_of(visitor)
        waiting = asyncio.create_task(visitor.get("/console/live", params={"after": token}))
        await asyncio.sleep(0.1)
        moody.gone = True
        status, body = await asyncio.wait_for(waiting, 5)
        assert (status, "store does not answer" in body) == (503, True)
        async with visitor.http.get("/console/") as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"]
            assert "The store does not answer" in await answer.text()
        moody.gone = False
        assert (await visitor.get("/console/"))[0] == 200


async def test_before_the_first_apply_the_page_says_so(visit: Visit) -> None:
    async with serve() as world:
        world.deps.policies._book = None
        async with visit(world).http.get("/console/") as answer:
            assert (answer.status, answer.content_type) == (503, "text/html")
            assert "countersign apply" in await answer.text()
            assert answer.headers["Retry-After"]


async def test_an_unknown_page_is_a_page_in_words(visitor: Visitor) -> None:
    await visitor.be("robin")
    status, page = await visitor.get("/console/nothing")
    assert status == 404
    assert "No page of the console has this address." in page
    status, page = await visitor.get("/console/sign-out")
    assert status == 405
