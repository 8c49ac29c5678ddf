"""Commands by mention and in a person's own chat, picks, and the form, as people in the tenant see them."""

from __future__ import annotations

from typing import Any

import pytest

from approvers.request import RequestState
from bot.commits import Click
from bot.reading import View
from bot.surfaces.teams_commands import answered
from bot.surfaces.teams_incoming import Incoming
from tests.bot.teams.town import CHANNEL, GUEST, NOBODY, TeamsTown, account, button, person, read, verbs
from tests.worlds.teams import Message
from tests.worlds.teams.activities import BOT_NAME
from tests.worlds.texts import records_of

BUCKET = "arn:aws:s3:::customer-exports"
FORM = {
    "role": "analytics",
    "actions": "s3:GetObject",
    "resources": f"{BUCKET}/2026/7/*",
    "environment": "prod",
    "ttl_seconds": "900",
    "reason": "Look at one export",
}


async def said(town: TeamsTown, name: str, text: str, *, channel: str | None = None) -> Message:
    """Write a command and return the private answer to it."""
    before = len(town.teams.chat(name))
    delivery = await town.teams.say(name, channel, text)
    assert delivery.ok, delivery
    return await town.seen(lambda: (town.teams.chat(name)[before:] or [None])[0], f"an answer to {name}")


async def live(town: TeamsTown) -> View:
    view = await town.ask()
    await town.deps.desk.review(Click(person("robin"), view.request.id, "approve"))
    await town.card(view, "live")
    return await town.now(view)


async def sys(town: TeamsTown) -> list[dict[str, Any]]:
    return await records_of(town.store, "sys")


@pytest.mark.parametrize("channel", [None, CHANNEL], ids=["in_their_chat", "by_mention"])
async def test_every_command_answers_one_person_alone(town: TeamsTown, channel: str | None) -> None:
    view = await town.ask()
    card = await town.card(view)
    commands = ("", "help", "list", "active", "show", "why", "audit", "revoke", "away", "console")
    for text, who in zip(commands, ("robin", "alex") * 5, strict=True):
        answer = await said(town, who, text, channel=channel)
        assert answer.visible_text()
        assert answer.summary
    assert town.copies(view) == [card]
    assert town.teams.replies(card) == []
    assert town.teams.refusals == []


@pytest.mark.parametrize("verb", ["show", "pick"])
async def test_a_row_and_a_pick_show_their_request_below(town: TeamsTown, verb: str) -> None:
    view = await town.ask()
    card = await town.card(view)
    answer = await said(town, "dana", "show")
    if verb == "pick":
        told = await town.press("dana", answer, verb, inputs={"command": f"show {view.request.id}"})
    else:
        told = read(await town.teams.execute("dana", answer, verb, button(card, "deny").data))
    assert told == "The answer stands below."
    shown = await town.teams.wait_for_chat("dana", 2)
    assert "Rebuild the weekly report" in shown.visible_text()
    assert view.request.handle in shown.summary


async def test_the_private_card_offers_review_and_no_approve(town: TeamsTown) -> None:
    view = await town.ask()
    answer = await said(town, "robin", f"show {view.request.handle}")
    assert {"review", "details"} <= verbs(answer)
    assert "approve" not in verbs(answer)


async def test_a_pick_that_names_nothing_runs_nothing(town: TeamsTown) -> None:
    card = await town.card(await town.ask())
    for command in ("", "x" * 151, None):
        data = {"verb": "pick", "command": command}
        assert "Choose one" in read(await town.teams.execute("robin", card, "pick", data))
    assert town.teams.chat("robin") == []


async def test_revoke_is_told_in_order_until_it_is_proven(town: TeamsTown) -> None:
    view = await live(town)
    answer = await said(town, "alex", "revoke role:analytics leaked & <b>seen</b>", channel=CHANNEL)
    assert "Revoking 1: proof follows" in answer.visible_text()
    assert "refused 3 of 3 probes" in await town.line("alex", "Proven 1 of 1")
    grant = (await town.now(view)).grant
    assert grant is not None
    assert grant.ending is not None
    assert grant.ending.reason == "leaked & <b>seen</b>"
    told = [one.visible_text() for one in town.teams.chat("alex")]
    assert told.index(answer.visible_text()) == 0


async def test_what_takes_longer_than_teams_waits_goes_on(town: TeamsTown) -> None:
    view = await live(town)
    call = Incoming.of(town.teams.activity("alex"))
    assert call is not None
    async with town.parts() as parts:
        await answered(parts, call, f"revoke {view.request.handle}", patience=0)
        await town.line("alex", "It goes on")
        assert view.request.handle in await town.line("alex", "Revoking 1")
        await town.line("alex", "Proven 1 of 1")
        parts.people.forget()  # so that there is something to wait for
        await answered(parts, call, "revoke all", patience=0)
        await town.line("alex", "Only people on call")


@pytest.mark.parametrize("channel", [None, CHANNEL], ids=["in_their_chat", "by_mention"])
async def test_strangers_hear_why_in_their_own_chat_and_leave_a_record(town: TeamsTown, channel: str | None) -> None:
    view = await town.ask()
    card = await town.card(view)
    for who, code in ((GUEST, "guest"), (NOBODY, "unknown_person")):
        answer = await said(town, who, "list", channel=channel)
        assert view.request.handle not in answer.visible_text()
        assert answer.text_format == "plain"
        record = (await sys(town))[-1]
        assert (record["data"]["code"], record["by"]["person"], record["by"]["iss"]) == (code, None, "teams")
    assert f'teams = "{account(NOBODY)}"' in answer.visible_text()  # what is missing, and where
    assert town.teams.replies(card) == []


async def test_what_is_not_theirs_to_do_is_told_and_recorded(town: TeamsTown) -> None:
    view = await live(town)
    assert "Only reviewers" in (await said(town, "bob", f"revoke {view.request.handle}")).visible_text()
    assert (await sys(town))[-1]["data"]["code"] == "not_a_reviewer"
    assert "Only people on call" in (await said(town, "alex", "revoke all", channel=CHANNEL)).visible_text()


async def test_without_a_chat_the_channel_gets_one_line_without_facts_and_the_thing_is_done(town: TeamsTown) -> None:
    view = await town.ask()
    await town.card(view)
    await town.teams.uninstall("kim")
    assert (await town.teams.say("kim", CHANNEL, "freeze odd reads of customer-exports")).ok
    (line,) = await town.seen(lambda: town.replies_of("kim"), "a line in the thread")
    assert "open a chat with me" in line.visible_text()
    assert "customer-exports" not in line.visible_text()
    await town.deps.policies.refresh()
    assert town.deps.policies.current.frozen


async def test_a_person_who_never_wrote_to_us_gets_a_chat_opened(town: TeamsTown) -> None:
    town.teams.add_person("eve")
    town.teams.join("eve", CHANNEL)
    town.teams.board.personal("eve").installed = True  # for the whole organisation, by its admin: nobody is told
    assert "does not know" in (await said(town, "eve", "list", channel=CHANNEL)).visible_text()


async def test_only_the_mention_of_us_is_taken_out(town: TeamsTown) -> None:
    text = f"freeze {BOT_NAME} acts oddly, see &nbsp;<at>nobody</at>"
    await said(town, "kim", text, channel=CHANNEL)
    await town.deps.policies.refresh()
    assert f"{BOT_NAME} acts oddly" in (town.deps.policies.current.frozen or "")


async def test_somebody_who_is_mentioned_is_meant(town: TeamsTown) -> None:
    raw = town.teams.activity("kim", text="away 3d <at>Whoever</at>")
    mention = {"type": "mention", "text": "<at>Whoever</at>", "mentioned": {"id": "29:1bob", "name": "Alex"}}
    town.teams.join("bob", raw["conversation"]["id"])
    await town.teams.send_raw({**raw, "entities": [mention]})
    assert "bob" in (await town.teams.wait_for_chat("kim")).visible_text()
    given = await said(town, "kim", "away")
    assert "bob" in given.visible_text()


async def form_of(town: TeamsTown, name: str) -> Message:
    form = await said(town, name, "request")
    assert verbs(form) == {"request"}
    return form


async def test_a_person_asks_with_the_form_as_themselves(town: TeamsTown) -> None:
    form = await form_of(town, "alex")
    told = await town.press(
        "alex", form, "request", inputs={**FORM, "ticket": "INC-7", "data_classes": "pii, payments"}
    )
    (view,) = await town.deps.reader.waiting()
    asked = view.request
    assert (asked.principal, asked.actor, asked.action.ttl_seconds) == ("user:alex", "user:alex", 900)
    assert (asked.action.ticket, asked.action.data_classes) == ("INC-7", ("pii", "payments"))
    assert asked.action.access is not None
    assert asked.action.access.resources == (f"{BUCKET}/2026/7/*",)
    assert f"{asked.handle} waits" in told
    assert "1 of sre until" in told
    await town.card(view)
    await town.seen(lambda: asked.handle in town.teams.message(form.id).visible_text(), "the notice for good")
    (record, *_) = await town.records(view)
    assert (record["type"], record["by"]["iss"], record["via"]) == ("request.submitted", "teams", "teams")


async def test_an_old_client_asks_as_well(town: TeamsTown) -> None:
    form = await form_of(town, "alex")
    assert (await town.teams.click("alex", form, "request", inputs=FORM, fallback=True)).ok
    (view,) = await town.deps.reader.waiting()
    assert view.request.principal == "user:alex"
    await town.line("alex", f"{view.request.handle} waits")


MISTAKES = (
    ({"actions": "GetObject"}, "service:Action"),
    ({"actions": "iam:PassRole"}, "ceiling"),
    ({"resources": "not-an-arn"}, "ARN"),
    ({"ttl_seconds": "14400"}, "sk for 1 s to 1 h"),
    ({"data_classes": "p!i"}, "wrong form"),
    ({"ticket": "T" * 201}, "200"),
)


async def test_a_mistake_comes_back_with_the_form_filled_and_nothing_is_asked(town: TeamsTown) -> None:
    form = await form_of(town, "alex")
    for changes, words in MISTAKES:
        filled = {**FORM, **changes}
        assert words in await town.press("alex", form, "request", inputs=filled)
        again = town.teams.private("alex")[-1]
        assert {name: again.inputs()[name].get("value") for name in filled} == filled
        assert await town.deps.reader.waiting() == []
    await town.press("alex", again, "request", inputs={**FORM, "ticket": ""})
    assert len(await town.deps.reader.waiting()) == 1


async def test_a_rules_refusal_is_a_record_and_a_slip_is_none(town: TeamsTown) -> None:
    form = await form_of(town, "alex")
    before = len(await sys(town))
    await town.press("alex", form, "request", inputs={**FORM, "actions": "GetObject"})
    assert len(await sys(town)) == before
    await town.press("alex", form, "request", inputs={**FORM, "ttl_seconds": "14400"})
    record = (await sys(town))[-1]
    assert (record["type"], record["data"]["code"]) == ("ask.refused", "inadmissible")
    assert record["by"]["person"] == "user:alex"


async def test_the_same_form_sent_twice_asks_once(town: TeamsTown) -> None:
    form = await form_of(town, "alex")
    await town.press("alex", form, "request", inputs=FORM)
    await town.press("alex", form, "request", inputs=FORM)
    other = {**FORM, "resources": f"{BUCKET}/2026/8/*"}
    assert "sent already" in await town.press("alex", form, "request", inputs=other)
    assert len(await town.deps.reader.waiting()) == 1


async def test_a_stranger_gets_no_form_and_sends_none(town: TeamsTown) -> None:
    assert verbs(await said(town, NOBODY, "request")) == set()
    card = await town.card(await town.ask())
    sent = await town.teams.execute(NOBODY, card, "request", {"verb": "request", **FORM})
    assert "does not know" in read(sent)
    assert len(await town.deps.reader.waiting()) == 1


async def test_the_asker_may_not_answer_what_they_asked_in_teams(town: TeamsTown) -> None:
    form = await form_of(town, "alex")
    await town.press("alex", form, "request", inputs=FORM)
    (view,) = await town.deps.reader.waiting()
    assert "asked for this yourself" in await town.press("alex", await town.card(view), "deny")
    assert (await town.now(view)).request.state is RequestState.PENDING


async def test_the_store_being_away_is_said_and_nothing_is_done(town: TeamsTown) -> None:
    view = await live(town)
    await said(town, "alex", "list")
    card = town.copies(view)[0]
    town.door.shut("everything")
    delivery = await town.teams.click("alex", card, "details")
    await town.teams.say("alex", None, f"revoke {view.request.handle}")
    town.door.open()
    assert "store does not answer" in read(delivery)
    grant = (await town.now(view)).grant
    assert grant is not None
    assert grant.state == "ACTIVE"


async def test_an_answer_that_teams_does_not_take_now_is_given_later(town: TeamsTown) -> None:
    town.teams.faults.status("post", 429, retry_after=1)
    assert "Commands" in (await said(town, "robin", "help")).visible_text()
    assert town.teams.violations == []  # not before it was time
