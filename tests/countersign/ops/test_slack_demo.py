"""The demo in a Slack workspace: who plays whom, what is missing, and the whole of it over Socket Mode."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from approvers.roster import parse_roster
from countersign.ops import fittings, slackdemo
from countersign.ops.connect import settings_of
from countersign.ops.doctor import examine
from countersign.ops.fittings import demo_file
from countersign.ops.ground import NotStaged
from countersign.ops.manifest import manifest
from countersign.ops.slackdemo import Cast, Wish
from tests.countersign.ops.conftest import Command
from tests.countersign.ops.test_fittings import ground
from tests.worlds.processes import Process
from tests.worlds.slack import Slack, SlackWorld, running_slack
from workers.config import load

__all__ = ["ground"]


@pytest.fixture
async def slack() -> AsyncIterator[SlackWorld]:
    async with SlackWorld.open(manifest=manifest(None)) as world:
        world.add_user("U01", name="Jo")
        world.add_user("U02", name="Sam")
        world.add_user("U09", name="Guest", is_restricted=True)
        world.add_channel("C01", members=["U01"], name="demo")
        yield world


def environ(slack: SlackWorld | Slack) -> dict[str, str]:
    return {
        "COUNTERSIGN_SLACK_BOT_TOKEN": slack.bot_token,
        "COUNTERSIGN_SLACK_APP_TOKEN": slack.app_token,
        "COUNTERSIGN_SLACK_API_URL": slack.api_url,
    }


async def cast(slack: SlackWorld, channel: str | None = None, *players: str) -> Cast:
    return await slackdemo.find_cast(slackdemo.wish(environ(slack), channel, players))


async def refused(slack: SlackWorld, channel: str | None = None, *players: str) -> str:
    with pytest.raises(NotStaged) as trouble:
        await cast(slack, channel, *players)
    return trouble.value.detail


async def test_two_tokens_are_enough(slack: SlackWorld) -> None:
    found = await cast(slack)
    assert (found.channel, found.players) == ("C01", {"robin": ("U01", "Jo")})
    assert str(found) == "#demo: Jo (U01) is robin"


async def test_several_people_play_several_parts_and_guests_none(slack: SlackWorld) -> None:
    for user in ("U02", "U09"):
        slack.join(user, "C01")
    assert {name: account for name, (account, _) in (await cast(slack)).players.items()} == {
        "robin": "U01",
        "alex": "U02",
    }


async def test_who_plays_whom_can_be_named(slack: SlackWorld) -> None:
    found = await cast(slack, "C01", "robin=U02 dana=U01")
    assert found.players == {"robin": ("U02", "Sam"), "dana": ("U01", "Jo")}


async def test_no_channel_and_several_channels(slack: SlackWorld) -> None:
    slack.add_channel("C02", name="work")
    assert "the app is in 2 channels: choose one with --slack-channel; there are #demo (C01), #work (C02)" in (
        await refused(slack)
    )
    assert (await cast(slack, "C01")).room == "demo"
    for channel in ("C01", "C02"):
        slack.change_channel(channel, bot=False)
    assert "in no channel yet: type /invite @countersign" in await refused(slack)
    assert "the app is not in #demo: type /invite @countersign there" in await refused(slack, "C01")
    assert "channel_not_found" in await refused(slack, "C77")


async def test_a_channel_that_others_share_is_none_for_a_demo(slack: SlackWorld) -> None:
    slack.change_channel("C01", is_ext_shared=True)
    assert "in no channel yet" in await refused(slack)
    assert "other organisations share #demo" in await refused(slack, "C01")


async def test_too_many_people_to_guess_and_nobody_at_all(slack: SlackWorld) -> None:
    for number in range(10, 30):
        slack.add_user(f"U{number}")
        slack.join(f"U{number}", "C01")
    assert "#demo has 21 members: say who plays whom with --slack-as" in await refused(slack)
    assert (await cast(slack, None, "robin=U01")).players
    slack.add_channel("C02", members=["U09"], name="empty")
    assert "has 0 people who could play" in await refused(slack, "C02")


async def test_a_player_whose_click_would_not_count(slack: SlackWorld) -> None:
    assert "U09 cannot play robin: that account is guest" in await refused(slack, None, "robin=U09")
    assert "U99 cannot play robin: that account is unknown" in await refused(slack, None, "robin=U99")


async def test_a_token_that_is_not_good(slack: SlackWorld) -> None:
    slack.revoke(slack.app_token)
    assert "token_revoked. If this is about a token: make the app with" in await refused(slack)


async def test_the_roster_gets_channel_and_accounts(slack: SlackWorld) -> None:
    found = await cast(slack, None, "robin=U02 dana=U01")
    roster = parse_roster(slackdemo.roster_with(demo_file("countersign.toml"), found))
    assert {name: person.slack for name, person in roster.persons.items()} == {
        "dana": "U01",
        "robin": "U02",
        "alex": None,
        "kim": None,
    }
    assert roster.places["slack"].slack == "C01"
    assert roster.places["slack"].groups == ("sre",)
    assert set(roster.groups["slack-oncall"].people) == {"robin", "dana"}
    assert roster.groups["slack-oncall"].oncall


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "needs COUNTERSIGN_SLACK_BOT_TOKEN and COUNTERSIGN_SLACK_APP_TOKEN in the environment"),
        ({"BOT_TOKEN": "xoxb-1"}, "needs COUNTERSIGN_SLACK_APP_TOKEN in the environment"),
        ({"BOT_TOKEN": "xoxp-1", "APP_TOKEN": "xapp-1"}, "COUNTERSIGN_SLACK_BOT_TOKEN is not valid"),
    ],
    ids=["neither", "one", "wrong"],
)
def test_missing_tokens_are_named_with_where_to_get_them(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: dict[str, str], words: str
) -> None:
    for name, text in given.items():
        monkeypatch.setenv(f"COUNTERSIGN_SLACK_{name}", text)
    told = command("demo", "--slack", "--state", tmp_path / "state")
    assert told.code == 1
    assert words in told.err
    assert "countersign slack manifest --socket" in told.err
    assert "docs/slack.md" in told.err
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("player", ["bob=U01", "robin", "robin=jo"])
def test_a_part_that_is_none(player: str) -> None:
    tokens = {"COUNTERSIGN_SLACK_BOT_TOKEN": "xoxb-1", "COUNTERSIGN_SLACK_APP_TOKEN": "xapp-1"}
    with pytest.raises(NotStaged, match="write one of robin, alex, kim, dana, and a member ID"):
        slackdemo.wish(tokens, None, [player])


def test_slack_and_playing_by_itself_exclude_each_other(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_SLACK_BOT_TOKEN", "xoxb-1")
    monkeypatch.setenv("COUNTERSIGN_SLACK_APP_TOKEN", "xapp-1")
    assert "--once plays the people itself" in command("demo", "--slack", "--once").err


def test_an_app_with_a_signing_secret_needs_no_app_token() -> None:
    given = {"COUNTERSIGN_SLACK_BOT_TOKEN": "xoxb-1", "COUNTERSIGN_SLACK_SIGNING_SECRET": "s" * 32}
    assert slackdemo.wish({**given, "HOME": "/"}, None, []) == Wish(given)
    assert "s" * 32 not in repr(Wish(given))


def test_the_web_process_alone_gets_slacks_settings(ground: Any) -> None:
    given = {"COUNTERSIGN_SLACK_BOT_TOKEN": "xoxb-1", "COUNTERSIGN_SLACK_APP_TOKEN": "xapp-1"}
    slack = fittings.slack_environment(ground, given)
    environs = fittings.environments(ground, fittings.delivery_key(ground), slack)
    assert load(environs["web"], "web").slack_signing_secret is not None
    for name in ("worker", "clock"):
        assert not [key for key in environs[name] if "SLACK" in key]
    again = fittings.slack_environment(ground, given)
    assert again == slack  # the secret is the last run's
    own = fittings.slack_environment(ground, {**given, fittings.SLACK_SIGNING: "of a real app, 0123"})
    assert own[fittings.SLACK_SIGNING] == "of a real app, 0123"


def test_a_demos_store_is_looked_at_with_the_tokens_of_the_environment_only_where_slack_is_meant(
    tmp_path: Path,
) -> None:
    (tmp_path / "demo.json").write_text(json.dumps({"redis_url": "redis://127.0.0.1:1"}))
    given = {"COUNTERSIGN_SLACK_BOT_TOKEN": "xoxb-1"}  # half of what Slack needs: no fault of a command without Slack
    assert settings_of(tmp_path, given).slack_bot_token is None
    given["COUNTERSIGN_SLACK_APP_TOKEN"] = "xapp-1"
    assert settings_of(tmp_path, given, slack=True).slack_bot_token is not None


# --- the whole of it, as real processes


@pytest.fixture(scope="module")
def workspace() -> Iterator[Slack]:
    with running_slack(manifest=manifest(None)) as world:
        world.add_user("U01", name="Jo")
        world.add_channel("C01", members=["U01"], name="demo")
        world.connect(None)
        yield world


def call(state: Path, method: str, path: str, body: object = None, **headers: str) -> dict[str, Any]:
    found = json.loads((state / "demo.json").read_text())
    sent = {"Authorization": f"Bearer {found['api_key']}", "Content-Type": "application/json", **headers}
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"{found['base_url']}{path}", data, sent, method=method)
    with urllib.request.urlopen(request, timeout=20) as answer:
        told: dict[str, Any] = json.loads(answer.read())
        return told


ASK = {
    "action": "s3:GetObject",
    "resource": "arn:aws:s3:::customer-exports/2026/*",
    "environment": "prod",
    "reason": "Rebuild the weekly report",
    "ttl_seconds": 900,
    "actor": {"id": "agent:report-bot", "on_behalf_of": "user:dana"},
    "access": {
        "provider": "aws",
        "role": "analytics",
        "actions": ["s3:GetObject"],
        "resources": ["arn:aws:s3:::customer-exports/2026/*"],
    },
}


@pytest.mark.timeout(120)
def test_an_ask_is_a_card_in_the_channel_and_a_click_approves_it(workspace: Slack, tmp_path: Path) -> None:
    state = tmp_path / "state"
    words = [sys.executable, "-m", "countersign", "demo", "--state", str(state), "--port", "0", "--slack"]
    with Process(words, environ(workspace), tmp_path, "demo").restart() as demo:
        demo.wait_line(r"stop +Ctrl-C", timeout=60)
        said = demo.output.decode()
        assert "slack: #demo: Jo (U01) is robin" in said
        assert "each ask is a card in #demo, where robin may approve" in said
        workspace.until(lambda: workspace.sockets.connections, 20)
        asked = call(state, "POST", "/v1/requests", ASK, **{"Idempotency-Key": "slack-demo"})
        assert asked["state"] == "PENDING"
        card = workspace.wait_for_message("C01", timeout=20)
        delivery = workspace.click("U01", card, "cs_approve")
        assert delivery.ok
        told = call(state, "GET", f"/v1/requests/{asked['id']}?wait=20")
        assert told["state"] == "APPROVED"
        assert told["reviews"][0]["reviewer"] == "user:robin"
        assert call(state, "GET", f"/v1/requests/{asked['id']}?wait=20")["grant"]["state"] == "ACTIVE"
        found = asyncio.run(examine(state, environ(workspace), slack=True))
        assert "ok    slack people  1 of 4 people of the roster can answer in Slack" in [str(one) for one in found]
        _signed_calls_are_taken(workspace, state)
        kept = "".join(
            path.read_text(errors="replace") for path in state.rglob("*") if path.suffix in (".json", ".log")
        )
        assert workspace.bot_token not in kept
        assert workspace.app_token not in kept
        assert demo.stop() == 0


def _signed_calls_are_taken(slack: Slack, state: Path) -> None:
    """Scripts may speak over HTTP as well, with the secret that the demo has written down for them."""
    found = json.loads((state / "demo.json").read_text())
    slack.courier.secret = found["slack_signing_secret"]
    slack.connect(f"{found['base_url']}/slack/events")
    assert slack.verify_url()
