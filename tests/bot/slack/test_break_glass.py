"""Break-glass in Slack: its own form, a card that is no approval, and the after-review on that card."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from bot.reading import View
from bot.request_form import WARNING
from tests.bot.slack.test_commands import FORM
from tests.bot.slack.town import ACCOUNTS, CHANNEL, GUEST, SlackTown, person, rules
from tests.worlds import glass, samples
from tests.worlds.slack import View as Shown


@pytest.fixture
async def night(town: SlackTown) -> AsyncIterator[SlackTown]:
    """The town whose policy has break-glass: for dana, and whoever is on call."""
    policy, _ = rules()
    await town.apply(policy=policy.replace("[quorum.one]", f"{glass.TERMS}\n[quorum.one]", 1))
    yield town
    assert town.slack.refusals == []


async def take(night: SlackTown) -> View:
    """Use break-glass as dana, over the same intake as every ask."""
    return await night.deps.desk.submit(person("dana"), samples.action(**glass.ASK), "glass")


async def form_of(night: SlackTown, name: str, text: str = "request --break-glass") -> Shown:
    assert (await night.slack.command(ACCOUNTS[name], "/countersign", text, channel=CHANNEL)).ok
    return await night.dialog(name, "cs_request_view")


async def test_the_form_warns_carries_what_it_is_for_and_takes_it(night: SlackTown) -> None:
    form = await form_of(night, "dana", "request —break-glass")  # as a phone writes it
    assert (form.title, form.private_metadata) == ("Break glass", "break_glass")
    assert WARNING in form.visible_text()
    values = {field: {field: text} for field, text in {**FORM, "ticket": "INC-7"}.items() if text}
    assert (await night.slack.submit(ACCOUNTS["dana"], form, values)).ok
    notice = night.slack.views(ACCOUNTS["dana"])[-1]
    assert "is yours" in notice.title and "You took it." in notice.visible_text()
    (view,) = await night.deps.reader.live()
    assert (view.request.because, view.request.principal) == ("break_glass", "user:dana")
    await night.card(view, "BREAK-GLASS")


async def test_the_plain_form_takes_nothing_at_once(night: SlackTown) -> None:
    form = await form_of(night, "dana", "request")
    assert (form.title, form.private_metadata or "") == ("Ask for access", "")
    assert WARNING not in form.visible_text()
    await night.slack.submit(ACCOUNTS["dana"], form, {field: {field: text} for field, text in FORM.items() if text})
    assert len(await night.deps.reader.waiting()) == 1


async def test_who_may_not_use_it_reads_why(night: SlackTown) -> None:
    form = await form_of(night, "alex")
    values = {field: {field: text} for field, text in {**FORM, "ticket": "INC-7"}.items() if text}
    assert (await night.slack.submit(ACCOUNTS["alex"], form, values)).ok
    notice = night.slack.views(ACCOUNTS["alex"])[-1]
    assert "is denied" in notice.title and "Break-glass is not open to you" in notice.visible_text()


async def test_a_guest_gets_no_form(night: SlackTown) -> None:
    await night.slack.command(GUEST, "/countersign", "request --break-glass", channel=CHANNEL)
    assert night.slack.views(GUEST) == []


async def test_where_the_policy_has_none_there_is_no_form(town: SlackTown) -> None:
    await town.slack.command(ACCOUNTS["dana"], "/countersign", "request --break-glass", channel=CHANNEL)
    assert town.slack.views(ACCOUNTS["dana"]) == []


async def test_everybody_is_told_at_once_and_the_card_is_none_that_asks(night: SlackTown) -> None:
    view = await take(night)
    card = await night.card(view, "BREAK-GLASS: READ")
    text = card.visible_text()
    assert "Nobody reviewed this: dana took it by break-glass. An after-review is owed until" in text
    assert {"cs_justified", "cs_unjustified"} <= {one.action_id for one in card.buttons()}
    assert not {"cs_approve", "cs_deny", "cs_review"} & {one.action_id for one in card.buttons()}
    direct = await night.slack.until(lambda: _direct(night, view, "kim"), 8.0, "a card for the group that is told")
    assert "BREAK-GLASS" in direct


async def test_one_click_of_somebody_else_reviews_it_and_everybody_sees_that(night: SlackTown) -> None:
    view = await take(night)
    assert (await night.click("robin", await night.card(view, "BREAK-GLASS"), "cs_justified")).ok
    assert "You found the break-glass of" in await night.heard("robin")
    after = (await night.now(view)).request.after_review
    assert after and (after.verdict, after.by) == ("justified", "user:robin")
    card = await night.card(view, "Found justified by robin")
    assert not {"cs_justified", "cs_unjustified"} & {one.action_id for one in card.buttons()}
    (record,) = [one for one in await night.records(view) if one["type"] == "break_glass.reviewed"]
    assert record["by"] == {"person": "user:robin", "iss": "slack", "sub": "T01/U02"}


async def test_not_justified_asks_for_words_first(night: SlackTown) -> None:
    view = await take(night)
    await night.click("robin", await night.card(view, "BREAK-GLASS"), "cs_unjustified")
    form = await night.dialog("robin", "cs_unjustified_view")
    assert "Why was it not justified?" in form.visible_text()
    blank = await night.slack.submit(ACCOUNTS["robin"], form, {"words": {"words": "  "}})
    assert json.loads(blank.body)["response_action"] == "errors"
    assert (await night.slack.submit(ACCOUNTS["robin"], form, {"words": {"words": "There was time to ask."}})).ok
    assert night.slack.views(ACCOUNTS["robin"])[-1].title == "Reviewed"
    await night.card(view, "Found NOT justified by robin")
    await night.card(view, "There was time to ask.")


async def test_an_old_screen_reads_what_was_found_and_changes_nothing(night: SlackTown) -> None:
    view = await take(night)
    old = await night.card(view, "BREAK-GLASS")
    await night.click("robin", old, "cs_justified")
    await night.heard("robin")
    await night.click("alex", old, "cs_unjustified")
    notice = await night.dialog("alex", "cs_notice_view")
    assert "Found justified by robin" in notice.visible_text()
    await night.click("alex", old, "cs_justified")
    assert "is reviewed already: justified, by user:robin" in await night.heard("alex")


@pytest.mark.parametrize(
    ("name", "words", "kind"),
    [
        pytest.param("dana", "You took this yourself", "break_glass.review_refused", id="whoever-used-it"),
        pytest.param("bob", "this after-review is not yours", "break_glass.review_refused", id="nobody-asked"),
        pytest.param(GUEST, "Guests of this", "review.refused", id="a-guest"),
    ],
)
async def test_whose_it_is_not_is_refused_on_the_record(night: SlackTown, name: str, words: str, kind: str) -> None:
    view = await take(night)
    await night.click(name, await night.card(view, "BREAK-GLASS"), "cs_justified")
    assert words in await night.heard(name)
    after = (await night.now(view)).request.after_review
    assert after and after.verdict is None
    assert kind in await night.kinds(view)


def _direct(night: SlackTown, view: View, name: str) -> str | None:
    found = [one.visible_text() for one in night.slack.dms(ACCOUNTS[name]) if view.request.id in json.dumps(one.blocks)]
    return found[0] if found else None
