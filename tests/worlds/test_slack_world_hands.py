"""The world's people: what they can press, what then goes out, and what they see when the app answers badly."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from tests.worlds.slack import CannotDo, Message, SlackWorld
from tests.worlds.slack.echo import Echo, echo

YES = {"title": "Sure?", "text": "Approve prod", "confirm": "Yes", "deny": "No"}


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def button(action: str, value: str = "v", **more: Any) -> dict[str, Any]:
    return {"type": "button", "action_id": action, "value": value, "text": plain(action), **more}


def card(*extra: dict[str, Any], text: str = "card") -> list[dict[str, Any]]:
    confirm = {name: plain(words) for name, words in YES.items()}
    why = {
        "type": "static_select",
        "action_id": "why",
        "options": [{"text": plain("Too broad"), "value": "too_broad"}, {"text": plain("Not now"), "value": "not_now"}],
    }
    return [
        {"type": "section", "text": plain(text)},
        {"type": "actions", "elements": [button("go"), button("sure", confirm=confirm), why, *extra]},
    ]


def modal(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    shown = list(blocks) or [{"type": "section", "text": plain("x")}]
    return {"type": "modal", "callback_id": "m", "title": plain("t"), "blocks": shown, **more}


def form(**more: Any) -> dict[str, Any]:
    words = {"type": "plain_text_input", "action_id": "words", "max_length": 10, **more.pop("element", {})}
    return modal(
        {"type": "input", "block_id": "words", "label": plain("Words"), "element": words, **more}, submit=plain("Send")
    )


def as_json(body: Any, status: int = 200) -> web.Response:
    return web.json_response(body, status=status)


@pytest.fixture
async def slack() -> AsyncIterator[SlackWorld]:
    async with SlackWorld.open() as world:
        world.add_user("U02", name="dana")
        world.add_user("U03", name="robin")
        world.add_channel("C01", members=["U02", "U03"], name="payload-team")
        yield world


@pytest.fixture
async def app(slack: SlackWorld) -> AsyncIterator[Echo]:
    async with echo(slack) as running:
        yield running


@pytest.fixture
async def posted(app: Echo, slack: SlackWorld) -> Message:
    await app.call("chat.postMessage", channel="C01", text="push", blocks=card())
    return slack.messages("C01")[0]


# --- clicks


async def test_a_click_is_signed_and_says_who_where_and_what(app: Echo, slack: SlackWorld, posted: Message) -> None:
    delivery = await slack.click("U02", posted, "go")
    assert (delivery.ok, delivery.status, delivery.user_error) == (True, 200, None)
    body = app.heard[-1]
    assert (body["type"], body["user"]["id"], body["team"]["id"]) == ("block_actions", "U02", "T01")
    assert (body["container"]["message_ts"], body["channel"]["id"]) == (posted.ts, "C01")
    assert [(it["action_id"], it["value"]) for it in body["actions"]] == [("go", "v")]
    headers = app.headers[-1]
    base = f"v0:{headers['X-Slack-Request-Timestamp']}:".encode() + delivery.sent
    digest = hmac.new(slack.signing_secret.encode(), base, hashlib.sha256).hexdigest()
    assert headers["X-Slack-Signature"] == f"v0={digest}"


async def test_a_confirm_dialog_is_answered_first(app: Echo, slack: SlackWorld, posted: Message) -> None:
    refused = await slack.click("U02", posted, "sure", confirm=False)
    assert (app.heard, refused.ok, refused.status) == ([], False, None)
    assert "Approve prod" in str((await slack.click("U02", posted, "sure")).dialog)
    assert len(app.heard) == 1


async def test_choosing(app: Echo, slack: SlackWorld, posted: Message) -> None:
    assert (await slack.choose("U02", posted, "why", "not_now")).ok
    assert app.heard[-1]["actions"][0]["selected_option"]["value"] == "not_now"
    with pytest.raises(CannotDo, match="offers"):
        await slack.choose("U02", posted, "why", "never")


async def test_what_a_person_cannot_press(app: Echo, slack: SlackWorld, posted: Message) -> None:
    slack.add_user("U04")
    ts = (await app.call("chat.postEphemeral", channel="C01", user="U02", text="x", blocks=card()))["message_ts"]
    private = slack.message("C01", ts)
    foreign = slack.say("U03", "C01", "look-alike", card())
    for user, where, action in (
        ("U04", posted, "go"),
        ("U02", posted, "gone"),
        ("U02", posted, "why"),
        ("U03", private, "go"),
        ("U02", foreign, "go"),
        ("U99", posted, "go"),
    ):
        with pytest.raises(CannotDo):
            await slack.click(user, where, action)
    assert app.heard == []
    await slack.click("U02", private, "go")
    assert "message" not in app.heard[-1]


async def test_a_screen_may_be_older_than_the_message(app: Echo, slack: SlackWorld, posted: Message) -> None:
    await app.call("chat.update", channel="C01", ts=posted.ts, text="done", blocks=[card()[0]])
    assert slack.messages("C01")[0].buttons() == []
    assert (await slack.click("U02", posted, "go")).ok


async def test_one_of_several_buttons_is_meant_by_its_value(app: Echo, slack: SlackWorld) -> None:
    rows = [{"type": "actions", "elements": [button("show", value)]} for value in ("one", "two")]
    await app.call("chat.postMessage", channel="C01", text="x", blocks=rows)
    listed = slack.messages("C01")[0]
    with pytest.raises(CannotDo, match="2 of show"):
        await slack.click("U02", listed, "show")
    await slack.click("U02", listed, "show", value="two")
    assert app.heard[-1]["actions"][0]["value"] == "two"


@pytest.mark.parametrize(
    ("answer", "words"),
    [(web.Response(status=500), "dispatch_failed"), (web.Response(status=404), "dispatch_failed")],
    ids=["500", "404"],
)
async def test_an_answer_that_is_not_200_is_an_error_to_the_person(
    app: Echo, slack: SlackWorld, posted: Message, answer: web.Response, words: str
) -> None:
    app.answers.append(answer)
    assert (await slack.click("U02", posted, "go")).user_error == words


async def test_no_answer_in_time_is_an_error_to_the_person(slack: SlackWorld) -> None:
    async with asyncio.timeout(30), silent() as url:
        slack.connect(url)
        slack.courier.patience = 0.05
        delivery = await slack.command("U02", "/countersign", "list")
    assert delivery.user_error == '/countersign failed with the error "operation_timeout"'
    slack.connect(url)
    assert (
        await slack.command("U02", "/countersign")
    ).user_error == '/countersign failed with the error "dispatch_failed"'


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """Run a server that takes connections and says nothing."""
    over = asyncio.Event()

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        over.set()
        server.close()


async def test_payloads_of_an_organisation(app: Echo, slack: SlackWorld, posted: Message) -> None:
    slack.add_user("U05", payload_team_id="E01", payload_team_null=True)
    slack.join("U05", "C01")
    await slack.click("U05", posted, "go")
    assert (app.heard[-1]["team"], app.heard[-1]["user"]["team_id"]) == (None, "E01")


async def test_replays_and_raw_requests(app: Echo, slack: SlackWorld, posted: Message) -> None:
    first = await slack.click("U02", posted, "go")
    again = await slack.replay(first)
    assert app.heard[0] == app.heard[1] and again.sent == first.sent
    body = b'{"type": "event_callback"}'
    await slack.send_raw(body, {"Content-Type": "application/json", **slack.sign(body, ts=1)})
    assert app.headers[-1]["X-Slack-Request-Timestamp"] == "1"


async def test_two_clicks_at_once_are_two_requests(app: Echo, slack: SlackWorld, posted: Message) -> None:
    deliveries = await asyncio.gather(*(slack.click(user, posted, "go") for user in ("U02", "U03")))
    assert len({it.headers["X-Slack-Signature"] for it in deliveries}) == 2
    assert {it["user"]["id"] for it in app.heard} == {"U02", "U03"}


# --- commands


async def test_a_command_is_a_form_of_its_own(app: Echo, slack: SlackWorld) -> None:
    await slack.command("U02", "/countersign", "show payload <b> @robin #payload-team @nobody", channel="C01")
    form = app.heard[-1]
    assert form["text"] == "show payload &lt;b&gt; <@U03|robin> <#C01|payload-team> @nobody"
    assert (form["command"], form["channel_name"], form["user_id"]) == ("/countersign", "payload-team", "U02")
    await slack.command("U02", "/countersign")
    assert (app.heard[-1]["channel_name"], app.heard[-1]["text"]) == ("directmessage", "")
    with pytest.raises(CannotDo, match="not a command"):
        await slack.command("U02", "/other")


@pytest.mark.parametrize(
    ("answer", "seen", "public"),
    [
        (web.Response(), [], []),
        (web.Response(text="plain"), ["plain"], []),
        (as_json({"text": "only you"}), ["only you"], []),
        (as_json({"response_type": "in_channel", "text": "all"}), [], ["all"]),
    ],
    ids=["nothing", "words", "private", "public"],
)
async def test_the_answer_to_a_command_is_shown(
    app: Echo, slack: SlackWorld, answer: web.Response, seen: list[str], public: list[str]
) -> None:
    app.answers.append(answer)
    assert (await slack.command("U02", "/countersign", "list", channel="C01")).ok
    assert [it.text for it in slack.ephemerals("U02")] == seen
    assert [it.text for it in slack.messages("C01")] == public


@pytest.mark.parametrize(
    "body",
    [{"blocks": [{"type": "section"}]}, {"response_type": "private", "text": "x"}, ["x"], {"colour": "red"}],
    ids=["blocks", "response_type", "array", "field"],
)
async def test_a_command_answered_badly_fails_before_the_person(app: Echo, slack: SlackWorld, body: Any) -> None:
    app.answers.append(as_json(body))
    assert (await slack.command("U02", "/countersign", "list")).user_error
    assert slack.ephemerals("U02") == [] and slack.refusals


# --- shortcuts, Home, events


async def test_shortcuts(app: Echo, slack: SlackWorld, posted: Message) -> None:
    assert (await slack.shortcut("U02", "cs_show", posted)).ok
    assert (app.heard[-1]["type"], app.heard[-1]["message_ts"]) == ("message_action", posted.ts)
    with pytest.raises(CannotDo):
        await slack.shortcut("U02", "cs_show")  # only on messages
    with pytest.raises(CannotDo):
        await slack.shortcut("U02", "other", posted)


async def test_a_home_is_published_and_pressed(app: Echo, slack: SlackWorld) -> None:
    assert (await slack.open_home("U02")).ok
    assert (app.heard[-1]["event"]["type"], app.heard[-1]["event"]["user"]) == ("app_home_opened", "U02")
    home = {"type": "home", "blocks": card(text="Waiting")}
    first = (await app.call("views.publish", user_id="U02", view=home))["view"]
    shown = slack.home("U02")
    assert shown is not None and "Waiting" in shown.visible_text()
    assert slack.home("U03") is None
    await slack.click("U02", shown, "go")
    body = app.heard[-1]
    assert (body["container"], body["view"]["type"]) == ({"type": "view", "view_id": first["id"]}, "home")
    assert "response_url" not in body and "channel" not in body
    await app.call("views.publish", user_id="U02", view=home)
    assert await app.error("views.publish", user_id="U02", view=home, hash=first["hash"]) == "hash_conflict"
    assert await app.error("views.publish", user_id="U99", view=home) == "invalid_arguments"
    assert await app.error("views.publish", user_id="U02", view=modal()) == "invalid_arguments"
    with pytest.raises(CannotDo):
        await slack.click("U03", shown, "go")


async def test_events_are_sent_again_with_fresh_signatures(app: Echo, slack: SlackWorld) -> None:
    app.answers += [web.Response(status=500), web.Response(status=503)]
    delivery = await slack.event(slack.user_change("U02"))
    assert [it.status for it in delivery.attempts] == [500, 503, 200] and delivery.ok
    assert [headers.get("X-Slack-Retry-Num") for headers in app.headers] == [None, "1", "2"]
    assert app.headers[1]["X-Slack-Retry-Reason"] == "http_error"
    assert len({headers["X-Slack-Signature"] for headers in app.headers}) == 3
    assert len({body["event_id"] for body in app.heard}) == 1


async def test_events_end_after_three_retries_or_when_asked_to(app: Echo, slack: SlackWorld) -> None:
    app.answers += [web.Response(status=500) for _ in range(9)]
    assert len((await slack.event({"type": "tokens_revoked"})).attempts) == 4
    app.answers[0] = web.Response(status=500, headers={"X-Slack-No-Retry": "1"})
    assert len((await slack.event({"type": "tokens_revoked"})).attempts) == 1
    with pytest.raises(CannotDo, match="subscribe"):
        await slack.event({"type": "message"})


async def test_the_events_address_is_verified(app: Echo, slack: SlackWorld) -> None:
    assert not await slack.verify_url()
    challenge = f"c{slack.board.number() + 1:08d}"
    app.answers.append(as_json({"challenge": challenge}))
    assert await slack.verify_url()
