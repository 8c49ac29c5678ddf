"""Two grants on one role with the same actions, on an AWS that enforces IAM: neither ends nor prolongs the other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.bot.test_desk import caller, person
from tests.workers.providers.test_aws import wait_until
from tests.workers.test_leasing import KEY, Shop
from tests.worlds.ministack import Ministack
from workers.leasing import advance
from workers.providers.port import Secret
from workers.stores import layout
from workers.stores.port import Commit
from workers.vault import open_credential


class LiveShop(Shop):
    """The shop at the present time, with AWS itself as its cloud."""

    def __init__(self, aws: Ministack) -> None:
        super().__init__()
        self.tools = replace(self.tools, providers={"aws": aws.provider()})

    @property
    def time(self) -> datetime:
        return datetime.now(UTC)

    @time.setter
    def time(self, _moment: datetime) -> None:
        """Ignore it: nobody sets this clock."""

    async def live(self, key: str, **changes) -> tuple[str, Secret]:
        grant = await self.approved(key=key, reason=key, **changes)
        assert await self.work() == ["MINTING → ACTIVE"]
        got = await self.custody.collect(caller(), grant)
        opened = open_credential(KEY, got.ciphertext, grant, got.grant.principal)
        names = ("access_key_id", "secret_access_key", "session_token")
        assert got.grant.expiration
        return grant, Secret(*(opened[name] for name in names), got.grant.expiration)


@pytest.fixture
async def shop(aws: Ministack) -> LiveShop:
    shop = LiveShop(aws)
    await shop.start()
    return shop


async def test_neither_end_touches_the_other(aws: Ministack, shop: LiveShop):
    first, its = await shop.live("taken away")
    second, seconds = await shop.live("lives on")
    assert (aws.read(its), aws.read(seconds)) == ("allow", "allow")

    await shop.custody.revoke(person("kim"), first, "x")
    assert await shop.work() == ["REVOKING → REVOKED"]
    assert (await shop.grant(first)).proof.kind == "probe_denied"
    assert (aws.read(its), aws.read(seconds)) == ("explicit_deny", "allow")

    member = layout.grant_key(first)  # collected now, the Deny's end would bring the credential back to life
    await shop.store.records.commit(Commit(at=shop.time, due={member: shop.time}))
    item = await shop.item()
    assert item
    assert await advance(shop.tools, item) == "too early to collect"
    assert aws.read(its) == "explicit_deny"

    third, thirds = await shop.live("ends by time", ttl_seconds=4)
    assert aws.read(thirds) == "allow", "the Deny beside it is of another grant"
    assert len({(await shop.grant(one)).plan.role_arn for one in (first, second, third)}) == 1
    wait_until((await shop.grant(third)).ends_at + timedelta(seconds=1.1))
    assert aws.read(thirds) == "explicit_deny", "what lives on beside it has prolonged nothing"
    while (await shop.grant(third)).state != "REVOKED":
        await shop.work()
    ended = await shop.grant(third)
    assert (ended.proof.kind, ended.deny_written) == ("ttl_denied", False)
    assert (aws.read(its), aws.read(seconds)) == ("explicit_deny", "allow")
    assert set(aws.provider().leftovers(ended.plan)) & {first, second, third} == {first}
