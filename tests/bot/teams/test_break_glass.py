"""Break-glass in Teams: its own form, a card that is no approval, and the after-review on that card."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.reading import View
from bot.request_form import WARNING
from tests.bot.teams.test_commands import FORM, said
from tests.bot.teams.town import GUEST, TeamsTown, person, rules, verbs
from tests.worlds import glass, samples
from tests.worlds.teams import Private


@pytest.fixture
async def night(town: TeamsTown) -> AsyncIterator[TeamsTown]:
    """The town whose policy has break-glass: for dana, and whoever is on call."""
    policy, _ = rules()
    await town.apply(policy=policy.replace("[quorum.one]", f"{glass.TERMS}\n[quorum.one]", 1))
    yield town
    assert town.teams.refusals == []


async def take(night: TeamsTown) -> View:
    """Use break-glass as dana, over the same intake as every ask."""
    return await night.deps.desk.submit(person("dana"), samples.action(**glass.ASK), "glass")


async def test_the_form_warns_and_takes_it(night: TeamsTown) -> None:
    form = await said(night, "dana", "request —break-glass")  # as a phone writes it
    assert verbs(form) == {"break_glass"}
    assert "Break glass" in form.visible_text() and WARNING in form.visible_text()
    told = await night.press("dana", form, "break_glass", inputs={**FORM, "ticket": "INC-7"})
    assert "is yours" in told and "You took it." in told
    (view,) = await night.deps.reader.live()
    assert (view.request.because, view.request.principal) == ("break_glass", "user:dana")
    await night.card(view, "BREAK-GLASS")


async def test_a_mistake_comes_back_with_the_same_form(night: TeamsTown) -> None:
    form = await said(night, "dana", "request --break-glass")
    delivery = await night.teams.click("dana", form, "break_glass", inputs={**FORM, "ticket": "1", "actions": "Get"})
    assert delivery.card
    again = Private(card=delivery.card)
    assert verbs(again) == {"break_glass"} and WARNING in again.visible_text()
    assert await night.deps.reader.live() == []


async def test_who_may_not_use_it_reads_why(night: TeamsTown) -> None:
    form = await said(night, "alex", "request --break-glass")
    told = await night.press("alex", form, "break_glass", inputs={**FORM, "ticket": "INC-7"})
    assert "is denied" in told and "Break-glass is not open to you" in told


async def test_everybody_is_told_at_once_and_the_card_is_none_that_asks(night: TeamsTown) -> None:
    await said(night, "kim", "list")  # her chat with us is known from then on
    view = await take(night)
    card = await night.card(view, "BREAK-GLASS: READ")
    assert "Nobody reviewed this: dana took it by break-glass. An after-review is owed until" in card.visible_text()
    assert {"justified", "unjustified"} <= verbs(card)
    assert not {"approve", "deny", "deny_why", "review"} & verbs(card)
    assert "BREAK-GLASS" in await night.line("kim", view.request.handle)


async def test_one_click_of_somebody_else_reviews_it_and_everybody_sees_that(night: TeamsTown) -> None:
    view = await take(night)
    read = await night.press("robin", await night.card(view, "BREAK-GLASS"), "justified")
    assert "You found the break-glass of" in read
    after = (await night.now(view)).request.after_review
    assert after and (after.verdict, after.by) == ("justified", "user:robin")
    card = await night.card(view, "Found justified by robin")
    assert not {"justified", "unjustified"} & verbs(card)
    (record,) = [one for one in await night.records(view) if one["type"] == "break_glass.reviewed"]
    assert (record["by"]["person"], record["via"]) == ("user:robin", "teams")


async def test_not_justified_takes_words(night: TeamsTown) -> None:
    view = await take(night)
    card = await night.card(view, "BREAK-GLASS")
    assert "nothing is recorded yet" in await night.press("robin", card, "unjustified", inputs={"words": "  "})
    await night.press("robin", card, "unjustified", inputs={"words": "There was time to ask."})
    text = (await night.card(view, "Found NOT justified by robin")).visible_text()
    assert "There was time to ask." in text


@pytest.mark.parametrize(
    ("name", "words", "kind"),
    [
        pytest.param("dana", "You took this yourself", "break_glass.review_refused", id="whoever-used-it"),
        pytest.param("bob", "this after-review is not yours", "break_glass.review_refused", id="nobody-asked"),
        pytest.param(GUEST, "", "review.refused", id="a-guest"),
    ],
)
async def test_whose_it_is_not_is_refused_on_the_record(night: TeamsTown, name: str, words: str, kind: str) -> None:
    view = await take(night)
    assert words in await night.press(name, await night.card(view, "BREAK-GLASS"), "justified")
    after = (await night.now(view)).request.after_review
    assert after and after.verdict is None
    assert kind in await night.kinds(view)
