"""Approving less in Teams: the form on one's own copy of the card, what it sends, where its complaints stand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from approvers.card import render
from bot.reading import View
from bot.surfaces.teams_card import message
from bot.surfaces.teams_less import form
from bot.surfaces.teams_limits import check_sendable
from tests.approvers.test_narrowing import asked
from tests.bot.narrow_rules import ACTIONS, BUCKET, WIDE, YEAR, policy
from tests.bot.teams.town import NOBODY, TeamsTown, button, open_town, read, verbs
from tests.worlds.teams import Private
from tests.worlds.teams.schema import faults_of


@pytest.fixture
async def town() -> AsyncIterator[TeamsTown]:
    async with open_town() as running:
        await running.apply(policy=policy())
        yield running


async def opened(town: TeamsTown, name: str = "robin", view: View | None = None) -> tuple[View, Private]:
    """Ask for what can be narrowed, and open the form."""
    view = view or await town.ask(**WIDE)
    delivery = await town.teams.click(name, await town.card(view), "less")
    assert delivery.ok
    return view, town.teams.private(name)[-1]


def fields(shown: Private) -> dict[str, Any]:
    return {name: node.get("value") for name, node in shown.inputs().items()}


async def test_the_form_is_filled_with_what_was_asked(town: TeamsTown) -> None:
    _, shown = await opened(town)
    assert fields(shown) == {"ttl_seconds": "1800", "actions": ",".join(ACTIONS), "resources": YEAR}
    assert verbs(shown) == {"approve_less", "refresh"}
    assert town.teams.refusals == []


async def test_less_is_approved_and_the_card_says_so(town: TeamsTown) -> None:
    view, shown = await opened(town)
    less = {"ttl_seconds": "900", "actions": "s3:GetObject", "resources": f"{BUCKET}/2026/07/*"}
    said = await town.press("robin", shown, "approve_less", inputs=less)
    assert said.startswith(f"You approved {view.request.handle}, and that was enough.")
    now = await town.now(view)
    assert (now.grant.plan.ttl_seconds, now.grant.plan.actions) == (900, ("s3:GetObject",))
    assert now.grant.plan.resources == (f"{BUCKET}/2026/07/*",)
    text = (await town.card(view, "Narrowed by robin")).visible_text()
    assert "15 min instead of 30 min, without s3:GetObjectVersion" in text


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "Nothing is smaller here"),
        ({"resources": f"{BUCKET}/2026/07/*\n{BUCKET}/*"}, "is not inside what would be granted"),
    ],
    ids=["as_it_was", "wider"],
)
async def test_what_is_wrong_stands_above_its_field_and_what_was_typed_stays(
    town: TeamsTown, given: dict[str, str], words: str
) -> None:
    view, shown = await opened(town)
    assert words in await town.press("robin", shown, "approve_less", inputs=given)
    again = town.teams.private("robin")[-1]
    assert fields(again) == {**fields(shown), **given}
    above = [json.dumps(one) for one in again.card["body"]]
    field = next(iter(given), "ttl_seconds")
    (flag,) = [number for number, one in enumerate(above) if '"Attention"' in one]
    assert f'"id": "{field}"' in above[flag + 1]
    assert (await town.now(view)).request.state == "PENDING"


async def test_nothing_ticked_is_not_everything(town: TeamsTown) -> None:
    view, shown = await opened(town)
    delivery = await town.teams.click("robin", shown, "approve_less", inputs={"actions": "", "ttl_seconds": "900"})
    assert delivery.user_error == "Keep at least one."
    assert (await town.now(view)).request.state == "PENDING"


async def test_an_old_client_fills_the_form_in_its_own_chat(town: TeamsTown) -> None:
    view = await town.ask(**WIDE)
    assert (await town.teams.click("robin", await town.card(view), "less", fallback=True)).ok
    await town.line("robin", "Approve less")
    chat = [one for one in town.teams.chat("robin") if one.ours and one.inputs()]
    wider = {"resources": f"{BUCKET}/*"}
    assert (await town.teams.click("robin", chat[-1], "approve_less", fallback=True, inputs=wider)).ok
    await town.line("robin", "is not inside what would be granted")
    less = {"ttl_seconds": "300"}
    assert (await town.teams.click("robin", chat[-1], "approve_less", fallback=True, inputs=less)).ok
    await town.line("robin", "You narrowed it: 5 min instead of 30 min")
    await town.card(view, "Narrowed by robin")


@pytest.mark.parametrize("verb", ["less", "approve_less"])
async def test_strangers_are_shown_nothing_of_it(town: TeamsTown, verb: str) -> None:
    view = await town.ask(**WIDE)
    card = await town.card(view)
    carried = {**button(card, "less").data, "verb": verb, "actions": "s3:GetObject"}
    assert "does not know" in read(await town.teams.execute(NOBODY, card, verb, carried))
    assert await town.refusals(view) == ["unknown_person"]


async def test_the_second_reviewer_sees_it_and_an_old_form_is_outdated(town: TeamsTown) -> None:
    await town.apply(policy=policy(people=2))
    view, first = await opened(town)
    _, second = await opened(town, "alex", view)
    assert "1 of 2" in await town.press("robin", first, "approve_less", inputs={"ttl_seconds": "300"})
    await town.card(view, "5 min instead of 30 min")
    said = await town.press("alex", second, "approve_less", inputs={"ttl_seconds": "60"})
    assert "out of date" in said
    assert "Narrowed by robin" in said
    assert await town.refusals(view) == ["outdated_card"]
    assert "that was enough" in await town.press("alex", await town.card(view), "approve")
    assert (await town.now(view)).grant.plan.ttl_seconds == 300


async def test_where_it_may_not_or_must_be_read_whole_there_is_no_such_button(town: TeamsTown) -> None:
    assert "less" not in verbs(await town.card(await town.ask_high(ttl_seconds=1800)))
    await town.apply(policy=policy("ttl"))
    _, shown = await opened(town)
    assert list(fields(shown)) == ["ttl_seconds"]
    assert "less" not in verbs(await town.card(await town.ask(ttl_seconds=60)))


async def test_of_what_is_decided_there_is_no_form(town: TeamsTown) -> None:
    view, shown = await opened(town)
    card = await town.card(view)
    await town.press("alex", card, "deny")
    said = await town.press("robin", shown, "approve_less", inputs={"ttl_seconds": "900"})
    assert "decided already" in said
    delivery = await town.teams.click("robin", card, "less")  # on a screen from before
    assert "nothing left to approve less of" in read(delivery)
    assert (await town.now(view)).request.state == "DENIED"


@pytest.mark.parametrize("count", [1, 20])
def test_any_plan_makes_a_form_and_a_card_that_teams_takes(count: int) -> None:
    names = tuple(f"{'s' * 40}:{'A' * 75}{n:05}" for n in range(count))
    arns = tuple(f"{BUCKET}/2026/{'x' * 70}{n:03}" for n in range(20))
    request = asked()
    plan = request.plan.model_copy(update={"actions": names, "resources": arns})
    card = render(request.model_copy(update={"plan": plan}), None)
    typed = {"resources": "{{DATE(2026-01-01)}} " * 150, "actions": "s3:Evil", "ttl_seconds": "x"}
    for made in (
        form(card, card.narrow),
        form(card, card.narrow, values=typed, problem=("resources", "No. " * 300)),
        message(card, console="https://countersign.example.com"),
    ):
        check_sendable(made)
        assert faults_of(made) == []
