"""A grant of executables from the ask to its proof: ended early or not, by its own clock or by ours, as promised."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from approvers.answer import answer
from approvers.card import render
from tests.approvers.test_roster_providers import PROVIDER
from tests.bot.test_desk import caller, person
from tests.workers.providers.test_command_plans import ACCESS, CLOCKED, LASTING
from tests.workers.test_leasing import KEY, Shop
from tests.worlds import samples
from tests.worlds.commands import Box
from tests.worlds.ministack import QUICK
from workers.clock.reconcile import sweep
from workers.leasing import advance
from workers.providers.command import CommandProvider
from workers.stores import layout
from workers.vault import open_credential

ASK: dict[str, Any] = {"action": "db:select", "resource": "orders/public.customers", "access": ACCESS}


async def opened(roster: str) -> Shop:
    """A shop in which the strict cloud stands behind the provider's name."""
    shop = Shop()
    shop.tools = replace(shop.tools, providers={"orders-db": shop.cloud, "aws": shop.cloud})
    await shop.start(roster=samples.AWS_ALONE + roster)
    return shop


async def live(shop: Shop) -> str:
    view = await shop.ask(**ASK)
    await shop.click(view, "robin", whole=True)
    grant_id = (await shop.click(view, "alex", whole=True)).grant.id
    assert await shop.work() == ["MINTING → ACTIVE"]
    return grant_id


async def test_what_has_no_clock_of_its_own_is_revoked_at_its_time_and_collected_later():
    shop = await opened(PROVIDER)
    grant_id = await live(shop)
    await shop.custody.collect(caller(), grant_id)
    assert (await shop.later(seconds=900))[-1].endswith("REVOKING → REVOKED")
    ended = await shop.grant(grant_id)
    assert (ended.proof.kind, ended.deny_written, "revoke" in shop.cloud.calls) == ("ttl_denied", True, True)
    await shop.later(hours=1)
    assert (await shop.grant(grant_id)).collected_at is not None
    assert shop.cloud.calls[-1] == "collect"


async def test_what_ends_by_its_own_clock_is_only_asked_at_its_time():
    shop = await opened(CLOCKED)
    grant_id = await live(shop)
    await shop.custody.collect(caller(), grant_id)
    await shop.later(seconds=900)
    ended = await shop.grant(grant_id)
    assert (ended.state, ended.proof.kind, ended.deny_written) == ("REVOKED", "ttl_denied", False)
    assert "revoke" not in shop.cloud.calls


async def test_what_cannot_be_ended_early_is_revoking_until_its_time_is_over_and_says_so():
    shop = await opened(LASTING)
    grant_id = await live(shop)
    view = await shop.custody.revoke(person("kim"), grant_id, "enough")
    assert view.grant.trouble == "it cannot be ended early, and lives until 10:15:00 UTC"
    assert "cannot be ended early, and lives until 10:15:00 UTC" in render(view.request, view.grant).status
    assert answer(view.request, view.grant, view.version)["grant"]["trouble"]
    assert await shop.store.records.sealed(grant_id) is None
    assert await shop.later(seconds=890) == []
    assert shop.cloud.alive(grant_id)
    assert await shop.later(seconds=10) == ["REVOKING → REVOKED"]
    ended = await shop.grant(grant_id)
    assert (ended.proof.kind, ended.deny_written, ended.ending.cause) == ("ttl_denied", False, "revoke")
    assert "revoke" not in shop.cloud.calls
    assert shop.pager.alerts == []


async def test_one_that_still_lives_after_its_time_is_never_called_ended():
    shop = await opened(LASTING)
    grant_id = await live(shop)
    await shop.custody.revoke(person("kim"), grant_id, "enough")
    shop.cloud.sessions[0].ends_at += timedelta(hours=1)
    shop.cloud.broken = "it says that it lives"
    assert await shop.later(seconds=900) == ["REVOKING → REVOKING"]
    for _ in range(3):
        await shop.later(minutes=2)
    assert (await shop.grant(grant_id)).state == "REVOKING"
    assert any(alert.key == f"revoke_unproven:{grant_id}" for alert in shop.pager.alerts)


async def test_a_worker_without_the_executables_waits_for_one_that_has_them():
    shop = await opened(PROVIDER)
    shop.tools = replace(shop.tools, providers={"aws": shop.cloud})
    view = await shop.ask(**ASK)
    await shop.click(view, "robin", whole=True)
    grant_id = (await shop.click(view, "alex", whole=True)).grant.id
    assert await shop.work() == ["MINTING → PENDING"]
    assert "start workers that have it" in (await shop.grant(grant_id)).trouble


async def test_the_sweep_of_aws_leaves_roles_of_executables_alone():
    shop = await opened(PROVIDER)
    await live(shop)
    item = await shop.store.due.claim("worker", most=9, lease=shop.tools.lease)
    assert item.items == []
    assert all(role.by_command or role.arn for role in shop.policies.current.roster.roles.values())
    seen: list[str] = []
    shop.cloud.leftovers = lambda plan: seen.append(plan.provider) or []
    await shop.store.records.commit(layout.commit(shop.time, due={layout.SWEEP: shop.time}))
    (attempt,) = (await shop.store.due.claim("worker", most=1, lease=shop.tools.lease)).items
    await sweep(shop.tools, attempt)
    assert "orders-db" not in seen


@pytest.fixture
async def boxed(tmp_path: Path) -> tuple[Shop, Box]:
    """A shop with real executables behind the provider."""
    box = Box.made(tmp_path / "commands", "orders-db")
    shop = await opened(PROVIDER)
    shop.tools = replace(
        shop.tools, providers={"orders-db": CommandProvider(box.folder, pace=QUICK, now=lambda: shop.time)}
    )
    return shop, box


async def test_real_executables_mint_hand_over_and_end_and_no_value_is_in_any_record(boxed: tuple[Shop, Box]):
    shop, box = boxed
    shop.time = samples.NOW
    box.folder.joinpath("state", "trouble-mint").write_text(
        "datetime = type('Fixed', (datetime,), {'now': classmethod(lambda cls, tz: cls(2026, 11, 20, 10, tzinfo=tz))})"
    )
    grant_id = await live(shop)
    got = await shop.custody.collect(caller(), grant_id)
    opened_ = open_credential(KEY, got.ciphertext, grant_id, samples.CALLER)
    assert opened_.keys() == {"environment", "expiration"}
    word = opened_["environment"]["BOX_WORD"]
    view = await shop.custody.revoke(person("kim"), grant_id, "enough")
    assert await shop.work() == ["REVOKING → REVOKED"]
    grant = await shop.grant(grant_id)
    assert (grant.access_key_id, grant.proof.kind) == (f"box-{grant_id}", "probe_denied")
    bodies = b"".join([*await shop.store.log.chain(view.request.id), grant.model_dump_json().encode()])
    assert word.encode() not in bodies
    assert grant.access_key_id.encode() in bodies


async def test_a_worker_killed_between_the_mint_and_its_record_is_cleaned_up_by_the_grants_id(boxed: tuple[Shop, Box]):
    shop, box = boxed
    view = await shop.ask(**ASK)
    await shop.click(view, "robin", whole=True)
    grant_id = (await shop.click(view, "alex", whole=True)).grant.id
    box.trouble("mint", "answer = lambda **said: os._exit(9)")  # it has made the credential, and its answer is lost
    assert await shop.work() == ["MINTING → REVOKING", "REVOKING → REVOKED"]
    assert box.asked()[:2] == ["mint", "revoke"]
    assert not box.alive(grant_id)


@pytest.mark.parametrize(
    ("declared", "level"), [("", "unknown"), ('levels = { "db:select" = "Read" }\n', "Read")], ids=["not", "declared"]
)
async def test_rules_know_of_an_action_what_its_provider_declares_and_nothing_otherwise(declared: str, level: str):
    shop = await opened(PROVIDER.replace("ends_early = true\n", f"ends_early = true\n{declared}"))
    asked = (await shop.ask(**ASK)).request
    assert asked.facts.levels == (level,)
    assert (await shop.ask("k2")).request.facts.levels == ("Read",)  # of AWS's own the table speaks


async def test_what_is_minted_after_its_revocation_is_revoked_again_before_anything_is_proven():
    """Executables can only end what exists: the proof waits until no mint of the grant can be under way."""
    shop = await opened(PROVIDER)
    shop.cloud.during_mint = threading.Event()
    view = await shop.ask(**ASK)
    await shop.click(view, "robin", whole=True)
    grant_id = (await shop.click(view, "alex", whole=True)).grant.id
    slow = asyncio.create_task(advance(shop.tools, await shop.item()))
    await asyncio.to_thread(shop.cloud.minting.wait, 5)
    await shop.custody.revoke(person("kim"), grant_id, "stop")
    await shop.work()
    shop.cloud.denies.clear()  # what the executables revoked did not stand in the way of the mint that goes on
    shop.cloud.during_mint.set()
    assert await slow == "overtaken"
    assert shop.cloud.alive(grant_id)
    for _ in range(3):
        await shop.later(seconds=100)
        grant = await shop.grant(grant_id)
        assert (grant.state, "may still be under way" in (grant.trouble or "")) == ("REVOKING", True)
        assert not shop.cloud.alive(grant_id)
    assert shop.pager.alerts == []
    await shop.later(seconds=150)
    assert (await shop.grant(grant_id)).proof.kind == "probe_denied"
