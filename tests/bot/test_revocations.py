"""Many grants taken away at once: what is hit, who may, what is on the record, races, and following to the proof."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from approvers.audit import By
from approvers.errors import Forbidden
from approvers.ids import grant_of
from approvers.targets import Target
from bot.custody import Custody
from bot.identity import Identity
from bot.problems import describe
from bot.reading import NotFound, Reader
from bot.revocations import Revocations, Unfinished
from bot.wire import RevocationAnswer
from countersign import AsyncClient, NotAllowed
from countersign.ending import follow
from tests.bot.test_intake_grants import live_grant, work
from tests.worlds.duty import on_duty, prove, put_live
from tests.worlds.web import Web, revoke_key
from workers.stores.port import Records, Store, Unavailable

ROBIN = Identity("user:robin", frozenset({"review"}), By("user:robin", "test", "robin"), "test")
ALEX = Identity("user:alex", ROBIN.scopes, By("user:alex", "test", "alex"), "test")
ALL = Target("all")
SHORT = timedelta(seconds=0.3)


@pytest.fixture
async def web(store: Store):
    async with Web.over(store) as running:
        yield await on_duty(running)


@pytest.fixture
async def quick(quick_web: Web) -> Web:
    return await on_duty(quick_web)


async def revoke(web: Web, target: str, who: str = "user:alex", **more):
    named = Target.parse(target)
    body = {"target": {"kind": named.kind, "name": named.name}, **more}
    return await web.call("POST", "/v1/revocations", who=who, json=body)


async def requested(web: Web) -> list[dict]:
    return [one for one in await web.records() if one["type"] == "revocation.requested"]


async def states(web: Web, requests: list[str]) -> list[str]:
    return [str(view.grant.state) for view in await web.deps.reader.views(requests) if view.grant]


async def test_a_dry_run_says_what_would_be_hit_and_touches_nothing(web: Web):
    mine = await put_live(web.store, 3)
    await put_live(web.store, 2, actor="agent:other")
    got = await revoke(web, "agent:report-bot", "user:robin", dry_run=True)
    RevocationAnswer.model_validate(got.json)
    assert [one["request_id"] for one in got.json["grants"]] == mine
    assert (got.json["dry_run"], got.json["frozen"], "Freeze first" in got.json["hint"]) == (True, False, True)
    assert await states(web, mine) == ["ACTIVE"] * 3
    assert await requested(web) == []


async def test_an_actors_grants_go_and_nobody_elses(web: Web):
    mine, other = await put_live(web.store, 3), await put_live(web.store, 2, actor="agent:other")
    got = await revoke(web, "agent:report-bot", "user:robin", reason="went wild")
    assert [one["state"] for one in got.json["grants"]] == ["REVOKING"] * 3
    assert (await states(web, mine), await states(web, other)) == (["REVOKING"] * 3, ["ACTIVE"] * 2)
    [record] = await requested(web)
    assert record["by"]["person"] == "user:robin"
    grants = [grant_of(one) for one in mine]
    assert record["data"] == {"kind": "actor", "name": "agent:report-bot", "grants": grants, "reason": "went wild"}
    assert [one["ending"]["reason"] for one in got.json["grants"]] == ["went wild"] * 3
    for one in mine:
        assert [record["type"] for record in await web.records(one)] == ["grant.opened", "grant.revoke_requested"][1:]


@pytest.mark.parametrize(("target", "hit"), [
    ("role:analytics", 3), ("role:gone", 0), ("caller:report-bot", 3), ("user:dana", 0), ("agent:other", 1), ("all", 3),
])  # fmt: skip
async def test_what_each_kind_hits(quick: Web, target: str, hit: int):
    await put_live(quick.store, 2)
    await put_live(quick.store, 1, actor="agent:other")
    assert len((await revoke(quick, target, dry_run=True)).json["grants"]) == hit


async def test_one_by_id_of_either_kind_or_handle(quick: Web):
    grant = await live_grant(quick)
    handle = (await quick.call("GET", f"/v1/requests/{grant}")).json["handle"]
    for name in (grant, grant.replace("grt_", "req_"), handle.lower()):
        got = (await revoke(quick, name, "user:robin", dry_run=True)).json
        assert ([one["id"] for one in got["grants"]], got["hint"]) == ([grant], None)
    assert (await revoke(quick, handle)).json["grants"][0]["state"] == "REVOKING"
    await work(quick)
    assert (await revoke(quick, grant)).json["grants"] == []
    for unknown in ("ZZZZ", "grt_" + "0" * 26):
        got = await revoke(quick, unknown)
        assert (got.status, got.code) == (404, "not_found")


async def test_a_request_without_a_grant_is_named_as_such(quick: Web):
    asked = (await quick.ask()).json["id"]
    got = await revoke(quick, asked)
    assert (got.status, "no grant" in got.json["detail"]) == (404, True)


async def test_any_reviewer_revokes_but_all_needs_somebody_on_call(web: Web):
    ids = await put_live(web.store, 2)
    for who, target, code in (
        ("user:robin", "all", "not_on_call"),
        ("user:eve", "all", "not_on_call"),
        ("user:eve", "role:analytics", "not_a_reviewer"),
        ("user:eve", ids[0], "not_a_reviewer"),
        ("caller:report-bot", "all", "missing_scope"),
    ):
        for dry_run in (True, False):
            got = await revoke(web, target, who, dry_run=dry_run)
            assert (got.status, got.code) == (403, code), (who, target)
    assert await requested(web) == []
    assert len(await web.refusals()) == 10
    assert await states(web, ids) == ["ACTIVE"] * 2
    single = await web.call("POST", f"/v1/grants/{ids[0]}/revoke", who="user:eve", json={})
    assert (single.status, single.code) == (403, "not_a_reviewer")
    assert (await revoke(web, "role:analytics", "user:robin")).status == 200
    assert (await revoke(web, "all", "user:kim")).status == 200


@pytest.mark.parametrize("target", [
    {"kind": "all", "name": "x"}, {"kind": "role"}, {"kind": "role", "name": ""}, {"kind": "everybody"}, "all", None,
    {"kind": "role", "name": "a", "also": 1},
])  # fmt: skip
async def test_a_target_that_could_mean_more_is_refused(quick: Web, target):
    ids = await put_live(quick.store, 1)
    got = await quick.call("POST", "/v1/revocations", who="user:kim", json={"target": target})
    assert (got.status, got.code) == (400, "malformed")
    assert await states(quick, ids) == ["ACTIVE"]


async def test_what_was_never_minted_is_revoked_at_once_and_what_is_being_ended_counts_as_hit(web: Web):
    [pending] = await put_live(web.store, 1, state="PENDING")
    [minting] = await put_live(web.store, 1, state="MINTING", actor="agent:minting")
    [ending] = await put_live(web.store, 1, state="REVOKING", actor="agent:ending")
    got = (await revoke(web, "all")).json["grants"]
    assert [(one["request_id"], one["state"]) for one in got if one["request_id"] == pending] == [(pending, "REVOKED")]
    assert sorted(one["state"] for one in got) == ["REVOKED", "REVOKING", "REVOKING"]
    assert next(one for one in got if one["request_id"] == pending)["proof"]["kind"] == "never_issued"
    kinds = [one["type"] for one in await web.records(minting)]
    assert kinds == ["grant.revoke_requested"]
    assert await web.records(ending) == []
    assert len((await requested(web))[0]["data"]["grants"]) == 3


async def test_two_at_once_are_harmless(web: Web):
    ids = await put_live(web.store, 12)
    got = await asyncio.gather(*(revoke(web, target, reason="x") for target in ("all", "role:analytics", "all")))
    assert [one.status for one in got] == [200] * 3
    assert await states(web, ids) == ["REVOKING"] * 12
    for one in ids:
        assert [record["type"] for record in await web.records(one)] == ["grant.revoke_requested"]
    assert len(await requested(web)) == 3


async def test_what_is_opened_after_the_look_is_not_hit_and_the_hint_says_what_helps(quick: Web):
    await put_live(quick.store, 1)
    assert "once more" in (await revoke(quick, "all")).json["hint"]
    [later] = await put_live(quick.store, 1, actor="agent:later")
    assert await states(quick, [later]) == ["ACTIVE"]
    assert await quick.deps.revocations.select(Target("actor", "agent:later")) != []


async def test_a_key_revoked_in_the_middle_ends_it(web: Web):
    ids = await put_live(web.store, 3)
    assert (await revoke(web, "all", "user:kim", dry_run=True)).status == 200
    await revoke_key(web.store, web.keys["user:kim"])
    assert (await revoke(web, "all", "user:kim")).status == 401
    assert await requested(web) == []
    assert await states(web, ids) == ["ACTIVE"] * 3


async def test_the_use_case_refuses_by_itself(quick: Web):
    with pytest.raises(Forbidden) as caught:
        await quick.deps.revocations.revoke(ROBIN, ALL, "x")
    assert caught.value.code == "not_on_call"
    with pytest.raises(NotFound):
        await quick.deps.revocations.select(Target("grant", "ZZZZ"))


class Shaky:
    """A store's records that go away by count: the commits and reads that `away` names, counted from now."""

    def __init__(self, records: Records) -> None:
        self._records, self.away, self.calls = records, range(0), 0

    def __getattr__(self, name: str):
        return getattr(self._records, name)

    def _check(self) -> None:
        self.calls += 1
        if self.calls - 1 in self.away:
            raise Unavailable("away")

    async def read(self, *args, **more):
        self._check()
        return await self._records.read(*args, **more)

    async def commit(self, commit) -> None:
        self._check()
        await self._records.commit(commit)


@pytest.fixture
def shaky(quick: Web) -> tuple[Shaky, Revocations]:
    records = Shaky(quick.store.records)
    store = replace(quick.store, records=records)
    reader = Reader(store)
    return records, Revocations(store, reader, Custody(store, reader), quick.deps.directory)


async def test_what_could_not_be_marked_is_told_and_the_same_again_goes_on(quick: Web, shaky):
    ids, (records, revocations) = await put_live(quick.store, 6), shaky
    records.away = range(8, 11)
    with pytest.raises(Unfinished, match=r"[123] of 6 grants"):
        await revocations.revoke(ALEX, ALL, "x")
    assert set(await states(quick, ids)) == {"ACTIVE", "REVOKING"}
    assert describe(Unfinished("x")).kind.status == 503
    assert len(await revocations.revoke(ALEX, ALL, "x")) == 6
    assert await states(quick, ids) == ["REVOKING"] * 6


class TestFollowing:
    async def test_each_end_is_told_and_the_last_tells_all(self, web: Web):
        ids = await put_live(web.store, 3, state="REVOKING")
        follow = web.deps.revocations.follow(ids, timedelta(seconds=10))
        for done, proven in enumerate((1, 0, 2), 1):  # not only the oldest is looked at
            asyncio.get_running_loop().create_task(prove(web.store, ids[proven]))
            views = await anext(follow)
            assert [view.request.id for view in views] == ids
            assert sum(view.grant.state == "REVOKED" for view in views) == done
        with pytest.raises(StopAsyncIteration):
            await anext(follow)

    async def test_when_the_time_is_over_it_says_what_is_open(self, quick: Web):
        ids = await put_live(quick.store, 2, state="REVOKING")
        await prove(quick.store, ids[1])
        seen = [[str(v.grant.state) for v in views] async for views in quick.deps.revocations.follow(ids, SHORT)]
        assert seen == [["REVOKING", "REVOKED"]] * 2

    async def test_a_store_that_is_away_is_waited_for(self, quick: Web, shaky):
        ids, (records, revocations) = await put_live(quick.store, 1, state="REVOKING"), shaky
        await prove(quick.store, ids[0])
        records.away = range(1)
        assert len([views async for views in revocations.follow(ids, timedelta(seconds=10))]) == 1
        records.away = range(1_000)
        with pytest.raises(Unavailable):
            await anext(revocations.follow(ids, SHORT))

    async def test_nothing_to_follow_is_over_at_once(self, quick: Web):
        assert [views async for views in quick.deps.revocations.follow([], timedelta(hours=1))] == [[]]

    async def test_a_process_that_stops_follows_no_longer(self, quick: Web):
        ids = await put_live(quick.store, 1, state="REVOKING")
        quick.deps.closing.set()
        seen = [views async for views in quick.deps.revocations.follow(ids, timedelta(hours=1))]
        assert len(seen) == 1


async def test_five_hundred_do_not_hold_up_the_process(web: Web):
    ids, beats = await put_live(web.store, 500), 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0)
            beats += 1

    beating = asyncio.create_task(beat())
    found = await web.deps.revocations.revoke(ALEX, ALL, "x")
    beating.cancel()
    assert len(found) == 500
    assert set(await states(web, ids)) == {"REVOKING"}
    assert beats > 50  # all five hundred in one turn of the loop leave others a handful


async def test_the_python_client_and_the_server_understand_each_other(web: Web):
    grant = await live_grant(web)
    told: list[str] = []
    async with AsyncClient(web.base, web.keys["user:alex"]) as client:
        assert (await client.freeze("incident 7")).by == "user:alex"
        would = await client.revocations("role:analytics", dry_run=True)
        assert ([one.id for one in would.grants], would.frozen, would.hint) == ([grant], True, None)
        hit = await client.revocations("all", reason="x")
        following = asyncio.create_task(
            follow(client, hit.grants, timeout_seconds=10, on_end=lambda one: told.append(one.id))
        )
        await work(web)
        [ended] = await following
        assert (ended.over, ended.proof.refused, ended.proof.asked, told) == (True, 3, 3, [grant])
        assert (await client.revocations("all")).grants == []
        assert (await client.unfreeze("over")).on is False
    async with AsyncClient(web.base, web.keys["user:robin"]) as client:
        with pytest.raises(NotAllowed) as caught:
            await client.unfreeze()
    assert caught.value.code == "not_on_call"
