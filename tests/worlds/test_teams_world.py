"""The world's connector: who may call, what it refuses and by which name, what a channel then shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.worlds.teams import CannotDo, TeamsWorld, schema
from tests.worlds.teams.echo import Echo, approval, echo, execute, message
from tests.worlds.teams.state import BOT_ID, CARD

CHANNEL, OTHER = "19:c1@thread.tacv2", "19:c2@thread.tacv2"
BLOCK = {"type": "TextBlock", "text": "x"}
SUBMIT = {"type": "Action.Submit", "title": "x"}


@pytest.fixture
async def teams() -> AsyncIterator[TeamsWorld]:
    async with TeamsWorld.open() as world:
        for name in ("robin", "dana"):
            world.add_person(name)
        world.add_channel(CHANNEL, members=["robin"])
        world.add_channel(OTHER, members=["robin"])
        await world.install(CHANNEL)
        yield world


@pytest.fixture
async def app(teams: TeamsWorld) -> AsyncIterator[Echo]:
    async with echo(teams) as running:
        yield running


# --- the token endpoint


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"scope": "https://graph.microsoft.com/.default"}, "invalid_scope"),
        ({"client_id": "somebody"}, "unauthorized_client"),
        ({"client_secret": "wrong"}, "invalid_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
async def test_a_token_is_for_the_app_alone(app: Echo, teams: TeamsWorld, change: dict[str, str], error: str) -> None:
    got = await app.fetch(**change)
    assert (got.status >= 400, got.json["error"]) == (True, error)
    assert teams.tokens.refused == [error]
    assert "client_secret" not in teams.tokens.requests[0]


async def test_another_tenant_gives_no_token(app: Echo, teams: TeamsWorld) -> None:
    url = f"{teams.origin}/{teams.other_tenant}/oauth2/v2.0/token"
    async with app.session.post(url, data={"grant_type": "client_credentials"}) as answer:
        assert (answer.status, (await answer.json())["error"]) == (400, "invalid_request")


async def test_the_connector_takes_a_living_token_alone(app: Echo, teams: TeamsWorld) -> None:
    assert (await app.create(CHANNEL)).status == 201
    assert (await app.call("POST", "conversations", {}, token="made-up")).status == 401
    teams.tokens.expire()
    assert (await app.create(CHANNEL)).code == "Unauthorized"
    assert teams.violations == []
    await app.create(CHANNEL)
    assert teams.violations == ["a refused token was used again"]
    await app.fetch()
    assert (await app.create(CHANNEL)).status == 201
    teams.tokens.lifetime = 0
    await app.fetch()
    assert (await app.create(CHANNEL)).status == 401


# --- posting


async def test_a_card_in_a_channel_is_a_new_thread(app: Echo, teams: TeamsWorld) -> None:
    got = (await app.create(CHANNEL)).json
    shown = teams.messages(CHANNEL)
    assert [(it.id, it.reply_to, it.ours) for it in shown] == [(got["activityId"], None, True)]
    assert got["id"] == f"{CHANNEL};messageid={shown[0].id}"
    assert shown[0].visible_text().splitlines() == [
        "Approve? *all*", "Who: agent:bot", "Role: reader", "[Approve]", "[Deny]", "[Deny because]",
    ]  # fmt: skip
    assert "Why" in shown[0].visible_text(everything=True)
    assert [(it.title, it.verb, it.behind) for it in shown[0].actions()] == [
        ("Approve", "approve", None), ("Deny", "deny", None), ("Deny because", None, None),
        ("Deny now", "deny_why", "Deny because"),
    ]  # fmt: skip


async def test_an_answer_lies_in_its_thread(app: Echo, teams: TeamsWorld) -> None:
    root = (await app.create(CHANNEL)).json
    assert (await app.post(root["id"], message(text="minted", textFormat="plain"))).status == 201
    assert (await app.post(CHANNEL, message(text="again"), reply_to=root["activityId"])).status == 201
    assert (await app.post(f"{CHANNEL};messageid=1", message(text="x"))).code == "ConversationNotFound"
    assert (await app.post(CHANNEL, message(text="x"), reply_to="1")).code == "ActivityNotFoundInConversation"
    assert [it.text for it in teams.replies(teams.messages(CHANNEL)[0])] == ["minted", "again"]
    assert len(teams.messages(CHANNEL)) == 1


async def test_an_update_is_for_everybody(app: Echo, teams: TeamsWorld) -> None:
    root = (await app.create(CHANNEL)).json
    decided = {"type": "AdaptiveCard", "version": "1.5", "body": [{"type": "TextBlock", "text": "Approved by Robin"}]}
    assert (await app.put(root["id"], root["activityId"], message(decided))).status == 200
    shown = teams.message(root["activityId"])
    assert (shown.visible_text(), shown.edited, shown.actions()) == ("Approved by Robin", 1, [])
    assert (await app.put(root["id"], "17", message(decided))).code == "ActivityNotFoundInConversation"
    assert (await app.put(root["id"], root["activityId"], message(decided, id="18"))).code == "BadSyntax"
    other = (await app.create(CHANNEL)).json
    assert (await app.put(other["id"], root["activityId"], message(decided))).code == "ActivityNotFoundInConversation"
    await teams.say("robin", CHANNEL, "hello", mention=False)
    theirs = teams.messages(CHANNEL)[-1]
    assert (await app.put(CHANNEL, theirs.id, message(decided))).code == "MessageNotOwned"


async def test_one_person_is_written_to_in_their_own_chat(app: Echo, teams: TeamsWorld) -> None:
    robin, tenant = teams.board.person("robin"), teams.tenant
    body: dict[str, Any] = {
        "isGroup": False,
        "bot": {"id": BOT_ID},
        "members": [{"id": robin.user_id}],
        "tenantId": tenant,
    }
    assert (await app.call("POST", "conversations", body)).code == "BotNotInConversationRoster"
    await teams.install("robin")
    chat = (await app.call("POST", "conversations", body)).json["id"]
    assert (await app.post(chat, message(text="Who asked?"))).status == 201
    assert [it.text for it in teams.chat("robin")] == ["Who asked?"]
    both = {**body, "members": [{"id": "29:1robin"}, {"id": "29:1dana"}]}
    assert (await app.call("POST", "conversations", both)).code == "BadSyntax"
    assert (await app.call("POST", "conversations", {**body, "members": [{"id": "29:x"}]})).code == "UserNotFound"


async def test_where_the_app_is_not_it_does_not_write(app: Echo, teams: TeamsWorld) -> None:
    got = await app.create(OTHER)
    assert (got.status, got.json["subCode"]) == (403, "BotNotInConversationRoster")
    assert (await app.create("19:none@thread.tacv2")).code == "ConversationNotFound"
    teams.block(CHANNEL)
    got = await app.create(CHANNEL)
    assert (got.status, got.json["subCode"]) == (403, "MessageWritesBlocked")
    assert (await app.member(CHANNEL, "29:1robin")).status == 200
    await teams.install(teams.board.place(OTHER).team.id)  # type: ignore[union-attr]
    assert (await app.create(OTHER)).status == 201


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"bot": {"id": "28:somebody"}}, "BotNotRegistered"),
        ({"channelData": {"channel": {"id": CHANNEL}}}, "TenantNotAllowed"),
        ({"channelData": {"channel": {"id": CHANNEL}, "tenant": {"id": "x"}}}, "TenantNotAllowed"),
        ({"tenantId": "x"}, "TenantNotAllowed"),
        ({"members": [{"id": "29:1robin"}]}, "BadSyntax"),
        ({"activity": None}, "BadSyntax"),
        ({"activity": message()}, "BadSyntax"),
        ({"activity": message(approval(), **{"from": {"id": "28:x"}})}, "BotNotRegistered"),
        ({"activity": message(approval(), conversation={"id": OTHER})}, "BadSyntax"),
        ({"activity": message(attachments=[{"contentType": "text/html", "content": "x"}])}, "BadSyntax"),
        ({"activity": message(text="x" * 60_000)}, "MessageSizeTooBig"),
    ],
)
async def test_what_is_not_a_good_post_is_refused(
    app: Echo, teams: TeamsWorld, change: dict[str, Any], code: str
) -> None:
    assert (await app.create(CHANNEL, **change)).code == code
    assert [it.code for it in teams.refusals] == [code]
    assert teams.messages(CHANNEL) == []


# --- the roster


async def test_the_roster_tells_who_somebody_is(app: Echo, teams: TeamsWorld) -> None:
    await app.fetch()
    teams.add_person("guest", role="guest", upn="g_x.example#EXT#@acme.example")
    teams.add_person("anon", role="anonymous", object_id=None)
    teams.add_person("old", old_key=True)
    for name in ("guest", "anon", "old"):
        teams.join(name, CHANNEL)
    root = (await app.create(CHANNEL)).json["id"]
    assert (await app.member(root, "29:1robin")).status == 200
    entry = (await app.member(CHANNEL, "29:1robin")).json
    assert (entry["aadObjectId"], entry["userRole"], entry["tenantId"]) == (
        teams.board.person("robin").object_id, "user", teams.tenant,
    )  # fmt: skip
    assert "#EXT#" in (await app.member(CHANNEL, "29:1guest")).json["userPrincipalName"]
    anonymous = (await app.member(CHANNEL, "29:1anon")).json
    assert anonymous["userRole"] == "anonymous" and "aadObjectId" not in anonymous and "email" not in anonymous
    old = (await app.member(CHANNEL, "29:1old")).json
    assert "objectId" in old and "aadObjectId" not in old
    assert (await app.member(CHANNEL, "29:1dana")).code == "MemberNotFoundInConversation"
    teams.leave("robin", CHANNEL)
    assert (await app.member(CHANNEL, "29:1robin")).status == 404
    names = [it["name"] for it in (await app.call("GET", f"conversations/{CHANNEL}/members")).json]
    assert names == ["Anon", "Guest", "Old"]
    page = (await app.call("GET", f"conversations/{CHANNEL}/pagedmembers?pageSize=2")).json
    assert [it["name"] for it in page["members"]] == ["Anon", "Guest"]
    rest = await app.call("GET", f"conversations/{CHANNEL}/pagedmembers?continuationToken={page['continuationToken']}")
    assert [it["name"] for it in rest.json["members"]] == ["Old"] and "continuationToken" not in rest.json


# --- cards


def card(*body: Any, **changes: Any) -> dict[str, Any]:
    return {"type": "AdaptiveCard", "version": "1.5", "body": list(body), **changes}


def choices(*values: str) -> dict[str, Any]:
    return {"type": "Input.ChoiceSet", "id": "preset", "choices": [{"title": it, "value": it} for it in values]}


BAD_CARDS = {
    "no object": [],
    "another type": {**card(BLOCK), "type": "Card"},
    "no version": {"type": "AdaptiveCard", "body": [BLOCK]},
    "a newer version": card(BLOCK, version="1.6"),
    "unknown key": card(BLOCK, fallBackText="x"),
    "unknown element": card({"type": "Textblock", "text": "x"}),
    "no text": card({"type": "TextBlock"}),
    "text no string": card({"type": "TextBlock", "text": 1}),
    "bad enum": card({**BLOCK, "color": "red"}),
    "typo": card({**BLOCK, "warp": True}),
    "fact without value": card({"type": "FactSet", "facts": [{"title": "x"}]}),
    "input without id": card({"type": "Input.Text"}),
    "choices alike": card(choices("a", "a")),
    "an inner element": card({"type": "Container", "items": [{"type": "Nothing"}]}),
    "a column's element": card({"type": "ColumnSet", "columns": [{"type": "Column", "items": [{"type": "No"}]}]}),
    "execute without verb": card(BLOCK, actions=[{"type": "Action.Execute", "title": "x"}]),
    "no title": card(BLOCK, actions=[{"type": "Action.Execute", "verb": "x", "title": ""}]),
    "data no object": card(BLOCK, actions=[{**execute("x", "X", fallback=False), "data": "x"}]),
    "bad style": card(BLOCK, actions=[{**execute("x", "X"), "style": "danger"}]),
    "typo in a fallback": card(BLOCK, actions=[{**execute("x", "X"), "fallback": {**SUBMIT, "titel": "x"}}]),
    "no web address": card(BLOCK, actions=[{"type": "Action.OpenUrl", "title": "x", "url": "javascript:x"}]),
    "too many buttons": card(BLOCK, actions=[execute(f"x{n}", "X") for n in range(7)]),
    "behind a button": card(BLOCK, actions=[{"type": "Action.ShowCard", "title": "x", "card": card({"type": "No"})}]),
    "refresh without action": card(BLOCK, refresh={"userIds": []}),
    "refresh of 61": card(BLOCK, refresh={"action": execute("r", "R"), "userIds": ["x"] * 61}),
    "two of an id": card({**BLOCK, "id": "a"}, {**BLOCK, "id": "a"}),
    "input over data": card({"type": "Input.Text", "id": "rid"}, actions=[execute("x", "X", rid="req_1")]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_CARDS)
def test_a_card_that_teams_would_not_show(name: str) -> None:
    assert schema.faults_of(BAD_CARDS[name])


@pytest.mark.parametrize("name", sorted(BAD_CARDS.keys() - {"bad enum"}))
def test_the_world_knows_without_the_schema_file(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_validator", lambda: None)
    assert schema.faults_of(BAD_CARDS[name])
    assert schema.faults_of(approval()) == []


def test_a_good_card_is_shown() -> None:
    column = {"type": "Column", "width": "auto", "items": [BLOCK]}
    rich = {"type": "RichTextBlock", "inlines": ["plain ", {"type": "TextRun", "text": "**run**"}]}
    full = approval({"type": "ColumnSet", "columns": [column]}, rich, msteams={"width": "Full"}, fallbackText="x")
    assert schema.faults_of(full) == []


async def test_a_bad_card_is_no_message(app: Echo, teams: TeamsWorld) -> None:
    assert (await app.create(CHANNEL, card={"type": "AdaptiveCard"})).code == "BadCard"
    root = (await app.create(CHANNEL)).json
    assert (await app.put(root["id"], root["activityId"], message(card()| {"bodi": []}))).code == "BadCard"  # fmt: skip
    assert teams.message(root["activityId"]).edited == 0


async def test_live_markup_is_found(app: Echo, teams: TeamsWorld) -> None:
    hostile = {
        "type": "TextBlock",
        "text": "[here](https://x.example) ![p](https://x.example/p) <b>x</b> {{DATE(2026-01-01)}}",
    }
    tame = {"type": "TextBlock", "text": r"\[here\]\(https://x\.example\) \<b\> \{\{DATE\(x\)\}\}"}
    plain = message(card(tame), text="[not](read)", textFormat="plain")
    await app.create(CHANNEL, activity=message(card(hostile, tame)))
    await app.create(CHANNEL, activity=plain)
    first, second = teams.messages(CHANNEL)
    assert first.live_markup() == [
        "[here](https://x.example)", "![p](https://x.example/p)", "<b>", "</b>", "{{DATE(2026-01-01)}}",
    ]  # fmt: skip
    assert second.live_markup() == []
    assert second.visible_text() == "[not](read)\n[here](https://x.example) <b> {{DATE(x)}}"


def test_nobody_can_be_somebody_who_is_not_there() -> None:
    world = TeamsWorld(lambda: 0.0)
    for attempt in (lambda: world.add_channel(CHANNEL, members=["nobody"]), lambda: world.messages("19:x")):
        with pytest.raises(CannotDo):
            attempt()
    assert CARD.endswith("adaptive")
