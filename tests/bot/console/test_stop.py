"""The page for when something goes wrong: a freeze, what a target hits, taking it away, its proof."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from approvers.targets import Target
from bot.surfaces.console_stops import choices
from tests.bot.console.conftest import Visitor, note, until
from tests.bot.console.world import World
from workers.stores import layout
from workers.stores.port import Commit
from workers.stores.rooms import RoomSeen, RoomsSeen

STOP = "/console/stop"


def at(target: str) -> str:
    return f"{STOP}/of/{quote(target, safe='')}"


async def live(world: World, visitor: Visitor, count: int = 1) -> list[str]:
    """Have some approved and minted."""
    found = []
    for _ in range(count):
        view = await world.ask()
        await visitor.review(view.request.id, "approve")
        await until(visitor, f"/console/requests/{view.request.id}", "ACTIVE")
        found.append(view.request.id)
    return found


async def send(visitor: Visitor, path: str, reason: str, page: str = "/console/stop") -> str:
    return (await visitor.post(path, form_token=await visitor.field("form_token", page), reason=reason))[1]


async def test_a_reviewer_freezes_and_only_somebody_on_call_lifts_it(world: World, visitor: Visitor):
    await visitor.be("robin")
    page = await send(visitor, f"{STOP}/freeze", "incident <7>")
    assert "Frozen: no approval counts" in note(page)
    assert "by robin" in page
    assert "incident &lt;7&gt;" in page
    page = await send(visitor, f"{STOP}/lift", "over")
    assert "Only people on call may lift a freeze" in note(page)
    assert (await world.deps.stops.look()).on
    refused = [one for one in await world.records("sys") if one["type"] == "call.refused"]
    assert [(one["data"]["route"], one["data"]["code"], one["by"]["person"]) for one in refused] == [
        ("console unfreeze", "not_on_call", "user:robin")
    ]
    await visitor.be("kim")
    assert "approvals count again" in note(await send(visitor, f"{STOP}/lift", "over"))
    assert not (await world.deps.stops.look()).on


async def test_a_freeze_without_a_reason_is_refused_in_words(world: World, visitor: Visitor):
    await visitor.be("robin")
    assert "say why" in note(await send(visitor, f"{STOP}/freeze", "  ")).lower()
    assert not (await world.deps.stops.look()).on


async def test_every_target_that_hits_something_is_offered_with_its_numbers(world: World, visitor: Visitor):
    await visitor.be("robin")
    _, page = await visitor.get(STOP)
    assert re.findall(r'data-key="([^"]+)"><th', page) == ["all"]
    await live(world, visitor, 2)
    _, page = await visitor.get(STOP)
    rows = re.findall(r'data-key="([^"]+)"><th.*?<td>(\d+)</td><td>(\d+)</td>', page)
    names = ["all", "role:analytics", "actor:agent:report-bot", "principal:caller:report-bot"]
    assert rows == [(name, "2", "0") for name in names]
    for path in re.findall(r'href="(/console/stop/of/[^"]+)"', page):
        status, one = await visitor.get(path)
        assert (status, "2 live would be ended" in one) == (200, True), path


async def test_looking_does_nothing_and_taking_away_shows_the_proof_of_each(world: World, visitor: Visitor):
    await visitor.be("robin")
    requests = await live(world, visitor, 2)
    path = at("role:analytics")
    _, page = await visitor.get(path)
    assert "New ones can still be approved" in page
    assert {(await world.deps.reader.look(one)).grant.state for one in requests} == {"ACTIVE"}  # type: ignore[union-attr]
    page = await send(visitor, f"{path}/revoke", "leaked", path)
    assert note(page) == "Revoking 2: each is called ended only when that is proven."
    page = await until(visitor, path, "Nothing live matches")
    assert len(re.findall(r'class="status proof"', page)) == 2
    for one in requests:
        grant = (await world.deps.reader.look(one)).grant
        assert grant is not None and grant.ending is not None and grant.proof is not None
        assert (grant.ending.by, grant.ending.reason) == ("user:robin", "leaked")
    assert [one["data"]["reason"] for one in await world.records("sys") if one["type"] == "revocation.requested"] == [
        "leaked"
    ]


async def test_everything_is_taken_away_by_somebody_on_call_alone(world: World, visitor: Visitor):
    await visitor.be("robin")
    [request] = await live(world, visitor)
    page = await send(visitor, f"{at('all')}/revoke", "because", at("all"))
    assert "Only people on call may revoke all" in note(page)
    grant = (await world.deps.reader.look(request)).grant
    assert grant is not None and grant.state == "ACTIVE"
    assert [one["data"]["code"] for one in await world.records("sys") if one["type"] == "call.refused"] == [
        "not_on_call"
    ]
    await visitor.be("kim")
    assert "Revoking 1" in note(await send(visitor, f"{at('all')}/revoke", "because", at("all")))
    await until(visitor, at("all"), "Nothing live matches")


def room(role: str, denies: int) -> RoomSeen:
    return RoomSeen(role=role, denies=denies, needed=denies, seen_at=datetime(2026, 11, 20, 10, 5, tzinfo=UTC))


async def test_the_room_of_each_base_role_is_shown_the_fullest_first(world: World, visitor: Visitor):
    await visitor.be("robin")
    _, page = await visitor.get(STOP)
    assert "Room for early ends" not in page, "no sweep has looked yet"
    [request] = await live(world, visitor)
    grant = (await world.deps.reader.look(request)).grant
    assert grant is not None
    arn = grant.plan.role_arn
    roles = {arn: room("analytics", 12), f"{arn}-2": room("analytics", 44), f"{arn}-3": room("analytics", 45)}
    seen = {"expects": {layout.ROOMS: 0}, "puts": {layout.ROOMS: RoomsSeen(roles=roles).model_dump_json()}}
    await world.deps.store.records.commit(Commit(at=await world.deps.store.records.now(), **seen))
    _, page = await visitor.get(STOP)
    rows = re.findall(r'data-key="room ([^"]+)">.*?<td( class="warning")?>(.*?)</td><td>(.*?)</td>', page)
    name = arn.rpartition("/")[2]
    assert rows == [
        (f"{name}-3", ' class="warning"', "<strong>45 of 59 Denies: nearly full</strong>", "0 live"),
        (f"{name}-2", "", "44 of 59 Denies", "0 live"),
        (name, "", "12 of 59 Denies", "1 live"),
    ]
    assert "10:05" in page


@pytest.mark.parametrize("target", ["nonsense", "role:", "role:%00"])
async def test_a_target_that_names_nothing_is_told_what_to_write(visitor: Visitor, target: str):
    await visitor.be("robin")
    status, page = await visitor.get(f"{STOP}/of/{target}")
    assert (status, "actor:NAME" in page or "names nothing" in page) == (400, True)


async def test_a_name_with_a_slash_has_a_page_of_its_own_that_stays_fresh(visitor: Visitor):
    await visitor.be("robin")
    path = at("principal:caller:team/bot")
    status, page = await visitor.get(path)
    assert status == 200
    address = re.search(r'data-live="([^"]+)"', page)
    assert address is not None and address[1].endswith("team%2Fbot/live")
    status, body = await visitor.get(f"{address[1]}?after=")
    assert (status, "Nothing live matches" in body) == (200, True)


def test_choices_of_nothing_are_all():
    assert [one.words for one in choices([])] == [str(Target("all"))]
