"""Each way in which a call to Slack fails is told apart: nothing happened, nobody knows, or it never will."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import aiohttp
import pytest

from bot.surfaces import slack_api
from bot.surfaces.port import OutcomeUnknown, Refused, SurfaceError, Unreachable
from bot.surfaces.slack_api import METHODS, SlackApi
from bot.surfaces.slack_faults import SlackRefused, wait_seconds
from tests.worlds.slack import SlackWorld
from tests.worlds.valkey import free_port

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
MESSAGE = {"text": "hello", "blocks": [{"type": "section", "text": {"type": "plain_text", "text": "hello"}}]}


@pytest.fixture
async def slack() -> AsyncIterator[SlackWorld]:
    async with SlackWorld.open() as world:
        world.add_user("U02", name="dana")
        world.add_channel("C01", members=["U02"])
        yield world


@pytest.fixture
async def api(slack: SlackWorld) -> AsyncIterator[SlackApi]:
    api = SlackApi(slack.bot_token, slack.api_url)
    yield api
    await api.aclose()


async def test_it_knows_whose_token_it_has_and_asks_once(slack: SlackWorld, api: SlackApi) -> None:
    assert (await api.workspace()).team == (await api.workspace()).team == slack.team_id
    assert api.known
    assert api.known.bot_user == slack.bot_user_id
    assert len(slack.calls("auth.test")) == 1


async def test_a_message_is_posted_edited_and_answered(slack: SlackWorld, api: SlackApi) -> None:
    ts = await api.post_message("C01", {**MESSAGE, "unfurl_links": False, "unfurl_media": False})
    await api.post_message("C01", {"text": "beside it"}, thread=ts)
    await api.update_message("C01", ts, {"text": "edited", "unfurl_links": False})
    (shown,) = slack.messages("C01")
    assert (shown.text, shown.blocks) == ("edited", ())  # without `blocks: []`, the old ones would have stayed
    assert [reply.text for reply in slack.replies("C01", ts)] == ["beside it"]
    await api.ephemeral("C01", "U02", MESSAGE)
    assert [one.text for one in slack.ephemerals("U02")] == ["hello"]


async def test_a_person_is_written_to_where_slack_keeps_that(slack: SlackWorld, api: SlackApi) -> None:
    channel, ts = await api.post("U02", MESSAGE)
    assert channel.startswith("D")
    await api.update_message(channel, ts, {"text": "edited"})
    assert [one.text for one in slack.dms("U02")] == ["edited"]


async def test_one_connection_serves_call_after_call(slack: SlackWorld, api: SlackApi) -> None:
    for _ in range(5):
        await api.call("users.info", user="U02")
    connector = api.session().connector
    assert isinstance(connector, aiohttp.TCPConnector)
    assert sum(map(len, connector._conns.values())) == 1


@pytest.mark.parametrize(
    ("fault", "arguments", "post", "read"),
    [
        pytest.param("rate_limit", ("*", "1.5"), Unreachable, Unreachable, id="429"),
        pytest.param("status", ("*", 503), Unreachable, Unreachable, id="503"),
        pytest.param("status", ("*", 500), OutcomeUnknown, Unreachable, id="500"),
        pytest.param("error", ("*", "internal_error"), OutcomeUnknown, Unreachable, id="internal-error"),
        pytest.param("error", ("*", "service_unavailable"), Unreachable, Unreachable, id="service-unavailable"),
        pytest.param("error", ("*", "is_archived"), Refused, Refused, id="refused"),
        pytest.param("garbage", ("*",), OutcomeUnknown, Unreachable, id="no-json"),
    ],
)
async def test_a_failure_says_what_is_known(
    slack: SlackWorld, api: SlackApi, fault: str, arguments: tuple[Any, ...], post: type, read: type
) -> None:
    noted: list[str] = []
    api._failed = noted.append
    for call, expected in ((api.post_message("C01", MESSAGE), post), (api.call("users.info", user="U02"), read)):
        getattr(slack.faults, fault)(*arguments)
        with pytest.raises(SurfaceError) as failed:
            await call
        assert isinstance(failed.value, expected), failed.value
        slack.faults.release()
    assert len(noted) == 2
    assert len(slack.calls("chat.postMessage")) == 1  # nothing is sent twice by itself
    assert (await api.call("users.info", user="U02"))["ok"]


async def test_a_dropped_read_is_asked_again_and_a_dropped_post_is_not(slack: SlackWorld, api: SlackApi) -> None:
    slack.faults.drop_after("chat.postMessage")
    with pytest.raises(OutcomeUnknown):
        await api.post_message("C01", MESSAGE)
    assert len(slack.messages("C01")) == 1
    slack.faults.drop_after("users.info")
    assert (await api.call("users.info", user="U02"))["ok"]


async def test_nobody_there_is_nothing_sent() -> None:
    api = SlackApi("xoxb-1", f"http://127.0.0.1:{free_port()}/api")
    with pytest.raises(Unreachable):
        await api.post_message("C01", MESSAGE)
    await api.aclose()


async def test_an_answer_that_takes_too_long_is_not_waited_for(slack: SlackWorld) -> None:
    assert slack_api.TIMEOUT.total == 8
    api = SlackApi(slack.bot_token, slack.api_url)
    api._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.1))
    slack.faults.hang("chat.postMessage", times=1)
    with pytest.raises(OutcomeUnknown):
        await api.post_message("C01", MESSAGE)
    await api.aclose()
    slack.faults.release()


async def test_a_wrong_token_is_refused_and_not_repeated_in_words(slack: SlackWorld) -> None:
    api = SlackApi("xoxb-wrong-hush", slack.api_url)
    with pytest.raises(SlackRefused) as refused:
        await api.workspace()
    assert refused.value.error == "invalid_auth"
    assert "hush" not in str(refused.value)
    assert api.known is None
    await api.aclose()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("1", 1.0),
        ("30", 30.0),
        ("1.5", 1.5),
        ("0", 1.0),
        ("-3", 1.0),
        ("999999", 300.0),
        ("inf", 5.0),
        ("nan", 5.0),
        ("soon", 5.0),
        ("", 5.0),
        (None, 5.0),
        (format_datetime(NOW + timedelta(seconds=20), usegmt=True), 20.0),
        (format_datetime(NOW - timedelta(seconds=20), usegmt=True), 1.0),
        ("Fri, 20 Nov 2026 10:00:07 -0000", 7.0),
        ("Fri, 99 Nov 2026 10:00:07 GMT", 5.0),
    ],
)
def test_how_long_slack_asks_to_wait(header: str | None, seconds: float) -> None:
    assert wait_seconds(header, NOW) == seconds


async def test_the_wait_travels_with_the_error(slack: SlackWorld, api: SlackApi) -> None:
    slack.faults.rate_limit("chat.postMessage", "7.5")
    with pytest.raises(Unreachable) as put_off:
        await api.post_message("C01", MESSAGE)
    assert put_off.value.after_seconds == 7.5


@pytest.mark.parametrize(
    "url", ["http://hooks.slack.com/x", "ftp://x", "", "//x", "http://127.0.0.1:1/x", "http://127.0.0.1.evil.example/"]
)
async def test_an_answer_goes_only_to_https_or_to_the_api_itself(api: SlackApi, url: str) -> None:
    with pytest.raises(SlackRefused, match="strange_address"):
        await api.respond(url, MESSAGE)


async def test_every_method_is_one_of_slacks_and_called_as_it_wants(slack: SlackWorld, api: SlackApi) -> None:
    """The world knows which methods take GET alone, and which scopes they need."""
    said = {}
    for method in METHODS:
        with suppress(SlackRefused):
            await api.call(method)
        said[method] = [one.error for one in slack.refusals if one.method == method]
    unfit = {"unknown_method", "missing_scope", "not_authed", "invalid_auth"}
    assert {method: words for method, words in said.items() if unfit.intersection(words)} == {}


async def test_the_machines_own_proxy_is_not_used_for_this_machine(
    slack: SlackWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    api = SlackApi(slack.bot_token, slack.api_url)
    assert (await api.workspace()).team == slack.team_id
    await api.aclose()
