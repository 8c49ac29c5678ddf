"""Dialogs: opened at once and filled from the record, decided in, and never left without an answer."""

import dataclasses
import json
from typing import Any

import pytest

from tests.bot.slack.town import ACCOUNTS, CHANNEL, GUEST, SlackTown
from tests.worlds.slack import View

WORDS = {"words": {"words": "Ask for one file, not for the year."}}


def replaced(part: Any, shown: str) -> Any:
    """Return blocks as a screen might show them that is not what the record says: with the digest of something else."""
    return json.loads(json.dumps(part).replace(shown, "0" * 32))


async def reviewing(town: SlackTown, name: str = "robin", **changes: object):
    """Ask for something of high risk, and open Review as this person."""
    view = await town.ask_high(**changes)
    assert (await town.click(name, await town.card(view), "cs_review")).ok
    return view, await town.dialog(name, "cs_review_view")


async def notice(town: SlackTown, name: str) -> str:
    return (await town.dialog(name, "cs_notice_view")).visible_text()


async def test_review_opens_at_once_and_shows_all_of_it(town: SlackTown):
    reason = "The report of the third quarter. " * 80 + "The very last word is heron."
    view, dialog = await reviewing(town, reason=reason)
    assert json.loads(json.dumps(town.slack.calls("views.open")[0].args))["view"]
    assert "heron" in dialog.visible_text()
    assert "heron" not in (await town.card(view)).visible_text()
    assert await town.kinds(view) == ["request.submitted"]


async def test_approve_in_review_asks_once_more_and_says_what_came_of_it(town: SlackTown):
    view, dialog = await reviewing(town)
    asked = await town.click("robin", dialog, "cs_approve", confirm=False)
    assert asked.status is None
    assert "customer-exports/2026/01/*" in (asked.dialog or "")
    assert (await town.click("robin", dialog, "cs_approve")).ok
    assert "that was enough" in await notice(town, "robin")
    assert (await town.now(view)).request.state == "APPROVED"
    assert town.slack.ephemerals(ACCOUNTS["robin"]) == []


async def test_deny_in_review(town: SlackTown):
    view, dialog = await reviewing(town)
    await town.click("robin", dialog, "cs_deny")
    assert f"You denied {view.request.handle}" in await notice(town, "robin")


async def test_a_ready_reason_in_review(town: SlackTown):
    view, dialog = await reviewing(town)
    value = f"not_now.{dialog.button('cs_deny').value}"
    await town.slack.choose(ACCOUNTS["robin"], dialog, "cs_deny_why", value)
    assert "with your reason" in await notice(town, "robin")
    assert (await town.now(view)).request.reviews[0].reason == "Not now."


@pytest.mark.parametrize("inside", [False, True], ids=["from_the_card", "from_review"])
async def test_a_denial_in_own_words(town: SlackTown, inside: bool):
    view = await town.ask_high()
    where = card = await town.card(view)
    if inside:
        await town.click("robin", card, "cs_review")
        where = await town.dialog("robin", "cs_review_view")
    carried = card.button("cs_deny").value
    await town.slack.choose(ACCOUNTS["robin"], where, "cs_deny_why", f"words.{carried}")
    form = await town.dialog("robin", "cs_deny_view")
    assert len(town.slack.views(ACCOUNTS["robin"])) == 1
    assert (await town.slack.submit(ACCOUNTS["robin"], form, WORDS)).ok
    assert "with your reason" in await notice(town, "robin")
    (review,) = (await town.now(view)).request.reviews
    assert (review.verdict, review.reason) == ("deny", WORDS["words"]["words"])


async def own_words(town: SlackTown, view, name: str) -> View:
    card = await town.card(view)
    carried = card.button("cs_deny").value
    await town.slack.choose(ACCOUNTS[name], card, "cs_deny_why", f"words.{carried}")
    return await town.dialog(name, "cs_deny_view")


async def test_blank_words_are_asked_for_again(town: SlackTown):
    view = await town.ask()
    form = await own_words(town, view, "robin")
    await town.slack.submit(ACCOUNTS["robin"], form, {"words": {"words": " \n "}})
    assert "Say why" in (await town.dialog("robin", "cs_deny_view")).visible_text()
    assert (await town.now(view)).request.state == "PENDING"


async def test_words_that_come_too_late_are_answered_in_the_form(town: SlackTown):
    view = await town.ask()
    form = await own_words(town, view, "robin")
    await town.slack.open_home(ACCOUNTS["robin"])
    await town.home("robin", "Waits for you (1)")
    await town.click("alex", await town.card(view), "cs_approve")
    await town.slack.submit(ACCOUNTS["robin"], form, WORDS)
    assert "alex" in await notice(town, "robin")
    assert await town.refusals(view) == ["already_decided"]
    await town.home("robin", "Waits for you\nNothing.")  # it lies behind the form


async def test_of_what_is_decided_no_words_are_asked(town: SlackTown):
    view = await town.ask()
    card = await town.card(view)
    await town.click("alex", card, "cs_approve")
    await town.slack.choose(ACCOUNTS["robin"], card, "cs_deny_why", f"words.{card.button('cs_deny').value}")
    assert "decided already" in await notice(town, "robin")


async def test_the_loser_hears_in_the_dialog_who_was_first(town: SlackTown):
    view, dialog = await reviewing(town)
    await town.click("alex", await town.card(view), "cs_deny")
    await town.click("robin", dialog, "cs_approve")
    text = await notice(town, "robin")
    assert "decided already" in text
    assert "alex" in text


async def test_an_outdated_dialog_decides_nothing_and_shows_what_is_so(town: SlackTown):
    view, dialog = await reviewing(town)
    shown = dialog.button("cs_approve").value.split(".")[1]
    old = dataclasses.replace(dialog, payload=replaced(dialog.payload, shown))
    await town.click("robin", old, "cs_approve")

    def fresh() -> View | None:
        (top,) = town.slack.views(ACCOUNTS["robin"])
        return top if "out of date" in top.visible_text() else None

    again = await town.slack.until(fresh, what="the present facts")
    assert again is not None
    assert await town.refusals(view) == ["outdated_card"]
    await town.click("robin", again, "cs_approve")
    assert "that was enough" in await notice(town, "robin")


async def test_the_human_behind_it_may_read_but_not_approve(town: SlackTown):
    view, dialog = await reviewing(town, "dana")
    await town.click("dana", dialog, "cs_approve")
    assert "the human behind this agent" in await notice(town, "dana")
    assert await town.refusals(view) == ["four_eyes"]


@pytest.mark.parametrize("button", ["cs_review", "cs_details"])
async def test_strangers_are_shown_nothing_but_why(town: SlackTown, button: str):
    view = await town.ask_high(reason="The word is heron.")
    await town.click(GUEST, await town.card(view), button)
    text = (await town.dialog(GUEST, "cs_notice_view")).visible_text()
    assert "Guests" in text
    assert await town.refusals(view) == ["guest"]
    assert "heron" not in json.dumps([call.args for call in town.slack.calls("views.update")])


async def test_review_of_what_is_decided_has_nothing_to_press(town: SlackTown):
    view = await town.ask_high()
    card = await town.card(view)
    await town.click("alex", card, "cs_deny")
    await town.click("robin", card, "cs_review")
    dialog = await town.dialog("robin", "cs_review_view")
    assert "Denied by alex" in dialog.visible_text()
    assert {one.action_id for one in dialog.buttons()} == {"cs_console"}


async def test_review_from_an_outdated_card_mends_the_card(town: SlackTown):
    view = await town.ask_high()
    card = await town.card(view)
    old = dataclasses.replace(
        card, blocks=tuple(replaced(list(card.blocks), card.button("cs_review").value.split(".")[1]))
    )
    await town.click("robin", old, "cs_review")
    dialog = await town.dialog("robin", "cs_review_view")
    assert dialog.button("cs_approve").value == card.button("cs_review").value
    await town.slack.until(lambda: town.slack.calls("chat.update"), what="a card that is shown anew")


async def test_details_of_a_copy_that_nobody_knew_of_adopts_it(town: SlackTown):
    town.slack.faults.drop_after("chat.postMessage")
    view = await town.ask()
    await town.slack.until(lambda: len(town.copies(view)) == 2, what="the second try")
    lost, _ = town.copies(view)
    await town.click("robin", lost, "cs_details")
    await town.slack.until(lambda: town.slack.message(CHANNEL, lost.ts).edited, what="the lost copy being edited")


async def test_details_tell_the_story(town: SlackTown):
    view = await town.ask()
    await town.click("alex", await town.card(view), "cs_approve")
    await town.click("bob", await town.card(view, "live"), "cs_details")
    text = (await town.dialog("bob", "cs_details_view")).visible_text()
    assert "alex approves" in text
    assert "mints the credential" in text
    assert await town.refusals(view) == []


async def test_a_dialog_that_slack_does_not_open_is_said(town: SlackTown):
    view = await town.ask_high()
    card = await town.card(view)
    town.slack.faults.error("views.open", "expired_trigger_id")
    await town.click("robin", card, "cs_review")
    assert "did not open the dialog" in await town.heard("robin")


async def test_who_has_closed_the_dialog_is_told_directly(town: SlackTown):
    view, dialog = await reviewing(town)
    town.slack.faults.error("views.update", "not_found")
    await town.click("robin", dialog, "cs_approve")
    assert "that was enough" in await town.heard("robin")
    assert len(town.slack.messages(CHANNEL)) == 1
    assert (await town.now(view)).request.state == "APPROVED"


@pytest.mark.parametrize("what", ["reads", "everything"])
async def test_without_the_store_the_dialog_says_so(town: SlackTown, what: str):
    view, dialog = await reviewing(town)
    town.door.shut(what)
    delivery = await town.click("robin", dialog, "cs_approve")
    said = (await notice(town, "robin")) if delivery.ok and what == "reads" else await town.heard("robin")
    assert "store does not answer" in said
    town.door.open()
    assert (await town.now(view)).request.state == "PENDING"


async def test_review_without_the_store(town: SlackTown):
    view = await town.ask_high()
    card = await town.card(view)
    town.door.shut("reads")
    await town.click("robin", card, "cs_review")
    assert "store does not answer" in await notice(town, "robin")
    town.door.open()
