"""Clicks on a Teams card, with Teams' own tokens, through the whole web process: each counts once and is answered."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from bot.surfaces.teams_clicks import ACTIONS
from bot.surfaces.teams_incoming import Incoming
from tests.bot.teams.town import (
    ANONYMOUS,
    CHANNEL,
    GUEST,
    NOBODY,
    OUTSIDER,
    TeamsTown,
    button,
    person,
    read,
    verbs,
)
from tests.worlds.teams import Message
from tests.worlds.teams.state import TENANT, object_id

EARLIER = "0" * 32
"""A digest of something that nobody asked for."""


def carried(card: Message, verb: str = "deny", **changes: Any) -> dict[str, Any]:
    """Return what a button carries, with some of it changed."""
    return {**button(card, verb).data, **changes}


async def test_one_approves_and_reads_that_it_was_enough(town: TeamsTown) -> None:
    view = await town.ask()
    said = await town.press("robin", await town.card(view), "approve")
    assert (await town.now(view)).request.state == "APPROVED"  # committed before Teams had its answer
    assert said.startswith(f"You approved {view.request.handle}, and that was enough.")
    card = await town.card(view, "live")
    assert verbs(card) & {"approve", "deny", "revoke"} == {"revoke"}
    (record,) = [one for one in await town.records(view) if one["type"] == "review.recorded"]
    sub = f"{TENANT}/{object_id('robin')}"
    assert (record["by"], record["via"]) == ({"person": "user:robin", "iss": "teams", "sub": sub}, "teams")
    assert record["data"]["shown"] == button(card, "revoke").data["shown"]
    assert town.teams.refusals == []


async def test_of_two_the_first_sees_how_far_it_is_and_so_does_everybody(town: TeamsTown) -> None:
    view = await town.ask_two()
    card = await town.card(view)
    assert f"Your approval of {view.request.handle} counts: 1 of 2." in await town.press("robin", card, "approve")
    await town.card(view, "1 of 2")
    assert "that was enough" in await town.press("alex", card, "approve")  # on a screen from before
    await town.card(view, "live")


async def test_deny_takes_one_tap(town: TeamsTown) -> None:
    view = await town.ask()
    assert f"You denied {view.request.handle}." in await town.press("robin", await town.card(view), "deny")
    assert not verbs(await town.card(view, "denied")) & {"approve", "deny", "deny_why", "revoke"}


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"preset": "too_broad"}, "Too broad, ask narrower."),
        ({"words": " Ask for one file. "}, "Ask for one file."),
        ({"preset": "not_now", "words": "Wait for kim."}, "Not now. Wait for kim."),
    ],
    ids=["ready", "own", "both"],
)
async def test_a_reason_reaches_the_agent(town: TeamsTown, inputs: dict[str, str], reason: str) -> None:
    view = await town.ask()
    assert "with your reason" in await town.press("robin", await town.card(view), "deny_why", inputs=inputs)
    assert (await town.now(view)).request.reviews[0].reason == reason


async def test_without_a_reason_of_ours_or_theirs_nothing_is_decided(town: TeamsTown) -> None:
    view = await town.ask()
    card = await town.card(view)
    for inputs, words in (({}, "nothing is decided yet"), ({"preset": "because"}, "older version")):
        assert words in read(await town.teams.execute("robin", card, "deny_why", carried(card, **inputs)))
    assert await town.kinds(view) == ["request.submitted"]


async def test_the_loser_sees_who_was_first_and_the_decided_card(town: TeamsTown) -> None:
    view = await town.ask()
    card = await town.card(view)
    await town.press("robin", card, "approve")
    said = await town.press("alex", card, "deny")
    assert "decided already" in said
    assert "robin" in said
    assert not verbs(town.teams.private("alex")[-1]) & {"approve", "deny"}
    assert await town.refusals(view) == ["already_decided"]


async def test_two_who_race_for_the_last_seat_are_told_apart(town: TeamsTown) -> None:
    view = await town.ask()
    card = await town.card(view)
    said = await asyncio.gather(town.press("robin", card, "approve"), town.press("alex", card, "approve"))
    assert sum("that was enough" in text for text in said) == 1
    assert sum("decided already" in text for text in said) == 1
    assert (await town.kinds(view)).count("review.recorded") == 1


async def test_two_clicks_of_one_person_at_once_are_one_vote(town: TeamsTown) -> None:
    view = await town.ask_two()
    card = await town.card(view)
    await asyncio.gather(town.press("robin", card, "approve"), town.press("robin", card, "approve"))
    assert await town.refusals(view) == ["already_reviewed"]
    assert (await town.now(view)).request.state == "PENDING"


async def test_a_client_that_presses_by_itself_decides_nothing(town: TeamsTown) -> None:
    view = await town.ask()
    card = await town.card(view)
    for verb in ("approve", "deny", "deny_why", "details"):
        said = await town.press("robin", card, verb, automatic=True)
        assert "You approved" not in said
        assert "You denied" not in said
        assert "approve" in verbs(town.teams.private("robin")[-1])
    silent = await town.teams.click(NOBODY, card, "approve", automatic=True)
    assert silent.status == 200
    assert silent.card is None
    assert await town.kinds(view) == ["request.submitted"]


async def test_no_verb_decides_for_a_client_whoever_calls_it(town: TeamsTown) -> None:
    view = await town.ask()
    card = await town.card(view)
    delivery = await town.teams.click("robin", card, "approve", automatic=True)
    call = Incoming.of(delivery.activity)
    assert call is not None
    async with town.parts() as parts:
        for listen in ACTIONS.values():
            assert (await listen(parts, call)).toast is None
    assert await town.kinds(view) == ["request.submitted"]


async def test_a_refresh_shows_the_card_as_it_stands(town: TeamsTown) -> None:
    view = await town.ask()
    card = await town.card(view)
    await town.press("robin", card, "approve")
    await town.card(view, "live")
    said = read(await town.teams.execute("alex", card, "refresh", carried(card)))
    assert "Live" in said
    assert "does not know" in read(await town.teams.execute(NOBODY, card, "refresh", carried(card)))


@pytest.mark.parametrize("verb", ["approve", "deny"])
async def test_an_old_client_decides_the_same_way_and_reads_it_in_its_own_chat(town: TeamsTown, verb: str) -> None:
    view = await town.ask()
    assert (await town.teams.click("robin", await town.card(view), verb, fallback=True)).ok
    assert view.request.handle in await town.line("robin", "You ")
    await town.card(view, "live" if verb == "approve" else "denied")
    (record,) = [one for one in await town.records(view) if one["type"] == "review.recorded"]
    assert record["by"]["person"] == "user:robin"


async def test_an_old_client_is_refused_the_same_way(town: TeamsTown) -> None:
    view = await town.ask()
    assert (await town.teams.click(GUEST, await town.card(view), "approve", fallback=True)).ok
    await town.line(GUEST, "Guests")
    assert await town.refusals(view) == ["guest"]


async def test_who_has_no_chat_with_us_finds_no_facts_in_the_channel(town: TeamsTown) -> None:
    view = await town.ask()
    card = await town.card(view)
    await town.teams.uninstall("bob")
    await town.teams.click("bob", card, "approve", fallback=True)
    (line,) = await town.seen(lambda: town.teams.replies(town.teams.message(card.id)), "a line in the thread")
    assert "open a chat with me" in line.visible_text()
    assert view.request.handle not in line.visible_text()
    assert await town.refusals(view) == ["no_seat"]


async def test_after_expiry_nobodys_answer_counts_even_while_the_clock_is_late(town: TeamsTown) -> None:
    view = await town.ask()
    card = await town.card(view)
    town.ahead += timedelta(minutes=31)
    assert "expired" in await town.press("robin", card, "approve")
    assert await town.refusals(view) == ["expired"]


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [("dana", "four_eyes", "the human behind this agent"), ("bob", "no_seat", "no seat for you")],
    ids=["the_human_behind_it", "in_no_group"],
)
async def test_who_may_not_answer_reads_why(town: TeamsTown, name: str, code: str, words: str) -> None:
    view = await town.ask()
    card = await town.card(view)
    assert words in await town.press(name, card, "approve")
    assert words in await town.press(name, card, "deny")
    assert await town.refusals(view) == [code, code]
    assert (await town.now(view)).request.state == "PENDING"
    assert town.teams.calls("put") == []  # what changes nothing edits nothing


@pytest.mark.parametrize(
    ("who", "code"),
    [(GUEST, "guest"), (ANONYMOUS, "guest"), (NOBODY, "unknown_person"), (OUTSIDER, "external")],
    ids=["guest", "anonymous", "nobody", "robins_object_id_elsewhere"],
)
async def test_strangers_are_told_in_words_alone_and_written_down(town: TeamsTown, who: str, code: str) -> None:
    view = await town.ask()
    card = await town.card(view)
    sub = {OUTSIDER: object_id("robin"), ANONYMOUS: f"29:1{who}"}.get(who, object_id(who))
    for verb in ("approve", "deny"):
        delivery = await town.teams.click(who, card, verb)
        assert delivery.toast
        assert delivery.card is None
        record = (await town.records(view))[-1]
        assert (record["type"], record["data"]["code"], record["data"]["verdict"]) == ("review.refused", code, verb)
        assert record["by"] == {"person": None, "iss": "teams", "sub": f"{TENANT}/{sub}"}
    assert (await town.now(view)).request.state == "PENDING"


async def test_who_was_removed_between_card_and_click_decides_nothing(town: TeamsTown) -> None:
    view = await town.ask()
    card = await town.card(view)
    town.teams.leave("robin", CHANNEL)
    assert "members" in await town.press("robin", card, "approve", in_flight=True)
    assert await town.refusals(view) == ["deactivated"]


async def test_who_cannot_be_checked_decides_nothing(town: TeamsTown) -> None:
    view = await town.ask()
    card = await town.card(view)
    town.teams.faults.status("get", 503)
    assert "Teams did not say who you are" in await town.press("robin", card, "approve")
    assert await town.refusals(view) == ["not_checked"]


async def test_what_was_not_shown_is_not_approved_and_every_copy_shows_the_truth_again(town: TeamsTown) -> None:
    view = await town.ask()
    card = await town.card(view)
    said = read(await town.teams.execute("robin", card, "approve", carried(card, shown=EARLIER)))
    assert "out of date" in said
    assert await town.refusals(view) == ["outdated_card"]
    await town.seen(lambda: town.teams.calls("put"), "a fresh card")


async def test_a_button_that_names_no_request_does_nothing_and_says_so(town: TeamsTown) -> None:
    view = await town.ask()
    card = await town.card(view)
    for data in ({"rid": "K7QF"}, {"shown": "<b>"}, {"rid": None}):
        for verb in ("approve", "deny", "revoke", "details", "refresh", "show"):
            assert "older version" in read(await town.teams.execute("robin", card, verb, carried(card, **data)))
    assert await town.kinds(view) == ["request.submitted"]


async def test_a_request_that_was_never_asked_is_answered_too(town: TeamsTown) -> None:
    card = await town.card(await town.ask())
    for verb in ("approve", "revoke", "details"):
        said = read(await town.teams.execute("robin", card, verb, carried(card, rid="req_" + "0" * 26)))
        assert "There is no" in said


async def test_high_risk_is_not_approved_from_the_card_whatever_the_screen_offers(town: TeamsTown) -> None:
    view = await town.ask_high()
    card = await town.card(view)
    assert "approve" not in verbs(card)
    assert "review" in verbs(card)
    assert "Review" in read(await town.teams.execute("robin", card, "approve", carried(card)))
    assert await town.refusals(view) == ["review_first"]
    assert (await town.now(view)).request.state == "PENDING"


async def test_in_a_freeze_nobody_approves_and_everybody_may_deny(town: TeamsTown) -> None:
    view = await town.ask()
    card = await town.card(view)
    await town.deps.stops.freeze(person("kim"), "strange traffic")
    await town.deps.policies.refresh()
    assert "strange traffic" in await town.press("robin", card, "approve")
    assert await town.refusals(view) == ["frozen"]
    assert "You denied" in await town.press("robin", card, "deny")


@pytest.mark.parametrize("what", ["reads", "everything"])
async def test_without_the_store_nothing_is_decided_and_that_is_said(town: TeamsTown, what: str) -> None:
    view = await town.ask()
    card = await town.card(view)
    town.door.shut(what)
    assert "store does not answer" in await town.press("robin", card, "approve")
    town.door.open()
    assert await town.kinds(view) == ["request.submitted"]
    assert "that was enough" in await town.press("robin", card, "approve")


async def test_a_restart_between_post_and_click_loses_nothing(town: TeamsTown) -> None:
    view = await town.ask()
    card = await town.card(view)
    await town.restart()
    assert "that was enough" in await town.press("robin", card, "approve")
    await town.card(view, "live")
    assert len(town.copies(view)) == 1


async def test_a_copy_that_nobody_knew_of_is_adopted_by_a_click(town: TeamsTown) -> None:
    town.teams.faults.drop_after("post")
    view = await town.ask()
    lost, _ = await town.seen(lambda: len(town.copies(view)) == 2 and town.copies(view), "the second try")
    assert "that was enough" in await town.press("robin", lost, "approve")
    await town.seen(lambda: all("Live" in one.visible_text() for one in town.copies(view)), "the truth on both")
    assert len(town.copies(view)) == 2


async def test_who_stands_in_for_somebody_answers_in_their_own_chat(town: TeamsTown) -> None:
    until = await town.deps.store.records.now() + timedelta(days=2)
    await town.deps.away.lend(person("kim"), "bob", until)
    await town.deps.policies.refresh()
    await town.teams.say("bob", None, "list")  # so that we have met
    await town.teams.wait_for_chat("bob")
    view = await town.ask()
    card = await town.teams.wait_for_chat("bob", 2)  # bob is in no group that is asked
    assert "bob answers for kim" in card.visible_text()
    assert "You answered for kim." in await town.press("bob", card, "approve")
    await town.card(view, "for kim")
    await town.seen(lambda: "Live" in town.teams.message(card.id).visible_text(), "the truth in bob's chat")
    assert [one["acted_by"] for one in await town.copies_kept(view)] == ["", "user:bob"]


async def test_details_take_the_cards_place_for_one_person_and_lead_back(town: TeamsTown) -> None:
    view = await town.ask()
    card = await town.card(view)
    said = await town.press("bob", card, "details")
    assert "What happened" in said
    (details,) = town.teams.private("bob")
    assert "approve" not in verbs(details)
    await town.press("bob", details, "refresh")
    assert "approve" in verbs(town.teams.private("bob")[-1])
    assert "does not know" in await town.press(NOBODY, card, "details")
    assert await town.refusals(view) == ["unknown_person"]


async def test_revoke_is_told_with_its_proof(town: TeamsTown) -> None:
    view = await town.ask()
    await town.press("robin", await town.card(view), "approve")
    said = await town.press("alex", await town.card(view, "live"), "revoke")
    assert f"You revoked {view.request.handle}. It is called ended only when that is proven." in said
    assert view.request.handle in await town.line("alex", "refused 3 of 3 probes")
    live = await town.card(view, "ended")
    assert "revoke" not in verbs(live)
    (record,) = [one for one in await town.records(view) if one["type"] == "grant.revoke_requested"]
    assert record["via"] == "teams"


@pytest.mark.parametrize(("who", "code"), [("bob", "not_a_reviewer"), (GUEST, "guest")], ids=["no_reviewer", "guest"])
async def test_who_may_not_revoke_is_told_and_written_down(town: TeamsTown, who: str, code: str) -> None:
    view = await town.ask()
    await town.press("robin", await town.card(view), "approve")
    assert await town.press(who, await town.card(view, "live"), "revoke")
    (record,) = [one for one in await town.records(view) if one["type"] == "review.refused"]
    assert (record["data"]["code"], record["data"]["verdict"]) == (code, "revoke")
    grant = (await town.now(view)).grant
    assert grant is not None
    assert grant.state == "ACTIVE"


async def test_a_button_of_a_list_works_and_takes_no_card_away(town: TeamsTown) -> None:
    view = await town.ask()
    await town.press("robin", await town.card(view), "approve")
    await town.card(view, "live")
    await town.teams.say("alex", None, "active")
    answer = await town.teams.wait_for_chat("alex")
    delivery = await town.teams.click("alex", answer, "revoke")
    assert delivery.toast is not None
    assert "You revoked" in delivery.toast
    await town.card(view, "ended")
    assert [one["acted_by"] for one in await town.copies_kept(view)] == ["user:robin"]


async def test_private_words_stay_private_and_parse_as_nothing(town: TeamsTown) -> None:
    await town.deps.stops.freeze(person("kim"), "[now](http://evil.example) {{DATE(2026-01-01)}} **x**")
    await town.deps.policies.refresh()
    view = await town.ask()
    said = await town.press("robin", await town.card(view), "approve")
    assert "[now](http://evil.example) {{DATE(2026-01-01)}} **x**" in said
    ours = [one for one in town.teams.private("robin")[-1].live_markup() if not one.startswith("{{TIME(")]
    assert ours == []
    assert len(town.teams.messages(CHANNEL)) == 1
