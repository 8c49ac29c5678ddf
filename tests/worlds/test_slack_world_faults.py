"""The world's faults, its Socket Mode and its synchronous form."""

from __future__ import annotations

import asyncio
import email.utils
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from tests.worlds.slack import Clock, Message, SlackWorld, running_slack
from tests.worlds.slack.echo import Echo
from tests.worlds.test_slack_world_hands import app, card, form, modal, posted, slack

__all__ = ["app", "posted", "slack"]  # fixtures


async def post(app: Echo, text: str = "x", channel: str = "C01") -> aiohttp.ClientResponse:
    """Post a message and return the answer as it came."""
    headers = {"Authorization": f"Bearer {app.slack.bot_token}"}
    body = {"channel": channel, "text": text}
    async with app.session.post(app.slack.api_url + "chat.postMessage", json=body, headers=headers) as answer:
        await answer.read()
        return answer


def texts(slack: SlackWorld) -> list[str]:
    return [message.text for message in slack.messages("C01")]


async def test_away_and_back(app: Echo, slack: SlackWorld) -> None:
    slack.faults.down()
    with pytest.raises(aiohttp.ClientError):
        await post(app, "lost")
    slack.faults.up()
    assert (await post(app, "kept")).status == 200
    assert texts(slack) == ["kept"]


@pytest.mark.parametrize("header", ["3", "1.5", "date", None], ids=["seconds", "fraction", "date", "absent"])
async def test_rate_limits(app: Echo, slack: SlackWorld, header: str | None) -> None:
    slack.faults.rate_limit("chat.postMessage", header)
    answer = await post(app)
    assert answer.status == 429 and texts(slack) == []
    said = answer.headers.get("Retry-After")
    if header == "date":
        assert email.utils.parsedate_to_datetime(str(said)).timestamp() == pytest.approx(slack.clock() + 2, abs=2)
    else:
        assert said == header
    assert (await post(app)).status == 200


async def test_statuses_and_errors_store_nothing(app: Echo, slack: SlackWorld) -> None:
    slack.faults.status("chat.postMessage", 503, times=2)
    slack.faults.error("chat.postMessage", "fatal_error")
    assert [(await post(app)).status for _ in range(2)] == [503, 503]
    assert await app.error("chat.postMessage", channel="C01", text="x") == "fatal_error"
    assert texts(slack) == []
    assert (await app.call("users.info", user="U02"))["ok"]  # only that method was meant


async def test_stored_but_not_answered(app: Echo, slack: SlackWorld) -> None:
    slack.faults.drop_after("chat.postMessage")
    with pytest.raises(aiohttp.ClientError):
        await post(app, "first")
    slack.faults.garbage("chat.postMessage")
    assert (await post(app, "second")).content_type == "text/html"
    assert texts(slack) == ["first", "second"]
    assert [it.status for it in slack.calls("chat.postMessage")] == [None, 200]


async def test_the_sdk_posts_twice_when_the_answer_is_lost(app: Echo, slack: SlackWorld) -> None:
    slack.faults.drop_after("chat.postMessage")
    client = AsyncWebClient(slack.bot_token, base_url=slack.api_url, session=app.session)
    await client.chat_postMessage(channel="C01", text="double")
    assert texts(slack) == ["double", "double"]


async def test_hanging_stores_nothing_and_holding_does(app: Echo, slack: SlackWorld) -> None:
    slack.faults.hang("chat.postMessage", times=1)
    hung = asyncio.create_task(post(app, "hung"))
    await slack.until(lambda: slack.faults.waiting == 1 or None)
    assert texts(slack) == []
    slack.faults.release()
    with pytest.raises(aiohttp.ClientError):
        await hung
    slack.faults.hold("chat.postMessage")
    held = asyncio.create_task(post(app, "held"))
    await slack.until(lambda: slack.faults.waiting == 1 and texts(slack) == ["held"])
    assert not held.done()
    slack.faults.release()
    assert (await held).status == 200
    assert texts(slack) == ["held"]


async def test_slow_answers(app: Echo, slack: SlackWorld) -> None:
    slack.faults.slow("chat.postMessage", 0.02)
    began = asyncio.get_running_loop().time()
    await post(app)
    assert asyncio.get_running_loop().time() - began >= 0.02


async def test_a_pace_for_each_channel(app: Echo, slack: SlackWorld) -> None:
    assert isinstance(slack.clock, Clock)
    slack.add_channel("C02")
    slack.faults.pace("chat.postMessage", every=10, burst=2)
    assert [(await post(app)).status for _ in range(3)] == [200, 200, 429]
    assert (await post(app, channel="C02")).status == 200
    slack.clock.advance(10)
    assert [(await post(app)).status for _ in range(2)] == [200, 429]


async def test_answer_addresses_fail_too(app: Echo, slack: SlackWorld, posted: Message) -> None:
    url = (await slack.click("U02", posted, "go")).response_url
    slack.faults.status("response_url", 500)
    async with app.session.post(url, json={"text": "x"}) as answer:
        assert answer.status == 500
    assert slack.ephemerals("U02") == []


async def test_every_request_is_written_down_both_ways(app: Echo, slack: SlackWorld, posted: Message) -> None:
    await slack.click("U02", posted, "go")
    assert [(it.way, it.method, it.status) for it in slack.log] == [
        ("in", "chat.postMessage", 200), ("out", "block_actions", 200)]  # fmt: skip
    assert slack.calls("chat.postMessage")[0].args["text"] == "push"


async def test_waiting_ends_with_what_was_last_seen(slack: SlackWorld) -> None:
    with pytest.raises(AssertionError, match="1 in C01 not seen"):
        await slack.wait_for_message("C01", timeout=0.01)


# --- Socket Mode


@asynccontextmanager
async def socket(slack: SlackWorld, heard: list[Any], payload: Any = None) -> AsyncIterator[SocketModeClient]:
    """Connect with the SDK's own client, which acknowledges everything with this payload."""
    client = SocketModeClient(
        app_token=slack.app_token, web_client=AsyncWebClient(token=slack.app_token, base_url=slack.api_url)
    )

    async def listen(_client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        heard.append(request)
        await client.send_socket_mode_response(SocketModeResponse(request.envelope_id, payload))

    client.socket_mode_request_listeners.append(listen)
    before = slack.sockets.connections
    await client.connect()
    await slack.until(lambda: slack.sockets.connections > before)
    try:
        yield client
    finally:
        await client.close()
        await client.aiohttp_client_session.close()


async def test_socket_mode_carries_everything(slack: SlackWorld) -> None:
    heard: list[SocketModeRequest] = []
    shown = slack.board.put(Message(slack.board.ts(), "C01", "x", tuple(card()), user=slack.bot_user_id))
    async with socket(slack, heard, {"text": "listed"}):
        assert (await slack.command("U02", "/countersign", "list")).ok
        assert [it.text for it in slack.ephemerals("U02")] == ["listed"]
        assert (await slack.click("U02", shown, "go")).ok
        assert (await slack.event({"type": "tokens_revoked"})).ok
    assert [it.type for it in heard] == ["slash_commands", "interactive", "events_api"]
    assert [it.accepts_response_payload for it in heard] == [True, False, False]
    assert len(slack.sockets.stray) == 2  # the click and the event accept no payload
    assert (await slack.click("U02", shown, "go")).user_error == "dispatch_failed"


async def test_a_submit_through_a_socket_is_answered_in_its_acknowledgement(slack: SlackWorld) -> None:
    heard: list[SocketModeRequest] = []
    async with socket(slack, heard, {"response_action": "update", "view": modal()}):
        trigger = slack.board.trigger("U02")
        client = AsyncWebClient(slack.bot_token, base_url=slack.api_url)
        await client.views_open(trigger_id=trigger, view=form())
        assert (await slack.submit("U02", slack.views("U02")[-1], {"words": {"words": "hello"}})).ok
        assert slack.views("U02")[-1].callback_id == "m"
    assert heard[0].payload["type"] == "view_submission"


async def test_envelopes_go_to_any_connection(slack: SlackWorld) -> None:
    first: list[Any] = []
    second: list[Any] = []
    async with socket(slack, first), socket(slack, second):
        for _ in range(4):
            assert (await slack.command("U02", "/countersign")).ok
    assert [len(first), len(second)] == [2, 2]


async def test_a_ticket_is_good_once_and_for_half_a_minute(app: Echo, slack: SlackWorld) -> None:
    assert isinstance(slack.clock, Clock)
    url = (await app.call("apps.connections.open", slack.app_token))["url"]
    async with app.session.ws_connect(url) as opened:
        hello = json.loads((await opened.receive()).data)
        assert (hello["type"], hello["num_connections"]) == ("hello", 1)
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await app.session.ws_connect(url)
        await opened.send_str("not an envelope")
        await slack.until(lambda: slack.sockets.stray)
        await slack.sockets.say_goodbye("link_disabled")
        assert json.loads((await opened.receive()).data)["reason"] == "link_disabled"
        assert (await opened.receive()).type is aiohttp.WSMsgType.CLOSE
    late = (await app.call("apps.connections.open", slack.app_token))["url"]
    slack.clock.advance(31)
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await app.session.ws_connect(late)


async def test_connections_have_a_number_and_a_method(app: Echo, slack: SlackWorld) -> None:
    async with app.session.get(
        slack.api_url + "apps.connections.open", headers={"Authorization": f"Bearer {slack.app_token}"}
    ) as answer:
        assert (await answer.json())["error"] == "insecure_request"
    held = []
    for _ in range(10):
        url = (await app.call("apps.connections.open", slack.app_token))["url"]
        held.append(await app.session.ws_connect(url))
    url = (await app.call("apps.connections.open", slack.app_token))["url"]
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await app.session.ws_connect(url)
    slack.faults.down()
    for each in held:
        assert (await each.receive()).type is aiohttp.WSMsgType.TEXT  # the hello that still lay there
        assert (await each.receive()).type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
    await slack.until(lambda: slack.sockets.connections == 0)


async def test_no_acknowledgement_in_time(app: Echo, slack: SlackWorld) -> None:
    slack.connect(None)
    slack.courier.patience = 0.02
    url = (await app.call("apps.connections.open", slack.app_token))["url"]
    async with app.session.ws_connect(url):
        assert "operation_timeout" in str((await slack.command("U02", "/countersign")).user_error)


# --- the same, without await


def test_a_synchronous_test_has_the_same_names() -> None:
    with running_slack() as slack:
        slack.add_user("U02", name="dana")
        slack.add_channel("C01", members=["U02"])
        slack.faults.rate_limit("chat.postMessage", "1")
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(slack.wait_for_message, "C01")
            statuses = [asyncio.run(_post_once(slack)) for _ in range(2)]
            message = waiting.result()
        assert (statuses, message.text) == ([429, 200], "hello")
        slack.clock.advance(5)
        assert slack.until(lambda: slack.messages("C01")[0].text) == "hello"
        assert slack.click("U02", message, "go").user_error == "dispatch_failed"  # nobody listens
        assert slack.team_id == "T01" and len(slack.calls("chat.postMessage")) == 2


async def _post_once(slack: Any) -> int:
    headers = {"Authorization": f"Bearer {slack.bot_token}"}
    body = {"channel": "C01", "text": "hello", "blocks": card()}
    async with (
        aiohttp.ClientSession() as session,
        session.post(slack.api_url + "chat.postMessage", json=body, headers=headers) as answer,
    ):
        return answer.status
