"""Approving less, through the desk and over the API: what is stored, recorded, granted, and refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from approvers.audit import check_chain
from approvers.card import shown_digest
from approvers.errors import AlreadyDecided, Forbidden, Inadmissible, Malformed, Outdated
from approvers.ids import grant_of
from approvers.narrowing import Narrow
from bot.behind_words import notes
from bot.outcomes import reviewed
from bot.reading import View
from bot.telling import tell
from tests.bot.narrow_rules import ACTIONS, BODY, BUCKET, LESS, YEAR, policy
from tests.bot.test_desk import World
from tests.worlds.web import Web
from workers.stores import layout
from workers.stores.memory import memory_store

ASKED = {"ttl_seconds": 1800, "actions": list(ACTIONS), "resources": [YEAR]}
LESS_WISH = Narrow.model_validate(LESS)


@pytest.fixture
async def world() -> World:
    return await World().start(policy())


@pytest.fixture
async def two() -> World:
    """A world in which two people are asked."""
    return await World().start(policy(people=2))


async def records(world: World, view: View) -> list[dict[str, Any]]:
    bodies = await world.store.log.chain(view.request.id)
    check_chain(view.request.id, bodies)
    return [json.loads(body) for body in bodies]


async def test_the_grant_is_for_less_and_every_record_says_so(world: World):
    view = await world.click(await world.ask(**BODY), "robin", narrow=LESS_WISH)
    assert (view.request.state, view.grant.plan) == ("APPROVED", view.request.plan)
    told = await records(world, view)
    assert [one["type"] for one in told] == [
        "request.submitted", "review.recorded", "request.narrowed", "request.approved", "grant.opened",
    ]  # fmt: skip
    change = {"asked": ASKED, "granted": LESS}
    assert told[0]["data"]["plan"]["actions"] == list(ACTIONS)
    assert told[1]["data"]["narrowed"] == told[2]["data"] == change
    assert told[2]["by"]["person"] == "user:robin"
    opened = told[4]["data"]["plan"]
    assert {name: opened[name] for name in LESS} == LESS
    stored = await world.store.records.read([layout.grant_key(grant_of(view.request.id))])
    plan = json.loads(stored.records[layout.grant_key(grant_of(view.request.id))].json)["plan"]
    assert {name: plan[name] for name in LESS} == LESS


async def test_the_timeline_tells_it(world: World):
    view = await world.click(await world.ask(**BODY), "robin", narrow=LESS_WISH)
    (line,) = [tell(body) for body in await world.store.log.chain(view.request.id) if b"request.narrowed" in body]
    said = "narrows it: 15 min instead of 30 min, without s3:GetObjectVersion, only on"
    assert line.words == f"{said} {BUCKET}/2026/07/* instead of {YEAR}."


async def test_the_reviewer_and_the_human_behind_the_agent_read_it(world: World):
    view = await world.click(await world.ask(**BODY), "robin", narrow=Narrow(ttl_seconds=900))
    said = "15 min instead of 30 min."
    assert reviewed(view, "user:robin").text.endswith(f"that was enough. You narrowed it: {said}")
    ((kind, text),) = notes(view.request, view.grant)
    assert (kind, text.endswith(f" UTC. Narrowed: {said}")) == ("decided", True)


async def test_a_wish_for_all_of_it_is_recorded_as_no_narrowing(world: World):
    view = await world.click(await world.ask(**BODY), "robin", narrow=Narrow.model_validate(ASKED))
    assert view.request.narrowed is None
    told = await records(world, view)
    assert "request.narrowed" not in [one["type"] for one in told]
    assert "narrowed" not in told[1]["data"]


async def test_of_two_the_second_approves_the_narrower_and_an_old_card_is_outdated(two: World):
    asked = await two.ask(**BODY)
    shown = shown_digest(asked.request)
    first = await two.click(asked, "robin", shown=shown, narrow=LESS_WISH)
    assert (first.request.state, first.request.tally().filled) == ("PENDING", {"sre": ("user:robin",)})
    with pytest.raises(Outdated):
        await two.click(asked, "alex", shown=shown)
    done = await two.click(asked, "alex", shown=shown_digest(first.request))
    assert (done.request.state, done.grant.plan.actions) == ("APPROVED", ("s3:GetObject",))
    assert done.grant.approved_by == ("user:robin", "user:alex")
    told = await records(two, done)
    assert [one["type"] for one in told].count("request.narrowed") == 1
    assert "narrowed" not in told[4]["data"]  # alex took it as it was by then


async def test_who_narrows_second_narrows_further_and_cannot_widen_again(two: World):
    asked = await two.ask(**BODY)
    await two.click(asked, "robin", narrow=Narrow(ttl_seconds=900))
    with pytest.raises(Malformed):
        await two.click(asked, "alex", narrow=Narrow(ttl_seconds=1800))
    done = await two.click(asked, "alex", narrow=Narrow(actions=("s3:GetObject",)))
    assert (done.grant.plan.ttl_seconds, done.grant.plan.actions) == (900, ("s3:GetObject",))
    changes = [one["data"] for one in await records(two, done) if one["type"] == "request.narrowed"]
    assert [one["asked"] for one in changes] == [ASKED, ASKED]
    assert [one["granted"]["ttl_seconds"] for one in changes] == [900, 900]


@pytest.mark.parametrize(
    ("click", "wish", "code"),
    [
        ({"verdict": "deny"}, {"ttl_seconds": 60}, "malformed"),
        ({"verdict": "deny"}, {}, "malformed"),
        ({}, {"ttl_seconds": 3600}, "malformed"),
        ({}, {"resources": tuple(f"{BUCKET}/2026/{'x' * 190}{n}" for n in range(12))}, "inadmissible"),
    ],
    ids=["deny", "deny_nothing", "wider", "too_big_for_a_session"],
)
async def test_a_refusal_decides_nothing_and_is_a_record(
    world: World, click: dict[str, Any], wish: dict[str, Any], code: str
):
    asked = await world.ask(**BODY)
    with pytest.raises((Malformed, Inadmissible)) as refusal:
        await world.click(asked, "robin", narrow=Narrow(**wish), **click)
    assert (refusal.value.field or "").startswith("narrow")
    assert (await records(world, asked))[-1]["data"]["code"] == code
    assert (await world.reader.look(asked.request.id)).request == asked.request


async def test_who_may_not_answer_is_told_that_first(world: World):
    asked = await world.ask(**BODY)
    with pytest.raises(Forbidden) as refusal:
        await world.click(asked, "dana", narrow=Narrow(ttl_seconds=9999))
    assert refusal.value.code == "four_eyes"
    await world.click(asked, "robin", "deny")
    with pytest.raises(AlreadyDecided):
        await world.click(asked, "alex", narrow=LESS_WISH)


async def test_a_rule_that_lets_nobody_narrow_decides():
    world = await World().start()
    asked = await world.ask(**BODY)
    with pytest.raises(Forbidden) as refusal:
        await world.click(asked, "robin", narrow=Narrow(ttl_seconds=60))
    assert refusal.value.code == "may_not_narrow"
    assert "review-exports allows nothing" in refusal.value.detail


async def test_over_the_api():
    async with Web.over(memory_store(), policy=policy("ttl", "actions")) as web:
        asked = (await web.ask(**BODY)).json
        path = f"/v1/requests/{asked['id']}/reviews"

        async def review(**narrow: Any) -> Any:
            body = {"verdict": "approve", "narrow": narrow}
            return await web.call("POST", path, who="user:robin", json=body)

        refused = await review(resources=[f"{BUCKET}/2026/a"])
        assert (refused.status, refused.code, refused.json["field"]) == (403, "may_not_narrow", "narrow.resources")
        refused = await review(actions=["s3:GetObject", "s3:DeleteObject"])
        assert (refused.status, refused.code, refused.json["field"]) == (400, "malformed", "narrow.actions[1]")
        assert "narrow.ttl_seconds" in (await review(ttl_seconds=0)).json["detail"]
        assert "narrow.zone" in (await review(zone="b")).json["detail"]
        done = await review(ttl_seconds=900, actions=["s3:GetObject"])
        assert done.status == 200
        told = done.json["narrowed"]
        assert (told["by"], told["asked"]) == ("user:robin", ASKED)
        assert told["granted"] == {**ASKED, "ttl_seconds": 900, "actions": ["s3:GetObject"]}
        assert (done.json["grant"]["ttl_seconds"], done.json["grant"]["actions"]) == (900, ["s3:GetObject"])
        assert done.json["action"] == "s3:GetObject"
        assert "Narrowed by a reviewer: 15 min instead of 30 min" in done.json["agent_message"]
