"""The world's Web API: who may call, what it refuses and by which name, what a channel then shows."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.worlds.slack import SlackWorld
from tests.worlds.slack.catalog import METHODS
from tests.worlds.slack.echo import Echo, echo


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def section(text: str = "x", **more: Any) -> dict[str, Any]:
    return {"type": "section", "text": plain(text), **more}


@pytest.fixture
async def slack() -> AsyncIterator[SlackWorld]:
    async with SlackWorld.open() as world:
        world.add_user("U02", name="dana", email="dana@acme.example")
        world.add_user("U03", name="robin")
        world.add_channel("C01", members=["U02", "U03"])
        yield world


@pytest.fixture
async def app(slack: SlackWorld) -> AsyncIterator[Echo]:
    async with echo(slack) as running:
        yield running


# --- who may call


async def test_tokens(app: Echo, slack: SlackWorld) -> None:
    assert (await app.call("auth.test"))["team_id"] == "T01"
    assert await app.error("auth.test", "xoxb-wrong") == "invalid_auth"
    assert await app.error("auth.test", slack.app_token) == "not_allowed_token_type"
    assert await app.error("apps.connections.open") == "not_allowed_token_type"
    assert await app.error("chat.postMesage", channel="C01") == "unknown_method"
    async with app.session.post(slack.api_url + "auth.test") as answer:
        assert (await answer.json())["error"] == "not_authed"
    async with app.session.post(slack.api_url + "auth.test", json={"token": slack.bot_token}) as answer:
        assert (await answer.json())["error"] == "not_authed"  # a token inside JSON does not count
    slack.revoke(slack.bot_token)
    assert await app.error("auth.test") == "token_revoked"
    slack.restore(slack.bot_token)
    assert await app.error("auth.test") == ""


async def test_the_scopes_that_were_granted_are_named(app: Echo, slack: SlackWorld) -> None:
    headers = {"Authorization": f"Bearer {slack.bot_token}"}
    async with app.session.post(slack.api_url + "auth.test", headers=headers) as answer:
        assert "usergroups:read" in answer.headers["x-oauth-scopes"].split(",")


NEEDS_A_SCOPE = sorted(name for name, method in METHODS.items() if method.scope)


@pytest.mark.parametrize("method", NEEDS_A_SCOPE)
async def test_no_method_works_without_its_scope(app: Echo, slack: SlackWorld, method: str) -> None:
    slack.rescope("commands")
    answer = await app.call(method, channel="C01", user="U02")
    assert (answer["error"], answer["provided"]) == ("missing_scope", "commands")


async def test_a_private_channel_needs_its_own_scope(app: Echo, slack: SlackWorld) -> None:
    slack.add_channel("C09", is_private=True)
    slack.rescope("channels:read")
    assert await app.error("conversations.info", channel="C09") == "missing_scope"
    assert (await app.call("conversations.info", channel="C01"))["channel"]["is_member"]


@pytest.mark.parametrize(
    ("kind", "body", "error"),
    [
        ("application/x-www-form-urlencoded", urlencode({"user": "U02"}).encode(), None),
        ("application/json; charset=utf-8", b'{"user": "U02"}', None),
        ("application/json", b"{nope", "invalid_json"),
        ("application/json", b"[1]", "json_not_object"),
        ("text/csv", b"user,U02", "invalid_post_type"),
    ],
    ids=["form", "json", "broken json", "json array", "other type"],
)
async def test_bodies(app: Echo, slack: SlackWorld, kind: str, body: bytes, error: str | None) -> None:
    headers = {"Authorization": f"Bearer {slack.bot_token}", "Content-Type": kind}
    async with app.session.post(slack.api_url + "users.info", data=body, headers=headers) as answer:
        assert (await answer.json()).get("error") == error


async def test_reading_methods_take_get(app: Echo, slack: SlackWorld) -> None:
    headers = {"Authorization": f"Bearer {slack.bot_token}"}
    async with app.session.get(slack.api_url + "users.info", params={"user": "U02"}, headers=headers) as answer:
        assert (await answer.json())["user"]["profile"]["email"] == "dana@acme.example"
    assert slack.calls("users.info")[0].verb == "GET"


# --- messages


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ({}, "no_text"),
        ({"text": "  "}, "no_text"),
        ({"blocks": []}, "no_text"),
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({"text": "x", "blocks": "{nope"}, "invalid_blocks_format"),
        ({"text": "x", "blocks": {"type": "section"}}, "invalid_blocks_format"),
        ({"text": "x", "blocks": [{"type": "banner"}]}, "invalid_blocks"),
        ({"text": "x", "blocks": [section()] * 51}, "invalid_blocks"),
        ({"text": "x", "blocks": [section("x" * 2900)] * 5}, "msg_blocks_too_long"),
        ({"text": "x", "markdown_text": "y"}, "markdown_text_conflict"),
        ({"text": "x", "metadata": {"event_type": "t"}}, "invalid_metadata_format"),
        ({"text": "x", "attachments": [{"text": "old"}]}, "invalid_attachments"),
        ({"text": "x", "thread_ts": "1.000001"}, "invalid_thread_ts"),
        ({"text": "x", "colour": "red"}, "invalid_arguments"),
        ({"text": "x", "channel": "C99"}, "channel_not_found"),
        ({"text": "x", "channel": "C02"}, "not_in_channel"),
        ({"text": "x", "channel": "C03"}, "is_archived"),
        ({"text": "x", "channel": "C04"}, "channel_not_found"),
        ({"text": "x", "channel": "U04"}, "channel_not_found"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value) or "nothing",
)
async def test_a_post_that_is_refused_leaves_nothing(
    app: Echo, slack: SlackWorld, args: dict[str, Any], error: str
) -> None:
    slack.add_user("U04", deleted=True)
    slack.add_channel("C02", bot=False)
    slack.add_channel("C03", is_archived=True)
    slack.add_channel("C04", is_private=True, bot=False)
    answer = await app.call("chat.postMessage", **{"channel": "C01", **args})
    assert answer["error"] == error
    assert [message for name in ("C01", "C02", "C03", "C04") for message in slack.messages(name)] == []
    assert [refusal.error for refusal in slack.refusals] == [error]


async def test_a_refusal_names_the_place_in_the_blocks(app: Echo) -> None:
    answer = await app.call("chat.postMessage", channel="C01", text="x", blocks=[section("")])
    assert answer["response_metadata"]["messages"] == [
        "[ERROR] must be more than 0 characters [json-pointer:/blocks/0/text/text]"
    ]


async def test_a_post_is_shown_as_it_was_sent(app: Echo, slack: SlackWorld) -> None:
    blocks = json.dumps([section("Hello", block_id="b1"), {"type": "divider"}])
    metadata = {"event_type": "card", "event_payload": {"id": "r1"}}
    answer = await app.call(
        "chat.postMessage", channel="C01", text="push", blocks=blocks, metadata=metadata, unfurl_links=False
    )
    message = slack.messages("C01")[0]
    assert (message.ts, message.text, message.visible_text()) == (answer["ts"], "push", "Hello")
    assert (message.metadata, message.unfurl_links, message.unfurl_media) == (metadata, False, None)
    assert message.blocks[1]["block_id"]  # given by Slack where the app gave none
    assert slack.message("C01", answer["ts"]) == message


async def test_a_direct_message_lies_with_its_person(app: Echo, slack: SlackWorld) -> None:
    answer = await app.call("chat.postMessage", channel="U02", text="x")
    assert answer["channel"].startswith("D")
    assert [it.text for it in slack.dms("U02")] == ["x"]
    assert slack.dms("U03") == []
    assert (await app.call("conversations.open", users="U02"))["channel"]["id"] == answer["channel"]


@pytest.mark.parametrize(
    ("users", "error"),
    [("U04", "user_disabled"), ("U05", "cannot_dm_bot"), ("U06", "user_not_visible"), ("U99", "user_not_found"),
     ("U02,U03", "missing_scope"), ("", "not_enough_users")],
)  # fmt: skip
async def test_whom_the_app_cannot_write_to(app: Echo, slack: SlackWorld, users: str, error: str) -> None:
    slack.add_user("U04", deleted=True)
    slack.add_user("U05", is_bot=True)
    slack.add_user("U06", hidden=True)
    assert await app.error("conversations.open", users=users) == error


async def test_threads(app: Echo, slack: SlackWorld) -> None:
    parent = (await app.call("chat.postMessage", channel="C01", text="card"))["ts"]
    reply = (await app.call("chat.postMessage", channel="C01", text="line", thread_ts=parent))["ts"]
    await app.call("chat.postMessage", channel="C01", text="of a reply", thread_ts=reply)
    assert [it.text for it in slack.replies("C01", parent)] == ["line", "of a reply"]
    assert [it.text for it in slack.messages("C01")] == ["card"]


async def test_update_keeps_what_is_not_named(app: Echo, slack: SlackWorld) -> None:
    ts = (await app.call("chat.postMessage", channel="C01", text="push", blocks=[section("Hello", block_id="b")]))["ts"]
    await app.call("chat.update", channel="C01", ts=ts, text="other push")
    message = slack.messages("C01")[0]
    assert (message.text, message.visible_text(), bool(message.edited)) == ("other push", "Hello", True)
    await app.call("chat.update", channel="C01", ts=ts, text="p", blocks=[section("Bye", block_id="b")])
    assert slack.messages("C01")[0].visible_text() == "Bye"
    assert slack.warnings == ["changed blocks keep their block_id: b"]
    await app.call("chat.update", channel="C01", ts=ts, text="p", blocks=[])
    assert slack.messages("C01")[0].visible_text() == "p"


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ({"ts": "1.000001", "text": "x"}, "message_not_found"),
        ({"ts": "foreign", "text": "x"}, "cant_update_message"),
        ({"ts": "private", "text": "x"}, "message_not_found"),
        ({"ts": "own"}, "no_text"),
        ({"ts": "own", "text": "x" * 4001}, "msg_too_long"),
        ({"ts": "own", "text": "x", "unfurl_links": False}, "invalid_arguments"),
        ({"ts": "own", "text": "x", "blocks": [section("")]}, "invalid_blocks"),
        ({"ts": "own", "text": "x", "channel": "U02"}, "channel_not_found"),
        ({"text": "x"}, "invalid_arguments"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(f"{k}" for k in value),
)
async def test_an_update_that_is_refused(app: Echo, slack: SlackWorld, args: dict[str, Any], error: str) -> None:
    known = {
        "own": (await app.call("chat.postMessage", channel="C01", text="own"))["ts"],
        "private": (await app.call("chat.postEphemeral", channel="C01", user="U02", text="x"))["message_ts"],
        "foreign": slack.say("U03", "C01", "hello").ts,
    }
    args = {"channel": "C01", **args}
    if "ts" in args:
        args["ts"] = known.get(args["ts"], args["ts"])
    assert await app.error("chat.update", **args) == error
    assert slack.message("C01", known["own"]).text == "own"


async def test_an_archived_channel_keeps_its_messages(app: Echo, slack: SlackWorld) -> None:
    ts = (await app.call("chat.postMessage", channel="C01", text="own"))["ts"]
    slack.change_channel("C01", is_archived=True)
    assert await app.error("chat.update", channel="C01", ts=ts, text="x") == "is_inactive"


async def test_delete_and_permalink(app: Echo, slack: SlackWorld) -> None:
    ts = (await app.call("chat.postMessage", channel="C01", text="own"))["ts"]
    link = (await app.call("chat.getPermalink", channel="C01", message_ts=ts))["permalink"]
    assert link == f"https://acme.slack.com/archives/C01/p{ts.replace('.', '')}"
    assert await app.error("chat.delete", channel="C01", ts=slack.say("U03", "C01", "x").ts) == "cant_delete_message"
    await app.call("chat.delete", channel="C01", ts=ts)
    assert [it.user for it in slack.messages("C01")] == ["U03"]
    assert await app.error("chat.getPermalink", channel="C01", message_ts=ts) == "message_not_found"


async def test_an_ephemeral_reaches_one_member_only(app: Echo, slack: SlackWorld) -> None:
    slack.add_user("U07")
    await app.call("chat.postEphemeral", channel="C01", user="U02", text="psst")
    assert await app.error("chat.postEphemeral", channel="C01", user="U07", text="psst") == "user_not_in_channel"
    slack.change_user("U03", deleted=True)
    assert await app.error("chat.postEphemeral", channel="C01", user="U03", text="psst") == "user_not_in_channel"
    assert [it.text for it in slack.ephemerals("U02")] == ["psst"]
    assert slack.ephemerals("U03") == slack.messages("C01") == []


async def test_what_slack_takes_but_advises_against_is_noted(app: Echo, slack: SlackWorld) -> None:
    await app.call("chat.postMessage", channel="C01", blocks=[section()])
    await app.call("chat.postMessage", channel="C01", text="<!here>", link_names=True)
    assert slack.warnings == ["missing_text_in_message: C01", "names and links are parsed out of the text: C01"]


async def test_blocks_can_be_validated_without_a_token(app: Echo, slack: SlackWorld) -> None:
    async with app.session.post(slack.api_url + "blocks.validate", json={"blocks": [section()]}) as answer:
        assert await answer.json() == {"ok": True}
    view = {"type": "modal", "title": plain("x" * 25), "blocks": []}
    assert await app.error("blocks.validate", view=view) == "invalid_blocks"
    assert await app.error("blocks.validate", message={"blocks": [section("")]}) == "invalid_blocks"


# --- people and places


async def test_users_as_slack_shows_them(app: Echo, slack: SlackWorld) -> None:
    slack.add_user("U10", is_restricted=True, guest_invited_by="U02", is_email_confirmed=None)
    slack.add_user("U11", deleted=True, is_restricted=True)
    slack.add_user("U12", team_id="T99", is_stranger=False)
    slack.add_user("U13", enterprise_user={"id": "U13", "enterprise_id": "E01"}, team_id="T02")
    guest = (await app.call("users.info", user="U10"))["user"]
    assert guest["is_restricted"] and guest["profile"]["guest_invited_by"] == "U02"
    assert "is_email_confirmed" not in guest and "email" not in guest["profile"]
    gone = (await app.call("users.info", user="U11"))["user"]
    assert gone["deleted"] and "is_restricted" not in gone
    assert (await app.call("users.info", user="U12"))["user"]["team_id"] == "T99"
    assert (await app.call("users.info", user="U13"))["user"]["enterprise_user"]["enterprise_id"] == "E01"
    assert await app.error("users.info", user="U99") == "user_not_found"
    assert await app.error("users.info") == "invalid_arguments"


async def test_mail_addresses_need_their_scope(app: Echo, slack: SlackWorld) -> None:
    assert (await app.call("users.lookupByEmail", email="DANA@acme.example"))["user"]["id"] == "U02"
    assert await app.error("users.lookupByEmail", email="no@acme.example") == "users_not_found"
    slack.rescope("users:read")
    assert "email" not in (await app.call("users.info", user="U02"))["user"]["profile"]


async def test_user_groups(app: Echo, slack: SlackWorld) -> None:
    slack.add_usergroup("S01", ["U02"])
    slack.add_usergroup("S02", ["U03"], disabled=True)
    assert (await app.call("usergroups.users.list", usergroup="S01"))["users"] == ["U02"]
    assert await app.error("usergroups.users.list", usergroup="S02") == "no_such_subteam"
    assert (await app.call("usergroups.users.list", usergroup="S02", include_disabled=True))["users"] == ["U03"]
    assert await app.error("usergroups.users.list", usergroup="S99") == "no_such_subteam"
    listed = (await app.call("usergroups.list", include_users=True))["usergroups"]
    assert [(it["id"], it["users"]) for it in listed] == [("S01", ["U02"])]
    slack.add_usergroup("S01", ["U03"])  # the membership changes
    assert (await app.call("usergroups.users.list", usergroup="S01"))["users"] == ["U03"]
    slack.board.org_token = True
    assert await app.error("usergroups.users.list", usergroup="S01") == "missing_argument"
    assert (await app.call("usergroups.users.list", usergroup="S01", team_id="T01"))["users"] == ["U03"]
    slack.board.free_plan = True
    assert await app.error("usergroups.users.list", usergroup="S01") == "plan_upgrade_required"


@pytest.mark.parametrize("flag", ["is_ext_shared", "is_pending_ext_shared", "is_org_shared", "is_archived"])
async def test_channels_say_with_whom_they_are_shared(app: Echo, slack: SlackWorld, flag: str) -> None:
    slack.add_channel("C05", **{flag: True})
    assert (await app.call("conversations.info", channel="C05"))["channel"][flag]
    assert not (await app.call("conversations.info", channel="C01"))["channel"][flag]


async def test_lists_come_in_pages(app: Echo, slack: SlackWorld) -> None:
    first = await app.call("conversations.members", channel="C01", limit=2)
    rest = await app.call("conversations.members", channel="C01", cursor=first["response_metadata"]["next_cursor"])
    assert first["members"] + rest["members"] == ["U02", "U03", slack.bot_user_id]
    assert rest["response_metadata"]["next_cursor"] == ""
    assert [it["id"] for it in (await app.call("conversations.list"))["channels"]] == ["C01"]
    assert [it["id"] for it in (await app.call("users.list"))["members"]] == ["U02", "U03"]
    assert await app.error("users.list", cursor="junk") == "invalid_cursor"


async def test_the_organisation_shows_where_there_is_one() -> None:
    async with SlackWorld.open(enterprise_id="E01") as world, echo(world) as app:
        assert (await app.call("auth.test"))["enterprise_id"] == "E01"
        assert (await app.call("team.info"))["team"]["enterprise_id"] == "E01"
        assert (await app.call("bots.info", bot="B0BOT"))["bot"]["user_id"] == world.bot_user_id
        assert await app.error("bots.info", bot="B99") == "bot_not_found"
