"""The store is gone, frozen, back: callers hear 503 and a pause, nothing is half done, the process carries on."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.worlds.stopwatch import own_time
from tests.worlds.valkey import Valkey
from tests.worlds.web import Web
from workers.stores.redis import connect


@pytest.fixture
async def mortal(tmp_path) -> AsyncIterator[tuple[Web, Valkey]]:
    """A web process over a Valkey of its own, which the test may kill or freeze."""
    with Valkey(tmp_path) as server:
        store = await connect(server.url)
        async with Web.over(store) as web:
            yield web, server
        await store.aclose()


async def refused(web: Web, key: str) -> None:
    """Every kind of call is told the same, within what a caller waits."""
    for call in (
        web.ask(key),
        web.call("GET", "/v1/requests?mine"),
        web.call("GET", "/v1/grants", who="user:kim"),
        web.call("POST", "/v1/requests/req_1/reviews", who="user:robin", json={"verdict": "deny"}),
    ):
        began = own_time()
        got = await call
        assert (got.status, got.code) == (503, "unavailable")
        assert int(got.headers["Retry-After"]) > 0
        assert "127.0.0.1" not in got.json["detail"]
        assert own_time() - began < 6


async def test_a_killed_store_is_503_and_back_it_carries_on(mortal):
    web, server = mortal
    before = (await web.ask("before")).json
    server.kill()
    await refused(web, "during")
    assert (await web.call("GET", "/readyz", who=None)).code == "not_serving"
    assert (await web.call("GET", "/healthz", who=None)).status == 200
    assert "countersign_store_up 0.0" in (await web.call("GET", "/metrics", who=None)).body.decode()
    server.start()
    after = await web.ask("during", parameters={"after": "the outage"})
    assert after.status == 202
    assert (await web.call("GET", "/readyz", who=None)).status == 200
    listed = (await web.call("GET", "/v1/requests?mine")).json["requests"]
    assert [one["id"] for one in listed] == [before["id"], after.json["id"]]


async def test_a_frozen_store_is_503_and_no_call_hangs(mortal):
    web, server = mortal
    assert (await web.ask("before")).status == 202
    server.freeze()
    try:
        began = own_time()
        answers = await asyncio.gather(*(web.ask(f"k{n}", parameters={"n": n}) for n in range(20)))
        assert {got.status for got in answers} == {503}
        assert own_time() - began < 8
        assert (await web.call("GET", "/readyz", who=None)).json["detail"] == "Not ready: store."
    finally:
        server.thaw()
    assert (await web.ask("after", parameters={"n": 99})).status == 202


async def test_a_poll_across_a_restart_hears_the_decision_that_came_after_it(mortal):
    web, server = mortal
    asked = (await web.ask()).json
    path = f"/v1/requests/{asked['id']}?wait=30&after={asked['version']}"
    poll = asyncio.create_task(web.call("GET", path))
    done, _ = await asyncio.wait([poll], timeout=0.2)
    assert not done
    server.kill()
    server.start()
    assert (await web.review(asked["id"], "robin", "deny")).status == 200
    got = await asyncio.wait_for(poll, 15)
    if got.status == 503:  # the poll may have looked in the middle of it; its caller asks again
        got = await web.call("GET", path)
    assert got.json["state"] == "DENIED"


async def test_before_the_first_policy_it_is_503_and_then_at_once_it_is_not(redis_store):
    from tests.worlds import samples  # noqa: PLC0415
    from tests.worlds.web import ROSTER  # noqa: PLC0415
    from workers.policies import apply  # noqa: PLC0415

    async with Web.over(redis_store, policy="") as web:
        got = await web.ask()
        assert (got.status, got.code) == (503, "not_configured")
        assert "countersign apply" in got.json["detail"]
        ready = await web.call("GET", "/readyz", who=None)
        assert (ready.status, ready.json["field"]) == (503, "policy")
        await apply(redis_store.records, policy=samples.POLICY_TEXT, roster=ROSTER, by="user:kim", why="first")
        assert (await web.ask()).status == 202
        assert await web.refusals() == []


async def test_a_new_policy_rules_the_next_ask_in_every_process(redis_store, empty_valkey):
    from tests.worlds import samples  # noqa: PLC0415
    from workers.policies import apply  # noqa: PLC0415

    other_store = await connect(empty_valkey.url)
    async with Web.over(redis_store) as one, Web.over(other_store, policy="") as two:
        two.keys = one.keys
        assert (await two.ask()).status == 202
        stop = '[rule.stop]\neffect = "deny"\nowner = "sre"\nnote = "Stopped."\nwhen = { environment = ["prod"] }\n'
        await apply(
            redis_store.records, policy=f"{samples.POLICY_TEXT}\n{stop}", roster=None, by="user:kim", why="stop"
        )
        for number, web in enumerate((one, two)):
            assert (await web.ask(f"n{number}", parameters={"n": number})).json["state"] == "DENIED"
    await other_store.aclose()
