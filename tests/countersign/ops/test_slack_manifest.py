"""Hold the Slack app's manifest to the code: every call has its scope, every listener its event, and no more."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.surfaces import slack, slack_api, slack_events
from bot.surfaces.slack_channels import Channels
from countersign.ops import slackcheck
from countersign.ops.manifest import COMMAND, EVENTS, MATCH_EMAIL, PATH, USAGE, NoAddress, manifest, scopes
from tests.countersign.ops.conftest import Command
from tests.readme_tables import chat_commands
from tests.sources import ROOT
from tests.worlds.slack.catalog import METHODS as WORLD

URL = "https://countersign.example.com"
BOTH = {"http": manifest(URL), "socket": manifest(None)}
BEYOND_METHODS = {"commands", "groups:read", "im:write"}
"""Scopes that no single method shows: of the command itself, of private channels, of opening a direct message."""


def urls(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in ("url", "request_url"):
                yield inner
            else:
                yield from urls(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from urls(inner)


def listened(kind: str) -> set[str]:
    rows = [*slack.listeners(), *slack_events.listeners(Channels(None))]  # type: ignore[arg-type]
    return {name for row_kind, name, _ in rows if row_kind == kind}


def called(path: Path) -> set[str]:
    """Return every Web API method that a file names as the first argument of a call."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            found.add(node.args[0].value)
    return {one for one in found if isinstance(one, str) and re.fullmatch(r"[a-z]+(\.[a-zA-Z]+){1,3}", one)}


def test_every_method_that_the_code_calls_is_in_its_table_and_has_its_scope() -> None:
    web = {path: called(path) for path in (ROOT / "bot" / "surfaces").glob("slack*.py")}
    named = {method for methods in web.values() for method in methods} & set(WORLD)
    assert named == set(slack_api.METHODS)
    ops = {method for path in (ROOT / "countersign" / "ops").glob("slack*.py") for method in called(path)} & set(WORLD)
    assert ops <= set(slackcheck.METHODS)
    wanted = {method: how.scope for method, how in slack_api.METHODS.items()}
    wanted |= {method: scope for method, (_, scope) in slackcheck.METHODS.items()}
    for method, scope in wanted.items():
        assert (scope or "") in WORLD[method].scope.split("|"), method  # as Slack's reference says
    assert {scope for scope in wanted.values() if scope} | BEYOND_METHODS == set(scopes(match_email=True))


@pytest.mark.parametrize("how", BOTH)
def test_the_scopes_are_those_of_the_table_and_none_reads_messages(how: str) -> None:
    asked = BOTH[how]["oauth_config"]["scopes"]
    assert set(asked) == {"bot"}
    assert asked["bot"] == scopes(match_email=False)
    assert MATCH_EMAIL not in asked["bot"]
    assert not [
        scope for scope in asked["bot"] if "history" in scope or "customize" in scope or "write.public" in scope
    ]


def test_addresses_are_asked_for_only_where_people_are_told_apart_by_them() -> None:
    asked = manifest(URL, match_email=True)["oauth_config"]["scopes"]["bot"]
    assert set(asked) - set(scopes(match_email=False)) == {MATCH_EMAIL}


@pytest.mark.parametrize("how", BOTH)
def test_every_listener_has_its_event_and_every_event_its_listener_and_scope(how: str) -> None:
    events = BOTH[how]["settings"]["event_subscriptions"]["bot_events"]
    assert set(events) == set(EVENTS) == listened("event")
    assert {scope for scope, _ in EVENTS.values() if scope} <= set(scopes(match_email=False))


@pytest.mark.parametrize("how", BOTH)
def test_the_command_and_the_shortcut_are_listened_to(how: str) -> None:
    features = BOTH[how]["features"]
    assert {one["command"] for one in features["slash_commands"]} == {COMMAND} == listened("command")
    assert {one["callback_id"] for one in features["shortcuts"]} == listened("shortcut")
    assert all(one["type"] == "message" for one in features["shortcuts"])
    assert features["slash_commands"][0]["should_escape"] is True  # the text's reader expects it
    assert features["app_home"]["home_tab_enabled"] == ("app_home_opened" in EVENTS)
    assert features["app_home"]["messages_tab_enabled"] is True  # without it nobody can be told anything directly


def test_the_usage_hint_names_the_commands() -> None:
    assert set(USAGE.split(" | ")) == set(chat_commands())


def test_over_http_every_address_is_https_and_the_same() -> None:
    assert set(urls(BOTH["http"])) == {URL + PATH}
    assert len(list(urls(BOTH["http"]))) == 3
    assert BOTH["http"]["settings"]["socket_mode_enabled"] is False


def test_socket_mode_has_no_address() -> None:
    assert list(urls(BOTH["socket"])) == []
    assert BOTH["socket"]["settings"]["socket_mode_enabled"] is True
    assert BOTH["socket"]["settings"]["interactivity"] == {"is_enabled": True}


LONGEST = {"name": 35, "description": 140, "display_name": 80, "usage_hint": 1000, "command": 32, "callback_id": 255}


@pytest.mark.parametrize("how", BOTH)
def test_lengths_and_formats_are_what_slack_takes(how: str) -> None:
    """By the official schema of version 2, and by what Slack refuses beyond it (a colour that is none)."""
    one = BOTH[how]
    assert one["_metadata"]["major_version"] == 2
    assert re.fullmatch(r"#[0-9a-f]{6}", one["display_information"]["background_color"])
    for place in (one["display_information"], one["features"]["bot_user"], *one["features"]["slash_commands"]):
        for name, longest in LONGEST.items():
            assert 1 <= len(place.get(name, "x")) <= longest
    for shortcut in one["features"]["shortcuts"]:
        assert len(shortcut["name"]) <= 24
        assert len(shortcut["description"]) <= 150
        assert len(shortcut["callback_id"]) <= 255
    assert re.fullmatch(r"/[a-z]+", one["features"]["slash_commands"][0]["command"])
    assert set(one) == {"_metadata", "display_information", "features", "oauth_config", "settings"}


@pytest.mark.parametrize(
    ("given", "endpoint"),
    [
        ("https://x.example", "https://x.example/slack/events"),
        ("https://x.example/", "https://x.example/slack/events"),
        ("https://x.example:8443/cs", "https://x.example:8443/cs/slack/events"),
        ("https://x.example/slack/events", "https://x.example/slack/events"),
    ],
)
def test_an_address_becomes_the_endpoint(given: str, endpoint: str) -> None:
    assert set(urls(manifest(given))) == {endpoint}


@pytest.mark.parametrize(
    "given",
    [
        "http://x.example",
        "x.example",
        "https://",
        "https://me:pw@x.example",
        "https://x.example?a=b",
        "https://x.example/#a",
        "https://x.example:99999",
        "https://x.example/a b",
    ],
)
def test_an_address_that_slack_cannot_call_is_refused_with_a_remedy(given: str) -> None:
    with pytest.raises(NoAddress) as refused:
        manifest(given)
    assert "https" in refused.value.detail or "port" in refused.value.detail


def test_the_command_prints_the_manifest_alone_and_says_what_comes_next(command: Command) -> None:
    told = command("slack", "manifest", "--url", URL)
    assert told.code == 0
    assert json.loads(told.out) == BOTH["http"]
    assert "COUNTERSIGN_SLACK_SIGNING_SECRET" in told.err
    told = command("slack", "manifest", "--socket", "--match-email")
    assert json.loads(told.out) == manifest(None, match_email=True)
    assert "COUNTERSIGN_SLACK_APP_TOKEN" in told.err
    assert "connections:write" in told.err


@pytest.mark.parametrize("words", [[], ["--socket", "--url", URL]], ids=["neither", "both"])
def test_how_slack_speaks_to_it_has_to_be_said(command: Command, words: list[str]) -> None:
    told = command("slack", "manifest", *words)
    assert (told.code, told.out) == (1, "")
    assert "--url https://countersign.example.com" in told.err
    assert "--socket" in told.err
