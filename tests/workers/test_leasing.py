"""A grant's life through the worker's use cases, over the in-memory store and a strict cloud: every fork and race."""

import asyncio
import json
import threading
from datetime import timedelta

import pytest

from approvers.audit import check_chain
from approvers.grant import Grant, GrantState
from approvers.upgrades import read
from tests.bot.test_desk import World, caller, person
from tests.worlds import samples
from tests.worlds.cloud import Cloud
from workers.alerts import Alert
from workers.clock.reconcile import sweep
from workers.clock.waiting import Waiting
from workers.leasing import advance
from workers.policies import apply
from workers.stores import layout
from workers.stores.port import Attempt, Commit
from workers.tools import Tools
from workers.vault import DeliveryKey, open_credential, seal_credential

KEY = DeliveryKey.generate()


class Pager:
    """Keep what on-call would see."""

    def __init__(self) -> None:
        self.alerts: list[Alert] = []

    async def send(self, alert: Alert) -> None:
        self.alerts.append(alert)


class Shop(World):
    """The desk's world with a worker and a cloud whose clock is the store's."""

    def __init__(self) -> None:
        super().__init__()
        self.cloud, self.pager = Cloud(lambda: self.time), Pager()
        self.tools = Tools(
            store=self.store,
            policies=self.policies,
            providers={"aws": self.cloud},
            seal=lambda secret, grant: seal_credential(secret, KEY.public, grant.id, grant.principal),
            alerts=self.pager,
            lease=timedelta(seconds=20),
        )

    async def approved(self, **changes) -> str:
        return (await self.click(await self.ask(**changes), "robin")).grant.id

    async def item(self) -> Attempt | None:
        handout = await self.store.due.claim("worker", most=1, lease=self.tools.lease)
        return handout.items[0] if handout.items else None

    async def work(self) -> list[str]:
        """Do everything that is due now."""
        words = []
        while item := await self.item():
            words.append(await advance(self.tools, item))
        return words

    async def later(self, **time: float) -> list[str]:
        self.time += timedelta(**time)
        return await self.work()

    async def grant(self, grant_id: str) -> Grant:
        key = layout.grant_key(grant_id)
        return read(Grant, (await self.store.records.read([key])).records[key].json)


@pytest.fixture
async def shop() -> Shop:
    shop = Shop()
    await shop.start()
    return shop


async def test_minted_collected_by_its_caller_and_ended_by_time_with_proof(shop: Shop):
    grant_id = await shop.approved(ttl_seconds=10)
    assert await shop.work() == ["MINTING → ACTIVE"]
    got = await shop.custody.collect(caller(), grant_id)
    again = await shop.custody.collect(caller(), grant_id)
    assert got.ciphertext == again.ciphertext
    assert open_credential(KEY, got.ciphertext, grant_id, samples.CALLER)["secret_access_key"] == "very-secret"
    assert await shop.later(seconds=9) == []
    assert await shop.later(seconds=1) == ["ACTIVE → REVOKING", "REVOKING → REVOKED"]
    ended = await shop.grant(grant_id)
    assert (ended.proof.kind, ended.deny_written, shop.cloud.denies) == ("ttl_denied", False, set())
    assert await shop.store.records.sealed(grant_id) is None
    assert await shop.later(days=2) == []
    kinds = await shop.types(ended.request_id)
    assert kinds.count("credential.collected") == 2
    assert kinds[-2:] == ["grant.ended", "grant.revoked"]


async def test_a_ttl_of_the_sessions_own_length_is_shown_by_its_expiry(shop: Shop):
    grant_id = await shop.approved()
    await shop.work()
    assert await shop.later(seconds=900) == ["ACTIVE → REVOKING"]
    assert await shop.later(seconds=3) == ["REVOKING → REVOKED"]
    assert (await shop.grant(grant_id)).proof.kind == "expired"
    assert "revoke" not in shop.cloud.calls


@pytest.mark.parametrize("how", ["revoke", "release"])
async def test_ended_early_by_a_deny_that_is_probed_and_collected_only_after_the_last_expiry(shop: Shop, how: str):
    grant_id = await shop.approved()
    await shop.work()
    ending = (
        shop.custody.revoke(person("kim"), grant_id, "x")
        if how == "revoke"
        else shop.custody.release(caller(), grant_id)
    )
    assert (await ending).grant.state == "REVOKING"
    assert await shop.store.records.sealed(grant_id) is None
    assert shop.cloud.alive(grant_id)
    assert await shop.work() == ["REVOKING → REVOKED"]
    assert not shop.cloud.alive(grant_id)
    assert (await shop.grant(grant_id)).proof.kind == "probe_denied"
    assert await shop.later(minutes=24) == []
    assert shop.cloud.denies == {grant_id}
    assert await shop.later(minutes=2) == ["REVOKED → REVOKED"]
    assert (shop.cloud.denies, shop.cloud.alive(grant_id)) == (set(), [])
    assert (await shop.grant(grant_id)).collected_at == shop.time


async def test_refused_by_the_cloud_is_failed_and_told(shop: Shop):
    shop.cloud.refuse = "AccessDenied: not in the trust policy"
    grant_id = await shop.approved()
    assert await shop.work() == ["MINTING → FAILED"]
    assert (await shop.grant(grant_id)).failure == shop.cloud.refuse
    assert [alert.key for alert in shop.pager.alerts] == [f"mint_refused:{grant_id}"]
    assert await shop.reader.live() == []


async def test_not_sent_is_tried_again_with_backoff_and_then_minted(shop: Shop):
    shop.cloud.not_sent = "connection refused"
    grant_id = await shop.approved()
    assert await shop.work() == ["MINTING → PENDING"]
    assert await shop.later(seconds=1) == []
    shop.cloud.not_sent = ""
    assert await shop.later(seconds=1) == ["MINTING → ACTIVE"]
    assert (await shop.grant(grant_id)).trouble is None


async def test_an_unknown_outcome_is_revoked_though_nobody_has_the_credential(shop: Shop):
    shop.cloud.lose_answer = True
    grant_id = await shop.approved()
    assert await shop.work() == ["MINTING → REVOKING", "REVOKING → REVOKED"]
    assert (shop.cloud.alive(grant_id), len(shop.cloud.sessions)) == ([], 1)


async def test_a_worker_that_dies_after_the_call_leaves_a_lease_that_ends_the_session(shop: Shop):
    """The first attempt is cut off inside AssumeRole; nothing of it comes back."""
    shop.cloud.during_mint = threading.Event()
    grant_id = await shop.approved()
    dying = asyncio.create_task(advance(shop.tools, await shop.item()))
    await asyncio.to_thread(shop.cloud.minting.wait, 5)
    dying.cancel()
    shop.cloud.during_mint.set()
    assert (await shop.grant(grant_id)).state == "MINTING"
    assert shop.cloud.alive(grant_id)
    assert await shop.later(seconds=21) == ["MINTING → REVOKING", "REVOKING → REVOKED"]
    assert not shop.cloud.alive(grant_id)


async def test_a_slow_mint_that_was_given_up_is_dropped_and_its_session_is_denied(shop: Shop):
    shop.cloud.during_mint = threading.Event()
    grant_id = await shop.approved()
    slow = asyncio.create_task(advance(shop.tools, await shop.item()))
    await asyncio.to_thread(shop.cloud.minting.wait, 5)
    assert await shop.later(seconds=21) == ["MINTING → REVOKING", "REVOKING → REVOKED"]
    shop.cloud.during_mint.set()
    assert await slow == "overtaken"
    assert (await shop.grant(grant_id)).state == "REVOKED"
    assert await shop.store.records.sealed(grant_id) is None
    assert not shop.cloud.alive(grant_id)


async def test_on_call_revokes_while_the_mint_is_under_way(shop: Shop):
    shop.cloud.during_mint = threading.Event()
    grant_id = await shop.approved()
    minting = asyncio.create_task(advance(shop.tools, await shop.item()))
    await asyncio.to_thread(shop.cloud.minting.wait, 5)
    assert (await shop.custody.revoke(person("kim"), grant_id, "stop")).grant.state == "REVOKING"
    shop.cloud.during_mint.set()
    assert await minting == "overtaken"
    assert await shop.work() == ["REVOKING → REVOKED"]
    assert not shop.cloud.alive(grant_id)


async def test_the_same_job_twice_mints_once(shop: Shop):
    await shop.approved()
    item = await shop.item()
    first, second = await asyncio.gather(advance(shop.tools, item), advance(shop.tools, item))
    assert sorted([first, second])[0] == "MINTING → ACTIVE"
    assert len(shop.cloud.sessions) == 1 or not shop.cloud.alive(item.member.partition(":")[2])


@pytest.mark.parametrize(
    ("trouble", "said"), [("deny_nobody", "still allowed"), ("deny_everybody", "control is refused")]
)
async def test_what_is_no_proof_is_never_written_as_one(shop: Shop, trouble: str, said: str):
    grant_id = await shop.approved()
    await shop.work()
    await shop.custody.revoke(person("kim"), grant_id, "x")
    setattr(shop.cloud, trouble, True)
    for _ in range(4):
        await shop.later(seconds=130)
        assert (await shop.grant(grant_id)).state == "REVOKING"
    assert said in (await shop.grant(grant_id)).trouble
    assert f"revoke_unproven:{grant_id}" in {alert.key for alert in shop.pager.alerts}
    setattr(shop.cloud, trouble, False)
    await shop.later(seconds=130)
    assert (await shop.grant(grant_id)).state == "REVOKED"


async def test_a_broken_provider_keeps_it_revoking_and_pages_at_the_third_try(shop: Shop):
    grant_id = await shop.approved()
    await shop.work()
    shop.cloud.broken = "Throttling: slow down"
    await shop.custody.revoke(person("kim"), grant_id, "x")
    alerts = []
    for _ in range(3):
        await shop.later(seconds=130)
        alerts.append(len(shop.pager.alerts))
    assert alerts == [0, 0, 1]
    assert (await shop.grant(grant_id)).trouble == "Throttling: slow down"


async def test_a_policy_that_now_denies_stops_the_mint_and_says_so(shop: Shop):
    grant_id = await shop.approved()
    stricter = (
        samples.POLICY_TEXT
        + '[rule.stop]\neffect = "deny"\nowner = "sre"\nnote = "Stop."\nwhen = { role = ["analytics"] }\n'
    )
    await apply(shop.store.records, policy=stricter, roster=None, by="user:kim", why="incident")
    assert await shop.work() == ["overtaken"]
    failed = await shop.grant(grant_id)
    assert (failed.state, failed.failure) == ("FAILED", "policy now denies it (stop)")
    assert shop.cloud.calls == []


async def test_a_policy_that_now_needs_more_people_stops_the_mint(shop: Shop):
    grant_id = await shop.approved()
    stricter = samples.POLICY_TEXT.replace("seats  = { sre = 1 }", "seats  = { sre = 2 }")
    await apply(shop.store.records, policy=stricter, roster=None, by="user:kim", why="two eyes more")
    assert await shop.work() == ["overtaken"]
    assert (await shop.grant(grant_id)).failure == "policy now needs 2 of sre"


async def test_a_freeze_stops_approvals_and_mints(shop: Shop):
    grant_id = await shop.approved()
    waiting = await shop.ask("k2", ttl_seconds=60)
    record = json.dumps({"v": 1, "on": True, "why": "incident 7"})
    await shop.store.records.commit(Commit(at=shop.time, expects={layout.FREEZE: 0}, puts={layout.FREEZE: record}))
    with pytest.raises(Exception, match="incident 7"):
        await shop.click(waiting, "robin")
    assert await shop.work() == ["overtaken"]
    assert (await shop.grant(grant_id)).failure == "frozen: incident 7"


async def test_nobody_minted_in_time(shop: Shop):
    grant_id = await shop.approved()
    assert await shop.later(minutes=10) == ["overtaken"]
    assert (await shop.grant(grant_id)).state == "FAILED"


async def test_the_clock_closes_what_nobody_answered_and_not_a_moment_early(shop: Shop):
    view = await shop.ask()
    early = Attempt(layout.request_key(view.request.id), 0)
    waiting = Waiting(shop.store, shop.policies, shop.pager)
    assert await waiting.look_after(early) == "fenced"
    shop.time = view.request.expires_at
    [item] = (await shop.store.due.claim("clock", most=9, lease=shop.tools.lease)).items
    assert await waiting.look_after(item) == "expired"
    after = await shop.reader.look(view.request.id)
    assert (after.request.state, after.request.because) == ("EXPIRED", "nobody_answered")
    check_chain(view.request.id, await shop.store.log.chain(view.request.id))


class TestTheSweep:
    async def swept(self, shop: Shop) -> str:
        await shop.store.records.commit(Commit(at=shop.time, due={layout.SWEEP: shop.time}))
        return await sweep(shop.tools, await shop.item())

    async def revoked(self, shop: Shop) -> str:
        grant_id = await shop.approved()
        await shop.work()
        await shop.custody.revoke(person("kim"), grant_id, "x")
        await shop.work()
        return grant_id

    async def test_a_missing_deny_is_put_back_and_told(self, shop: Shop):
        grant_id = await self.revoked(shop)
        shop.cloud.denies.clear()
        assert shop.cloud.alive(grant_id)
        await self.swept(shop)
        assert not shop.cloud.alive(grant_id)
        assert [alert.key for alert in shop.pager.alerts] == [f"deny_missing:{grant_id}"]

    async def test_a_deny_of_nobody_is_kept_and_told(self, shop: Shop):
        shop.cloud.denies.add("grt_unknown")
        await self.swept(shop)
        assert shop.cloud.denies == {"grt_unknown"}
        assert [alert.key for alert in shop.pager.alerts] == ["orphan_deny:grt_unknown"]

    async def test_all_is_as_it_should_be(self, shop: Shop):
        await self.revoked(shop)
        assert await self.swept(shop) == "1 Denies in place"
        assert shop.pager.alerts == []
        assert await shop.item() is None
        shop.time += timedelta(minutes=1)
        assert (await shop.item()).member == layout.SWEEP

    async def test_a_full_role_is_told_before_revokes_are_refused(self, shop: Shop):
        shop.cloud.denies |= {f"grt_{number}" for number in range(45)}
        await self.swept(shop)
        assert "deny_budget:analytics" in {alert.key for alert in shop.pager.alerts}


async def test_a_mint_before_its_commit_would_be_found(shop: Shop):
    """The planted bug of the story, in small: had the claim not been committed first, nothing would end the session."""
    grant_id = await shop.approved()
    shop.cloud.mint(grant_id, (await shop.grant(grant_id)).plan)
    await shop.custody.revoke(person("kim"), grant_id, "x")
    assert (await shop.grant(grant_id)).state is GrantState.REVOKED
    assert shop.cloud.alive(grant_id)
