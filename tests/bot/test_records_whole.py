"""Records of answers and ends hold what was shown, who could answer, and under which rules: enough to judge them by."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from approvers.card import render, shown_digest
from approvers.card_shown import text_of
from approvers.narrowing import Narrow
from approvers.request import MINT_WITHIN
from approvers.texts import restore
from approvers.times import stamp
from bot.commits import Click
from tests.bot.circles import ROSTER, town
from tests.bot.narrow_rules import policy
from tests.bot.test_desk import World, caller, person
from tests.worlds import samples
from tests.worlds.samples import NOW
from workers.policies import apply

LENT = '[[delegation]]\nfrom = "ana"\nto = "bob"\nuntil = 2026-11-22\n'


async def told(world: World, request: str, kind: str) -> list[dict[str, Any]]:
    """Return the data of a request's records of one kind, its texts put back."""
    texts = await world.store.log.texts([request])
    found = [restore(json.loads(body), texts) for body in await world.store.log.chain(request)]
    return [one["data"] for one in found if one["type"] == kind]


async def test_an_answer_names_the_card_and_the_first_on_it_has_its_text():
    world, _ = await town("{ sre = 2 }")
    view = await world.ask(reason="Rebuild: the job failed\nat 02:10", ticket="INC-7")
    shown = shown_digest(view.request)
    await world.click(view, "robin", shown=shown)
    view = await world.click(view, "alex")
    first, second = await told(world, view.request.id, "review.recorded")
    assert (first["shown"], first["card"]["digest"], second["shown"]) == (shown, shown, None)
    assert second["card"] == {"digest": shown}
    text = first["card"]["text"]
    card = render(view.request, None)
    for fact in card.facts:
        assert fact.whole in text
    for part in (card.headline, *card.risk_points, *card.warnings):
        assert part in text


async def test_what_changes_the_card_has_its_text_recorded_again():
    world = await World().start(policy("ttl", people=2))
    view = await world.ask()
    await world.click(view, "robin", narrow=Narrow(ttl_seconds=60))
    await world.click(view, "alex")
    first, second = await told(world, view.request.id, "review.recorded")
    assert first["card"]["digest"] != second["card"]["digest"]
    assert "For: 15 min" in first["card"]["text"]
    assert "For: 1 min" in second["card"]["text"]


async def test_an_answer_says_who_the_person_was_and_for_whom_they_could_answer():
    world, _ = await town(roster=ROSTER + LENT)
    view = await world.click(await world.ask(), "bob")
    (data,) = await told(world, view.request.id, "review.recorded")
    assert (data["own_groups"], data["lenders"], data["fill_in"]) == ([], {"user:ana": ["dba"]}, [])
    assert (data["groups"], data["lent_by"]) == (["dba"], "user:ana")
    book = world.policies.current
    assert (data["policy_sha256"], data["roster_sha256"]) == (book.policy_sha256, book.roster_sha256)


async def test_a_denial_names_its_rules_too():
    world = await World().start()
    view = await world.ask()
    shown = text_of(view.request)
    await world.click(view, "robin", "deny", reason="too wide")
    (data,) = await told(world, view.request.id, "review.recorded")
    assert data["policy_sha256"] == world.policies.current.policy_sha256
    assert data["own_groups"] == ["sre"]
    assert (data["card"]["text"], data["reason"]) == (shown, "too wide")


async def test_the_group_that_let_an_owner_withdraw_is_on_record():
    world, _ = await town("{ sre = 1 }", ROSTER.replace('owners       = ["user:dana"]', 'owners = ["group:dba"]'))
    view = await world.ask()
    await world.desk.cancel(person("ana"), view.request.id)
    (data,) = await told(world, view.request.id, "request.cancelled")
    assert data["groups"] == ["dba"]
    assert data["seen_in"]["dba"]["members"] == ["U-ana"]


async def test_what_was_consumed_and_until_when_it_may_be_minted_are_on_record():
    world = await World().start()
    view = await world.ask(access=None)
    view = await world.click(view, "robin")
    digest = view.request.action_digest
    await world.desk.consume(caller(), view.request.id, digest)
    assert (await told(world, view.request.id, "request.consumed"))[0]["action_digest"] == digest
    view = await world.click(await world.ask("k2", reason="again"), "robin")
    (opened,) = await told(world, view.request.id, "grant.opened")
    assert opened["mint_by"] == stamp(NOW + MINT_WITHIN)
    assert opened["plan"] == view.request.plan.model_dump(mode="json")


async def test_the_rules_of_an_answer_are_those_in_force_then():
    world = await World().start()
    view = await world.ask()
    await apply(world.store.records, policy=samples.POLICY_TEXT + "\n# newer\n", roster=None, by="user:dana", why="x")
    await world.policies.refresh()
    world.time = NOW + timedelta(seconds=5)
    await world.desk.review(Click(person("robin"), view.request.id, "deny"))
    (data,) = await told(world, view.request.id, "review.recorded")
    assert data["policy_sha256"] == world.policies.current.policy_sha256 != view.request.ruling.policy_sha256
