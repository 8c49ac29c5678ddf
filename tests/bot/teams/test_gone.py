"""Nobody is a member in Teams any more: on-call hears of it over HTTP, though the card was delivered."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import aiohttp

from bot.surfaces.teams_surface import TeamsSurface
from tests.bot.teams.town import PEOPLE, TeamsTown, account
from tests.worlds.alert_sink import AlertSink
from workers.alerts import WebhookAlerts


async def test_nobody_left_in_teams_is_told(town: TeamsTown) -> None:
    with AlertSink() as sink:
        async with aiohttp.ClientSession() as session:
            quick = timedelta(milliseconds=50)
            town.alerts = WebhookAlerts(session, sink.url("alertmanager"), backoff=quick)
            await town.restart()
            for name in PEOPLE:
                await town.teams.say(name, None, "list")  # by which their own chat with the app is known
                town.teams.board.person(name).gone = True
            view = await town.ask()
            await town.card(view)
            (told,) = await asyncio.to_thread(sink.wait_for, 1)
            assert (told["key"], told["cleared"], told["severity"]) == ("group.gone:sre", False, "critical")
            assert view.request.handle in told["summary"]
            await town.stop()
            await town.start()


async def test_only_a_clear_word_about_the_person_counts(town: TeamsTown) -> None:
    async with town.parts() as parts:
        surface = TeamsSurface(parts.api, parts.routes, "http://127.0.0.1:8080")
        await town.teams.say("robin", None, "list")
        assert not await surface.gone(account("robin"))
        for name in ("robin", "kim"):
            town.teams.board.person(name).gone = True
        assert await surface.gone(account("robin"))
        assert not await surface.gone(account("kim")), "no chat of hers is known: nobody can say"
        town.teams.faults.status("get", 403)
        assert not await surface.gone(account("robin")), "that is said of the app"
        assert not await surface.gone("nonsense")
