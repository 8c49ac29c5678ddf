"""The sweep over what really stands at AWS: repaired, moved on, told, kept; one broken account holds up no other."""

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from approvers.audit import check_chain
from approvers.grant import Plan
from tests.bot.test_desk import person
from tests.workers.test_leasing import Shop
from tests.worlds import samples
from tests.worlds.cloud import Cloud
from workers.clock.reconcile import TEXTS, _in_turn, base_plans, sweep
from workers.policies import apply
from workers.providers.dry_run import DryRunProvider
from workers.providers.port import ProviderError, RoleLook
from workers.stores import layout
from workers.stores.port import Commit
from workers.stores.rooms import rooms_seen

ARN = "arn:aws:iam::000000000000:role/countersign-base-analytics"
SECOND = "arn:aws:iam::000000000000:role/countersign-base-analytics-2"
OTHER = """
[account.other]
id = "222222222222"
environment = "prod"

[role.elsewhere]
account = "other"
arn = "arn:aws:iam::222222222222:role/countersign-base-elsewhere"
ceiling = ["s3:GetObject"]
"""
ELSEWHERE = "arn:aws:iam::222222222222:role/countersign-base-elsewhere"


async def put_roster(shop: Shop, text: str) -> None:
    await apply(shop.store.records, policy=None, roster=text, by="user:kim", why="test")
    await shop.policies.refresh()


def with_second_role() -> str:
    assert samples.ROSTER_TEXT.count("ceiling =") == 1
    return samples.ROSTER_TEXT.replace("ceiling =", f'more_arns = ["{SECOND}"]\nceiling =')


class Sweeper(Shop):
    """A shop that sweeps, and knows which alarms stand at on-call."""

    async def swept(self, **time: float) -> str:
        self.time += timedelta(**time)
        await self.store.records.commit(Commit(at=self.time, due={layout.SWEEP: self.time}))
        items = (await self.store.due.claim("worker", most=99, lease=self.tools.lease)).items
        [attempt] = [one for one in items if one.member == layout.SWEEP]
        return await sweep(self.tools, attempt)

    async def live(self, **changes) -> str:
        grant_id = await self.approved(**changes)
        await self.work()
        return grant_id

    async def revoked(self, **changes) -> str:
        grant_id = await self.live(**changes)
        await self.custody.revoke(person("kim"), grant_id, "x")
        await self.work()
        assert (await self.grant(grant_id)).state == "REVOKED"
        return grant_id

    @property
    def standing(self) -> set[str]:
        """The keys that were told and not cleared since."""
        found = set()
        for alert in self.pager.alerts:
            (found.discard if alert.cleared else found.add)(alert.key)
        return found


@pytest.fixture
async def shop() -> Sweeper:
    shop = Sweeper()
    await shop.start()
    return shop


class TestADenyThatShouldStand:
    @pytest.mark.parametrize("what", ["gone", "changed"])
    async def test_it_is_put_back_and_told(self, shop: Sweeper, what: str):
        grant_id = await shop.revoked()
        if what == "gone":
            shop.cloud.denies.clear()
            assert shop.cloud.alive(grant_id)
        else:
            shop.cloud.changed.add(grant_id)
        await shop.swept(minutes=2)
        assert (shop.cloud.denies, shop.cloud.changed) == ({grant_id}, set())
        [alert] = shop.pager.alerts
        assert (alert.key, alert.severity) == (f"deny_missing:{grant_id}", "critical")
        assert ("was gone" if what == "gone" else "had been changed") in alert.summary
        await shop.swept(minutes=1)
        assert len(shop.pager.alerts) == 1

    async def test_one_just_written_is_put_back_without_an_alarm(self, shop: Sweeper):
        grant_id = await shop.revoked()
        shop.cloud.denies.clear()
        await shop.swept(seconds=30)
        assert (shop.cloud.denies, shop.pager.alerts) == ({grant_id}, [])

    async def test_it_is_not_put_back_once_no_session_can_be_alive(self, shop: Sweeper):
        await shop.revoked()
        shop.cloud.denies.clear()
        await shop.swept(minutes=26)
        assert (shop.cloud.denies, shop.pager.alerts) == (set(), [])

    async def test_one_that_cannot_be_put_back_is_told_as_that_and_holds_up_no_other(self, shop: Sweeper):
        lost, live = await shop.revoked(), await shop.live(key="k2")
        shop.cloud.denies = {live}
        shop.cloud.broken = "AccessDenied: no iam:PutRolePolicy"
        await shop.swept(minutes=2)
        assert (await shop.grant(live)).state == "REVOKING", "what somebody revoked directly is moved on all the same"
        [alert] = [one for one in shop.pager.alerts if one.key == f"deny_missing:{lost}"]
        assert alert.severity == "critical"
        assert "cannot be put back: AccessDenied" in alert.summary
        assert (await rooms_seen(shop.store.records))[0].roles[ARN].denies == 1
        shop.cloud.broken = ""
        await shop.swept(minutes=1)
        assert lost in shop.cloud.denies
        await shop.swept(minutes=1)
        assert shop.standing == {f"deny_missing:{lost}"}, "it had been gone: somebody has to find out why"

    async def test_of_a_dry_run_nothing_is_written_at_aws(self, shop: Sweeper):
        dry = DryRunProvider(lambda: shop.time)
        shop.tools = replace(shop.tools, providers={**shop.tools.providers, "dry_run": dry})
        await shop.revoked(access={**samples.BODY["access"], "provider": "dry_run"})
        await shop.swept(minutes=2)
        assert (shop.cloud.denies, shop.pager.alerts) == (set(), [])
        assert (await rooms_seen(shop.store.records))[0].roles[ARN].needed == 0

    def test_every_text_has_its_turn(self):
        ids = [f"grt_{number:02}" for number in range(59)]
        sweeps = range(11)
        seen = {one for minute in sweeps for one in _in_turn(ids, samples.NOW + timedelta(minutes=minute))}
        assert seen == set(ids)
        assert len(_in_turn(ids, samples.NOW)) == TEXTS


class TestADenyThatNoRecordAsksFor:
    async def test_of_nobody_it_is_kept_and_told_until_it_is_gone(self, shop: Sweeper):
        shop.cloud.denies.add("grt_unknown")
        await shop.swept()
        assert shop.cloud.denies == {"grt_unknown"}
        assert shop.standing == {"orphan_deny:grt_unknown"}
        shop.cloud.denies.clear()
        await shop.swept(minutes=1)
        assert shop.standing == set()

    async def test_of_a_live_grant_somebody_revoked_it_directly(self, shop: Sweeper):
        grant_id = await shop.live()
        shop.cloud.denies.add(grant_id)
        await shop.swept()
        grant = await shop.grant(grant_id)
        assert (grant.state, grant.ending.cause, grant.ending.by) == ("REVOKING", "revoke", "system:reconciler")
        assert grant.ending.reason == "a Deny for it stands at AWS: revoked directly"
        assert await shop.store.records.sealed(grant_id) is None
        assert await shop.work() == ["REVOKING → REVOKED"]
        assert (await shop.grant(grant_id)).proof.kind == "probe_denied"
        assert "grant.revoke_requested" in await shop.types(grant.request_id)
        check_chain(grant.request_id, await shop.store.log.chain(grant.request_id))
        assert shop.pager.alerts == []

    async def test_of_a_grant_that_is_being_minted(self, shop: Sweeper):
        shop.cloud.during_mint = threading.Event()
        grant_id = await shop.approved()
        minting = asyncio.create_task(shop.work())
        await asyncio.to_thread(shop.cloud.minting.wait, 5)
        shop.cloud.denies.add(grant_id)
        await shop.swept()
        assert (await shop.grant(grant_id)).state == "REVOKING"
        shop.cloud.during_mint.set()
        await minting
        await shop.later(seconds=30)
        assert (await shop.grant(grant_id)).state == "REVOKED"

    async def test_of_a_grant_that_waits_for_its_mint_it_is_never_minted_and_collected(self, shop: Sweeper):
        grant_id = await shop.approved()
        shop.cloud.denies.add(grant_id)
        await shop.swept()
        grant = await shop.grant(grant_id)
        assert (grant.state, grant.proof.kind) == ("REVOKED", "never_issued")
        await shop.work()
        assert "mint" not in shop.cloud.calls
        await shop.swept(minutes=9)
        assert shop.cloud.denies == {grant_id}
        await shop.swept(minutes=2)
        assert shop.cloud.denies == set()

    async def test_of_a_grant_that_ended_by_time_it_goes_after_the_last_expiry(self, shop: Sweeper):
        grant_id = await shop.live(ttl_seconds=10)
        await shop.later(seconds=10)
        assert (await shop.grant(grant_id)).state == "REVOKED"
        shop.cloud.denies.add(grant_id)
        await shop.swept(minutes=20)
        assert shop.cloud.denies == {grant_id}
        await shop.swept(minutes=10)
        assert shop.cloud.denies == set()
        assert shop.pager.alerts == []

    async def test_on_another_role_than_its_grants_it_ends_nothing_and_is_told(self, shop: Sweeper):
        await put_roster(shop, samples.ROSTER_TEXT + OTHER)
        grant_id = await shop.live()
        shop.cloud.denies.add(grant_id)
        shop.cloud.where[grant_id] = ELSEWHERE
        await shop.swept()
        assert (await shop.grant(grant_id)).state == "ACTIVE"
        assert shop.standing == {f"orphan_deny:{grant_id}"}
        assert "it ends nothing" in shop.pager.alerts[0].summary


class TestTheRoleItself:
    @pytest.mark.parametrize(
        ("look", "key", "severity"),
        [
            (RoleLook(gone=True), "role_gone:analytics", "critical"),
            (RoleLook(weak=("it has no permissions boundary",)), "role_changed:analytics", "critical"),
            (RoleLook(everyone=True), "role_wide_deny:analytics", "critical"),
            (ProviderError("AccessDenied: no"), "sweep_failed:analytics", "warning"),
        ],
        ids=["gone", "weak", "everyone", "unreadable"],
    )
    async def test_what_is_wrong_stands_until_it_is_right(self, shop: Sweeper, look, key: str, severity: str):
        shop.cloud.looks[ARN] = look
        await shop.swept()
        [alert] = shop.pager.alerts
        assert (alert.key, alert.severity, alert.details["role"]) == (key, severity, ARN)
        await shop.swept(minutes=1)
        assert shop.standing == {key}
        shop.cloud.looks.clear()
        await shop.swept(minutes=1)
        assert shop.standing == set()
        assert shop.pager.alerts[-1].severity == severity

    async def test_what_is_known_of_a_role_stands_while_it_cannot_be_looked_at(self, shop: Sweeper):
        shop.cloud.looks[ARN] = RoleLook(everyone=True)
        await shop.swept()
        shop.cloud.looks[ARN] = ProviderError("no answer")
        await shop.swept(minutes=1)
        assert shop.standing == {"role_wide_deny:analytics", "sweep_failed:analytics"}

    async def test_alarms_of_a_role_that_is_no_base_role_any_more_end(self, shop: Sweeper):
        await put_roster(shop, samples.ROSTER_TEXT + OTHER)
        shop.cloud.looks[ELSEWHERE] = RoleLook(gone=True)
        await shop.swept()
        assert shop.standing == {"role_gone:elsewhere"}
        await put_roster(shop, samples.ROSTER_TEXT)
        await shop.swept(minutes=1)
        assert shop.standing == set()

    async def test_the_budget_is_watched_from_45_of_59_and_cleared_below(self, shop: Sweeper):
        shop.cloud.denies |= {f"grt_{number:02}" for number in range(44)}
        await shop.swept()
        assert "deny_budget:analytics" not in shop.standing
        shop.cloud.denies.add("grt_44")
        await shop.swept(minutes=1)
        assert "deny_budget:analytics" in shop.standing
        assert "deny_full:analytics" not in shop.standing
        shop.cloud.denies.remove("grt_44")
        await shop.swept(minutes=1)
        assert "deny_budget:analytics" not in shop.standing

    async def test_more_that_is_live_than_can_be_ended_is_critical(self, shop: Sweeper):
        index = {layout.room_of(ARN): {f"grt_{number:02}": shop.time for number in range(60)}}
        await shop.store.records.commit(Commit(at=shop.time, enter=index))
        await shop.swept()
        assert shop.standing == {"deny_full:analytics"}

    async def test_what_was_seen_is_kept_for_the_metrics_and_the_doctor(self, shop: Sweeper):
        await shop.revoked()
        await shop.live(key="k2")
        assert await shop.swept() == "1 Denies in place"
        seen = (await rooms_seen(shop.store.records))[0].roles[ARN]
        assert (seen.role, seen.denies, seen.needed, seen.seen_at) == ("analytics", 1, 2, shop.time)


class Hanging(Cloud):
    """A cloud whose one account never answers a look."""

    def look(self, plan: Plan, texts):
        if plan.account_id == "222222222222":
            self.asked.set()
            assert self.answer.wait(30)
        return super().look(plan, texts)

    asked = threading.Event()
    answer = threading.Event()


async def test_one_account_that_hangs_holds_up_no_other(shop: Sweeper):
    """Its roles are told as not looked at; what is missing in the other account is put back in the same sweep."""
    await put_roster(shop, samples.ROSTER_TEXT + OTHER)
    grant_id = await shop.revoked()
    shop.cloud.denies.clear()
    cloud = Hanging(lambda: shop.time)
    cloud.sessions, cloud.denies = shop.cloud.sessions, shop.cloud.denies
    shop.cloud = cloud
    shop.tools = replace(shop.tools, providers={"aws": cloud}, lease=timedelta(seconds=1))
    try:
        assert await shop.swept() == "0 Denies in place"
    finally:
        cloud.answer.set()
    assert cloud.denies == {grant_id}
    assert shop.standing == {"sweep_failed:elsewhere"}
    assert "did not answer in time" in shop.pager.alerts[0].summary


async def test_every_base_role_of_an_alias_is_looked_at(shop: Sweeper):
    await put_roster(shop, with_second_role())
    shop.cloud.looks[SECOND] = RoleLook(everyone=True)
    await shop.swept()
    assert shop.standing == {"role_wide_deny:analytics/countersign-base-analytics-2"}
    roster = shop.policies.roster
    assert [plan.role_arn for plan in base_plans(roster)] == [ARN, SECOND]


async def test_without_the_provider_nothing_is_looked_at_and_nothing_forgotten(shop: Sweeper):
    shop.cloud.looks[ARN] = RoleLook(everyone=True)
    await shop.swept()
    seen, _ = await rooms_seen(shop.store.records)
    able, shop.tools = shop.tools, replace(shop.tools, providers={})
    assert await shop.swept(minutes=1) == "nothing to look with"
    assert (await rooms_seen(shop.store.records))[0] == seen
    assert shop.standing == {"role_wide_deny:analytics"}
    shop.tools = able
    assert await shop.swept(minutes=1) == "0 Denies in place"


async def test_grants_from_before_there_was_an_index_of_rooms_are_entered_once(shop: Sweeper):
    live, ended = await shop.live(key="a"), await shop.revoked(key="b", parameters={"ask": 2})
    waits = await shop.approved(key="c", parameters={"ask": 3})
    index, records = layout.room_of(ARN), shop.store.records
    await records.commit(Commit(at=shop.time, leave={index: [live, ended]}))
    assert await records.members(index) == []
    await shop.swept()
    assert set(await records.members(index)) == {live, ended}, "not one that is not claimed yet"
    assert (await rooms_seen(records))[0].roles[ARN].needed == 2
    assert waits not in await records.members(index)
    await records.commit(Commit(at=shop.time, leave={index: [live]}))
    await shop.swept()
    assert await records.members(index) == [ended], "only the first sweep enters them"
