"""Long polls: they wake at once, wait for what was asked, and never hold up a stop."""

import asyncio
import time

import pytest

from approvers.request import RequestState
from tests.bot.test_intake_grants import work
from tests.worlds.web import Web
from workers.stores.redis import connect

SOON = 10.0
"""Seconds, of the twenty that a poll would wait: a busy machine takes its time."""
"""Seconds; well below the five after which a poll looks again by itself."""


class Poll:
    """One poll under way, and how long it took."""

    def __init__(self, web: Web, path: str) -> None:
        self.began = time.monotonic()
        self.task = asyncio.create_task(web.call("GET", path))

    async def held(self) -> "Poll":
        """Give it time to arrive; it must still be open then."""
        done, _ = await asyncio.wait([self.task], timeout=0.2)
        assert not done, self.task.result().json
        return self

    async def answer(self):
        got = await self.task
        self.took = time.monotonic() - self.began
        return got.json


async def test_a_poll_wakes_with_the_next_version(web: Web):
    asked = (await web.ask()).json
    poll = await Poll(web, f"/v1/requests/{asked['id']}?wait=20&after={asked['version']}").held()
    await web.review(asked["id"], "robin", "deny")
    got = await poll.answer()
    assert (got["state"], got["version"]) == ("DENIED", 2)
    assert poll.took < SOON


async def test_an_old_version_is_answered_at_once(web: Web):
    asked = (await web.ask()).json
    got = await Poll(web, f"/v1/requests/{asked['id']}?wait=20&after=0").answer()
    assert got == asked


async def test_without_a_version_it_waits_until_the_grant_is_live(web: Web):
    asked = (await web.ask()).json
    poll = await Poll(web, f"/v1/requests/{asked['id']}?wait=20").held()
    await web.review(asked["id"])
    await poll.held()  # approved, and the credential is not there yet
    await work(web)
    got = await poll.answer()
    assert (got["state"], got["grant"]["state"]) == ("APPROVED", "ACTIVE")
    assert poll.took < SOON * 1.5


async def test_nothing_new_is_answered_at_the_end_of_the_wait(web: Web):
    asked = (await web.ask()).json
    poll = Poll(web, f"/v1/requests/{asked['id']}?wait=1&after={asked['version']}")
    assert await poll.answer() == asked
    assert 0.9 < poll.took < SOON


async def test_an_ask_may_prefer_to_wait(web: Web):
    asking = asyncio.create_task(web.ask(headers={"Prefer": "respond-async, wait=20"}))
    for _ in range(100):
        if waiting := (await web.call("GET", "/v1/requests?mine")).json["requests"]:
            break
        await asyncio.sleep(0.01)  # another task: nothing here to wait on
    await web.review(waiting[0]["id"], "robin", "deny")
    got = await asyncio.wait_for(asking, SOON)
    assert (got.status, got.json["state"]) == (200, "DENIED")
    assert got.headers["Preference-Applied"] == "wait=20"


async def test_an_ask_that_waited_in_vain_is_202(web: Web):
    got = await web.ask(headers={"Prefer": "wait=1"})
    assert (got.status, got.json["state"], got.headers["Retry-After"]) == (202, "PENDING", "5")


async def test_a_decision_in_another_process_wakes_it(redis_store, empty_valkey):
    other_store = await connect(empty_valkey.url)
    async with Web.over(redis_store) as one, Web.over(other_store, policy="") as two:
        asked = (await one.ask()).json
        poll = await Poll(one, f"/v1/requests/{asked['id']}?wait=20&after=1").held()
        two.keys = one.keys
        await two.review(asked["id"], "robin", "deny")
        assert (await poll.answer())["state"] == RequestState.DENIED
        assert poll.took < SOON
    await other_store.aclose()


@pytest.mark.parametrize("polls", [100])
async def test_a_stop_answers_a_hundred_polls_at_once(redis_store, polls: int):
    async with Web.over(redis_store) as web:
        asked = (await web.ask()).json
        web.client._connector._limit = polls  # the client's own limit, not ours
        path = f"/v1/requests/{asked['id']}?wait=50&after={asked['version']}"
        waiting = [Poll(web, path) for _ in range(polls)]
        await waiting[-1].held()
        stopped = time.monotonic()
        web.deps.closing.set()  # what on_shutdown does; the process itself is stopped in test_app
        answers = await asyncio.gather(*(poll.answer() for poll in waiting))
        assert time.monotonic() - stopped < SOON
        assert answers == [asked] * polls
