"""A grant's life through the worker's use cases, over the in-memory store and a strict cloud: every fork and race."""

import asyncio
import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from approvers.answer import answer
from approvers.audit import check_chain
from approvers.card import render
from approvers.grant import Grant, GrantState, ProofKind
from approvers.narrowing import Narrow
from approvers.policy import Policy
from approvers.upgrades import read
from tests.bot.test_desk import World, caller, person
from tests.worlds import samples
from tests.worlds.cloud import Cloud
from workers.alerts import Alert
from workers.clock.reconcile import sweep
from workers.clock.waiting import Waiting
from workers.leasing import advance
from workers.policies import apply
from workers.providers.port import Handle, Reading
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
    assert await shop.later(seconds=1) == ["ACTIVE → REVOKING, REVOKING → REVOKED"], "proven in the same attempt"
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


@pytest.mark.parametrize(("apart", "seconds"), [(None, "10.000"), (1.5, "8.500"), (60, "0.000")])
async def test_the_seconds_of_a_proof_end_at_its_first_refusal_on_the_stores_clock(shop: Shop, apart, seconds: str):
    class Elsewhere(Cloud):
        """Its clock is another one; only how far its readings are apart means anything."""

        def verify(self, handle: Handle, kind: ProofKind) -> Reading:
            there = datetime(2001, 1, 1, tzinfo=UTC)
            over = None if apart is None else there + timedelta(seconds=apart)
            return replace(super().verify(handle, kind), first_refused_at=there, read_at=over)

    shop.tools = replace(shop.tools, providers={"aws": Elsewhere(lambda: shop.time)})
    grant_id = await shop.approved()
    await shop.work()
    await shop.custody.revoke(person("kim"), grant_id, "x")
    asked = shop.time
    assert await shop.later(seconds=10) == ["REVOKING → REVOKED"]
    proof = (await shop.grant(grant_id)).proof
    assert (proof.seconds, proof.at) == (seconds, asked + timedelta(seconds=float(seconds)))


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


RULE = '[rule.{name}]\neffect = "{effect}"\nowner = "sre"\nnote = "Now."\n{more}when = {{ role = ["analytics"] }}\n'
DENY = RULE.format(name="stop", effect="deny", more="")
ALLOW = RULE.format(name="fine", effect="allow", more="until = 2027-05-31\n")
NARROW = samples.POLICY_TEXT.replace('review"\nquorum = "one"\n', 'review"\nquorum = "one"\nnarrow = ["ttl"]\n')


class TestTheRulesAtTheMint:
    """The stricter of the ruling that was pinned and today's stops it; what is more lenient changes nothing."""

    async def put(self, shop: Shop, policy: str | None = None, roster: str | None = None) -> None:
        await apply(shop.store.records, policy=policy, roster=roster, by="user:kim", why="test")

    async def stopped(self, shop: Shop, grant_id: str) -> str:
        assert await shop.work() == ["overtaken"]
        failed = await shop.grant(grant_id)
        assert failed.state == "FAILED"
        assert shop.cloud.calls == []
        return failed.failure

    async def test_it_is_said_on_the_card_to_the_caller_and_that_asking_anew_may_help(self, shop: Shop):
        grant_id = await shop.approved()
        await self.put(shop, samples.POLICY_TEXT + DENY)
        why = await self.stopped(shop, grant_id)
        assert why == "policy now denies it (stop)"
        view = await shop.reader.look((await shop.grant(grant_id)).request_id)
        told = answer(view.request, view.grant, view.version)
        assert (told["retry"], told["grant"]["failure"]) == ("new_request", why)
        assert "You may ask once more" in told["agent_message"]
        card = render(view.request, view.grant)
        assert (card.phase, card.status) == ("Failed", f"Failed, nothing was issued: {why}")
        assert shop.pager.alerts == [], "it is no fault"

    async def test_more_lenient_now_it_is_minted(self, shop: Shop):
        await shop.approved()
        await self.put(shop, samples.POLICY_TEXT + ALLOW)
        assert await shop.work() == ["MINTING → ACTIVE"]

    async def test_the_pinned_seats_stay_needed(self, shop: Shop):
        """Whoever was asked for at the click is not spared by a policy that asks for others now."""
        grant_id = await shop.approved()
        other = samples.POLICY_TEXT.replace("seats  = { sre = 1 }", "seats  = { oncall = 1 }", 1)
        await self.put(shop, other)
        assert await self.stopped(shop, grant_id) == "policy now needs 1 of oncall and 1 of sre"

    @pytest.mark.parametrize("now", ["", DENY], ids=["same", "denied"])
    async def test_what_was_narrowed_is_ruled_on_as_it_was_asked(self, shop: Shop, now: str):
        await self.put(shop, NARROW)
        await shop.policies.refresh()
        view = await shop.click(await shop.ask(), "robin", narrow=Narrow(ttl_seconds=60))
        assert view.grant.plan.ttl_seconds == 60
        await self.put(shop, NARROW + now)
        if now:
            assert "denies" in await self.stopped(shop, view.grant.id)
        else:
            assert await shop.work() == ["MINTING → ACTIVE"]

    async def test_a_cap_that_came_down_stops_it(self, shop: Shop):
        grant_id = await shop.approved()
        text = samples.POLICY_TEXT.replace('prod = "1h"', 'prod = "10m"').replace('"15m" }', '"10m" }')
        await self.put(shop, text.replace('ttl_default      = "15m"', 'ttl_default = "5m"'))
        assert "longer than the 10 min" in await self.stopped(shop, grant_id)

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("[caller.report-bot]", "[caller.other-bot]", "caller:report-bot is not in countersign.toml any more"),
            ("[role.analytics]", "[role.other]", "Role analytics is not in countersign.toml any more"),
            ("countersign-base-analytics", "countersign-base-other", "Role analytics leads elsewhere now"),
            ("ceiling =", 'external_id = "cs-1"\nceiling =', "Role analytics leads elsewhere now"),
            ('["s3:GetObject*", ', "[", "does not hold s3:GetObject any more"),
        ],
        ids=["caller", "role", "arn", "external-id", "ceiling"],
    )
    async def test_what_is_gone_from_the_roster_or_leads_elsewhere_stops_it(self, shop: Shop, old, new, said):
        grant_id = await shop.approved()
        assert samples.ROSTER_TEXT.count(old) == 1
        await self.put(shop, roster=samples.ROSTER_TEXT.replace(old, new))
        assert said in await self.stopped(shop, grant_id)

    async def test_what_cannot_be_evaluated_is_stopped_and_told_apart(self, shop: Shop):
        grant_id = await shop.approved()
        broken = Policy.model_construct(**{**dict(shop.policies.current.policy), "limits": None})
        shop.policies._book = replace(shop.policies.current, policy=broken)
        assert (await self.stopped(shop, grant_id)).startswith("the policy could not be evaluated (")

    @pytest.mark.parametrize("frozen", [False, True], ids=["", "frozen"])
    @pytest.mark.parametrize(
        ("now", "why"), [(None, ""), (ALLOW, ""), (DENY, "policy now denies it (stop)")], ids=["same", "allow", "deny"]
    )
    async def test_break_glass_is_stopped_by_a_denial_only(self, shop: Shop, frozen: bool, now: str | None, why: str):
        """The use itself is made in tests/bot/test_breaking.py; here stands its record."""
        grant_id = await shop.approved()
        keys = layout.grant_key(grant_id), layout.request_key(grant_id.replace("grt", "req"))
        seen = (await shop.store.records.read(keys)).records
        grant, request = json.loads(seen[keys[0]].json), json.loads(seen[keys[1]].json)
        grant["break_glass"], request["because"], request["reviews"] = True, "break_glass", []
        request["ruling"]["effect"] = "break_glass"
        request["facts"] |= {"break_glass": True, "principal": "user:robin", "principal_kind": "person",
                             "actor": "user:robin", "on_behalf_of": None}  # fmt: skip
        puts = dict(zip(keys, (json.dumps(grant), json.dumps(request)), strict=True))
        await shop.store.records.commit(
            Commit(at=shop.time, expects={key: seen[key].version for key in keys}, puts=puts)
        )
        rules = samples.POLICY_TEXT + BREAK_GLASS
        await self.put(shop, rules + (now or ""))
        if frozen:
            record = json.dumps({"v": 1, "on": True, "why": "incident 7"})
            await shop.store.records.commit(
                Commit(at=shop.time, expects={layout.FREEZE: 0}, puts={layout.FREEZE: record})
            )
        if why:
            assert await self.stopped(shop, grant_id) == why
        else:
            assert await shop.work() == ["MINTING → ACTIVE"]


BREAK_GLASS = '[break_glass]\nwho = ["user:robin"]\ntell = ["group:sre"]\n'


async def test_a_worker_without_the_provider_says_so_and_goes_on(shop: Shop):
    tools, shop.tools = shop.tools, replace(shop.tools, providers={})
    grant_id = await shop.approved()
    assert await shop.work() == ["MINTING → PENDING"]
    assert (await shop.grant(grant_id)).trouble.startswith("this worker has no provider aws")
    assert [alert.key for alert in shop.pager.alerts] == [f"no_provider:{grant_id}"]
    shop.tools = tools
    assert await shop.later(seconds=3) == ["MINTING → ACTIVE"]
    await shop.custody.revoke(person("kim"), grant_id, "x")
    shop.tools = replace(tools, providers={})
    assert await shop.work() == ["REVOKING → REVOKING"]
    assert "no provider aws" in (await shop.grant(grant_id)).trouble


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
        shop.time += timedelta(minutes=2)  # one just written may be out of IAM's sight for a moment: that is no alarm
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


async def test_what_is_claimed_is_not_minted_by_somebody_who_stood_still_for_too_long(shop: Shop):
    shop.cloud.now = lambda: shop.time + timedelta(minutes=6)
    grant_id = await shop.approved()
    await shop.work()
    grant = await shop.grant(grant_id)
    assert (grant.state, shop.cloud.sessions) == ("PENDING", [])
    assert "a worker stood still, or clocks differ" in (grant.trouble or "")
    shop.cloud.now = lambda: shop.time + timedelta(minutes=4)
    await shop.later(seconds=10)
    assert (await shop.grant(grant_id)).state == "ACTIVE"
