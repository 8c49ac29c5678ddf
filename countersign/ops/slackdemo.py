"""Put the demo into a real Slack workspace, through Socket Mode: find its channel, and who there plays whom.

Two tokens are enough: the channel is the one that the app was invited to, and the people in it play the demo's people.
Nothing is guessed where there is a choice; then the error says what to name.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from approvers.roster import parse_roster
from bot.surfaces.slack_accounts import Account
from countersign.ops.ground import NotStaged
from countersign.ops.slackcheck import CONNECT, Answer, Slack, SlackTrouble, open_slack
from workers.config import ConfigurationError, load

PARTS = ("robin", "alex", "kim", "dana")
"""Who is played first; dana, the human behind the agent, may approve nothing of it, and so comes last."""
BOT, APP = "COUNTERSIGN_SLACK_BOT_TOKEN", "COUNTERSIGN_SLACK_APP_TOKEN"
SIGNING, API = "COUNTERSIGN_SLACK_SIGNING_SECRET", "COUNTERSIGN_SLACK_API_URL"
HOW = "make the app with `countersign slack manifest --socket`; docs/slack.md shows where its tokens are"
INVITE = "type /invite @countersign in a channel of yours"
NAME_PEOPLE = "say who plays whom with --slack-as robin=U… (in Slack: the profile, ⋮, Copy member ID)"
SHARED = ("is_ext_shared", "is_pending_ext_shared")


@dataclass(frozen=True)
class Wish:
    """What somebody wants who starts the demo with Slack.

    Attributes:
        environ: the settings for the web process, as they stand in the environment.
        channel: the channel's id; None: the one that the app is in.
        players: Slack accounts by the demo's names; empty: the people in the channel.
    """

    environ: Mapping[str, str] = field(repr=False)
    channel: str | None = None
    players: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cast:
    """Where the cards go, and who plays whom: account and shown name by the demo's name."""

    channel: str
    room: str
    players: Mapping[str, tuple[str, str]]

    def __str__(self) -> str:
        """Say it in one line."""
        parts = ", ".join(f"{shown} ({account}) is {name}" for name, (account, shown) in self.players.items())
        return f"#{self.room}: {parts}"


def wish(environ: Mapping[str, str], channel: str | None, players: Iterable[str]) -> Wish:
    """Read what was asked for. Raises NotStaged, with what to set and where it is found.

    Whoever gives an app's signing secret instead of the app token has a way for Slack to reach this machine.
    """
    given = {name: environ[name] for name in (BOT, APP, SIGNING, API) if environ.get(name)}
    wanted = (BOT,) if SIGNING in given else (BOT, APP)
    if missing := [name for name in wanted if name not in given]:
        raise NotStaged(f"Slack needs {' and '.join(missing)} in the environment: {HOW}")
    try:
        load({"COUNTERSIGN_REDIS_URL": "redis://localhost", **given})
    except ConfigurationError as error:
        raise NotStaged(f"{error.detail}; {HOW}") from error
    pairs = dict(pair.partition("=")[::2] for one in players for pair in one.replace(",", " ").split())
    if wrong := [name for name, account in pairs.items() if name not in PARTS or not re.fullmatch("[UW]\\w+", account)]:
        raise NotStaged(f"--slack-as {wrong[0]}={pairs[wrong[0]]}: write one of {', '.join(PARTS)}, and a member ID U…")
    return Wish(given, channel, pairs)


async def find_cast(wished: Wish) -> Cast:
    """Ask Slack for the channel and its people, and see that both tokens are good. Raises NotStaged."""
    settings = load({"COUNTERSIGN_REDIS_URL": "redis://localhost", **wished.environ})
    assert settings.slack_bot_token
    try:
        if settings.slack_app_token:
            async with open_slack(settings.slack_app_token.get_secret_value(), settings.slack_api_url) as slack:
                await slack.ask(CONNECT)
        async with open_slack(settings.slack_bot_token.get_secret_value(), settings.slack_api_url) as slack:
            told = await slack.ask("auth.test")
            channel = await (_named(slack, wished.channel) if wished.channel else _only(slack))
            return Cast(str(channel["id"]), str(channel.get("name")), await _players(slack, told, channel, wished))
    except SlackTrouble as trouble:
        raise NotStaged(f"{trouble.detail}. If this is about a token: {HOW}") from trouble


def roster_with(text: str, cast: Cast) -> str:
    """Return the demo's roster with these accounts and this channel; whoever plays is on call, too."""
    for name, (account, _) in cast.players.items():
        text = text.replace(f"[person.{name}]", f'[person.{name}]\nslack = "{account}"', 1)
    people = ", ".join(f'"{name}"' for name in cast.players)
    text += f'\n[place.slack]\nslack = "{cast.channel}"\ngroups = ["sre"]\n'
    text += f"\n[group.slack-oncall]\npeople = [{people}]\noncall = true\n"
    parse_roster(text)
    return text


async def _named(slack: Slack, channel: str) -> Mapping[str, Any]:
    """Return this channel, if cards may go there."""
    found: Mapping[str, Any] = (await slack.ask("conversations.info", channel=channel)).body["channel"]
    if not found.get("is_member"):
        raise NotStaged(f"the app is not in #{found.get('name')}: type /invite @countersign there")
    if any(found.get(flag) for flag in SHARED):
        raise NotStaged(f"other organisations share #{found.get('name')}: choose another channel")
    return found


async def _only(slack: Slack) -> Mapping[str, Any]:
    """Return the one channel that the app was invited to."""
    kinds = "public_channel,private_channel"
    listed = await slack.every("conversations.list", "channels", types=kinds, exclude_archived="true")
    ours = [one for one in listed if one.get("is_member") and not any(one.get(flag) for flag in SHARED)]
    if not ours:
        raise NotStaged(f"the app is in no channel yet: {INVITE}, then start again")
    if len(ours) > 1:
        names = ", ".join(f"#{one.get('name')} ({one['id']})" for one in ours[:5])
        raise NotStaged(f"the app is in {len(ours)} channels: choose one with --slack-channel; there are {names}")
    return dict(ours[0])


async def _players(
    slack: Slack, told: Answer, channel: Mapping[str, Any], wished: Wish
) -> Mapping[str, tuple[str, str]]:
    """Return who plays whom; each must be somebody whose click would count."""
    if wished.players:
        looked = await asyncio.gather(*(_shown(slack, told, account) for account in wished.players.values()))
        for (name, account), (_, fault) in zip(wished.players.items(), looked, strict=True):
            if fault:
                raise NotStaged(f"{account} cannot play {name}: that account is {fault}")
        return {
            name: (account, shown) for (name, account), (shown, _) in zip(wished.players.items(), looked, strict=True)
        }
    listed = await slack.every("conversations.members", "members", channel=channel["id"])
    members = [str(one) for one in listed if one != told.body.get("user_id")]
    if len(members) > 2 * len(PARTS):
        raise NotStaged(f"#{channel.get('name')} has {len(members)} members: {NAME_PEOPLE}")
    looked = await asyncio.gather(*(_shown(slack, told, account) for account in members))
    able = [(account, shown) for account, (shown, fault) in zip(members, looked, strict=True) if not fault]
    if not 0 < len(able) <= len(PARTS):
        raise NotStaged(f"#{channel.get('name')} has {len(able)} people who could play: {NAME_PEOPLE}")
    return dict(zip(PARTS, able, strict=False))


async def _shown(slack: Slack, told: Answer, account: str) -> tuple[str, str | None]:
    """Return an account's shown name, and why it may not decide (None: it may)."""
    try:
        user = (await slack.ask("users.info", user=account)).body["user"]
    except SlackTrouble as trouble:
        if trouble.error not in ("user_not_found", "user_not_visible"):
            raise
        return account, "unknown in this workspace"
    judged = Account.of(user, str(told.body.get("team_id") or ""), str(told.body.get("enterprise_id") or ""))
    return str(user.get("real_name") or user.get("name") or account), judged.fault
