"""An ACTIVE grant through the worker: never collected, silent, warned, extended; over the memory store and a cloud."""

import asyncio
import json
from datetime import timedelta

import pytest

from approvers.answer import answer
from approvers.audit import check_chain
from approvers.errors import AlreadyDecided, Forbidden
from approvers.ids import request_of
from bot.custody import NotReady
from bot.hearing import note
from tests.bot.test_desk import caller, person
from tests.workers.test_leasing import Shop
from tests.worlds import samples
from workers.leasing import advance
from workers.policies import apply
from workers.stores import layout
from workers.stores.encoding import wakes
from workers.stores.port import Commit

GRANTS = '\n[grants]\ncollect_within = "1m"\nwarn_before = "5m"\n'
SINCE = (
    "collect_by",
    "handed_at",
    "heartbeat_seconds",
    "beat_at",
    "warn_at",
    "warned_at",
    "extended_by",
    "extended_as",
)
ENDED = ["ACTIVE → REVOKING", "REVOKING → REVOKED"]


@pytest.fixture
async def shop() -> Shop:
    shop = Shop()
    await shop.start()
    return shop


async def live(shop: Shop, *, collected: bool = False, **changes) -> str:
    grant_id = await shop.approved(**changes)
    assert await shop.work() == ["MINTING → ACTIVE"]
    if collected:
        await shop.custody.collect(caller(), grant_id)
    return grant_id


async def version(shop: Shop, grant_id: str) -> int:
    return (await shop.reader.look(request_of(grant_id))).version


async def events(shop: Shop) -> list[str]:
    return [line for _, line in await shop.store.outbox.unread(1000)]


class TestCollecting:
    async def test_what_nobody_collects_ends_early_with_a_probed_deny_and_its_caller_may_ask_anew(self, shop: Shop):
        grant_id = await live(shop)
        assert await shop.later(seconds=599) == []
        assert shop.cloud.alive(grant_id)
        assert await shop.later(seconds=1) == ENDED
        ended = await shop.grant(grant_id)
        assert (ended.ending.cause, ended.proof.kind) == ("never_collected", "probe_denied")
        assert (shop.cloud.denies, shop.cloud.alive(grant_id)) == ({grant_id}, [])
        assert await shop.store.records.sealed(grant_id) is None
        view = await shop.reader.look(ended.request_id)
        told = answer(view.request, view.grant, view.version)
        assert (told["retry"], "Nobody collected" in told["agent_message"]) == ("new_request", True)
        assert (await shop.types(ended.request_id))[-2:] == ["grant.never_collected", "grant.revoked"]
        check_chain(ended.request_id, await shop.store.log.chain(ended.request_id))

    async def test_the_first_collecting_is_noted_once_and_a_repeat_is_a_record_only(self, shop: Shop):
        grant_id = await live(shop, collected=True)
        noted = await version(shop, grant_id)
        shop.time += timedelta(seconds=30)
        await shop.custody.collect(caller(), grant_id)
        assert (await shop.grant(grant_id)).handed_at == shop.time - timedelta(seconds=30)
        assert await version(shop, grant_id) == noted
        assert (await shop.types(request_of(grant_id))).count("credential.collected") == 2
        assert await shop.later(seconds=600) == []

    async def test_collected_while_the_worker_gives_it_up_it_stays(self, shop: Shop):
        """The worker has the item in hand; the collecting re-arms it, so that the attempt ends nothing."""
        grant_id = await live(shop)
        shop.time += timedelta(minutes=10)
        item = await shop.item()
        await shop.custody.collect(caller(), grant_id)
        assert await advance(shop.tools, item) == "fenced"
        assert await shop.work() == []
        assert (await shop.grant(grant_id)).state == "ACTIVE"

    async def test_how_long_is_for_policy_to_say_at_the_mint(self, shop: Shop):
        await apply(shop.store.records, policy=samples.POLICY_TEXT + GRANTS, roster=None, by="user:kim", why="x")
        await shop.policies.refresh()
        grant_id = await live(shop)
        await apply(shop.store.records, policy=samples.POLICY_TEXT, roster=None, by="user:kim", why="x")
        await shop.policies.refresh()
        assert await shop.later(seconds=60) == ENDED
        assert (await shop.grant(grant_id)).ending.cause == "never_collected"

    async def test_its_end_by_time_needs_no_deny_though_nobody_collected(self, shop: Shop):
        grant_id = await live(shop, ttl_seconds=10)
        await shop.later(seconds=10)
        ended = await shop.grant(grant_id)
        assert (ended.state, ended.ending.cause, shop.cloud.denies) == ("REVOKED", "ttl_elapsed", set())

    async def test_what_cannot_be_proven_dead_stays_revoking(self, shop: Shop):
        grant_id = await live(shop)
        shop.cloud.deny_nobody = True
        assert await shop.later(minutes=10) == ["ACTIVE → REVOKING", "REVOKING → REVOKING"]
        shop.cloud.deny_nobody = False
        assert await shop.later(minutes=3) == ["REVOKING → REVOKED"]
        assert (await shop.grant(grant_id)).ending.cause == "never_collected"

    async def test_nobody_collects_or_beats_once_its_time_is_over_though_the_worker_is_late(self, shop: Shop):
        grant_id = await live(shop, heartbeat_seconds=900, ttl_seconds=60)
        shop.time += timedelta(seconds=60)
        before = await shop.store.log.size()
        for call in (shop.custody.collect, shop.custody.beat):
            with pytest.raises(AlreadyDecided) as caught:
                await call(caller(), grant_id)
            assert caught.value.code == "grant_ended"
        assert (await shop.grant(grant_id)).state == "ACTIVE"
        assert await shop.store.log.size() == before, "nothing is recorded as collected"


class TestHeartbeat:
    async def test_one_that_beats_lives_to_its_end_and_one_that_falls_silent_does_not(self, shop: Shop):
        grant_id = await live(shop, collected=True, heartbeat_seconds=30, ttl_seconds=200)
        for _ in range(4):
            assert await shop.later(seconds=34) == []
            await shop.custody.beat(caller(), grant_id)
        assert await shop.later(seconds=34) == []
        assert await shop.later(seconds=1) == ENDED
        ended = await shop.grant(grant_id)
        assert (ended.ending.cause, ended.ending.early) == ("heartbeat_lost", True)
        assert ended.beat_at == shop.time - timedelta(seconds=35)
        assert shop.cloud.alive(grant_id) == []
        assert (await shop.types(ended.request_id))[-2:] == ["grant.heartbeat_lost", "grant.revoked"]

    async def test_it_counts_from_the_mint_and_collecting_is_a_beat(self, shop: Shop):
        silent = await live(shop, key="one", heartbeat_seconds=30)
        heard = await live(shop, key="two", heartbeat_seconds=30, reason="another")
        shop.time += timedelta(seconds=20)
        await shop.custody.collect(caller(), heard)
        assert await shop.later(seconds=15) == ENDED
        assert [(await shop.grant(one)).state for one in (silent, heard)] == ["REVOKED", "ACTIVE"]
        await shop.custody.collect(caller(), heard)  # a repeat beats, too
        assert await shop.later(seconds=34) == []
        assert (await shop.grant(heard)).state == "ACTIVE"

    async def test_a_beat_is_no_record_no_event_no_new_version_and_wakes_nobody(self, shop: Shop):
        grant_id = await live(shop, collected=True, heartbeat_seconds=30)
        before = await version(shop, grant_id), await shop.store.log.size(), await events(shop)
        seen = (await shop.reader.look(request_of(grant_id))).grant_version
        changed = shop.store.signals.changed(layout.grant_key(grant_id), timedelta(seconds=30), seen=seen)
        waits = asyncio.create_task(changed)
        await asyncio.sleep(0)
        shop.time += timedelta(seconds=20)
        got = await shop.custody.beat(caller(), grant_id)
        await asyncio.sleep(0)
        assert (got.id, waits.done()) == (grant_id, False)
        assert (await version(shop, grant_id), await shop.store.log.size(), await events(shop)) == before
        assert (await shop.store.signals.counts())["grant_life:heartbeat"] == 1
        waits.cancel()
        key = layout.beat_key(grant_id)
        assert wakes(Commit(at=shop.time, expects={key: 1}, puts={key: "{}"})) == []

    async def test_a_beat_right_after_another_costs_nothing(self, shop: Shop):
        grant_id = await live(shop, collected=True, heartbeat_seconds=30)
        for seconds in (0.5, 0.6):
            shop.time += timedelta(seconds=seconds)
            await shop.custody.beat(caller(), grant_id)
        assert (await shop.store.signals.counts())["grant_life:heartbeat"] == 1

    async def test_one_without_a_heartbeat_just_reads_it(self, shop: Shop):
        grant_id = await live(shop, collected=True)
        assert (await shop.custody.beat(caller(), grant_id)).state == "ACTIVE"
        assert "grant_life:heartbeat" not in await shop.store.signals.counts()

    async def test_beating_holds_up_no_other_end(self, shop: Shop):
        """The worker has it in hand because nobody collected it; a beat must not fence that attempt off."""
        grant_id = await live(shop, heartbeat_seconds=30)
        for _ in range(20):
            shop.time += timedelta(seconds=30)
            await shop.custody.beat(caller(), grant_id)
        item = await shop.item()
        shop.time += timedelta(seconds=2)
        await shop.custody.beat(caller(), grant_id)
        assert await advance(shop.tools, item) == "ACTIVE → REVOKING"
        assert (await shop.grant(grant_id)).ending.cause == "never_collected"

    async def test_a_beat_between_the_workers_look_and_its_commit_keeps_it(self, shop: Shop):
        grant_id = await live(shop, collected=True, heartbeat_seconds=30)
        shop.time += timedelta(seconds=35)
        item = await shop.item()
        records, commit = shop.store.records, shop.store.records.commit
        beaten = []

        async def after_a_beat(one: Commit) -> None:
            if not beaten and one.attempt:
                beaten.append(one)
                await shop.custody.beat(caller(), grant_id)
            await commit(one)

        records.commit = after_a_beat  # type: ignore[method-assign]  # the store itself is the seam here
        assert await advance(shop.tools, item) == "fenced"
        records.commit = commit  # type: ignore[method-assign]
        assert await shop.work() == []
        assert (await shop.grant(grant_id)).state == "ACTIVE"

    async def test_nobody_else_beats_and_nothing_that_has_ended_or_is_not_there_yet(self, shop: Shop):
        grant_id = await shop.approved(heartbeat_seconds=30)
        with pytest.raises(NotReady):
            await shop.custody.beat(caller(), grant_id)
        await shop.work()
        with pytest.raises(Forbidden, match="Only the caller that asked"):
            await shop.custody.beat(person("robin"), grant_id)
        await shop.custody.revoke(person("kim"), grant_id, "x")
        with pytest.raises(AlreadyDecided) as caught:
            await shop.custody.beat(caller(), grant_id)
        assert caught.value.code == "grant_ended"


class TestOutage:
    """Web processes note once a second that they are there; away, or without a store, nobody could hear a caller."""

    async def there(self, shop: Shop, seconds: int) -> list[str]:
        """Let time pass with a web process and a worker there; returns what the worker did."""
        done = []
        for _ in range(seconds):
            shop.time += timedelta(seconds=1)
            await note(shop.store.records)
            done += await shop.work()
        return [word for word in done if word != "nothing has come yet"]

    async def test_one_that_falls_silent_ends_as_before_while_web_processes_are_there(self, shop: Shop):
        await note(shop.store.records)
        await live(shop, collected=True, heartbeat_seconds=30)
        assert await self.there(shop, 34) == []
        assert await self.there(shop, 1) == ENDED

    async def test_an_outage_of_ours_ends_nothing_and_each_caller_has_one_interval_after_it(self, shop: Shop):
        await note(shop.store.records)
        grant_id = await live(shop, collected=True, heartbeat_seconds=30)
        assert await self.there(shop, 10) == []
        for _ in range(30):  # five minutes: the worker goes on, nobody takes beats
            assert await shop.later(seconds=10) in ([], ["nothing has come yet"])
        assert await self.there(shop, 20) == []
        await shop.custody.beat(caller(), grant_id)
        assert await self.there(shop, 34) == []
        assert (await shop.grant(grant_id)).state == "ACTIVE"
        assert await self.there(shop, 1) == ENDED
        assert (await shop.grant(grant_id)).ending.cause == "heartbeat_lost"

    async def test_who_stays_silent_after_it_is_ended_an_interval_later(self, shop: Shop):
        await note(shop.store.records)
        await live(shop, collected=True, heartbeat_seconds=30)
        assert await shop.later(seconds=300) == ["nothing has come yet"]
        assert await self.there(shop, 35) == []
        assert await self.there(shop, 1) == ENDED

    async def test_everything_away_and_the_worker_back_first(self, shop: Shop):
        """The store was away: all come back at once, the worker a moment before a web process has noted itself."""
        await note(shop.store.records)
        grant_id = await live(shop, collected=True, heartbeat_seconds=30)
        shop.time += timedelta(seconds=200)
        assert await shop.work() == ["nothing has come yet"]
        await note(shop.store.records)
        assert await self.there(shop, 34) == []
        assert (await shop.grant(grant_id)).state == "ACTIVE"

    async def test_what_nobody_could_collect_still_waits_a_minute(self, shop: Shop):
        await note(shop.store.records)
        grant_id = await live(shop)
        assert await shop.later(seconds=620) == ["nothing has come yet"]
        assert await self.there(shop, 50) == []
        await shop.custody.collect(caller(), grant_id)
        assert await self.there(shop, 60) == []
        assert (await shop.grant(grant_id)).state == "ACTIVE"

    async def test_its_ttl_ends_it_whoever_is_away(self, shop: Shop):
        await note(shop.store.records)
        grant_id = await live(shop, collected=True, heartbeat_seconds=30)
        await shop.later(seconds=899)
        assert await shop.later(seconds=1) == ["ACTIVE → REVOKING"]
        assert (await shop.grant(grant_id)).ending.cause == "ttl_elapsed"


class TestWarning:
    async def test_it_is_warned_once_recorded_told_and_seen_by_a_long_poll(self, shop: Shop):
        grant_id = await live(shop, collected=True)
        before = await version(shop, grant_id)
        poll = asyncio.create_task(shop.reader.wait(request_of(grant_id), after=before, timeout=timedelta(seconds=20)))
        assert await shop.later(seconds=779) == []
        assert await shop.later(seconds=1) == ["ACTIVE → ACTIVE"]
        seen = await asyncio.wait_for(poll, 5)
        assert (seen.grant.warned_at, seen.grant.state) == (shop.time, "ACTIVE")
        assert '"type":"grant.ending_soon"' in (await events(shop))[-1]
        assert (await shop.types(request_of(grant_id)))[-1] == "grant.ending_soon"
        counts = await shop.store.signals.counts()
        assert counts["grant_life:ending_soon"] == 1
        assert sum(counts.get(f"mint_seconds:le:{one}", 0) for one in (*layout.BUCKETS_MS, "inf")) == 1
        assert await shop.later(seconds=119) == []
        assert await shop.later(seconds=1) == ["ACTIVE → REVOKING"]

    async def test_a_short_one_is_not(self, shop: Shop):
        await live(shop, collected=True, ttl_seconds=239)
        assert await shop.later(seconds=238) == []

    async def test_a_worker_that_was_away_until_the_end_warns_of_nothing(self, shop: Shop):
        grant_id = await live(shop, collected=True)
        await shop.later(seconds=903)
        assert (await shop.grant(grant_id)).warned_at is None
        assert "grant.ending_soon" not in await shop.types(request_of(grant_id))


async def test_an_item_that_comes_too_early_is_put_back(shop: Shop):
    grant_id = await live(shop, collected=True)
    key = layout.grant_key(grant_id)
    await shop.store.records.commit(Commit(at=shop.time, due={key: shop.time}))
    assert await shop.work() == ["nothing has come yet"]
    assert await shop.later(seconds=779) == []
    assert await shop.later(seconds=1) == ["ACTIVE → ACTIVE"]


async def test_a_grant_of_an_old_record_lives_as_it_did(shop: Shop):
    """Written before all this, it has none of the fields: nothing but its end comes to it."""
    grant_id = await live(shop)
    key = layout.grant_key(grant_id)
    record = (await shop.store.records.read([key])).records[key]
    old = {name: value for name, value in json.loads(record.json).items() if name not in SINCE}
    due = {key: (await shop.grant(grant_id)).ends_at}
    commit = Commit(at=shop.time, expects={key: record.version}, puts={key: json.dumps(old)}, due=due)
    await shop.store.records.commit(commit)
    assert await shop.later(seconds=899) == []
    assert await shop.later(seconds=1) == ["ACTIVE → REVOKING"]
