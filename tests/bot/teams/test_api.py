"""Each way in which a call to Teams fails is told apart: nothing happened, nobody knows, or it never will."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from bot.surfaces.port import OutcomeUnknown, Refused, SurfaceError, Unreachable
from bot.surfaces.teams_activities import card_message, text_message
from bot.surfaces.teams_auth import TIMEOUT, Connector, GuardedConnectors
from bot.surfaces.teams_faults import AskedToWait, TeamsRefused
from bot.surfaces.teams_proof import served_by
from bot.surfaces.teams_routes import Route
from bot.surfaces.teams_tokens import ClientSecret, TokenCache, TokenRefused, TokenUnavailable
from tests.worlds.stopwatch import own_time
from tests.worlds.teams import TeamsWorld
from tests.worlds.valkey import free_port

CHANNEL = "19:c1@thread.tacv2"
CARD = {"type": "AdaptiveCard", "version": "1.5", "body": [{"type": "TextBlock", "text": "hello", "wrap": True}]}
MESSAGE = card_message(CARD, "Approval needed")


class Desk:
    """Be the app's side: a connector with a token of its own, and the routes to the world."""

    def __init__(self, teams: TeamsWorld, timeout: aiohttp.ClientTimeout = TIMEOUT) -> None:
        self.teams = teams
        self.tokens = TokenCache(ClientSecret(teams.app_id, teams.app_secret, teams.token_url))
        self.connectors = GuardedConnectors(self.tokens, served_by(["127.0.0.1"]), timeout)
        self.failed: list[str] = []
        self.api = Connector(self.connectors, failed=self.failed.append)

    def channel(self, **changes: Any) -> Route:
        return self._route(kind="channel", conversation_id=CHANNEL, channel_id=CHANNEL).model_copy(update=changes)

    def person(self, **changes: Any) -> Route:
        user = self.teams.board.person("robin")
        return self._route(kind="personal", user_id=user.user_id, object_id=user.object_id).model_copy(update=changes)

    def _route(self, **fields: Any) -> Route:
        world = self.teams
        return Route(service_url=world.service_url, tenant_id=world.tenant, bot_id=world.bot_id, **fields)

    async def aclose(self) -> None:
        await self.tokens.aclose()
        await self.connectors.aclose()


@pytest.fixture
async def teams() -> AsyncIterator[TeamsWorld]:
    async with TeamsWorld.open() as world:
        world.add_person("robin")
        world.add_channel(CHANNEL, members=["robin"])
        await world.install(CHANNEL)
        await world.install("robin")
        yield world


@pytest.fixture
async def desk(teams: TeamsWorld) -> AsyncIterator[Desk]:
    desk = Desk(teams)
    yield desk
    await desk.aclose()


async def test_a_card_is_posted_edited_and_answered_in_its_thread(teams: TeamsWorld, desk: Desk) -> None:
    posted = await desk.api.post(desk.channel(), MESSAGE)
    shown = teams.messages(CHANNEL)[-1]
    assert (posted.conversation, posted.message) == (CHANNEL, shown.id)
    assert (shown.card, shown.summary) == (CARD, "Approval needed")
    other = {**CARD, "body": [{"type": "TextBlock", "text": "decided", "wrap": True}]}
    await desk.api.update(desk.channel(), posted.conversation, posted.message, card_message(other, "Decided"))
    assert teams.message(shown.id).card == other
    await desk.api.post(desk.channel(), text_message("<b>bold</b> **no**"), thread=posted.message)
    assert [one.visible_text() for one in teams.replies(shown)] == ["<b>bold</b> **no**"]
    assert not teams.refusals
    assert not teams.violations


async def test_a_person_is_written_to_and_the_chat_is_opened_where_there_is_none(teams: TeamsWorld, desk: Desk) -> None:
    opened = await desk.api.post(desk.person(), text_message("one"))
    again = await desk.api.post(desk.person(conversation_id=opened.conversation), text_message("two"))
    assert [one.text for one in teams.chat("robin")] == ["one", "two"]
    assert again.conversation == opened.conversation


@pytest.mark.parametrize("old_key", [False, True])
async def test_a_member_is_read_with_the_object_id_under_one_name(teams: TeamsWorld, desk: Desk, old_key: bool) -> None:
    robin = teams.change_person("robin", old_key=old_key)
    found = await desk.api.member(desk.channel(), CHANNEL, robin.user_id)
    assert (found["aadObjectId"], found["userRole"], found["tenantId"]) == (robin.object_id, "user", teams.tenant)
    with pytest.raises(Refused):
        await desk.api.member(desk.channel(), CHANNEL, "29:nobody")


@pytest.mark.parametrize("html", [False, True])
@pytest.mark.parametrize(
    ("status", "post", "edit"),
    [
        (401, Unreachable, Unreachable),
        (412, Unreachable, Unreachable),
        (429, Unreachable, Unreachable),
        (503, Unreachable, Unreachable),
        (408, OutcomeUnknown, Unreachable),
        (500, OutcomeUnknown, Unreachable),
        (502, OutcomeUnknown, Unreachable),
        (504, OutcomeUnknown, Unreachable),
        (400, TeamsRefused, TeamsRefused),
        (403, TeamsRefused, TeamsRefused),
        (404, TeamsRefused, TeamsRefused),
        (413, TeamsRefused, TeamsRefused),
    ],
)
async def test_each_status_says_what_became_of_it(
    teams: TeamsWorld, desk: Desk, status: int, html: bool, post: type[SurfaceError], edit: type[SurfaceError]
) -> None:
    posted = await desk.api.post(desk.channel(), MESSAGE)
    calls = len(teams.calls())
    teams.faults.status("post", status, html=html)
    with pytest.raises(post):
        await desk.api.post(desk.channel(), MESSAGE)
    teams.faults.status("put", status, html=html)
    with pytest.raises(edit):
        await desk.api.update(desk.channel(), *posted, MESSAGE)
    assert len(teams.calls()) == calls + 2  # nothing is tried again unseen
    assert len(desk.failed) == 2


@pytest.mark.parametrize(("given", "waits"), [("7", 7.0), ("0", 1.0), ("1e9", 300.0), ("soon", 5.0)])
async def test_it_waits_as_long_as_teams_says(teams: TeamsWorld, desk: Desk, given: str, waits: float) -> None:
    teams.faults.status("post", 429, retry_after=given)
    with pytest.raises(AskedToWait) as raised:
        await desk.api.post(desk.channel(), MESSAGE)
    assert raised.value.after_seconds == waits


@pytest.mark.parametrize("fault", ["drop_after", "no_id", "truncated", "drop"])
async def test_a_post_without_a_readable_answer_may_have_arrived(teams: TeamsWorld, desk: Desk, fault: str) -> None:
    getattr(teams.faults, fault)("post")
    with pytest.raises(OutcomeUnknown):
        await desk.api.post(desk.channel(), MESSAGE)
    assert len(teams.messages(CHANNEL)) == (0 if fault == "drop" else 1)


async def test_a_redirect_is_not_followed(teams: TeamsWorld, desk: Desk) -> None:
    teams.faults.redirect("post")
    with pytest.raises(TeamsRefused):
        await desk.api.post(desk.channel(), MESSAGE)
    assert not teams.violations


async def test_a_service_that_takes_calls_and_answers_none_is_given_up_on(teams: TeamsWorld) -> None:
    assert TIMEOUT.total == 15
    desk = Desk(teams, aiohttp.ClientTimeout(total=0.2))
    teams.faults.hang("post")
    with pytest.raises(OutcomeUnknown):
        await desk.api.post(desk.channel(), MESSAGE)
    teams.faults.up()
    await desk.aclose()


async def test_a_service_that_is_not_there_was_told_nothing(desk: Desk) -> None:
    with pytest.raises(Unreachable):
        await desk.api.post(desk.channel(service_url=f"http://127.0.0.1:{free_port()}/emea/"), MESSAGE)


async def test_the_token_goes_to_no_address_that_is_not_listed(teams: TeamsWorld, desk: Desk) -> None:
    for address in ("https://evil.example/", "http://localhost:1/", ""):
        with pytest.raises(Refused):
            await desk.api.post(desk.channel(service_url=address), MESSAGE)
    assert not teams.tokens.requests  # none was even fetched


async def test_the_words_for_a_refusal_are_the_services_own(teams: TeamsWorld, desk: Desk) -> None:
    teams.block(CHANNEL)
    with pytest.raises(TeamsRefused) as raised:
        await desk.api.post(desk.channel(), MESSAGE)
    assert (raised.value.error, raised.value.gone) == ("MessageWritesBlocked", True)
    assert "MessageWritesBlocked" in str(raised.value)


async def test_one_token_serves_everybody_until_it_is_refused(teams: TeamsWorld, desk: Desk) -> None:
    await asyncio.gather(*(desk.api.post(desk.channel(), MESSAGE) for _ in range(5)))
    assert len(teams.tokens.requests) == 1
    teams.tokens.expire()
    with pytest.raises(Unreachable):
        await desk.api.post(desk.channel(), MESSAGE)
    await desk.api.post(desk.channel(), MESSAGE)
    assert len(teams.tokens.requests) == 2


async def test_while_the_token_endpoint_hangs_the_loop_runs_on_and_all_wait_for_one_answer(
    teams: TeamsWorld, desk: Desk
) -> None:
    teams.tokens.hang()
    waiting = [asyncio.create_task(desk.api.post(desk.channel(), MESSAGE)) for _ in range(5)]
    longest, last = 0.0, own_time()
    end = last + 0.4
    while last < end:
        await asyncio.sleep(0.005)
        now = own_time()
        longest, last = max(longest, now - last), now
    assert teams.tokens.waiting == 1
    assert longest < 0.15, longest
    teams.tokens.up()
    await asyncio.gather(*waiting)
    assert len(teams.messages(CHANNEL)) == 5


async def test_without_a_token_nothing_was_sent(teams: TeamsWorld, desk: Desk) -> None:
    for trouble in ("refuse", "outage"):
        desk.tokens = TokenCache(ClientSecret(teams.app_id, teams.app_secret, teams.token_url))
        getattr(teams.tokens, trouble)()
        with pytest.raises(TokenUnavailable):
            await desk.tokens.get()
        with pytest.raises(TokenUnavailable):  # believed for a moment, not asked again
            await desk.tokens.get()
        assert desk.tokens.refused == ("invalid_client" if trouble == "refuse" else "")
    assert len(teams.tokens.requests) == 2


async def test_an_old_token_serves_while_another_cannot_be_had(teams: TeamsWorld) -> None:
    seconds = [0.0]
    tokens = TokenCache(ClientSecret(teams.app_id, teams.app_secret, teams.token_url), clock=lambda: seconds[0])
    first = await tokens.get()
    teams.tokens.hang()
    seconds[0] = teams.tokens.lifetime - 100.0  # it would be renewed by now
    assert await tokens.get() == first
    teams.tokens.up()
    await tokens.aclose()


async def test_what_the_sign_in_service_says_holds_no_secret(teams: TeamsWorld) -> None:
    with pytest.raises(TokenRefused) as raised:
        await ClientSecret(teams.app_id, "wrong-secret-of-the-app", teams.token_url)()
    assert str(raised.value) == "invalid_client"
