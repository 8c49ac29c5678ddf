"""Slash commands, picks, the form and the shortcut over signed HTTP, as people in the workspace see them."""

import json
from typing import Any

import pytest

from approvers.request import RequestState
from approvers.roster import parse_roster
from bot.commits import Click
from bot.postings import Postings
from bot.reading import View
from bot.surfaces.slack_api import SlackApi
from bot.surfaces.slack_commands import answered
from bot.surfaces.slack_incoming import Incoming
from bot.surfaces.slack_parts import SlackParts, Tasks
from bot.surfaces.slack_people import People
from bot.surfaces.slack_typed import typed
from tests.bot.slack.town import ACCOUNTS, CHANNEL, GONE, GUEST, NOBODY, OUTSIDER, SlackTown, person
from tests.bot.slack.town import rules as rules_of
from tests.worlds.slack import Delivery, Message, forms, payloads
from tests.worlds.slack import View as Shown
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


async def said(town: SlackTown, name: str, text: str, *, channel: str = CHANNEL) -> Message:
    """Type a command and return the private answer that came with it."""
    account = ACCOUNTS.get(name, name)
    before = len(town.slack.ephemerals(account))
    delivery = await town.slack.command(account, "/countersign", text, channel=channel)
    assert delivery.ok, delivery
    return town.slack.ephemerals(account)[before]


async def live(town: SlackTown) -> View:
    view = await town.ask()
    await town.deps.desk.review(Click(person("robin"), view.request.id, "approve"))
    await town.card(view, "live")
    return await town.now(view)


async def sys(town: SlackTown) -> list[dict[str, Any]]:
    return await records_of(town.store, "sys")


async def later(town: SlackTown, name: str, words: str) -> str:
    """Return the private line with these words, once it is there."""
    account = ACCOUNTS[name]

    def look() -> str | None:
        found = [one.visible_text() for one in town.slack.ephemerals(account)]
        return next((text for text in found if words in text), None)

    text = await town.slack.until(look, 30.0, f"{words!r} for {name}")
    assert text is not None
    return text


@pytest.mark.parametrize("text", ["", "help", "list", "active", "show", "why", "audit", "revoke", "away", "console"])
async def test_every_command_answers_in_time_and_for_one_person_only(town: SlackTown, text: str) -> None:
    view = await town.ask()
    await town.card(view)
    message = await said(town, "robin", text)
    assert message.ephemeral_to == ACCOUNTS["robin"]
    assert len(town.slack.messages(CHANNEL)) == 1
    assert town.slack.refusals == []


async def test_a_row_opens_the_review_and_a_pick_shows_the_card(town: SlackTown) -> None:
    view = await town.ask()
    await town.card(view)
    message = await said(town, "robin", "list")
    assert "1 waits, 1 for you" in message.visible_text()
    await town.click("robin", message, "cs_review")
    dialog = await town.dialog("robin", "cs_review_view")
    assert view.request.id in dialog.visible_text()
    picker = await said(town, "robin", "show")
    assert (await town.slack.choose(ACCOUNTS["robin"], picker, "cs_pick", f"show {view.request.id}")).ok
    card = await later(town, "robin", "s3:GetObject")
    assert view.request.handle in card


async def test_the_private_card_offers_review_and_no_approve(town: SlackTown) -> None:
    view = await town.ask()
    message = await said(town, "robin", f"show {view.request.handle}")
    assert {one.action_id for one in message.buttons()} == {"cs_review", "cs_details", "cs_console"}
    assert message.button("cs_review").value.startswith(f"{view.request.id}.")


async def test_revoke_is_told_until_it_is_proven(town: SlackTown) -> None:
    views = [await live(town) for _ in range(3)]
    message = await said(town, "alex", "revoke role:analytics leaked &amp; <b>seen</b>")
    assert "Revoking 3: proof follows" in message.visible_text()
    last = await later(town, "alex", "Proven 3 of 3")
    assert "refused 3 of 3 probes" in last
    told = [one.visible_text() for one in town.slack.ephemerals(ACCOUNTS["alex"])]
    assert 1 <= sum("Proven" in text for text in told) <= 4
    assert all(any(view.request.handle in text for text in told if "Proven" in text) for view in views)
    grant = (await town.now(views[0])).grant
    assert grant.ending.reason == "leaked &amp; <b>seen</b>"
    assert town.slack.refusals == []


async def test_a_picked_revocation_is_told_as_well(town: SlackTown) -> None:
    view = await live(town)
    picker = await said(town, "alex", "revoke")
    await town.slack.choose(ACCOUNTS["alex"], picker, "cs_pick", f"revoke {view.request.id}")
    assert view.request.handle in await later(town, "alex", "Proven 1 of 1")


async def test_what_takes_longer_than_slack_waits_goes_on(town: SlackTown) -> None:
    view, settings = await live(town), town.deps.settings
    account = ACCOUNTS["alex"]
    api = SlackApi(town.slack.bot_token, settings.slack_api_url)
    people = People(api, town.deps.policies, town.store.records)
    postings = Postings(town.store, town.deps.policies, town.deps.reader, {}, town.deps.alerts)
    parts = SlackParts(town.deps, api, people, postings, Tasks())
    url = town.slack.server.origin + town.slack.board.answer_url(account, CHANNEL, None)
    call = Incoming({}, account, "T01", CHANNEL, response_url=url)
    first = await answered(parts, call, f"revoke {view.request.handle}", patience=0)
    assert "It goes on" in json.dumps(first)
    assert view.request.handle in await later(town, "alex", "Revoking 1")
    await later(town, "alex", "Proven 1 of 1")
    people.forget(account)  # so that there is something to wait for
    await answered(parts, call, "revoke all", patience=0)
    await later(town, "alex", "Only people on call")
    await parts.tasks.aclose()
    await api.aclose()


@pytest.mark.parametrize(
    ("account", "code"),
    [(GUEST, "guest"), (NOBODY, "unknown_person"), (OUTSIDER, "external"), (GONE, "deactivated")],
    ids=["guest", "nobody", "outsider", "gone"],
)
async def test_who_is_nobody_here_hears_why_and_leaves_one_record(town: SlackTown, account: str, code: str) -> None:
    view = await town.ask()
    for _ in range(2):
        message = await said(town, account, "list")
        assert view.request.handle not in message.visible_text()
    (record,) = [one for one in await sys(town) if one["type"] == "call.refused"]
    assert (record["data"]["code"], record["by"]["person"], record["by"]["iss"]) == (code, None, "slack")
    assert account in record["by"]["sub"]


async def test_a_known_persons_refusal_is_told_and_recorded(town: SlackTown) -> None:
    message = await said(town, "alex", "revoke all")
    assert "Only people on call" in message.visible_text()
    record = (await sys(town))[-1]
    assert (record["type"], record["data"]["code"], record["by"]["sub"]) == (
        "call.refused", "not_on_call", f"T01/{ACCOUNTS['alex']}",
    )  # fmt: skip


async def test_a_mention_is_understood_as_the_person(town: SlackTown) -> None:
    message = await said(town, "robin", "away until 3d → @bob")
    assert "bob answers for you until" in message.visible_text()
    assert town.deps.policies.current.delegations[-1].taker == "bob"


@pytest.mark.parametrize("text", ["show payload", "freeze payload={} payload", "list payload"])
async def test_the_word_payload_is_a_word(town: SlackTown, text: str) -> None:
    town.slack.add_channel("C77", members=list(ACCOUNTS.values()), name="payload-team")
    message = await said(town, "robin", text, channel="C77")
    assert message.visible_text()
    if text.startswith("freeze"):
        assert town.deps.policies.current.frozen == "payload={} payload"


async def test_the_sign_in_link_is_a_button_for_one(town: SlackTown) -> None:
    message = await said(town, "robin", "console")
    (button,) = message.buttons()
    assert "/console/sign-in/csl_" in json.dumps(message.blocks)
    assert button.action_id == "cs_console"
    assert "csl_" not in message.text


async def test_the_shortcut_shows_the_record_and_knows_a_strange_message(town: SlackTown) -> None:
    view = await town.ask()
    card = await town.card(view)
    assert (await town.slack.shortcut(ACCOUNTS["robin"], "cs_show", card)).ok
    text = await later(town, "robin", view.request.handle)
    assert "Careful" not in text
    other = town.slack.say(ACCOUNTS["bob"], CHANNEL, f"please approve {view.request.id} quickly")
    await town.slack.shortcut(ACCOUNTS["robin"], "cs_show", other)
    assert view.request.handle in await later(town, "robin", "Careful")
    nothing = town.slack.say(ACCOUNTS["bob"], CHANNEL, "lunch?")
    await town.slack.shortcut(ACCOUNTS["robin"], "cs_show", nothing)
    await later(town, "robin", "names no request")


async def form_of(town: SlackTown, name: str) -> Shown:
    delivery = await town.slack.command(ACCOUNTS[name], "/countersign", "request", channel=CHANNEL)
    assert delivery.ok and not delivery.body.strip()
    return await town.dialog(name, "cs_request_view")


async def fill(town: SlackTown, name: str, form: Shown, **changes: str) -> Delivery:
    values = {field: {field: text} for field, text in {**FORM, **changes}.items() if text}
    return await town.slack.submit(ACCOUNTS[name], form, values)


async def test_a_person_asks_with_the_form_as_themselves(town: SlackTown) -> None:
    form = await form_of(town, "alex")
    assert (await fill(town, "alex", form, ticket="INC-7", data_classes="pii, payments")).ok
    (view,) = await town.deps.reader.waiting()
    asked = view.request
    assert (asked.principal, asked.actor, asked.action.ttl_seconds) == ("user:alex", "user:alex", 900)
    assert (asked.action.ticket, asked.action.data_classes) == ("INC-7", ("pii", "payments"))
    assert asked.action.access.resources == (f"{BUCKET}/2026/7/*",)
    notice = town.slack.views(ACCOUNTS["alex"])[-1]
    assert f"{asked.handle} waits" in notice.title
    assert "1 of sre until" in notice.visible_text()
    await town.card(view)
    (record, *_) = await town.records(view)
    assert (record["type"], record["by"]["iss"], record["via"]) == ("request.submitted", "slack", "slack")


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"actions": "GetObject"}, "actions", "service:Action"),
        ({"actions": "s3:GetObject\ns3:Get*"}, "actions", "wildcard"),
        ({"actions": "iam:PassRole"}, "actions", "ceiling"),
        ({"resources": "not-an-arn"}, "resources", "ARN"),
        ({"resources": "   "}, "resources", "at least one"),
        ({"ttl_seconds": "14400"}, "ttl_seconds", "ask for 1 s to 1 h"),
        ({"data_classes": "p!i"}, "data_classes", "wrong form"),
        ({"ticket": "T" * 201}, "ticket", "200"),
    ],
    ids=["action", "wildcard", "ceiling", "arn", "empty", "ttl", "data", "ticket"],
)
async def test_each_mistake_comes_back_at_its_field_and_nothing_is_asked(
    town: SlackTown, changes: dict[str, str], field: str, words: str
) -> None:
    form = await form_of(town, "alex")
    delivery = await fill(town, "alex", form, **changes)
    answer = json.loads(delivery.body)
    assert answer["response_action"] == "errors"
    assert list(answer["errors"]) == [field]
    assert words in answer["errors"][field]
    assert await town.deps.reader.waiting() == []
    assert (await fill(town, "alex", town.slack.views(ACCOUNTS["alex"])[-1])).ok
    assert len(await town.deps.reader.waiting()) == 1


async def test_a_rules_refusal_is_a_record_and_a_slip_is_none(town: SlackTown) -> None:
    form = await form_of(town, "alex")
    before = len(await sys(town))
    await fill(town, "alex", form, actions="GetObject")
    assert len(await sys(town)) == before
    await fill(town, "alex", form, ttl_seconds="14400")
    record = (await sys(town))[-1]
    assert (record["type"], record["data"]["code"], record["by"]["person"]) == (
        "ask.refused",
        "inadmissible",
        "user:alex",
    )


async def test_the_same_form_sent_twice_asks_once(town: SlackTown) -> None:
    form = await form_of(town, "alex")
    sent = await fill(town, "alex", form)
    assert sent.ok
    await town.slack.replay(sent)
    assert len(await town.deps.reader.waiting()) == 1
    other = {**FORM, "resources": f"{BUCKET}/2026/8/*"}
    filled, _ = forms.fill(form, {field: {field: text} for field, text in other.items()})
    user = town.slack.board.user(ACCOUNTS["alex"])
    again = await town.slack.interact(payloads.submission(town.slack.board, user, form, filled))
    assert "sent already" in json.loads(again.body)["errors"]["role"]
    assert len(await town.deps.reader.waiting()) == 1


async def test_a_stranger_gets_no_form(town: SlackTown) -> None:
    message = await said(town, NOBODY, "request")
    assert town.slack.views(NOBODY) == []
    assert message.visible_text()


async def test_the_asker_may_not_approve_what_they_asked_in_slack(town: SlackTown) -> None:
    form = await form_of(town, "alex")
    await fill(town, "alex", form)
    (view,) = await town.deps.reader.waiting()
    assert "none for you" in (await said(town, "alex", "list")).visible_text()
    await town.click("alex", await town.card(view), "cs_deny")
    assert "asked for this yourself" in await later(town, "alex", "yourself")
    assert (await town.now(view)).request.state is RequestState.PENDING


async def test_the_store_being_away_is_said_and_nothing_is_done(town: SlackTown) -> None:
    view = await live(town)
    await said(town, "alex", "list")
    town.door.shut("everything")
    account = ACCOUNTS["alex"]
    delivery = await town.slack.command(account, "/countersign", f"revoke {view.request.handle}", channel=CHANNEL)
    town.door.open()
    assert delivery.status == 503
    await later(town, "alex", "The store does not answer")
    assert (await town.now(view)).grant.state == "ACTIVE"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("away 3d &lt;@U05|bob&gt;", "away 3d <@U05|bob>"),
        ("away 3d <@U05|bobby>", "away 3d user:bob"),
        ("away 3d <@U05>", "away 3d user:bob"),
        ("away 3d <@U77|eve>", "away 3d @eve"),
        ("freeze see <#C01|general>", "freeze see general"),
        ("freeze see <https://example.com/?a=1&amp;b=2>", "freeze see https://example.com/?a=1&b=2"),
        ("freeze a &amp;lt; b", "freeze a &lt; b"),
        ("freeze <!subteam^S01|sre>", "freeze sre"),
    ],
    ids=["typed", "named", "bare", "unknown", "channel", "link", "twice", "group"],
)
def test_what_slack_wraps_is_unwrapped_once(text: str, read: str) -> None:
    assert typed(text, parse_roster(rules_of()[1]), "T01") == read
