"""Socket Mode: the same listeners, over connections that we open, as many as there are processes."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest

from bot.surfaces.slack_socket import _SECRET, _quiet
from tests.bot.slack.town import CHANNEL, SlackTown, open_town
from tests.worlds.slack import SlackWorld
from tests.worlds.web import Web
from workers.stores.memory import memory_store


@pytest.fixture
async def town() -> AsyncIterator[SlackTown]:
    async with open_town(slack_app_token="xapp-1-A0APP-1-world") as opened:
        opened.slack.connect(None)
        await opened.slack.until(lambda: opened.slack.sockets.connections == 1, what="a connection")
        yield opened


async def test_the_same_story_without_a_public_address(town: SlackTown) -> None:
    view = await town.ask()
    assert (await town.click("robin", await town.card(view), "cs_approve")).ok
    assert (await town.now(view)).request.state == "APPROVED"
    assert "that was enough" in await town.heard("robin")
    answered = await town.slack.command("U02", "/countersign", "list", channel=CHANNEL)
    assert answered.ok
    assert answered.json["response_type"] == "ephemeral"
    assert town.slack.sockets.stray == []


async def test_there_is_no_open_door_beside_it() -> None:
    async with SlackWorld.open() as slack:
        tokens = {"slack_bot_token": slack.bot_token, "slack_app_token": slack.app_token}
        async with Web.over(memory_store(), slack_api_url=slack.api_url, **tokens) as web:
            await slack.until(lambda: slack.sockets.connections == 1, what="a connection")
            assert (await web.call("POST", "/slack/events", data=b"")).status == 404


async def test_two_processes_have_two_connections_and_each_hears_its_share() -> None:
    async with SlackWorld.open() as slack:
        tokens = {"slack_bot_token": slack.bot_token, "slack_app_token": slack.app_token}
        store = memory_store()
        async with (
            Web.over(store, slack_api_url=slack.api_url, **tokens),
            Web.over(store, policy="", slack_api_url=slack.api_url, **tokens),
        ):
            await slack.until(lambda: slack.sockets.connections == 2, what="two connections")
            slack.add_user("U02")
            slack.add_channel("C02", members=["U02"])
            for _ in range(4):
                assert (await slack.command("U02", "/countersign", "help", channel="C02")).ok


async def test_it_comes_back_when_slack_says_goodbye(town: SlackTown) -> None:
    view = await town.ask()
    card = await town.card(view)
    await town.slack.sockets.say_goodbye()
    for _ in range(5):  # for a moment there is no connection, and Slack says so to whoever clicks then
        await town.slack.until(lambda: town.slack.sockets.connections == 1, what="a connection")
        if (await town.click("robin", card, "cs_deny")).ok:
            break
    assert len(town.slack.calls("apps.connections.open")) > 1
    assert (await town.now(view)).request.state == "DENIED"


async def test_it_ends_with_the_process(town: SlackTown) -> None:
    await town.stop()
    assert town.slack.sockets.connections == 0


@pytest.mark.parametrize(
    "line",
    ["wss://wss.example/link/?ticket=hush&app_id=A1", "token xapp-1-A1-hush refused", "'xoxb-1-hush'"],
)
def test_the_sdks_lines_hold_no_ticket_and_no_token(line: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    _quiet.error("Failed to connect (error: %s)", line)
    assert "Failed to connect" in caplog.text
    assert "hush" not in caplog.text
    assert _SECRET.search(line)
