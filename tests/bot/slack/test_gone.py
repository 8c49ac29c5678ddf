"""Everybody's account is deactivated in Slack: on-call hears of it over HTTP, though the card was delivered."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import aiohttp

from bot.surfaces.slack_api import SlackApi
from bot.surfaces.slack_channels import Channels, Pace
from bot.surfaces.slack_people import People
from bot.surfaces.slack_surface import SlackSurface
from tests.bot.slack.town import ACCOUNTS, GONE, GUEST, OUTSIDER, SlackTown
from tests.worlds.alert_sink import AlertSink
from workers.alerts import WebhookAlerts


async def test_all_deactivated_in_slack_is_told(town: SlackTown) -> None:
    with AlertSink() as sink:
        async with aiohttp.ClientSession() as session:
            quick = timedelta(milliseconds=50)
            town.alerts = WebhookAlerts(session, sink.url("alertmanager"), backoff=quick)
            await town.restart()
            for account in ACCOUNTS.values():
                town.slack.change_user(account, deleted=True)
            view = await town.ask()
            await town.card(view)
            (told,) = await asyncio.to_thread(sink.wait_for, 1)
            assert (told["key"], told["cleared"], told["severity"]) == ("group.gone:sre", False, "critical")
            assert view.request.handle in told["summary"]
            await town.stop()
            await town.start()


async def test_only_a_clear_word_about_the_account_counts(town: SlackTown) -> None:
    api = SlackApi(town.slack.bot_token, town.slack.api_url)
    people = People(api, town.deps.policies, town.store.records)
    surface = SlackSurface(api, town.deps.policies, Channels(api), Pace(), "", people=people)
    for user, gone in {GONE: True, GUEST: True, OUTSIDER: True, "U77": True, ACCOUNTS["robin"]: False}.items():
        assert await surface.gone(user) is gone, user
    assert await surface.gone(f"T01:{GONE}")
    town.slack.change_user(ACCOUNTS["kim"], deleted=True)
    town.slack.faults.down()
    assert not await surface.gone(ACCOUNTS["kim"]), "Slack has said nothing"
    town.slack.faults.up()
    assert await surface.gone(ACCOUNTS["kim"])
    assert not await SlackSurface(api, town.deps.policies, Channels(api), Pace(), "").gone(GONE)
    await api.aclose()
