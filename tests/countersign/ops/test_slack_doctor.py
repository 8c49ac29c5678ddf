"""The doctor's look at Slack: the app, how calls come in, channels; what is well, and every trouble with its remedy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from countersign.ops import slackcheck, slacklook
from countersign.ops.manifest import manifest
from tests.countersign.ops.conftest import Command
from tests.countersign.ops.test_doctor import healthy, on_store
from tests.countersign.ops.ward import ACCOUNTS, Ward, ward
from tests.worlds.slack import running_slack
from tests.worlds.valkey import Valkey
from workers.config import load

__all__ = ["ward"]


async def test_all_is_well(ward: Ward) -> None:
    found = [str(one) for one in await ward.examine()]
    assert found == [
        "ok    slack token   @countersign in acme (T01)",
        "ok    slack scopes  as in the manifest, and no more",
        "ok    slack calls   come in through Socket Mode",
        "ok    slack place   prod is #prod-approvals",
        "ok    slack people  5 of 5 people of the roster can answer in Slack",
        "ok    slack seats   sre: 4 can answer in Slack, and 2 must be able to",
        "ok    slack seats   duty (on call): 1 can answer in Slack, and 1 must be able to",
    ]
    assert ward.slack.refusals == []
    assert {one.method for one in ward.slack.log} <= {*slackcheck.METHODS, slackcheck.CONNECT}
    assert ward.slack.sockets.connections == 0  # an address is reserved, no connection is opened


async def test_slack_is_not_set_up(ward: Ward) -> None:
    ward.settings = {}
    assert "COUNTERSIGN_SLACK_BOT_TOKEN is missing; docs/slack.md" in await ward.trouble()


# --- token, scopes, how calls come in


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("xoxb-of-nobody", "invalid_auth; install the app (again) and copy the Bot User OAuth Token"),
        ("revoked", "token_revoked; install the app"),
    ],
)
async def test_the_bot_token_is_not_good(ward: Ward, token: str, words: str) -> None:
    if token == "revoked":
        ward.slack.revoke(ward.slack.bot_token)
    else:
        ward.settings["slack_bot_token"] = token
    line = await ward.trouble()
    assert words in line
    assert ward.settings["slack_bot_token"] not in line


async def test_slack_cannot_be_reached(ward: Ward) -> None:
    ward.slack.faults.down()
    lines = await ward.troubles()
    assert len(lines) == 2  # of the bot's token and of the app's
    assert all("cannot be reached; check this machine's way out" in line for line in lines)


async def test_a_page_instead_of_an_answer(ward: Ward) -> None:
    ward.slack.faults.status("auth.test", 503, 1)
    assert "no answer that can be read" in (await ward.trouble())


async def test_a_rate_limit_is_waited_for(ward: Ward) -> None:
    ward.slack.faults.rate_limit("users.info", retry_after="1", times=1)
    assert await ward.troubles() == []
    assert len(ward.slack.calls("users.info")) == len(ACCOUNTS) + 1


async def test_a_scope_is_missing(ward: Ward) -> None:
    ward.slack.rescope(*sorted({*manifest(None)["oauth_config"]["scopes"]["bot"]} - {"usergroups:read", "groups:read"}))
    assert "groups:read, usergroups:read missing; paste the output of" in await ward.trouble()


async def test_the_scope_for_addresses_is_missing(ward: Ward) -> None:
    ward.roster += "\n[slack]\nmatch_email = true\n"
    assert "users:read.email missing" in (line := await ward.trouble())
    assert "--match-email" in line


async def test_the_app_may_do_more_than_it_needs(ward: Ward) -> None:
    ward.slack.rescope(*manifest(None)["oauth_config"]["scopes"]["bot"], "channels:history")
    line = await ward.trouble()
    assert line.startswith("warn")
    assert "channels:history; take them off" in line


async def test_a_scope_without_which_nobody_can_be_looked_up(ward: Ward) -> None:
    ward.slack.rescope("chat:write", "channels:read")
    lines = await ward.troubles()
    assert any("users:read" in line and "missing" in line for line in lines)
    assert any("slack people  Slack refuses users.info: missing_scope; see the lines" in line for line in lines)


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("xapp-of-nobody", "invalid_auth; make an app-level token with connections:write"),
        ("bot", "not_allowed_token_type; it is another kind of token"),
    ],
)
async def test_the_app_token_is_not_good(ward: Ward, token: str, words: str) -> None:
    ward.settings["slack_app_token"] = token
    if token == "bot":
        ward.slack.server.tokens["xapp-of-a-bot"] = "bot"
        ward.settings["slack_app_token"] = "xapp-of-a-bot"
    assert words in await ward.trouble()


async def test_over_http_with_an_https_address(ward: Ward) -> None:
    del ward.settings["slack_app_token"]
    ward.settings |= {"slack_signing_secret": ward.slack.signing_secret, "public_url": "https://cs.example.com"}
    found = [str(one) for one in await ward.examine()]
    assert "ok    slack calls   come in over HTTP, at https://cs.example.com/slack/events, and are proven by the" in (
        next(line for line in found if "slack calls" in line)
    )
    assert ward.slack.signing_secret not in "".join(found)


async def test_over_http_without_one(ward: Ward) -> None:
    del ward.settings["slack_app_token"]
    ward.settings["slack_signing_secret"] = ward.slack.signing_secret
    assert "Slack calls https only: set COUNTERSIGN_PUBLIC_URL" in await ward.trouble()


def test_neither_way_in_is_told_by_the_settings(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_SLACK_BOT_TOKEN", "xoxb-1")
    told = command("doctor", "--slack")
    assert told.code == 1
    assert "COUNTERSIGN_SLACK_SIGNING_SECRET or COUNTERSIGN_SLACK_APP_TOKEN is missing" in told.out


# --- channels


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"bot": False}, "prod is #prod-approvals, where the app is no member; type /invite @countersign"),
        ({"bot": False, "is_private": True}, "prod (C01): Slack refuses conversations.info: channel_not_found; copy"),
        ({"is_archived": True}, "which is archived; name another channel"),
        ({"is_ext_shared": True}, "which other organisations share; no card goes there"),
        ({"is_pending_ext_shared": True}, "which other organisations share; no card goes there"),
    ],
    ids=["not-invited", "private", "archived", "shared", "invited-others"],
)
async def test_a_channel_that_is_not_fit(ward: Ward, flags: Mapping[str, Any], words: str) -> None:
    ward.slack.change_channel("C01", **flags)
    line = await ward.trouble()
    assert line.startswith("fail  slack place")
    assert words in line


async def test_a_shared_channel_that_is_allowed(ward: Ward) -> None:
    ward.slack.change_channel("C01", is_ext_shared=True)
    ward.edit('slack = "C01"', 'slack = "C01"\nshared = true')
    assert await ward.troubles() == []


async def test_a_channel_of_the_same_organisation_is_no_foreign_one(ward: Ward) -> None:
    ward.slack.change_channel("C01", is_org_shared=True)
    assert await ward.troubles() == []


async def test_a_channel_that_there_is_not(ward: Ward) -> None:
    ward.edit('"C01"', '"C09"')
    assert "prod (C09): Slack refuses conversations.info: channel_not_found" in await ward.trouble()


async def test_no_channel_at_all_is_a_warning(ward: Ward) -> None:
    ward.edit('slack = "C01"\n', "")
    assert (await ward.trouble()).startswith("warn  slack place   no place has a channel")


# --- the command itself


async def test_without_rules_only_the_app_is_looked_at(ward: Ward) -> None:
    environ = {f"COUNTERSIGN_{name.upper()}": text for name, text in ward.settings.items()}
    found = await slacklook.examine(load({"COUNTERSIGN_REDIS_URL": "redis://127.0.0.1:1/0", **environ}), None)
    assert [one.what for one in found] == ["slack token", "slack scopes", "slack calls"]


def test_the_command_looks_only_when_asked(
    command: Command, empty_valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_store(empty_valkey, healthy)
    with running_slack(manifest=manifest(None)) as slack:
        monkeypatch.setenv("COUNTERSIGN_SLACK_BOT_TOKEN", slack.bot_token)
        monkeypatch.setenv("COUNTERSIGN_SLACK_APP_TOKEN", slack.app_token)
        monkeypatch.setenv("COUNTERSIGN_SLACK_API_URL", slack.api_url)
        assert command("doctor").code == 0
        assert slack.log == []
        told = command("doctor", "--slack")
    assert told.code == 1  # the demo's roster names no account
    assert "ok    slack token   @countersign in acme (T01)" in told.out
    assert "fail  slack people  0 of 4 people of the roster can answer in Slack" in told.out
    assert slack.bot_token not in told.out + told.err
