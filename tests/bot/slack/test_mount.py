"""Slack in the web process: mounted where it is set up, in nobody's way where it is down, and told of its changes."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from bot.surfaces.slack import _greet, listeners
from bot.surfaces.slack_incoming import Incoming
from bot.surfaces.slack_parts import Tasks
from tests.bot.slack.gate import gate
from tests.bot.slack.town import CHANNEL, SlackTown, rules
from tests.worlds.slack import SlackWorld
from tests.worlds.web import Web
from workers.policies import apply
from workers.stores.memory import memory_store


@dataclass
class Street:
    """The web process, its alerts, and a workspace."""

    web: Web
    slack: SlackWorld

    def alert(self, key: str) -> str:
        """Return the words of this alert."""
        return next(one.summary for one in self.web.alarm.sent if one.key == key)

    @property
    def keys(self) -> list[str]:
        return [one.key for one in self.web.alarm.sent]


@pytest.fixture
async def street() -> AsyncIterator[Street]:
    store = memory_store()
    async with SlackWorld.open() as slack:
        slack.add_channel(CHANNEL)
        slack.add_channel("C02")
        tokens = {"slack_bot_token": slack.bot_token, "slack_signing_secret": slack.signing_secret}
        async with Web.over(store, slack_api_url=slack.api_url, **tokens) as web:
            await apply(store.records, policy=None, roster=rules()[1], by="ops", why="test")
            await web.deps.policies.refresh()
            slack.connect(f"{web.base}/slack/events")
            yield Street(web, slack)


async def test_without_tokens_there_is_no_slack() -> None:
    async with Web.over(memory_store()) as web:
        assert (await web.call("POST", "/slack/events", data=b"")).status == 404
        assert "slack" not in web.deps.directory.sources


async def test_with_tokens_it_is_there(street: Street) -> None:
    assert await street.slack.verify_url()
    assert "slack" in street.web.deps.directory.sources
    for age in (0, 400):
        body = b"command=%2Fcountersign&user_id=U01"
        headers = street.slack.sign(body, street.slack.clock() - age) | {
            "Content-Type": "application/x-www-form-urlencoded"
        }
        forged = headers | {"X-Slack-Signature": "v0=" + "0" * 64}
        assert (await street.slack.send_raw(body, forged)).status == 401
        assert (await street.slack.send_raw(body, headers)).status == (401 if age else 200)


async def test_a_token_that_slack_refuses_is_an_alert() -> None:
    async with SlackWorld.open() as slack, gate(memory_store(), [], api_url=slack.api_url) as port:
        slack.revoke(slack.bot_token)
        asking = asyncio.create_task(_greet(port.parts, again=timedelta()))
        await port.bell.rung.wait()
        assert "No card reaches Slack" in port.bell.sent[0].summary
        port.parts.api.client().token = slack.bot_token
        slack.server.revoked.clear()
        await asking
        assert port.bell.sent[-1].cleared


async def test_slack_being_down_stops_nothing() -> None:
    async with SlackWorld.open() as slack:
        slack.faults.down()
        tokens = {"slack_bot_token": slack.bot_token, "slack_signing_secret": slack.signing_secret}
        async with Web.over(memory_store(), slack_api_url=slack.api_url, **tokens) as web:
            assert (await web.call("GET", "/readyz", who=None)).status == 200
            asked = (await web.ask()).json["id"]
            assert (await web.review(asked)).status == 200


class TestEvents:
    """What changes in the workspace is taken up."""

    @pytest.mark.parametrize("kind", ["app_uninstalled", "tokens_revoked"])
    async def test_losing_the_app_is_an_alert(self, street: Street, kind: str) -> None:
        await street.slack.event({"type": kind, "tokens": {"bot": ["U0"]}})
        assert "Install the app again" in street.alert(f"slack.{kind}")

    async def test_a_card_channel_that_is_shared_is_an_alert_and_another_one_is_not(self, street: Street) -> None:
        for channel in ("C02", CHANNEL):
            street.slack.change_channel(channel, is_ext_shared=True)
            assert (await street.slack.event({"type": "channel_shared", "channel": channel})).ok
        assert "No more cards" in street.alert(f"slack.shared:{CHANNEL}")
        assert "slack.shared:C02" not in street.keys

    async def test_a_changed_person_and_a_changed_group_are_asked_again(self, street: Street) -> None:
        people = street.web.deps.directory.sources["slack"]
        street.slack.add_user("U02")
        street.slack.add_usergroup("S01", members=["U02"])
        assert (await people.identify("U02")).principal == "user:robin"  # type: ignore[attr-defined]
        assert (await people.members("S01")).people == {"robin"}
        street.slack.change_user("U02", deleted=True)
        street.slack.add_usergroup("S01", members=[])
        assert (await street.slack.event(street.slack.user_change("U02"))).ok
        assert (await street.slack.event({"type": "subteam_updated", "subteam": {"id": "S01"}})).ok
        assert (await people.members("S01")).people == frozenset()
        with pytest.raises(Exception, match="deactivated"):
            await people.identify("U02")  # type: ignore[attr-defined]


async def test_a_button_of_an_older_version_gets_an_answer(town: SlackTown) -> None:
    card = await town.card(await town.ask())
    ancient = json.loads(json.dumps(card.blocks).replace('"cs_deny"', '"cs_ancient"'))
    assert (await town.click("robin", replace(card, blocks=tuple(ancient)), "cs_ancient")).status == 200
    assert "older version" in await town.heard("robin")


async def test_without_a_store_the_person_hears_it_and_slack_too(town: SlackTown) -> None:
    view = await town.ask()
    card = await town.card(view)
    town.door.shut("everything")
    assert (await town.click("robin", card, "cs_approve")).status == 503
    assert (await town.heard("robin")).startswith("The store does not answer; nothing is decided")
    town.door.open()
    assert (await town.now(view)).request.state == "PENDING"


async def test_what_goes_wrong_is_counted(street: Street) -> None:
    await street.slack.send_raw(b"", {"Content-Type": "application/json"})
    street.slack.faults.rate_limit("users.info")
    people = street.web.deps.directory.sources["slack"]
    with pytest.raises(Exception, match="did not say"):
        await people.identify("U01")  # type: ignore[attr-defined]
    await street.web.app.cleanup()
    counts = await street.web.store.signals.counts()
    assert (counts["slack_errors:unsigned"], counts["slack_errors:Unreachable"]) == (1, 1)
    metrics = (await street.web.call("GET", "/metrics", who=None)).body.decode()
    assert 'countersign_slack_errors_total{what="unsigned"} 1.0' in metrics


async def test_work_after_an_answer_is_waited_for_and_then_ended(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    async def work(seconds: float) -> None:
        await asyncio.sleep(seconds)
        done.append("done")

    async def fails() -> None:
        raise RuntimeError("seen")

    caplog.set_level(logging.ERROR)
    tasks = Tasks()
    tasks.start(work(0.01))
    tasks.start(work(60))
    tasks.start(fails())
    await tasks.aclose(0.1)
    assert done == ["done"]
    await Tasks().aclose()


def test_no_two_listeners_hear_the_same() -> None:
    names = [(kind, name) for kind, name, _ in listeners()]
    assert len(names) == len(set(names))
    assert ("action", "cs_approve") in names


@pytest.mark.parametrize(
    "body",
    [{}, {"user": "U1"}, {"user": {"id": ""}}, {"user": {"id": "<@U1>"}}, {"command": "/x"}, {"user": {"id": None}}],
    ids=json.dumps,
)
def test_a_body_that_names_nobody_is_no_call(body: dict[str, object]) -> None:
    with pytest.raises(Exception, match="does not say who"):
        Incoming.of(body)


@pytest.mark.parametrize("value", ["", "x", "req_1.ab", "req_01ARZ3NDEKTSV4RRFFQ69G5FAV", "a.b.c", "<x>.ab"])
def test_a_button_without_a_request_is_none_of_ours(value: str) -> None:
    call = Incoming.of({"user": {"id": "U1"}, "actions": [{"value": value}]})
    with pytest.raises(Exception, match="older version"):
        call.target()
