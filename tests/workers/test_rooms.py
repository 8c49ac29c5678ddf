"""Room for Denies: which base role a grant is minted on, and what happens on one that is full."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.bot.test_desk import person
from tests.workers.test_leasing import Shop
from tests.workers.test_reconcile import ARN, SECOND, Sweeper, put_roster, with_second_role
from tests.worlds import samples
from workers.leasing import advance
from workers.policies import Policies
from workers.rooms import handle_of
from workers.stores import layout
from workers.stores.port import Attempt, Commit
from workers.stores.rooms import ROOM


@pytest.fixture
async def shop() -> Sweeper:
    shop = Sweeper()
    await shop.start()
    return shop


async def fill(shop: Shop, arn: str, count: int) -> None:
    """Have so many other grants live on a role."""
    others = {f"grt_other_{number:02}": shop.time for number in range(count)}
    await shop.store.records.commit(Commit(at=shop.time, enter={layout.room_of(arn): others}))


async def on(shop: Shop, arn: str) -> set[str]:
    found = await shop.store.records.members(layout.room_of(arn), limit=1_000)
    return {one for one in found if "other" not in one}


class TestOneBaseRole:
    async def test_a_grant_needs_room_from_its_claim_until_its_deny_is_collected(self, shop: Sweeper):
        grant_id = await shop.approved()
        assert await on(shop, ARN) == set()
        await shop.work()
        assert await on(shop, ARN) == {grant_id}
        await shop.custody.revoke(person("kim"), grant_id, "x")
        await shop.work()
        assert (await shop.grant(grant_id)).state == "REVOKED"
        assert await on(shop, ARN) == {grant_id}
        await shop.later(minutes=27)
        assert await on(shop, ARN) == set()

    async def test_one_that_ended_by_time_needs_none(self, shop: Sweeper):
        grant_id = await shop.live(ttl_seconds=10)
        await shop.later(seconds=11)
        assert (await shop.grant(grant_id)).state == "REVOKED"
        assert await on(shop, ARN) == set()

    @pytest.mark.parametrize("trouble", ["refuse", "not_sent"])
    async def test_one_that_was_not_issued_needs_none(self, shop: Sweeper, trouble: str):
        setattr(shop.cloud, trouble, "no")
        await shop.approved()
        await shop.work()
        assert await on(shop, ARN) == set()

    async def test_it_is_taken_without_a_look_and_however_full(self, shop: Sweeper):
        await fill(shop, ARN, ROOM + 1)
        grant_id = await shop.live()
        assert (await shop.grant(grant_id)).state == "ACTIVE"


class TestSeveralBaseRoles:
    @pytest.fixture
    async def shop(self) -> Sweeper:
        shop = Sweeper()
        await shop.start()
        await put_roster(shop, with_second_role())
        return shop

    @pytest.mark.parametrize(
        ("taken", "arn"), [(0, ARN), (ROOM - 1, ARN), (ROOM, SECOND)], ids=["empty", "last", "full"]
    )
    async def test_the_first_with_room_is_taken(self, shop: Sweeper, taken: int, arn: str):
        await fill(shop, ARN, taken)
        grant_id = await shop.live()
        grant = await shop.grant(grant_id)
        assert grant.plan.role_arn == arn
        assert set(grant.plan.arns) == {ARN, SECOND}
        assert await on(shop, arn) == {grant_id}
        await shop.custody.revoke(person("kim"), grant_id, "x")
        await shop.work()
        assert (await shop.grant(grant_id)).state == "REVOKED"
        assert shop.cloud.where == {grant_id: arn}
        assert shop.pager.alerts == []

    @pytest.mark.parametrize(("first", "second", "arn"), [(70, 60, SECOND), (60, 70, ARN)], ids=["second", "first"])
    async def test_with_room_nowhere_the_emptier_is_taken_and_told(self, shop: Sweeper, first, second, arn):
        await fill(shop, ARN, first)
        await fill(shop, SECOND, second)
        grant_id = await shop.live()
        assert (await shop.grant(grant_id)).plan.role_arn == arn
        assert [(alert.key, alert.severity) for alert in shop.pager.alerts] == [
            (f"deny_full:analytics/{arn.rpartition('/')[2]}", "critical")
        ]
        assert "more_arns" in shop.pager.alerts[0].summary

    async def test_claims_at_once_do_not_overbook(self, shop: Sweeper):
        await fill(shop, ARN, ROOM - 2)
        for number in range(6):
            await shop.approved(key=f"k{number}", ttl_seconds=60 + number)
        items = (await shop.store.due.claim("worker", most=9, lease=shop.tools.lease)).items
        assert len(items) == 6
        await asyncio.gather(*(advance(shop.tools, item) for item in items))
        assert len(await on(shop, ARN)) == 2
        assert len(await on(shop, SECOND)) == 4

    async def test_one_that_was_not_sent_chooses_anew_among_all(self, shop: Sweeper):
        await fill(shop, ARN, ROOM)
        shop.cloud.not_sent = "later"
        grant_id = await shop.approved()
        await shop.work()
        assert (await shop.grant(grant_id)).state == "PENDING"
        shop.cloud.not_sent = ""
        gone = [f"grt_other_{number:02}" for number in range(ROOM)]
        await shop.store.records.commit(Commit(at=shop.time, leave={layout.room_of(ARN): gone}))
        await fill(shop, SECOND, ROOM)
        await shop.later(seconds=5)
        grant = await shop.grant(grant_id)
        assert (grant.state, grant.plan.role_arn) == ("ACTIVE", ARN)

    async def test_a_base_role_that_was_taken_out_of_the_roster_is_not_minted_on(self, shop: Sweeper):

        grant_id = await shop.approved()
        await put_roster(shop, samples.ROSTER_TEXT)
        await shop.work()
        grant = await shop.grant(grant_id)
        assert grant.state == "FAILED"
        assert "other base roles" in grant.failure


async def test_a_deny_goes_the_way_that_the_roster_names_today(shop: Sweeper):
    """An account that got a revoker role since, or another one: its live grants can be ended all the same."""
    grant_id = await shop.live()
    revoker = "arn:aws:iam::000000000000:role/countersign-revoker"
    line = "[role.analytics]"
    await put_roster(shop, samples.ROSTER_TEXT.replace(line, f'revoker = "{revoker}"\n\n{line}'))
    assert shop.policies.roster.accounts["prod-payments"].revoker == revoker
    assert handle_of(shop.tools, await shop.grant(grant_id)).plan.revoker_arn == revoker
    shop.tools = replace(shop.tools, policies=Policies(shop.store.records, shop.store.signals))
    assert handle_of(shop.tools, await shop.grant(grant_id)).plan.revoker_arn is None


class TestAFullRole:
    async def test_what_is_due_is_collected_first(self, shop: Sweeper):
        old = await shop.revoked()
        new = await shop.live(key="k2", ttl_seconds=3_600)
        shop.cloud.room = 1
        shop.time += timedelta(minutes=26)
        await shop.custody.revoke(person("kim"), new, "x")
        [attempt] = [one for one in await self.items(shop) if new in one.member]
        assert await advance(shop.tools, attempt) == "REVOKING → REVOKED"
        assert (shop.cloud.denies, shop.cloud.alive(new)) == ({new}, [])
        assert shop.pager.alerts == []
        assert (await shop.grant(old)).collected_at is None
        await shop.later(seconds=30)
        assert (await shop.grant(old)).collected_at is not None

    async def test_nothing_is_removed_before_its_time_and_no_hammer_is_used(self, shop: Sweeper):
        old = await shop.revoked()
        new = await shop.live(key="k2", ttl_seconds=3_600)
        shop.cloud.room = 1
        shop.time += timedelta(minutes=24)
        await shop.custody.revoke(person("kim"), new, "x")
        await shop.work()
        grant = await shop.grant(new)
        assert (grant.state, shop.cloud.denies) == ("REVOKING", {old})
        assert shop.cloud.alive(new)
        assert "no room for another Deny" in grant.trouble
        [alert] = [one for one in shop.pager.alerts if one.key == "deny_full:analytics"]
        assert alert.severity == "critical"
        assert "docs/direct.md" in alert.summary
        await shop.later(minutes=4)
        assert (await shop.grant(new)).state == "REVOKED"
        assert shop.cloud.denies == {new}

    async def items(self, shop: Shop) -> list[Attempt]:
        return list((await shop.store.due.claim("worker", most=9, lease=shop.tools.lease)).items)
