"""The world's people: what arrives when they click, type and install, and what they see of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import jwt
import pytest
from aiohttp import web

from tests.worlds.teams import CannotDo, Message, TeamsWorld, running_teams
from tests.worlds.teams.delivery import UNREACHABLE, WRONG
from tests.worlds.teams.echo import Echo, approval, echo, message, replaced
from tests.worlds.teams.state import BOT_ID, OTHER_TENANT, TENANT, object_id

CHANNEL, CHAT = "19:c1@thread.tacv2", "19:chat@thread.v2"


@pytest.fixture
async def teams() -> AsyncIterator[TeamsWorld]:
    async with TeamsWorld.open() as world:
        for name in ("robin", "dana", "bob"):
            world.add_person(name)
        world.add_channel(CHANNEL, members=["robin", "dana"])
        await world.install(CHANNEL)
        yield world


@pytest.fixture
async def app(teams: TeamsWorld) -> AsyncIterator[Echo]:
    async with echo(teams) as running:
        yield running


@pytest.fixture
async def card(app: Echo, teams: TeamsWorld) -> Message:
    assert (await app.create(CHANNEL)).status == 201
    return teams.messages(CHANNEL)[0]


# --- clicks


async def test_a_click_arrives_as_teams_sends_it(app: Echo, teams: TeamsWorld, card: Message) -> None:
    delivery = await teams.click("robin", card, "approve")
    assert (delivery.ok, delivery.toast) == (True, "Noted")
    (heard,) = app.heard
    assert (heard["type"], heard["name"], heard["channelId"]) == ("invoke", "adaptiveCard/action", "msteams")
    assert heard["value"] == {
        "action": {"type": "Action.Execute", "title": "Approve", "verb": "approve",
                   "data": {"verb": "approve", "rid": "req_1", "shown": "9f2c"}},
        "trigger": "manual",
    }  # fmt: skip
    assert heard["from"] == {"id": "29:1robin", "name": "Robin", "aadObjectId": object_id("robin")}
    assert (heard["conversation"]["id"], heard["replyToId"]) == (f"{CHANNEL};messageid={card.id}", card.id)
    assert (heard["conversation"]["tenantId"], heard["channelData"]["tenant"]["id"]) == (TENANT, TENANT)
    assert heard["channelData"]["channel"]["id"] == CHANNEL
    assert (await app.claims())["serviceurl"] == heard["serviceUrl"] == teams.service_url
    assert jwt.get_unverified_header(app.tokens[0])["alg"] == "RS256"


async def test_inputs_are_merged_into_the_data(app: Echo, teams: TeamsWorld, card: Message) -> None:
    await teams.click("robin", card, "deny_why", {"words": "not now", "preset": "role"})
    data = app.heard[0]["value"]["action"]["data"]
    assert data == {"verb": "deny_why", "rid": "req_1", "shown": "9f2c", "words": "not now", "preset": "role"}
    assert (await teams.click("robin", card, "deny_why")).user_error == "Why is required"
    for typed in ({"words": "x" * 21}, {"words": "x", "preset": "other"}, {"unknown": "x"}):
        with pytest.raises(CannotDo):
            await teams.click("robin", card, "deny_why", typed)
    with pytest.raises(CannotDo):
        await teams.click("robin", card, "approve", {"words": "the form is not open"})
    assert len(app.heard) == 1


async def test_an_old_client_sends_a_message(app: Echo, teams: TeamsWorld, card: Message) -> None:
    delivery = await teams.click("robin", card, "deny_why", {"words": "no"}, fallback=True)
    assert (delivery.status, delivery.toast, delivery.user_error) == (202, None, None)
    (heard,) = app.heard
    assert (heard["type"], heard["replyToId"], "text" in heard) == ("message", card.id, False)
    assert heard["value"] == {"verb": "deny_why", "rid": "req_1", "shown": "9f2c", "words": "no"}
    bare = approval(actions=[{"type": "Action.Execute", "verb": "a", "title": "A"}])
    await app.create(CHANNEL, bare)
    with pytest.raises(CannotDo):
        await teams.click("robin", teams.messages(CHANNEL)[-1], "a", fallback=True)


async def test_a_refresh_is_marked(app: Echo, teams: TeamsWorld, card: Message) -> None:
    await teams.click("robin", card, "approve", automatic=True)
    assert app.heard[0]["value"]["trigger"] == "automatic"
    await teams.execute("robin", card, "approve", {"rid": 1}, trigger=None)
    assert app.heard[1]["value"] == {
        "action": {"type": "Action.Execute", "title": "approve", "verb": "approve", "data": {"rid": 1}}
    }
    await teams.submit("bob", card, {"verb": "approve"})
    assert app.heard[2]["value"] == {"verb": "approve"}


async def test_who_cannot_click(app: Echo, teams: TeamsWorld, card: Message) -> None:
    await teams.say("robin", CHANNEL, "hello", mention=False)
    theirs = teams.messages(CHANNEL)[-1]
    for name, where, verb in (("bob", card, "approve"), ("robin", card, "Deny because"), ("robin", theirs, "approve")):
        with pytest.raises(CannotDo):
            await teams.click(name, where, verb)
    assert app.heard == []
    teams.leave("robin", CHANNEL)
    assert (await teams.click("robin", card, "approve", in_flight=True)).ok
    assert app.heard[0]["from"]["id"] == "29:1robin"


async def test_people_of_elsewhere(app: Echo, teams: TeamsWorld, card: Message) -> None:
    teams.add_person("far", tenant=OTHER_TENANT, object_id=object_id("robin"))
    teams.add_person("near", tenant=OTHER_TENANT, object_id=object_id("robin"), hosted=True)
    teams.add_person("anon", role="anonymous", object_id=None)
    for name in ("far", "near", "anon"):
        teams.join(name, CHANNEL)
        await teams.click(name, card, "approve")
    far, near, anonymous = app.heard
    assert far["conversation"]["tenantId"] == far["channelData"]["tenant"]["id"] == OTHER_TENANT
    assert near["conversation"]["tenantId"] == near["channelData"]["tenant"]["id"] == TENANT
    assert far["from"]["aadObjectId"] == near["from"]["aadObjectId"] == object_id("robin")
    assert (await app.member(CHANNEL, "29:1near")).json["tenantId"] == OTHER_TENANT
    assert "aadObjectId" not in anonymous["from"]
    assert teams.account("robin") == f"{TENANT}:{object_id('robin')}"


# --- answers


async def test_a_card_in_the_answer_is_for_the_clicker_alone(app: Echo, teams: TeamsWorld, card: Message) -> None:
    app.answers = [replaced(approval({"type": "TextBlock", "text": "Yours"}))]
    delivery = await teams.click("robin", card, "approve")
    assert delivery.card is not None and "Yours" in teams.private("robin")[0].visible_text()
    assert "Yours" not in teams.message(card.id).visible_text()
    assert teams.private("dana") == []
    mine = teams.private("robin")[0]
    assert (await teams.click("robin", mine, "deny")).toast == "Noted"
    assert app.heard[-1]["replyToId"] == card.id
    with pytest.raises(CannotDo):
        await teams.click("dana", mine, "deny")
    assert [(it.kind, it.text) for it in teams.private("robin")] == [("card", ""), ("toast", "Noted")]
    assert (teams.screen("robin", card), teams.screen("dana", card)) == (mine, card)
    await app.put(CHANNEL, card.id, message(approval({"type": "TextBlock", "text": "Everybody's"})))
    assert teams.screen("robin", card) == teams.screen("dana", card) == teams.message(card.id) != card


def told(kind: str, value: object, status: int = 200, http: int = 200) -> web.Response:
    return web.json_response(
        {"statusCode": status, "type": f"application/vnd.microsoft.{kind}", "value": value}, status=http
    )


@pytest.mark.parametrize(
    ("answer", "seen"),
    [
        (lambda: web.Response(status=202), UNREACHABLE),
        (lambda: web.Response(status=500), UNREACHABLE),
        (lambda: web.Response(text="fine"), UNREACHABLE),
        (lambda: web.json_response({"statusCode": 200}), UNREACHABLE),
        (lambda: told("activity.message", "x", http=202), UNREACHABLE),
        (lambda: told("activity.message", {"text": "x"}), WRONG),
        (lambda: told("activity.message", ""), WRONG),
        (lambda: told("card.adaptive", {"type": "Card"}), WRONG),
        (lambda: told("card", {}), WRONG),
        (lambda: told("error", {"code": "x", "message": "Not kept"}, 500), f"{WRONG} Not kept"),
    ],
)
async def test_an_answer_that_teams_cannot_show(
    app: Echo, teams: TeamsWorld, card: Message, answer: Callable[[], web.Response], seen: str
) -> None:
    app.answers = [answer()]
    delivery = await teams.click("robin", card, "approve")
    assert (delivery.user_error, delivery.ok, teams.private("robin")) == (seen, False, [])


async def test_an_answer_that_does_not_come(app: Echo, teams: TeamsWorld, card: Message) -> None:
    gate = asyncio.Event()

    async def silent(_request: web.Request) -> web.Response:
        await gate.wait()
        return web.Response()

    server = web.Application()
    server.router.add_post("/", silent)
    runner = web.AppRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    teams.connect(f"http://127.0.0.1:{runner.addresses[0][1]}/")
    teams.courier.patience = 0.05
    delivery = await teams.click("robin", card, "approve")
    assert (delivery.status, delivery.failure, delivery.user_error) == (None, "timeout", UNREACHABLE)
    gate.set()
    await runner.cleanup()
    assert (await teams.click("robin", card, "approve")).failure == "connection"


async def test_double_and_crossing_clicks(app: Echo, teams: TeamsWorld, card: Message) -> None:
    clicks = [
        teams.click("robin", card, "approve"),
        teams.click("robin", card, "approve"),
        teams.click("dana", card, "deny"),
    ]
    deliveries = await asyncio.gather(*clicks)
    assert all(it.ok for it in deliveries)
    assert len({it["id"] for it in app.heard}) == 3
    assert (await teams.replay(deliveries[0])).status == 200
    assert app.heard[-1] == deliveries[0].activity
    assert app.tokens[-1] in app.tokens[:-1]


# --- typing


async def test_in_a_channel_only_a_mention_arrives(app: Echo, teams: TeamsWorld, card: Message) -> None:
    assert (await teams.say("robin", CHANNEL, "nothing for you", mention=False)).status is None
    assert app.heard == []
    await teams.say("robin", CHANNEL, "list")
    heard, said = app.heard[0], teams.messages(CHANNEL)[-1]
    assert (heard["text"], heard["id"], "value" in heard) == ("<at>Countersign</at> list", said.id, False)
    assert heard["entities"][0] == {
        "type": "mention", "mentioned": {"id": BOT_ID, "name": "Countersign"}, "text": "<at>Countersign</at>",
    }  # fmt: skip
    assert heard["conversation"]["id"] == f"{CHANNEL};messageid={said.id}"
    await teams.say("robin", CHANNEL, "why", thread=card)
    assert app.heard[1]["conversation"]["id"] == f"{CHANNEL};messageid={card.id}"
    assert [it.text for it in teams.replies(card)] == ["why"]
    with pytest.raises(CannotDo):
        await teams.say("bob", CHANNEL, "list")
    app.answers = [web.Response(status=500)]
    delivery = await teams.say("robin", CHANNEL, "list")
    assert (delivery.failure, delivery.user_error, delivery.ok) == ("http_error", UNREACHABLE, False)


async def test_the_personal_chat(app: Echo, teams: TeamsWorld) -> None:
    await teams.install("robin")
    await teams.say("robin", None, "list")
    heard = app.heard[-1]
    assert (heard["text"], heard["conversation"]["conversationType"]) == ("list", "personal")
    assert "isGroup" not in heard["conversation"] and "team" not in heard["channelData"]
    await app.post(heard["conversation"]["id"], message(text="nothing waits"), reply_to=heard["id"])
    assert [it.text for it in teams.chat("robin")] == ["nothing waits"]
    assert (await teams.wait_for_chat("robin")).text == "nothing waits"


async def test_a_group_chat(app: Echo, teams: TeamsWorld) -> None:
    teams.add_chat(CHAT, members=["robin"])
    with pytest.raises(CannotDo):
        await teams.say("robin", CHAT, "list")
    await teams.install(CHAT)
    await teams.say("robin", CHAT, "list")
    assert app.heard[-1]["conversation"] == {
        "id": CHAT, "conversationType": "groupChat", "tenantId": TENANT, "isGroup": True,
    }  # fmt: skip


# --- the app comes and goes


async def test_installation_is_told(app: Echo, teams: TeamsWorld) -> None:
    await teams.uninstall(CHANNEL, by="dana")
    await teams.install(CHANNEL, by="dana")
    kinds = [(it["type"], it.get("action") or it["channelData"]["eventType"]) for it in app.heard]
    assert kinds == [
        ("installationUpdate", "remove"), ("conversationUpdate", "teamMemberRemoved"),
        ("installationUpdate", "add"), ("conversationUpdate", "teamMemberAdded"),
    ]  # fmt: skip
    assert app.heard[2]["channelData"]["channel"]["id"] == CHANNEL
    assert "channel" not in app.heard[3]["channelData"] and app.heard[3]["conversation"]["id"] == CHANNEL
    assert app.heard[3]["membersAdded"][0]["id"] == BOT_ID
    assert app.heard[3]["from"]["id"] == "29:1dana"


async def test_things_go_and_the_app_is_not_always_told(app: Echo, teams: TeamsWorld, card: Message) -> None:
    teams.delete(card)
    assert (await app.put(CHANNEL, card.id, message(approval()))).code == "ActivityNotFoundInConversation"
    assert await teams.uninstall(CHANNEL, tell=False) == [] == app.heard
    assert (await app.create(CHANNEL)).code == "BotNotInConversationRoster"
    delivery = await teams.delete_channel(CHANNEL)
    assert app.heard[0]["channelData"]["eventType"] == "channelDeleted"
    assert app.heard[0]["channelData"]["channel"]["id"] == CHANNEL
    assert (await app.create(CHANNEL)).code == "ConversationNotFound"
    await teams.redeliver(delivery)
    assert app.heard[1] == app.heard[0]


async def test_the_service_url_may_move(app: Echo, teams: TeamsWorld, card: Message) -> None:
    teams.move("amer")
    await teams.click("robin", card, "approve")
    assert app.heard[-1]["serviceUrl"].endswith("/amer/") and teams.service_url.endswith("/amer/")
    assert (await app.claims())["serviceurl"] == app.heard[-1]["serviceUrl"]
    assert (await app.create(CHANNEL)).status == 201


def test_without_a_loop() -> None:
    with running_teams() as teams:
        teams.add_person("robin")
        teams.add_channel(CHANNEL, members=["robin"])
        assert teams.install(CHANNEL) == []
        teams.courier.patience = 0.1
        assert teams.until(lambda: teams.messages(CHANNEL) == [])
        teams.faults.down()
        teams.issuer.rotate()
        teams.tokens.lifetime = 5
        assert teams._world.tokens.lifetime == 5
        assert teams._world.issuer.signing.kid == "key-2"
        assert teams._world.faults.is_down
        assert set(teams.settings()) >= {"COUNTERSIGN_TEAMS_APP_ID", "COUNTERSIGN_TEAMS_ISSUER_URL"}
