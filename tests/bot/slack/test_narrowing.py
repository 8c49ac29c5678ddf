"""Approving less in Slack: the form at the end of Review, what it sends, and where its complaints stand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from approvers.card import render
from approvers.narrowing import Offer
from bot.reading import View as Seen
from bot.surfaces.slack_limits import check_sendable
from bot.surfaces.slack_narrow import complaint, inputs, wish
from bot.surfaces.slack_views import review
from tests.approvers.test_narrowing import asked
from tests.bot.narrow_rules import ACTIONS, BUCKET, WIDE, YEAR, policy
from tests.bot.slack.town import ACCOUNTS, SlackTown, open_town
from tests.worlds.slack import View, payloads
from tests.worlds.slack.blocks import view_problems
from tests.worlds.slack.hands import CannotDo

NAMES = ("ttl_seconds", "actions", "resources")


@pytest.fixture
async def town() -> AsyncIterator[SlackTown]:
    async with open_town() as running:
        await running.apply(policy=policy())
        yield running


async def reviewing(town: SlackTown, name: str = "robin", view: Seen | None = None) -> tuple[Seen, View]:
    """Ask for what can be narrowed, and press Approve less."""
    view = view or await town.ask(**WIDE)
    assert (await town.click(name, await town.card(view), "cs_review")).ok
    return view, await town.dialog(name, "cs_review_view")


def blocks(dialog: View) -> dict[str, str]:
    """Return field → block of the form's inputs."""
    return {one["element"]["action_id"]: one["block_id"] for one in dialog.blocks if one["type"] == "input"}


def filled(dialog: View, **given: Any) -> dict[str, dict[str, Any]]:
    return {blocks(dialog)[name]: {name: value} for name, value in given.items()}


def state(name: str, value: Any) -> dict[str, Any]:
    """Return what Slack says that an input holds."""
    if name == "resources":
        return {"value": value}
    picked = [{"value": one} for one in (value if isinstance(value, list) else [value])]
    return {"selected_options": picked} if name == "actions" else {"selected_option": picked[0]}


async def notice(town: SlackTown, name: str) -> str:
    return (await town.dialog(name, "cs_notice_view")).visible_text()


async def test_the_form_is_filled_with_what_was_asked(town: SlackTown):
    _, dialog = await reviewing(town)
    made = {one["element"]["action_id"]: one["element"] for one in dialog.blocks if one["type"] == "input"}
    assert tuple(made) == NAMES
    assert [one["text"]["text"] for one in made["ttl_seconds"]["options"]] == ["1 min", "5 min", "15 min", "30 min"]
    assert made["ttl_seconds"]["initial_option"]["value"] == "1800"
    assert [one["value"] for one in made["actions"]["initial_options"]] == list(ACTIONS)
    assert made["resources"]["initial_value"] == YEAR


async def test_less_is_approved_and_the_card_says_so(town: SlackTown):
    view, dialog = await reviewing(town)
    less = {"ttl_seconds": "900", "actions": ["s3:GetObject"], "resources": f"{BUCKET}/2026/07/*\n"}
    assert (await town.slack.submit(ACCOUNTS["robin"], dialog, filled(dialog, **less))).ok
    assert "that was enough" in await notice(town, "robin")
    now = await town.now(view)
    assert (now.grant.plan.ttl_seconds, now.grant.plan.actions) == (900, ("s3:GetObject",))
    assert now.grant.plan.resources == (f"{BUCKET}/2026/07/*",)
    text = (await town.card(view, "Narrowed by robin")).visible_text()
    assert "15 min instead of 30 min, without s3:GetObjectVersion" in text
    assert (await town.records(view))[1]["data"]["narrowed"]["granted"]["ttl_seconds"] == 900


async def test_where_the_risk_is_high_it_is_done_from_review_too(town: SlackTown):
    view, dialog = await reviewing(town, view=await town.ask_high(ttl_seconds=1800))
    assert await town.refusals(view) == []
    await town.slack.submit(ACCOUNTS["robin"], dialog, filled(dialog, ttl_seconds="60"))
    assert "You narrowed it: 1 min instead of 30 min" in await notice(town, "robin")
    assert (await town.now(view)).grant.plan.ttl_seconds == 60


async def test_the_plain_button_approves_all_of_it(town: SlackTown):
    view, dialog = await reviewing(town)
    await town.click("robin", dialog, "cs_approve")
    assert "that was enough" in await notice(town, "robin")
    assert (await town.now(view)).request.narrowed is None


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({}, "ttl_seconds", "Nothing is smaller here"),
        ({"resources": f"{BUCKET}/2026/07/*\n{BUCKET}/*"}, "resources", "is not inside what would be granted"),
        ({"resources": " \n "}, "resources", "Keep at least one"),
    ],
    ids=["as_it_was", "wider", "blank"],
)
async def test_what_is_wrong_stands_at_its_field(town: SlackTown, given: dict[str, str], field: str, words: str):
    view, dialog = await reviewing(town)
    await town.slack.submit(ACCOUNTS["robin"], dialog, filled(dialog, **given))
    (again,) = town.slack.views(ACCOUNTS["robin"])
    assert list(again.errors) == [blocks(dialog)[field]]
    assert words in again.errors[blocks(dialog)[field]]
    assert (await town.now(view)).request.state == "PENDING"


async def test_a_form_that_was_tampered_with_is_refused(town: SlackTown):
    view, dialog = await reviewing(town)
    where = blocks(dialog)
    whole = {"actions": list(ACTIONS), "ttl_seconds": "1800", "resources": YEAR}
    for false in ({"actions": ["s3:GetObject", "s3:PutObject"]}, {"ttl_seconds": "7200"}, {"ttl_seconds": "0x10"}):
        held = {name: {name: state(name, value)} for name, value in {**whole, **false}.items()}
        values = {where[name]: one for name, one in held.items()}
        sent = payloads.submission(town.slack.board, town.slack.board.user(ACCOUNTS["robin"]), dialog, values)
        answer = (await town.slack.interact(sent)).json
        assert list(answer["errors"]) == [where[next(iter(false))]]
    assert await town.refusals(view) == ["malformed"] * 2  # what is no number was never an answer
    assert (await town.now(view)).request.state == "PENDING"


async def test_the_second_reviewer_sees_it_and_an_old_dialog_is_outdated(town: SlackTown):
    await town.apply(policy=policy(people=2))
    view, first = await reviewing(town)
    _, second = await reviewing(town, "alex", view)
    await town.slack.submit(ACCOUNTS["robin"], first, filled(first, ttl_seconds="300"))
    assert "1 of 2" in await notice(town, "robin")
    await town.card(view, "5 min instead of 30 min")
    await town.click("alex", second, "cs_approve")

    def fresh() -> View | None:
        (top,) = town.slack.views(ACCOUNTS["alex"])
        return top if "out of date" in top.visible_text() else None

    again = await town.slack.until(fresh, what="the present facts")
    assert again is not None
    assert "Narrowed by robin" in again.visible_text()
    assert set(blocks(again).values()).isdisjoint(blocks(second).values())  # or the client would keep the old values
    await town.click("alex", again, "cs_approve")
    assert "that was enough" in await notice(town, "alex")
    assert (await town.now(view)).grant.plan.ttl_seconds == 300


async def test_who_has_no_seat_is_told_that_and_not_what_is_wrong_in_the_form(town: SlackTown):
    view, dialog = await reviewing(town, "dana")
    await town.slack.submit(ACCOUNTS["dana"], dialog, filled(dialog, resources=f"{BUCKET}/*"))
    assert "the human behind this agent" in await notice(town, "dana")
    assert await town.refusals(view) == ["four_eyes"]


async def test_where_no_rule_allows_it_there_is_no_form(town: SlackTown):
    await town.apply(policy=policy("ttl"))
    _, dialog = await reviewing(town)
    assert tuple(blocks(dialog)) == ("ttl_seconds",)
    high = await town.ask_high(ttl_seconds=60)  # nothing shorter is offered
    _, dialog = await reviewing(town, "alex", high)
    assert "submit" not in dialog.payload
    with pytest.raises(CannotDo):
        await town.slack.submit(ACCOUNTS["alex"], dialog, {})


@pytest.mark.parametrize("count", [2, 10, 11, 20])
def test_any_plan_makes_a_form_that_slack_takes(count: int):
    names = tuple(f"{'s' * 40}:{'A' * 75}{n:05}" for n in range(count))
    arns = tuple(f"{BUCKET}/2026/{'x' * 70}{n:03}" for n in range(20))
    request = asked()
    plan = request.plan.model_copy(update={"actions": names, "resources": arns})
    card = render(request.model_copy(update={"plan": plan}), None)
    dialog = review(card, "https://countersign.example.com")
    check_sendable(dialog)
    assert view_problems(dialog, "modal") == []
    kinds = [one["element"]["type"] for one in dialog["blocks"] if one["type"] == "input"]
    assert kinds[1] == ("checkboxes" if count <= 10 else "multi_static_select")


@pytest.mark.parametrize(
    "view",
    [{}, {"state": None}, {"state": {"values": []}}, {"state": {"values": {"b": None}}},
     {"state": {"values": {"b": {"other": {}}}}}],
    ids=["none", "no_state", "a_list", "no_block", "another"],
)  # fmt: skip
def test_a_view_without_the_form_wants_nothing(view: dict[str, Any]):
    assert wish(view).model_dump(exclude_none=True) == {}
    assert complaint(view, "narrow", "words") is None


def test_what_nobody_filled_in_is_empty_and_not_as_it_was():
    offer = Offer(ttls=(60, 900), actions=ACTIONS, resources=(YEAR,))
    ids = {one["element"]["action_id"]: one["block_id"] for one in inputs(offer, "t") if one["type"] == "input"}
    state = {"values": {ids[name]: {name: {"selected_option": {"value": "60"}}} for name in NAMES}}
    assert wish({"state": state}).model_dump() == {"ttl_seconds": 60, "actions": (), "resources": ()}
