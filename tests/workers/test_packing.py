"""How full AWS found a session's policy and tags is in the record, and a nearly full one in the log."""

import json

import pytest

from tests.workers.test_leasing import Shop, shop

__all__ = ["shop"]


@pytest.mark.parametrize(("percent", "warned"), [(79, False), (80, True), (None, False)])
async def test_how_packed_it_was(shop: Shop, capsys: pytest.CaptureFixture[str], percent: int | None, warned: bool):
    shop.cloud.packed_percent = percent
    grant_id = await shop.approved()
    await shop.work()
    grant = await shop.grant(grant_id)
    assert grant.packed_percent == percent
    bodies = map(json.loads, await shop.store.log.chain(grant.request_id))
    minted = next(one for one in bodies if one["type"] == "grant.minted")
    assert minted["data"].get("packed_percent") == percent
    told = capsys.readouterr()
    assert ("mint.packed" in told.out + told.err) is warned
