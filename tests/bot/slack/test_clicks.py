"""Clicks on a card, signed as Slack signs them, through the whole web process: each counts once and is answered."""

import asyncio
import dataclasses
import json
from datetime import timedelta

import pytest

from tests.bot.slack.town import ACCOUNTS, CHANNEL, GONE, GUEST, NOBODY, OUTSIDER, SlackTown, person
from tests.worlds.slack import Message

EARLIER = "0" * 32
"""A digest of something that nobody asked for."""


def changed(card: Message, old: str, new: str) -> Message:
    """Return the card as a screen might show it that is not what the record says."""
    return dataclasses.replace(card, blocks=tuple(json.loads(json.dumps(card.blocks).replace(old, new))))


async def test_one_approves_and_hears_that_it_was_enough(town: SlackTown):
    view = await town.ask()
    assert (await town.click("robin", await town.card(view), "cs_approve")).ok
    assert (await town.now(view)).request.state == "APPROVED"  # committed before Slack had its answer
    assert await town.heard("robin") == f"You approved {view.request.handle}, and that was enough."
    card = await town.card(view, "live")
    assert "cs_approve" not in {one.action_id for one in card.buttons()}
    (record,) = [one for one in await town.records(view) if one["type"] == "review.recorded"]
    assert (record["by"], record["via"]) == ({"person": "user:robin", "iss": "slack", "sub": "T01/U02"}, "slack")
    assert record["data"]["shown"] == card.button("cs_revoke").value.split(".")[1]


async def test_of_two_the_first_hears_how_far_it_is_and_the_card_says_so(town: SlackTown):
    view = await town.ask_two()
    await town.click("robin", await town.card(view), "cs_approve")
    assert await town.heard("robin") == f"Your approval of {view.request.handle} counts: 1 of 2."
    await town.click("alex", await town.card(view, "1 of 2"), "cs_approve")
    assert "that was enough" in await town.heard("alex")
    await town.card(view, "live")


@pytest.mark.parametrize("late", [False, True], ids=["on_a_fresh_card", "on_an_old_screen"])
async def test_a_digest_outlives_the_votes_of_others(town: SlackTown, late: bool):
    view = await town.ask_two()
    first = await town.card(view)
    await town.click("robin", first, "cs_approve")
    await town.click("alex", first if late else await town.card(view, "1 of 2"), "cs_approve")
    assert (await town.now(view)).request.state == "APPROVED"


async def test_deny_takes_one_tap(town: SlackTown):
    view = await town.ask()
    await town.click("robin", await town.card(view), "cs_deny")
    assert await town.heard("robin") == f"You denied {view.request.handle}. The agent is told so."
    await town.card(view, "denied")


async def test_a_ready_reason_reaches_the_agent(town: SlackTown):
    view = await town.ask()
    card = await town.card(view)
    carried = card.button("cs_deny").value
    assert (await town.slack.choose(ACCOUNTS["robin"], card, "cs_deny_why", f"too_broad.{carried}")).ok
    assert "with your reason" in await town.heard("robin")
    assert (await town.now(view)).request.reviews[0].reason == "Too broad, ask narrower."


async def test_a_reason_that_is_none_of_ours_decides_nothing(town: SlackTown):
    view = await town.ask()
    card = changed(await town.card(view), "too_broad.", "because.")
    value = f"because.{card.button('cs_deny').value}"
    await town.slack.choose(ACCOUNTS["robin"], card, "cs_deny_why", value)
    assert "older version" in await town.heard("robin")
    assert (await town.now(view)).request.state == "PENDING"


async def test_the_loser_hears_who_was_first(town: SlackTown):
    view = await town.ask()
    card = await town.card(view)
    await town.click("robin", card, "cs_approve")
    await town.click("alex", card, "cs_deny")
    heard = await town.heard("alex")
    assert "decided already" in heard
    assert "robin" in heard
    assert await town.refusals(view) == ["already_decided"]


async def test_two_who_race_for_the_last_seat_are_told_apart(town: SlackTown):
    view = await town.ask()
    card = await town.card(view)
    await asyncio.gather(town.click("robin", card, "cs_approve"), town.click("alex", card, "cs_approve"))
    heard = [await town.heard("robin"), await town.heard("alex")]
    assert sum("that was enough" in text for text in heard) == 1
    assert sum("decided already" in text for text in heard) == 1
    assert (await town.kinds(view)).count("review.recorded") == 1
    assert await town.refusals(view) == ["already_decided"]


async def test_two_clicks_of_one_person_at_once_are_one_vote(town: SlackTown):
    view = await town.ask_two()
    card = await town.card(view)
    await asyncio.gather(town.click("robin", card, "cs_approve"), town.click("robin", card, "cs_approve"))
    heard = {await town.heard("robin"), await town.heard("robin")}
    assert f"Your approval of {view.request.handle} counts: 1 of 2." in heard
    assert await town.refusals(view) == ["already_reviewed"]
    assert (await town.now(view)).request.state == "PENDING"


async def test_after_expiry_nobodys_answer_counts_even_while_the_clock_is_late(town: SlackTown):
    view = await town.ask()
    card = await town.card(view)
    town.ahead += timedelta(minutes=31)
    await town.click("robin", card, "cs_approve")
    assert "expired" in await town.heard("robin")
    assert await town.refusals(view) == ["expired"]


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [("dana", "four_eyes", "the human behind this agent"), ("bob", "no_seat", "no seat for you")],
    ids=["the_human_behind_it", "in_no_group"],
)
@pytest.mark.parametrize("action", ["cs_approve", "cs_deny"])
async def test_who_may_not_answer_hears_why(town: SlackTown, name: str, code: str, words: str, action: str):
    view = await town.ask()
    await town.click(name, await town.card(view), action)
    assert words in await town.heard(name)
    assert await town.refusals(view) == [code]
    assert (await town.now(view)).request.state == "PENDING"


async def test_a_click_that_changes_nothing_edits_no_card(town: SlackTown):
    view = await town.ask()
    await town.click("bob", await town.card(view), "cs_approve")
    await town.heard("bob")
    await town.card(await town.ask())  # what the click had put into the outbox would be told before this
    assert town.slack.calls("chat.update") == []


async def test_who_stands_in_for_somebody_is_reminded_of_it(town: SlackTown):
    until = await town.deps.store.records.now() + timedelta(days=2)
    await town.deps.away.lend(person("kim"), "bob", until)
    await town.deps.policies.refresh()
    view = await town.ask()
    await town.click("bob", await town.card(view, "bob answers for kim"), "cs_approve")
    direct = await town.slack.until(lambda: town.slack.dms(ACCOUNTS["bob"]), what="a card for bob")
    assert "bob answers for kim" in direct[0].visible_text()  # bob is in no group that is asked
    assert "You answered for kim." in await town.heard("bob")
    await town.card(view, "for kim")


@pytest.mark.parametrize(
    ("account", "code"),
    [(GUEST, "guest"), (NOBODY, "unknown_person"), (OUTSIDER, "external"), (GONE, "deactivated")],
    ids=["guest", "nobody", "other_organisation", "deactivated"],
)
@pytest.mark.parametrize("action", ["cs_approve", "cs_deny"])
async def test_strangers_are_told_and_written_down(town: SlackTown, account: str, code: str, action: str):
    view = await town.ask()
    assert (await town.click(account, await town.card(view), action)).ok
    assert await town.heard(account)
    (record,) = [one for one in await town.records(view) if one["type"] == "review.refused"]
    assert (record["data"]["code"], record["data"]["verdict"]) == (code, action.removeprefix("cs_"))
    assert record["by"] == {"person": None, "iss": "slack", "sub": f"T01/{account}"}
    assert (await town.now(view)).request.state == "PENDING"


async def test_who_cannot_be_checked_decides_nothing(town: SlackTown):
    view = await town.ask()
    card = await town.card(view)
    town.slack.faults.status("users.info", 503)
    await town.click("robin", card, "cs_approve")
    assert "Slack did not say who you are" in await town.heard("robin")
    assert await town.refusals(view) == ["not_checked"]


async def test_what_was_not_shown_is_not_approved_and_every_copy_shows_the_truth_again(town: SlackTown):
    view = await town.ask()
    card = await town.card(view)
    shown = card.button("cs_approve").value.split(".")[1]
    await town.click("robin", changed(card, shown, EARLIER), "cs_approve")
    assert "out of date" in await town.heard("robin")
    assert await town.refusals(view) == ["outdated_card"]
    await town.slack.until(lambda: town.slack.calls("chat.update"), what="a fresh card")


async def test_a_button_that_names_no_request_does_nothing_and_says_so(town: SlackTown):
    view = await town.ask()
    card = await town.card(view)
    await town.click("robin", changed(card, card.button("cs_approve").value, "K7QF"), "cs_approve")
    assert "older version" in await town.heard("robin")
    assert await town.kinds(view) == ["request.submitted"]


async def test_a_request_that_was_never_asked_is_answered_too(town: SlackTown):
    view = await town.ask()
    card = changed(await town.card(view), view.request.id, "req_" + "0" * 26)
    await town.click("robin", card, "cs_approve")
    assert "no request" in await town.heard("robin")


async def test_high_risk_is_not_approved_from_the_channel_whatever_the_screen_offers(town: SlackTown):
    view = await town.ask_high()
    card = await town.card(view)
    assert "cs_approve" not in {one.action_id for one in card.buttons()}
    await town.click("robin", changed(card, '"cs_review"', '"cs_approve"'), "cs_approve")
    assert "press Review" in await town.heard("robin")
    assert await town.refusals(view) == ["review_first"]
    assert (await town.now(view)).request.state == "PENDING"


async def test_in_a_freeze_nobody_approves_and_everybody_may_deny(town: SlackTown):
    view = await town.ask()
    card = await town.card(view)
    await town.deps.stops.freeze(person("kim"), "strange traffic")
    await town.deps.policies.refresh()
    await town.click("robin", card, "cs_approve")
    assert "strange traffic" in await town.heard("robin")
    assert await town.refusals(view) == ["frozen"]
    await town.click("robin", card, "cs_deny")
    assert "You denied" in await town.heard("robin")


@pytest.mark.parametrize("what", ["reads", "everything"])
async def test_without_the_store_nothing_is_decided_and_that_is_said(town: SlackTown, what: str):
    view = await town.ask()
    card = await town.card(view)
    town.door.shut(what)
    await town.click("robin", card, "cs_approve")
    assert "store does not answer" in await town.heard("robin")
    town.door.open()
    assert await town.kinds(view) == ["request.submitted"]
    await town.click("robin", card, "cs_approve")
    assert "that was enough" in await town.heard("robin")


async def test_a_restart_between_post_and_click_loses_nothing(town: SlackTown):
    view = await town.ask()
    card = await town.card(view)
    await town.restart()
    await town.click("robin", card, "cs_approve")
    assert "that was enough" in await town.heard("robin")
    await town.card(view, "live")
    assert len(town.copies(view)) == 1


async def test_a_copy_that_nobody_knew_of_is_adopted_by_a_click(town: SlackTown):
    town.slack.faults.drop_after("chat.postMessage")
    view = await town.ask()
    await town.slack.until(lambda: len(town.copies(view)) == 2, what="the second try")
    lost, _ = town.copies(view)
    assert (await town.click("robin", lost, "cs_approve")).ok
    await town.slack.until(
        lambda: all("Live" in one.visible_text() for one in town.copies(view)), what="the truth on both"
    )
    assert len(town.copies(view)) == 2


async def test_revoke_is_told_with_its_proof(town: SlackTown):
    view = await town.ask()
    await town.click("robin", await town.card(view), "cs_approve")
    await town.heard("robin")
    await town.click("alex", await town.card(view, "live"), "cs_revoke")
    assert (
        await town.heard("alex") == f"You revoked {view.request.handle}. It is called ended only when that is proven."
    )
    assert "refused 3 of 3 probes" in await town.heard("alex")
    assert "cs_revoke" not in {one.action_id for one in (await town.card(view, "ended")).buttons()}


async def test_an_ended_grant_is_not_revoked_again(town: SlackTown):
    view = await town.ask()
    await town.click("robin", await town.card(view), "cs_approve")
    live = await town.card(view, "live")
    await town.click("alex", live, "cs_revoke")
    await town.card(view, "ended")
    await town.click("kim", live, "cs_revoke")
    assert "refused 3 of 3 probes" in await town.heard("kim")
    assert (await town.kinds(view)).count("grant.revoke_requested") == 1


@pytest.mark.parametrize(("who", "code"), [("bob", "not_a_reviewer"), (GUEST, "guest")], ids=["no_reviewer", "guest"])
async def test_who_may_not_revoke_is_told_and_written_down(town: SlackTown, who: str, code: str):
    view = await town.ask()
    await town.click("robin", await town.card(view), "cs_approve")
    await town.click(who, await town.card(view, "live"), "cs_revoke")
    assert await town.heard(who)
    (record,) = [one for one in await town.records(view) if one["type"] == "review.refused"]
    assert (record["data"]["code"], record["data"]["verdict"]) == (code, "revoke")
    assert (await town.now(view)).grant.state == "ACTIVE"


async def test_a_button_of_a_private_answer_works_and_is_no_copy_of_the_card(town: SlackTown):
    view = await town.ask()
    await town.click("robin", await town.card(view), "cs_approve")
    await town.card(view, "live")
    await town.slack.command(ACCOUNTS["alex"], "/countersign", "active", channel=CHANNEL)
    answer = await town.slack.until(lambda: town.slack.ephemerals(ACCOUNTS["alex"]), what="the list")
    await town.heard("alex")
    await town.click("alex", answer[0], "cs_revoke")
    assert "You revoked" in await town.heard("alex")
    assert "refused 3 of 3 probes" in await town.heard("alex")
    await town.card(view, "ended")
    record = (await town.store.records.read([f"cards:{view.request.id}"])).records[f"cards:{view.request.id}"]
    assert len(json.loads(record.json)["copies"]) == 1


async def test_private_words_stay_private_and_parse_as_nothing(town: SlackTown):
    await town.deps.stops.freeze(person("kim"), "<!channel> *now* `x`")
    await town.deps.policies.refresh()
    view = await town.ask()
    await town.click("robin", await town.card(view), "cs_approve")
    assert "<!channel> *now* `x`" in await town.heard("robin")
    (said,) = town.slack.ephemerals(ACCOUNTS["robin"])
    assert {block["type"] for block in said.blocks} == {"rich_text"}
    assert "<!channel>" not in said.text
    assert len(town.slack.messages(CHANNEL)) == 1
