"""The freeze: who may move it, what it stops, over both stores; and that it outlives every process."""

import asyncio
import json
from datetime import timedelta

import pytest

from approvers.audit import By
from approvers.errors import Malformed
from bot.identity import Identity
from bot.wire import FreezeAnswer
from tests.bot.test_intake_grants import work
from tests.worlds.duty import on_duty
from tests.worlds.web import Web, revoke_key
from workers.stores import layout
from workers.stores.port import Store

INCIDENT = {"reason": "incident 7"}


@pytest.fixture
async def web(store: Store):
    async with Web.over(store) as running:
        yield await on_duty(running)


async def freeze(web: Web, who: str = "user:robin", **body):
    return await web.call("POST", "/v1/freeze", who=who, json=body or INCIDENT)


async def lift(web: Web, who: str = "user:alex", **body):
    return await web.call("DELETE", "/v1/freeze", who=who, json=body)


async def kinds(web: Web) -> list[str]:
    return [one["type"] for one in await web.records() if one["type"].startswith("freeze.")]


async def test_any_reviewer_freezes_and_who_when_and_why_are_on_the_record(web: Web):
    got = await freeze(web)
    FreezeAnswer.model_validate(got.json)
    assert {**got.json, "at": ""} == {"on": True, "why": "incident 7", "by": "user:robin", "at": "", "changed": True}
    stored = json.loads((await web.store.records.read([layout.FREEZE])).records[layout.FREEZE].json)
    assert stored == {"v": 1, "on": True, "why": "incident 7", "by": "user:robin", "at": got.json["at"]}
    last = (await web.records())[-1]
    assert (last["type"], last["by"]["person"], last["data"]) == ("freeze.set", "user:robin", {"why": "incident 7"})


async def test_twice_is_no_error_and_the_first_reason_stays(web: Web):
    first = (await freeze(web)).json
    again = await freeze(web, "user:alex", reason="me too")
    assert (again.status, again.json) == (200, {**first, "changed": False})
    assert await kinds(web) == ["freeze.set"]
    for changed in (True, False):
        assert (await lift(web)).json["changed"] == changed
    assert await kinds(web) == ["freeze.set", "freeze.lifted"]


async def test_only_people_on_call_or_operators_lift_it(web: Web):
    await freeze(web)
    for who, code in (("user:robin", "not_on_call"), ("user:eve", "not_on_call")):
        got = await lift(web, who)
        assert (got.status, got.code) == (403, code)
    assert [one["data"]["code"] for one in await web.refusals()] == ["not_on_call"] * 2
    assert (await lift(web, reason="over")).json["on"] is False
    record = (await web.records())[-1]
    assert (record["type"], record["data"]["why"], record["data"]["was"]) == ("freeze.lifted", "over", "incident 7")
    await freeze(web)
    assert (await lift(web, "user:kim")).json["on"] is False


async def test_who_is_in_no_group_may_not_freeze_and_who_has_no_scope_is_not_asked(web: Web):
    assert (await freeze(web, "user:eve")).code == "not_a_reviewer"
    assert (await freeze(web, "caller:report-bot")).code == "missing_scope"
    assert await kinds(web) == []
    assert (await freeze(web, "user:kim")).status == 200


@pytest.mark.parametrize("reason", ["", "  \n ", "x" * 501])
async def test_a_reason_that_nobody_reads_is_refused(quick_web: Web, reason: str):
    got = await freeze(quick_web, "user:kim", reason=reason)
    assert (got.status, got.code, got.json["field"]) == (400, "malformed", "reason")


async def test_the_reason_is_one_line(quick_web: Web):
    assert (await freeze(quick_web, "user:kim", reason=" one\n two ")).json["why"] == "one two"
    kim = Identity("user:kim", frozenset({"operate"}), By("user:kim", "test", "kim"), "test")
    with pytest.raises(Malformed):
        await quick_web.deps.stops.unfreeze(kim, "x" * 501)


async def test_it_stops_approvals_but_not_denials_and_then_lets_them_go_on(web: Web):
    one, other = (await web.ask()).json["id"], (await web.ask("k2", ttl_seconds=60)).json["id"]
    await freeze(web)
    got = await web.review(one)
    assert (got.status, got.code, "incident 7" in got.json["detail"]) == (403, "frozen", True)
    assert (await web.review(other, verdict="deny", reason="no")).json["state"] == "DENIED"
    await lift(web)
    assert (await web.review(one)).json["state"] == "APPROVED"


async def test_what_was_approved_before_is_not_minted_and_says_why(web: Web):
    asked = (await web.ask()).json["id"]
    await web.review(asked)
    await freeze(web)
    cloud = await work(web)
    grant = (await web.call("GET", f"/v1/requests/{asked}")).json["grant"]
    assert (grant["state"], grant["failure"]) == ("FAILED", "frozen: incident 7")
    assert cloud.calls == []
    assert (await web.records(asked))[-1]["type"] == "grant.overtaken"


async def test_it_outlives_every_process_and_stops_a_new_one_from_its_first_moment(store: Store):
    async with Web.over(store) as before:
        waiting, approved = (await before.ask()).json["id"], (await before.ask("k2", ttl_seconds=60)).json["id"]
        await before.review(approved)
        await freeze(before, "user:kim")
    async with Web.over(store, policy="") as after:
        after.keys = before.keys
        assert (await after.review(waiting)).code == "frozen"
        await work(after)
        assert (await after.call("GET", f"/v1/requests/{approved}")).json["grant"]["state"] == "FAILED"


async def test_a_process_that_has_not_heard_of_it_approves_nothing(store: Store):
    async with Web.over(store) as here:
        asked = (await here.ask()).json["id"]
        book = here.deps.policies.current
        async with Web.over(store, policy="") as there:
            there.keys = here.keys
            await freeze(there, "user:kim")
        assert book.frozen is None
        assert (await here.review(asked)).code == "frozen"


async def test_all_at_once_it_is_moved_once(web: Web):
    got = await asyncio.gather(*(freeze(web, who) for who in ("user:robin", "user:alex", "user:kim") * 4))
    assert sorted(one.json["changed"] for one in got) == [False] * 11 + [True]
    assert len({(one.json["by"], one.json["at"]) for one in got}) == 1
    assert await kinds(web) == ["freeze.set"]


async def test_a_revoked_key_moves_nothing(web: Web):
    await freeze(web)
    assert (await lift(web, "user:kim")).status == 200
    await revoke_key(web.store, web.keys["user:kim"])
    assert (await freeze(web, "user:kim")).status == 401
    assert (await web.deps.stops.look()).on is False


async def test_asks_that_only_people_can_decide_wait_meanwhile(web: Web):
    await freeze(web)
    got = await web.ask()
    assert (got.status, got.json["state"]) == (202, "PENDING")


async def test_what_a_rule_alone_would_approve_is_stopped_too_and_on_the_record(web: Web):
    listing = {"action": "s3:ListAllMyBuckets", "resource": "arn:aws:s3:::*", "data_classes": None, "access": None}
    before = (await web.ask(ttl_seconds=60, **listing)).json
    await freeze(web)
    got = await web.ask("k2", ttl_seconds=60, **listing)
    assert (got.status, got.code) == (403, "frozen")
    assert (await web.ask(ttl_seconds=60, **listing)).json == before
    assert [one["data"]["code"] for one in await web.refusals()] == ["frozen"]
    await lift(web)
    assert (await web.ask("k2", ttl_seconds=60, **listing)).json["state"] == "APPROVED"


async def test_what_is_live_stays_live_and_can_be_taken_away(web: Web):
    asked = (await web.ask()).json["id"]
    await web.review(asked)
    await work(web)
    await freeze(web)
    grant = asked.replace("req_", "grt_")
    assert (await web.call("POST", f"/v1/grants/{grant}/credential")).status == 200
    body = {"target": {"kind": "all"}, "reason": "incident 7"}
    got = (await web.call("POST", "/v1/revocations", who="user:alex", json=body)).json
    assert (got["frozen"], got["hint"], [one["state"] for one in got["grants"]]) == (True, None, ["REVOKING"])
    await work(web)
    ended = (await web.call("GET", f"/v1/requests/{asked}")).json["grant"]
    assert (ended["state"], ended["proof"]["refused"]) == ("REVOKED", 3)
    assert timedelta(seconds=ended["proof"]["seconds"]) >= timedelta()
