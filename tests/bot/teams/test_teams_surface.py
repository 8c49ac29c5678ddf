"""The surface `teams`: where the app is, not faster than Teams takes it, and patient where it is away."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest

from approvers.card import render
from bot.surfaces.port import MessageRef, OutcomeUnknown, Refused, Unreachable
from bot.surfaces.teams_auth import Connector, GuardedConnectors
from bot.surfaces.teams_faults import TeamsRefused
from bot.surfaces.teams_proof import served_by
from bot.surfaces.teams_routes import Route, Routes
from bot.surfaces.teams_surface import BURST, LONGEST_PAUSE, PER_POST_SECONDS, TeamsSurface
from bot.surfaces.teams_tokens import ClientSecret, TokenCache
from bot.waits import Pace
from tests.worlds import samples
from tests.worlds.teams import TeamsWorld
from workers.stores.memory import memory_store

CHANNEL, LOST = "19:c1@thread.tacv2", "19:lost@thread.tacv2"
CARD = render(samples.request(), None)
REQUEST = samples.request()


@dataclasses.dataclass
class Wall:
    """A channel, and our surface posting to it."""

    teams: TeamsWorld
    surface: TeamsSurface
    routes: Routes
    seconds: float = 0.0

    def route(self, **fields: Any) -> Route:
        world = self.teams
        return Route(service_url=world.service_url, tenant_id=world.tenant, bot_id=world.bot_id, **fields)


@pytest.fixture
async def wall() -> AsyncIterator[Wall]:
    async with TeamsWorld.open() as teams:
        teams.add_person("robin")
        teams.add_channel(CHANNEL, members=["robin"])
        await teams.install(CHANNEL)
        await teams.install("robin")
        tokens = TokenCache(ClientSecret(teams.app_id, teams.app_secret, teams.token_url))
        connectors = GuardedConnectors(tokens, served_by(["127.0.0.1"]))
        routes = Routes(memory_store().records)
        pace = Pace(PER_POST_SECONDS, BURST, clock=lambda: running.seconds)
        surface = TeamsSurface(Connector(connectors), routes, "http://127.0.0.1:8080", pace=pace, chance=lambda: 1.0)
        running = Wall(teams, surface, routes)
        await routes.learn(running.route(kind="channel", conversation_id=CHANNEL, channel_id=CHANNEL))
        yield running
        await connectors.aclose()
        await tokens.aclose()


async def test_a_card_is_posted_edited_and_commented(wall: Wall) -> None:
    ref = await wall.surface.post(CHANNEL, CARD)
    (shown,) = wall.teams.messages(CHANNEL)
    assert ref == MessageRef("teams", CHANNEL, shown.id)
    assert shown.summary
    ended = samples.request().model_copy(update={"state": "EXPIRED", "decided_at": samples.NOW})
    await wall.surface.update(ref, render(ended, None))
    (shown,) = wall.teams.messages(CHANNEL)
    assert "approve" not in {button.verb for button in shown.actions()}
    await wall.surface.reply(ref, "denied by **robin** <at>all</at>")
    (line,) = wall.teams.replies(shown)
    assert line.visible_text() == "denied by **robin** <at>all</at>"
    assert not line.live_markup()
    assert wall.surface.name == "teams"
    assert not wall.teams.violations


async def test_a_person_is_told_in_their_chat_which_is_opened_once(wall: Wall) -> None:
    robin = wall.teams.board.person("robin")
    account = wall.teams.account("robin")
    with pytest.raises(Refused, match="has not met the app"):
        await wall.surface.tell(account, "hello")
    await wall.routes.learn(wall.route(kind="personal", user_id=robin.user_id, object_id=robin.object_id))
    await wall.surface.tell(account, "hello")
    ref = await wall.surface.post(account, CARD)
    await wall.surface.update(ref, CARD)
    await wall.surface.reply(ref, "a line")
    assert [one.text for one in wall.teams.chat("robin") if one.text] == ["hello", "a line"]
    assert len(wall.teams.calls("create")) == 1
    assert ref.channel != account


async def test_without_a_route_an_operator_has_to_act(wall: Wall) -> None:
    with pytest.raises(Refused, match="add it to the team"):
        await wall.surface.post(LOST, CARD)
    assert not wall.teams.calls()


async def test_a_channel_takes_five_at_once_and_then_one_each_two_and_a_half_seconds(wall: Wall) -> None:
    refs = [await wall.surface.post(CHANNEL, CARD) for _ in range(BURST)]
    with pytest.raises(Unreachable) as raised:
        await wall.surface.post(CHANNEL, CARD)
    assert raised.value.after_seconds == pytest.approx(PER_POST_SECONDS)
    with pytest.raises(Unreachable):
        await wall.surface.update(refs[0], CARD)  # edits count, too
    wall.seconds += PER_POST_SECONDS
    await wall.surface.update(refs[0], CARD)
    assert len(wall.teams.messages(CHANNEL)) == BURST


async def test_the_wait_doubles_while_teams_is_away_and_starts_anew_after(wall: Wall) -> None:
    wall.teams.faults.status("post", 503, times=None)
    waits = []
    for _ in range(9):
        wall.seconds += 60
        with pytest.raises(Unreachable) as raised:
            await wall.surface.post(CHANNEL, CARD)
        waits.append(raised.value.after_seconds)
    assert waits[:4] == [2.0, 4.0, 8.0, 16.0]
    assert waits[-1] == LONGEST_PAUSE
    wall.teams.faults.up()
    wall.seconds += 60
    await wall.surface.post(CHANNEL, CARD)
    wall.teams.faults.status("post", 503)
    with pytest.raises(Unreachable) as raised:
        await wall.surface.post(CHANNEL, CARD)
    assert raised.value.after_seconds == 2.0


async def test_what_teams_asks_to_wait_is_the_least(wall: Wall) -> None:
    wall.teams.faults.status("post", 429, retry_after=7)
    with pytest.raises(Unreachable) as raised:
        await wall.surface.post(CHANNEL, CARD)
    assert 7 <= raised.value.after_seconds < 8


async def test_no_second_post_is_spent_on_a_teams_that_answers_nothing(wall: Wall) -> None:
    wall.teams.faults.drop_after("post", times=None)
    with pytest.raises(OutcomeUnknown):
        await wall.surface.post(CHANNEL, CARD)
    wall.teams.faults.drop("get", times=None)
    for _ in range(3):
        with pytest.raises(Unreachable):
            await wall.surface.post(CHANNEL, CARD)
    assert len(wall.teams.messages(CHANNEL)) == 1
    wall.teams.faults.up()
    await wall.surface.post(CHANNEL, CARD)
    assert len(wall.teams.messages(CHANNEL)) == 2


@pytest.mark.parametrize("status", [400, 413])
async def test_a_card_that_teams_will_not_draw_becomes_one_sentence_and_a_link(wall: Wall, status: int) -> None:
    wall.teams.faults.status("post", status)
    ref = await wall.surface.post(CHANNEL, CARD)
    (shown,) = wall.teams.messages(CHANNEL)
    (review,) = shown.actions()
    assert (review.title, shown.summary in shown.visible_text()) == ("Review", True)
    assert shown.card
    assert shown.card["actions"][0]["url"] == f"http://127.0.0.1:8080/console/requests/{REQUEST.id}"
    wall.teams.faults.status("put", status)
    await wall.surface.update(ref, CARD)
    assert wall.teams.messages(CHANNEL)[0].edited == 1


async def test_where_the_app_was_removed_the_route_is_dropped(wall: Wall) -> None:
    wall.teams.block(CHANNEL)
    with pytest.raises(TeamsRefused):
        await wall.surface.post(CHANNEL, CARD)
    assert await wall.routes.of_channel(CHANNEL) is None


async def test_a_message_that_somebody_deleted_is_refused_and_the_route_stays(wall: Wall) -> None:
    with pytest.raises(TeamsRefused):
        await wall.surface.update(MessageRef("teams", CHANNEL, "1700000000000"), CARD)
    assert await wall.routes.of_channel(CHANNEL)
