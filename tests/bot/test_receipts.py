"""Where a receipt shows: to the caller that waits for it, in the thread under the card, on the console's page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from approvers.request import Receipt
from bot.postings_lines import witnessed
from bot.wire import RequestAnswer
from countersign.models import Ask
from countersign.receipts import digest_of, verify_receipt
from tests.bot.postings_town import Town
from tests.bot.test_intake import ACTION_ONLY
from tests.worlds import samples
from tests.worlds.ledger import KEY, Ledger
from tests.worlds.web import Alarm, Web
from workers.clock.receipting import Receipting
from workers.stores.memory import memory_store
from workers.stores.port import Store

LEASE = timedelta(seconds=20)


async def sign(store: Store, ledger: Ledger | None = None) -> None:
    """Be a clock: sign the receipts that are due."""
    receipting = Receipting(store, ledger or Ledger(store), Alarm())
    items = (await store.due.claim("clock", most=99, lease=LEASE)).items
    receipting.begin(item for item in items if item.member.startswith("receipt:"))
    await receipting.turn()


async def approved(web: Web, **changes: object) -> dict:
    asked = (await web.ask(**{**ACTION_ONLY, **changes})).json
    names = iter(("robin", "alex"))
    while (await web.call("GET", f"/v1/requests/{asked['id']}")).json["state"] == "PENDING":
        await web.review(asked["id"], next(names))
    return asked


async def test_who_waits_for_an_approved_action_gets_its_receipt_at_once(web: Web):
    asked = await approved(web)
    path = f"/v1/requests/{asked['id']}"
    now = (await web.call("GET", path)).json
    assert (now["state"], now["receipt"]) == ("APPROVED", None)
    held = asyncio.create_task(web.call("GET", f"{path}?wait=20"))
    await asyncio.sleep(0.05)
    assert not held.done()
    await sign(web.store)
    answer = (await held).json
    assert answer["version"] == now["version"] + 1
    said = verify_receipt(
        answer["receipt"]["jws"], key=KEY.verifier, request=asked["id"], action_digest=asked["action_digest"]
    )  # fmt: skip
    assert answer["receipt"]["log"] == {"size": said.log.size, "root": said.log.root}
    RequestAnswer.model_validate(answer)


async def test_a_digest_that_the_caller_computes_is_the_one_that_is_signed(quick_web: Web):
    """Of what was asked, with parameters that no plain JSON writer spells alike, and a TTL that policy fills in."""
    web = quick_web
    fields = {"parameters": {"é": 1.0, "a": [1e-7, "\u2028"], "big": 2**50}, "ttl_seconds": None}
    asked = await approved(web, **fields)
    await sign(web.store)
    answer = (await web.call("GET", f"/v1/requests/{asked['id']}")).json
    said = verify_receipt(answer["receipt"]["jws"], key=KEY.verifier)
    body = {**samples.BODY, **ACTION_ONLY, **fields}
    ask = Ask(**{name: value for name, value in body.items() if value is not None})
    assert digest_of(ask, principal=samples.CALLER, ttl_seconds=said.ttl_seconds) == said.action_digest
    other = ask.model_copy(update={"parameters": {**fields["parameters"], "big": 2**50 + 1}})
    assert digest_of(other, principal=samples.CALLER, ttl_seconds=said.ttl_seconds) != said.action_digest


async def test_without_a_clock_the_wait_ends_with_the_approval_alone(quick_web: Web):
    asked = await approved(quick_web)
    answer = (await quick_web.call("GET", f"/v1/requests/{asked['id']}?wait=1")).json
    assert (answer["state"], answer["receipt"]) == ("APPROVED", None)


async def test_an_approval_that_was_left_too_long_is_told_apart_from_one_that_was_used():
    moment = [samples.NOW]
    async with Web.over(memory_store(lambda: moment[0])) as web:
        asked = await approved(web)
        path, body = f"/v1/requests/{asked['id']}/consume", {"action_digest": asked["action_digest"]}
        moment[0] += timedelta(seconds=samples.BODY["ttl_seconds"])
        late = await web.call("POST", path, json=body)
        assert (late.status, late.code) == (409, "expired_approval")
        assert "do not act" in late.json["detail"]


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    town = await Town().start()
    async with town.web():
        yield town


async def test_the_thread_is_a_witness_and_the_card_is_not_edited_for_it(town: Town):
    view = await town.ask()
    await town.quiet()
    await town.click(view)
    await town.quiet()
    edits = town.board.one().edits
    await sign(town.store)
    await town.quiet()
    decided, witness = town.board.one().lines
    receipt = (await town.reader.look(view.request.id)).request.receipt
    assert decided.startswith("Approved by robin at ")
    assert witness == f"Log {receipt.size:,} · root {receipt.root}"
    assert len(receipt.root) == 64
    assert town.board.one().edits == edits


async def test_what_nobody_was_shown_has_a_receipt_and_no_message(town: Town):
    view = await town.ask(action="s3:DeleteObject", access=None)
    assert view.request.state == "DENIED"
    await sign(town.store)
    await town.quiet()
    assert (await town.reader.look(view.request.id)).request.receipt is not None
    assert town.board.count("post") == 0


def test_a_long_log_is_written_for_people_and_its_root_whole():
    receipt = Receipt(jws="a.b.c", size=1_234_567, root="0f" * 32, at=samples.NOW, key="0011aabb")
    assert witnessed(receipt) == f"Log 1,234,567 · root {'0f' * 32}"
