"""Approving less in the console: a form beside Approve that works without a script, and keeps what was typed."""

from __future__ import annotations

import html
import re

import pytest

from bot.reading import View
from tests.bot.console.conftest import Visitor, note
from tests.bot.console.world import World
from tests.bot.narrow_rules import ACTIONS, BUCKET, WIDE, YEAR, policy
from workers.policies import apply

LESS = {"less": "yes", "ttl_seconds": "900", "actions": "s3:GetObject", "resources": f"{BUCKET}/2026/07/*"}
ALL = [("less", "yes"), ("ttl_seconds", "1800"), ("resources", YEAR), *(("actions", name) for name in ACTIONS)]


async def ruled(world: World, *parts: str, people: int = 1) -> None:
    await apply(world.deps.store.records, policy=policy(*parts, people=people), roster=None, by="ops", why="x")
    await world.deps.policies.refresh()


async def send(visitor: Visitor, view: View, fields: list[tuple[str, str]], back: str = "list") -> tuple[int, str]:
    """Send the form as a browser does, boxes that are ticked one by one."""
    page = f"/console/requests/{view.request.id}"
    given = [("form_token", await visitor.field("form_token")), ("shown", await visitor.field("shown", page))]
    data = [*given, ("back", back), ("verdict", "approve"), *fields]
    async with visitor.http.post(f"{page}/review", data=data, headers={"Origin": visitor.url}) as answer:
        return answer.status, await answer.text()


def form_in(page: str) -> str:
    """Return the form to approve less; fails where there is not one."""
    (found,) = re.findall(r'<details class="less deny">(.*?)</details>', page, re.DOTALL)
    return str(found)


async def test_the_form_stands_on_the_list_and_on_the_page_filled_with_what_was_asked(
    world: World, visitor: Visitor
) -> None:  # fmt: skip
    await ruled(world)
    view = await world.ask(**WIDE)
    await visitor.be("robin")
    for path in ("/console/", f"/console/requests/{view.request.id}"):
        form = form_in((await visitor.get(path))[1])
        assert '<option value="1800" selected>30 min</option>' in form
        assert [name for name in ACTIONS if f'name="actions" value="{name}" checked' in form] == list(ACTIONS)
        assert f">\n{YEAR}</textarea>" in form


async def test_less_is_approved_and_the_page_says_so(world: World, visitor: Visitor) -> None:
    await ruled(world)
    view = await world.ask(**WIDE)
    await visitor.be("robin")
    status, page = await visitor.review(view.request.id, "approve", back="request", **LESS)
    assert status == 200
    assert note(page).startswith(f"You approved {view.request.handle}, and that was enough. You narrowed it: 15 min")
    now = (await world.deps.reader.look(view.request.id)).request
    assert (now.plan.ttl_seconds, now.plan.actions, now.plan.resources) == (
        900, ("s3:GetObject",), (f"{BUCKET}/2026/07/*",),
    )  # fmt: skip
    assert "Narrowed by robin" in page
    assert "15 min instead of 30 min, without s3:GetObjectVersion" in page
    assert "narrows it:" in page


async def test_the_plain_button_approves_all_of_it(world: World, visitor: Visitor) -> None:
    await ruled(world)
    view = await world.ask(**WIDE)
    await visitor.be("robin")
    await visitor.review(view.request.id, "approve")
    now = (await world.deps.reader.look(view.request.id)).request
    assert (now.state, now.narrowed) == ("APPROVED", None)


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        (ALL, "ttl_seconds", "Nothing is smaller here"),
        ([("less", "yes"), ("ttl_seconds", "900"), ("resources", YEAR)], "actions", "Keep at least one of the actions"),
        ([*ALL[:2], ("resources", f"{BUCKET}/2026/<b>\n{BUCKET}/*"), *ALL[3:]], "resources", "is not inside"),
        ([*ALL, ("actions", "s3:DeleteObject")], "actions", "s3:DeleteObject"),
        ([("less", "yes"), ("ttl_seconds", "many"), *ALL[2:]], "ttl_seconds", "Choose for how long"),
    ],
    ids=["as_it_was", "nothing_ticked", "wider", "tampered", "no_number"],
)
async def test_what_is_wrong_stands_at_its_field_and_what_was_filled_in_stays(
    world: World, visitor: Visitor, fields: list[tuple[str, str]], field: str, words: str
) -> None:
    await ruled(world)
    view = await world.ask(**WIDE)
    await visitor.be("robin")
    status, page = await send(visitor, view, fields)
    assert status == 422
    said = re.search(rf'id="wrong-{field}"><bdi>([^<]+)</bdi>', page)
    assert said is not None
    assert words in html.unescape(said[1])
    assert "Nothing is decided yet." in page
    given = dict(fields)
    assert html.escape(given["resources"], quote=False) in page
    ticked = re.findall(r'name="actions" value="([^"]+)" checked', page)
    assert ticked == [one for one in ACTIONS if ("actions", one) in fields]
    assert (await world.deps.reader.look(view.request.id)).request.state == "PENDING"


async def test_from_that_page_it_can_be_sent_again(world: World, visitor: Visitor) -> None:
    await ruled(world)
    view = await world.ask(**WIDE)
    await visitor.be("robin")
    _, page = await send(visitor, view, ALL, back="request")
    hidden = dict(
        re.findall(r'<input type="hidden" name="(form_token|back|shown|verdict|less)" value="([^"]*)">', page)
    )
    assert hidden["back"] == "request"
    status, page = await visitor.post(f"/console/requests/{view.request.id}/review", **{**hidden, **LESS, **hidden})
    assert (status, "that was enough" in note(page)) == (200, True)


async def test_a_second_reviewer_with_an_old_page_is_told_so(world: World, visitor: Visitor) -> None:
    await ruled(world, people=2)
    view = await world.ask(**WIDE)
    await visitor.be("alex")
    old = await visitor.field("shown", f"/console/requests/{view.request.id}")
    await visitor.be("robin")
    await visitor.review(view.request.id, "approve", **LESS)
    await visitor.be("alex")
    for fields in ({}, LESS):
        _, page = await visitor.review(view.request.id, "approve", shown=old, **fields)
        assert "out of date" in note(page)
    assert "Narrowed by robin" in page
    _, page = await visitor.review(view.request.id, "approve")
    assert "that was enough" in note(page)
    assert (await world.deps.reader.look(view.request.id)).request.plan.ttl_seconds == 900


async def test_where_it_may_not_be_or_has_to_be_read_whole_there_is_no_form(world: World, visitor: Visitor) -> None:
    await ruled(world, "ttl")
    high = await world.ask_high(ttl_seconds=1800)
    await visitor.be("robin")
    assert "Approve less" not in (await visitor.get("/console/"))[1]
    form = form_in((await visitor.get(f"/console/requests/{high.request.id}"))[1])
    assert "ttl_seconds" in form
    assert "checkbox" not in form
    assert "<textarea" not in form
    _, page = await visitor.review(high.request.id, "approve", less="yes", ttl_seconds="900")
    assert "has to be read whole" in note(page)
    _, page = await visitor.review(high.request.id, "approve", less="yes", ttl_seconds="900", back="request")
    assert "that was enough" in note(page)
    plain = await world.ask(ttl_seconds=60)
    assert "Approve less" not in (await visitor.get(f"/console/requests/{plain.request.id}"))[1]


async def test_of_what_is_decided_meanwhile_the_note_says_by_whom(world: World, visitor: Visitor) -> None:
    await ruled(world)
    view = await world.ask(**WIDE)
    await visitor.be("alex")
    await visitor.review(view.request.id, "deny")
    await visitor.be("robin")
    given = {"form_token": await visitor.field("form_token"), "back": "request", "shown": "0" * 32, **LESS}
    _, page = await visitor.post(f"/console/requests/{view.request.id}/review", verdict="approve", **given)
    assert "decided already: DENIED by user:alex" in note(page)
