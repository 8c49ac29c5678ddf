"""What on-call was told of is told to be over once it is: also by another process than the one that told it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.bot.test_desk import person
from tests.workers.test_leasing import Shop
from workers.lanes import TRIPS, Lanes
from workers.stores import layout


@pytest.fixture
async def shop() -> Shop:
    shop = Shop()
    await shop.start()
    return shop


def told(shop: Shop, kind: str) -> list[tuple[str, bool]]:
    """Return severity and whether it was over, of each alert of a kind."""
    return [(one.severity, one.cleared) for one in shop.pager.alerts if one.key.partition(":")[0] == kind]


async def revoked(shop: Shop, key: str = "k1") -> str:
    grant_id = await shop.approved(key=key)
    await shop.work()
    await shop.custody.revoke(person("kim"), grant_id, "x")
    return grant_id


@pytest.mark.parametrize(("tries", "over"), [(2, []), (3, [("critical", False), ("critical", True)])])
async def test_an_end_that_is_proven_late_is_told_to_be_over_if_it_was_told(shop: Shop, tries: int, over: list):
    await revoked(shop)
    shop.cloud.deny_nobody = True
    for _ in range(tries):
        await shop.later(seconds=130)
    shop.cloud.deny_nobody = False
    assert await shop.later(seconds=130) == ["REVOKING → REVOKED"]
    assert told(shop, "revoke_unproven") == over


@pytest.mark.parametrize(("failures", "over"), [(0, []), (2, [("warning", False)] * 2 + [("warning", True)])])
async def test_a_deny_that_is_removed_late_is_told_to_be_over(shop: Shop, failures: int, over: list):
    await revoked(shop)
    await shop.work()
    shop.cloud.broken = "AWS does not answer" if failures else ""
    await shop.later(minutes=25, seconds=20)
    for _ in range(failures - 1):
        await shop.later(seconds=60)
    shop.cloud.broken = ""
    await shop.later(seconds=60)
    assert (shop.cloud.denies, told(shop, "collect_failed")) == (set(), over)


async def trouble(shop: Shop) -> None:
    shop.cloud.not_sent = "throttled"
    for number in range(TRIPS):
        await shop.approved(key=f"k{number}", parameters={"ask": number})
    await shop.work()
    await shop.tools.lanes.settle()


def another_process(shop: Shop) -> None:
    """Go on as a worker that was started just now does: with the store, and with nothing in memory."""
    shop.tools = replace(shop.tools, lanes=Lanes())


async def test_an_account_that_was_in_trouble_when_its_worker_died_is_told_to_be_well_by_the_next(shop: Shop):
    await trouble(shop)
    assert told(shop, "account.troubled") == [("warning", False)]
    another_process(shop)
    await shop.later(seconds=10)
    await shop.tools.lanes.settle()
    told_before = told(shop, "account.troubled")
    assert ("warning", True) not in told_before, "one that is not answered yet does not call it well"
    shop.cloud.not_sent = ""
    another_process(shop)
    await shop.later(seconds=30)
    await shop.tools.lanes.settle()
    assert told(shop, "account.troubled") == [*told_before, ("warning", True)]
    another_process(shop)
    await revoked(shop, "last")
    await shop.work()
    await shop.tools.lanes.settle()
    assert told(shop, "account.troubled") == [*told_before, ("warning", True)], "it is told once"


async def test_an_account_that_was_never_in_trouble_is_not_spoken_of(shop: Shop):
    await revoked(shop)
    await shop.work()
    await shop.tools.lanes.settle()
    assert shop.pager.alerts == []
    assert not (await shop.store.records.read([layout.TROUBLES])).records[layout.TROUBLES].version
