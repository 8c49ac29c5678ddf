"""Who is calling: no key, a wrong, expired or revoked one, a missing scope; and how refusals are recorded."""

import asyncio
import json
from datetime import timedelta

import pytest

from bot.refusals import A_MINUTE, Refusals
from tests.worlds import samples
from tests.worlds.samples import NOW
from tests.worlds.web import Web, make_key, revoke_key
from workers.stores.memory import memory_store
from workers.stores.port import Unavailable
from workers.vault import new_api_key

SCOPED = [
    ("POST", "/v1/requests", {"request"}),
    ("GET", "/v1/requests", {"request", "review", "operate", "read"}),
    ("GET", "/v1/requests/x", {"request", "review", "operate", "read"}),
    ("GET", "/v1/requests/x/why", {"request", "review", "operate", "read"}),
    ("POST", "/v1/requests/x/reviews", {"review"}),
    ("POST", "/v1/requests/x/cancel", {"request", "review", "operate", "read"}),
    ("POST", "/v1/requests/x/consume", {"request"}),
    ("POST", "/v1/requests/x/after-review", {"review"}),
    ("GET", "/v1/grants", {"request", "review", "operate", "read"}),
    ("POST", "/v1/grants/x/credential", {"request"}),
    ("POST", "/v1/grants/x/release", {"request"}),
    ("GET", "/v1/grants/x/activity", {"request", "review", "operate", "read"}),
    ("POST", "/v1/grants/x/heartbeat", {"request"}),
    ("POST", "/v1/grants/x/revoke", {"review", "operate"}),
    ("POST", "/v1/revocations", {"review", "operate"}),
    ("POST", "/v1/freeze", {"review", "operate"}),
    ("DELETE", "/v1/freeze", {"review", "operate"}),
    ("GET", "/v1/audit/x", {"request", "review", "operate", "read"}),
    ("GET", "/v1/audit", {"request", "review", "operate", "read"}),
    ("GET", "/v1/audit/checkpoint", {"request", "review", "operate", "read"}),
    ("GET", "/v1/reports/access", {"read"}),
]


UNKNOWN = pytest.param(f"Bearer {new_api_key()}", id="well-formed, but nobody's")


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic ZGFuYTpkYW5h", "Bearer cs_short", UNKNOWN, "Bearer ünï",
     f"Bearer {'x' * 5000}", "cs_x"],
)  # fmt: skip
async def test_without_a_good_key_it_is_401_with_a_challenge(quick_web: Web, header: str | None):
    headers = {} if header is None else {"Authorization": header}
    got = await quick_web.call("POST", "/v1/requests", who=None, headers=headers, json=samples.BODY)
    assert (got.status, got.code) == (401, "unauthenticated")
    assert got.headers["WWW-Authenticate"].startswith("Bearer")
    assert "cs_" not in got.json["detail"]


async def test_two_keys_at_once_are_none(quick_web: Web):
    from multidict import CIMultiDict  # noqa: PLC0415

    twice = CIMultiDict([("Authorization", f"Bearer {quick_web.keys['user:kim']}")] * 2)
    async with quick_web.client.get(f"{quick_web.base}/v1/grants", headers=twice) as got:
        assert got.status == 401


async def test_the_scheme_may_be_written_in_any_case(quick_web: Web):
    headers = {"Authorization": f"bearer {quick_web.keys['user:kim']}"}
    assert (await quick_web.call("GET", "/v1/grants", who=None, headers=headers)).status == 200


async def test_the_table_of_scopes_is_whole(quick_web: Web):
    routes = [route for route in quick_web.routes.values() if route.scopes]
    rows = {(route.method, route.path.replace("{id}", "x")): route.scopes for route in routes}
    assert rows == {(method, path): frozenset(scopes) for method, path, scopes in SCOPED}


@pytest.mark.parametrize("scope", ["request", "review", "operate", "read"])
async def test_each_route_takes_its_scopes_and_no_other(quick_web: Web, scope: str):
    quick_web.keys["one"] = await make_key(quick_web.store, "user:robin", scope)
    for method, path, scopes in SCOPED:
        got = await quick_web.call(method, path, who="one")
        let_in = got.status != 403 or got.code != "missing_scope" or got.json.get("field") == "mine"
        assert let_in == (scope in scopes), (method, path, got.json)


async def test_a_key_ends_by_the_stores_clock():
    now = NOW
    store = memory_store(lambda: now)
    async with Web.over(store) as web:
        web.keys["short"] = await make_key(store, samples.CALLER, "request", life=timedelta(minutes=1))
        assert (await web.ask(who="short")).status == 202
        now += timedelta(seconds=59)
        assert (await web.ask(who="short")).status == 202
        now += timedelta(seconds=1)
        assert (await web.ask(who="short")).code == "unauthenticated"


async def test_a_revoked_key_changes_nothing_though_it_was_used_a_moment_ago(web: Web):
    asked = (await web.ask()).json["id"]
    assert (await web.call("GET", f"/v1/requests/{asked}", who="user:robin")).status == 200
    for who in (samples.CALLER, "user:robin"):
        await revoke_key(web.store, web.keys[who])
    assert (await web.ask("k2", reason="again")).code == "unauthenticated"
    assert (await web.review(asked)).code == "unauthenticated"
    assert (await web.call("POST", f"/v1/requests/{asked}/cancel")).code == "unauthenticated"
    assert (await web.call("GET", f"/v1/requests/{asked}", who="user:alex")).json["version"] == 1


async def test_a_key_whose_record_changed_but_still_holds_goes_on(web: Web):
    from bot.identity import ApiKey  # noqa: PLC0415
    from workers.stores.port import Commit  # noqa: PLC0415
    from workers.vault import hash_key  # noqa: PLC0415

    assert (await web.ask()).status == 202
    name = f"key:{hash_key(web.keys[samples.CALLER])}"
    seen = await web.store.records.read([name])
    longer = ApiKey.model_validate_json(seen.records[name].json).model_copy(
        update={"expires_at": seen.now + timedelta(days=1)}
    )
    await web.store.records.commit(Commit(at=seen.now, expects={name: 1}, puts={name: longer.model_dump_json()}))
    assert (await web.ask("k2", reason="again")).status == 202


async def test_a_caller_that_left_the_roster_may_not_ask(quick_web: Web):
    quick_web.keys["gone"] = await make_key(quick_web.store, "caller:gone", "request")
    got = await quick_web.ask(who="gone")
    assert (got.status, got.code) == (403, "unknown_principal")


async def test_a_missing_scope_is_recorded(web: Web):
    asked = (await web.ask()).json["id"]
    path = f"/v1/requests/{asked}/reviews"
    assert (await web.call("POST", path, json={"verdict": "approve"})).code == "missing_scope"
    assert (await web.call("POST", "/v1/grants/x/revoke")).code == "missing_scope"
    found = [(one["type"], one["data"]["route"], one["data"]["code"]) for one in await web.refusals()]
    assert found == [
        ("call.refused", "POST /v1/requests/{id}/reviews", "missing_scope"),
        ("call.refused", "POST /v1/grants/{id}/revoke", "missing_scope"),
    ]


async def test_reading_without_right_is_no_record(web: Web):
    await web.call("GET", "/v1/requests")
    await web.call("GET", "/v1/audit/sys")
    assert await web.refusals() == []


async def test_many_refusals_at_once_make_one_chain(web: Web):
    got = await asyncio.gather(*(web.ask(f"k{n}", risk="none") for n in range(30)), web.ask("good"))
    assert [one.status for one in got] == [400] * 30 + [202]
    assert len(await web.refusals()) == 30  # the chain is checked as it is read


async def test_strangers_are_counted_once_a_source_and_minute(web: Web):
    for _ in range(5):
        await web.call("GET", "/v1/grants", who=None)
    (record,) = await web.refusals()
    assert (record["type"], record["data"]) == ("sign_in.refused", {"source": "127.0.0.1", "failures": 1})


async def test_strangers_make_60_records_a_minute_over_all_processes():
    now = NOW
    store = memory_store(lambda: now)
    processes = [Refusals(store.records), Refusals(store.records)]
    for number in range(200):
        for one in processes:
            await one.stranger(f"10.0.0.{number}")
    assert await store.log.size() == A_MINUTE
    now += timedelta(minutes=1)
    await processes[0].stranger("10.0.0.1")
    await processes[0].stranger("10.0.0.1")
    assert await store.log.size() == A_MINUTE + 1


async def test_what_was_not_recorded_is_counted_into_the_next_record():
    now = NOW
    store = memory_store(lambda: now)
    refusals = Refusals(store.records)
    for _ in range(4):
        await refusals.stranger("10.0.0.1")
    now += timedelta(minutes=1)
    await refusals.stranger("10.0.0.1")
    last = (await store.log.chain("sys"))[-1]
    assert b'"failures":4' in last
    assert (await store.signals.counts())["strangers"] == 5


async def test_a_flood_is_counted_and_not_stored():
    now = NOW
    store = memory_store(lambda: now)
    processes = [Refusals(store.records), Refusals(store.records)]
    for number in range(10_000):
        await processes[number % 2].stranger(f"10.{number % 7}.{number // 250}.{number % 250}")
    assert await store.log.size() == A_MINUTE
    now += timedelta(minutes=1)
    for one in processes:
        await one.stranger(f"192.168.0.{processes.index(one)}")
    assert await store.log.size() == A_MINUTE + 2
    told = [json.loads(body)["data"] for body in await store.log.chain("sys")]
    assert sum(one["failures"] + one.get("others", 0) for one in told) == 10_002
    assert (await store.signals.counts())["strangers"] == 10_002


class Broken:
    """A store whose commits fail in one way."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    async def now(self):
        raise self.error

    async def read(self, *_: object):
        raise self.error


@pytest.mark.parametrize("error", [Unavailable("gone"), ValueError("a mistake of ours"), TimeoutError()])
async def test_a_refusal_that_cannot_be_recorded_is_still_the_same_refusal(quick_web: Web, error: Exception):
    quick_web.deps.refusals._records = Broken(error)
    got = await quick_web.ask(risk="none")
    assert (got.status, got.code) == (400, "malformed")
    assert (await quick_web.call("GET", "/v1/grants", who=None)).code == "unauthenticated"
