"""Extending a grant: a new request that names it, ruled on like any other; the old one ends by itself."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest

from approvers.action import action_digest
from approvers.answer import answer
from approvers.audit import check_chain
from approvers.card import render
from approvers.errors import CountersignError, Forbidden, Inadmissible
from approvers.targets import Target
from approvers.times import to_ms
from bot.directory import Directory
from bot.reading import View
from bot.revocations import Revocations
from bot.telling import tell
from countersign.models import Ask
from tests.approvers.rules_world import edited
from tests.bot.test_desk import caller, person
from tests.workers.test_leasing import KEY, Shop
from tests.worlds import samples
from tests.worlds.cloud import Cloud
from tests.worlds.samples import POLICY_TEXT
from tests.worlds.web import Web
from workers.leasing import advance
from workers.policies import Policies, apply
from workers.stores import layout
from workers.stores.memory import memory_store
from workers.stores.port import Commit
from workers.tools import Tools
from workers.vault import seal_credential

ACCESS = samples.BODY["access"]
BIG = {**ACCESS, "actions": ["s3:GetObject", "s3:ListBucket"]}


@pytest.fixture
async def shop() -> Shop:
    shop = Shop()
    await shop.start()
    return shop


async def live(shop: Shop, key: str = "k0", **changes) -> str:
    """Return a grant that is ACTIVE, and whose credential was collected."""
    return await collected(shop, (await shop.click(await shop.ask(key, **changes), "robin")).grant.id)


async def collected(shop: Shop, grant: str) -> str:
    assert await shop.work() == ["MINTING → ACTIVE"]
    await shop.custody.collect(caller(), grant)
    return grant


async def refused(awaitable) -> CountersignError:
    with pytest.raises(CountersignError) as caught:
        await awaitable
    return caught.value


def fact(view: View, label: str) -> str:
    return next(one.text for one in render(view.request, view.grant).facts if one.label == label)


async def test_approved_it_is_a_new_grant_and_the_old_one_ends_by_itself(shop: Shop):
    old = await live(shop)
    shop.time += timedelta(minutes=10)
    view = await shop.ask(extends=old)
    assert (view.request.state, view.request.facts.extends) == ("PENDING", old)
    new = (await shop.click(view, "robin")).grant
    assert (new.extends, new.id == old) == (old, False)
    await collected(shop, new.id)
    await shop.later(minutes=6)
    assert [(await shop.grant(one)).state for one in (old, new.id)] == ["REVOKED", "ACTIVE"]
    assert (await shop.grant(old)).ending.cause == "ttl_elapsed"


async def test_the_card_says_what_it_goes_on_with_and_when_that_would_end(shop: Shop):
    old = await live(shop)
    shop.time += timedelta(minutes=10)
    view = await shop.ask(extends=old)
    handle = (await shop.grant(old)).handle
    said = f"{handle}, which ends 10:15 UTC → new end 10:25 UTC at the earliest, 11:05 at the latest"
    assert fact(view, "Extends") == said
    shop.time += timedelta(minutes=1)
    await shop.click(view, "robin")
    await shop.work()
    assert fact(await shop.reader.look(view.request.id), "Extends").endswith("→ new end 10:26 UTC")


async def test_without_a_ttl_it_gets_the_default_for_what_it_asks_like_any_other(shop: Shop):
    table = edited(POLICY_TEXT, 'ttl_default      = "15m"', 'ttl_default = { default = "15m", prod = "5m" }')
    await apply(shop.store.records, policy=table, roster=None, by="user:dana", why="test")
    await shop.policies.refresh()
    old = await live(shop)
    view = await shop.ask(extends=old, ttl_seconds=None)
    asked = view.request
    assert asked.action.ttl_seconds == asked.plan.ttl_seconds == asked.facts.ttl_seconds == 300
    named = samples.action(extends=old, ttl_seconds=300)
    assert asked.action_digest == action_digest(asked.principal, named)
    assert "new end 10:05 UTC at the earliest" in fact(view, "Extends")
    new = (await shop.click(view, "robin")).grant.id
    await shop.work()
    assert (await shop.grant(new)).ends_at == shop.time + timedelta(minutes=5)


async def test_an_extension_is_extended_in_turn(shop: Shop):
    chain = [await live(shop)]
    for number in range(2):
        shop.time += timedelta(minutes=10)
        await shop.work()
        view = await shop.ask(f"more{number}", extends=chain[-1])
        chain.append(await collected(shop, (await shop.click(view, "robin")).grant.id))
        assert (await shop.grant(chain[-1])).state == "ACTIVE"
    assert [(await shop.grant(one)).extends for one in chain] == [None, *chain[:2]]
    assert [(await shop.grant(one)).extended_by for one in chain] == [*chain[1:], None]


class TestLineage:
    """The old grant says what goes on with its work; that lengthens nothing, and both end apart."""

    async def both(self, shop: Shop) -> tuple[str, str]:
        old = await live(shop)
        shop.time += timedelta(minutes=10)
        return old, await collected(shop, (await shop.click(await shop.ask("k2", extends=old), "robin")).grant.id)

    async def test_it_is_noted_at_the_mint_on_card_and_in_the_old_ones_records(self, shop: Shop):
        old, new = await self.both(shop)
        before, after = await shop.grant(old), await shop.grant(new)
        assert (before.extended_by, before.extended_as, before.state) == (new, after.handle, "ACTIVE")
        view = await shop.reader.look(before.request_id)
        told = answer(view.request, view.grant, view.version)["grant"]
        assert (told["extended_by"], told["extends"]) == (new, None)
        assert f"its work goes on as {after.handle}" in render(view.request, view.grant).status
        records = [tell(body) for body in await shop.store.log.chain(before.request_id)]
        assert f"its work goes on as {after.handle}" in records[-1].words
        check_chain(before.request_id, await shop.store.log.chain(before.request_id))
        lines = [line for _, line in await shop.store.outbox.unread(1000)]
        assert [f'"grant.extended","at_ms":{to_ms(shop.time)},"request":"{before.request_id}"' in one
                for one in lines].count(True) == 1  # fmt: skip

    async def test_the_old_end_stays_where_it_was(self, shop: Shop):
        old, new = await self.both(shop)
        ends = (await shop.grant(old)).ends_at
        assert ends < (await shop.grant(new)).ends_at
        assert await shop.later(minutes=3) == ["ACTIVE → ACTIVE"], "the old one is warned of"
        await shop.later(minutes=2, seconds=3)
        ended = await shop.grant(old)
        assert (ended.state, ended.ending.cause, ended.ending.requested_at >= ends) == ("REVOKED", "ttl_elapsed", True)
        assert (ended.extended_by, shop.cloud.denies) == (new, set())

    @pytest.mark.parametrize("which", [0, 1], ids=["old", "new"])
    async def test_one_taken_away_leaves_the_other(self, shop: Shop, which: int):
        pair = await self.both(shop)
        await shop.custody.revoke(person("kim"), pair[which], "x")
        await shop.work()
        other = pair[1 - which]
        assert [(await shop.grant(one)).state for one in (pair[which], other)] == ["REVOKED", "ACTIVE"]
        assert shop.cloud.denies == {pair[which]}
        assert shop.cloud.alive(other)

    @pytest.mark.parametrize(
        ("kind", "name"),
        [("actor", "agent:report-bot"), ("principal", samples.CALLER), ("role", "analytics"), ("all", "")],
    )
    async def test_who_takes_away_all_of_a_kind_hits_both(self, shop: Shop, kind: str, name: str):
        pair = await self.both(shop)
        revocations = Revocations(shop.store, shop.reader, shop.custody, Directory(shop.policies))
        await revocations.revoke(person("kim"), Target(kind, name), "x")
        await shop.work()
        assert [(await shop.grant(one)).state for one in pair] == ["REVOKED"] * 2
        assert not any(shop.cloud.alive(one) for one in pair)

    async def test_an_old_one_that_ended_while_the_new_one_was_minted_is_not_revived(self, shop: Shop):
        old = await live(shop)
        new = (await shop.click(await shop.ask("k2", extends=old), "robin")).grant.id
        shop.cloud.during_mint = threading.Event()
        minting = asyncio.create_task(advance(shop.tools, await shop.item()))
        await asyncio.to_thread(shop.cloud.minting.wait, 5)
        await shop.custody.revoke(person("kim"), old, "x")
        shop.cloud.during_mint.set()
        assert await minting == "MINTING → ACTIVE"
        ended = await shop.grant(old)
        assert (ended.state, ended.extended_by, ended.ending.cause) == ("REVOKING", new, "revoke")
        await shop.work()
        assert ((await shop.grant(old)).state, shop.cloud.alive(old)) == ("REVOKED", [])
        assert shop.cloud.alive(new)

    async def test_an_alias_of_several_roles_is_extended_whichever_of_them_was_taken(self, shop: Shop):
        old = await live(shop)
        key = layout.grant_key(old)
        record = (await shop.store.records.read([key])).records[key]
        elsewhere = "arn:aws:iam::000000000000:role/countersign-base-analytics-2"
        roster = samples.ROSTER_TEXT.replace("[role.analytics]", f'[role.analytics]\nmore_arns = ["{elsewhere}"]')
        text = record.json.replace((await shop.grant(old)).plan.role_arn, elsewhere)
        await shop.store.records.commit(Commit(at=shop.time, expects={key: record.version}, puts={key: text}))
        assert (await refused(shop.ask("k2", extends=old))).rule == "extends.role", "the alias has no such role yet"
        await apply(shop.store.records, policy=None, roster=roster, by="user:dana", why="a second one")
        await shop.policies.refresh()
        assert (await shop.ask("k3", extends=old)).request.state == "PENDING"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"access": None}, "extends.access"),
        ({"access": {**ACCESS, "actions": ["s3:GetObject", "s3:PutObject"]}}, "extends.actions"),
        ({"access": {**ACCESS, "resources": ["arn:aws:s3:::customer-exports/*"]}}, "extends.resources"),
        ({"extends": "grt_01ARYZ6S410000000000000000"}, "extends.grant"),
    ],
    ids=["no-access", "action", "resource", "unknown"],
)
async def test_what_is_no_part_of_the_grant_is_refused_with_the_field(shop: Shop, changes, rule):
    old = await live(shop)
    error = await refused(shop.ask(**{"extends": old, **changes}))
    assert isinstance(error, Inadmissible)
    assert (error.field, error.rule) == ("extends", rule)


async def test_a_part_of_it_may_be_extended(shop: Shop):
    old = await live(shop, access=BIG)
    part = {**ACCESS, "actions": ["S3:getobject".replace("S3:g", "s3:G").replace("object", "Object")],
            "resources": ["arn:aws:s3:::customer-exports/2026/05/*"]}  # fmt: skip
    assert (await shop.ask(extends=old, access=part)).request.state == "PENDING"


async def test_a_grant_of_another_actor_or_principal_is_not_ones_own(shop: Shop):
    old = await live(shop)
    mine = {"actor": {"id": "user:dana"}, "extends": old}
    error = await refused(shop.desk.submit(person("dana"), samples.action(**mine), "k9"))
    assert isinstance(error, Forbidden)
    assert (error.code, error.field) == ("not_your_grant", "extends")


@pytest.mark.parametrize("how", ["pending", "ended", "revoking"])
async def test_only_what_is_live_can_be_extended(shop: Shop, how: str):
    if how == "pending":
        old = await shop.approved()
    else:
        old = await live(shop)
        if how == "ended":
            await shop.later(minutes=20)
        else:
            await shop.custody.revoke(person("kim"), old, "x")
    error = await refused(shop.ask("k9", extends=old))
    assert isinstance(error, Inadmissible)
    assert (error.rule, "ask anew" in error.detail) == ("extends.state", True)


async def test_it_cannot_end_between_the_look_and_the_commit(shop: Shop):
    """The grant is revoked after it was looked at: the commit finds another version, and the ask looks again."""
    old = await live(shop)
    extending = shop.desk._asking._extending
    looked = extending.look

    async def look(*args):
        found = await looked(*args)
        extending.look = looked
        await shop.custody.revoke(person("kim"), old, "meanwhile")
        return found

    extending.look = look
    assert (await refused(shop.ask("k9", extends=old))).rule == "extends.state"


@pytest.mark.parametrize("how", ["revoke", "release", "time"])
async def test_taken_away_before_the_mint_it_takes_the_extension_with_it(shop: Shop, how: str):
    old = await live(shop, ttl_seconds=60)
    view = await shop.ask(extends=old)
    if how == "time":
        await shop.later(seconds=70)
    elif how == "revoke":
        await shop.custody.revoke(person("kim"), old, "x")
    else:
        await shop.custody.release(caller(), old)
    new = (await shop.click(view, "robin")).grant.id
    words = await shop.work()
    found = await shop.grant(new)
    if how == "time":
        assert found.state == "ACTIVE"
        return
    assert "overtaken" in words
    assert (found.state, found.failure) == (
        "FAILED", f"the grant that it extends, {(await shop.grant(old)).handle}, was ended early ({how})"
    )  # fmt: skip


async def test_over_http_from_ask_to_a_second_grant():
    store = memory_store(lambda: datetime.now(UTC))
    async with Web.over(store) as web:
        policies, cloud = Policies(store.records, store.signals), Cloud(lambda: datetime.now(UTC))
        tools = Tools(store, policies, {"aws": cloud}, lambda secret, one: seal_credential(
            secret, KEY.public, one.id, one.principal), web.alarm, timedelta(seconds=20))  # fmt: skip

        async def approved(key: str, **changes) -> dict:
            asked = (await web.ask(key, **changes)).json
            assert (await web.review(asked["id"])).status == 200
            for item in (await store.due.claim("worker", most=1, lease=tools.lease)).items:
                await advance(tools, item)
            return (await web.call("GET", f"/v1/requests/{asked['id']}")).json

        first = await approved("one")
        ask = Ask.model_validate({**samples.BODY, "extends": first["grant"]["id"]}).body()
        second = await approved("two", extends=ask["extends"])
        assert (second["grant"]["state"], second["grant"]["extends"]) == ("ACTIVE", first["grant"]["id"])
        wider = await web.ask("three", extends=second["grant"]["id"], access={**ACCESS, "actions": ["s3:PutObject"]})
        assert (wider.status, wider.json["field"], wider.json["rule"]) == (400, "extends", "extends.actions")
        other = await web.ask("four", who="caller:other-bot", actor={"id": "agent:other"}, extends=first["grant"]["id"])
        assert (other.status, other.code) == (403, "not_your_grant")
