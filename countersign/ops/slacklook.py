"""Look at a Slack workspace for the doctor: token, scopes, how Slack's calls come in, channels; then people and groups.

It reads, and changes nothing. What cannot be looked at because something before it failed is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from approvers.roster import Place, Roster
from countersign.ops.findings import Finding
from countersign.ops.manifest import MATCH_EMAIL, PATH, scopes
from countersign.ops.slackcheck import CONNECT, UNREACHABLE, Answer, Slack, SlackTrouble, open_slack
from countersign.ops.slackpeople import people_and_groups
from workers.policies import Rulebook
from workers.settings import Settings

HOW = "docs/slack.md says how, step by step"
TOKEN_REMEDIES = {
    UNREACHABLE: "check this machine's way out to slack.com, and COUNTERSIGN_SLACK_API_URL",
    "not_allowed_token_type": "it is another kind of token: COUNTERSIGN_SLACK_BOT_TOKEN takes xoxb-…, "
    "COUNTERSIGN_SLACK_APP_TOKEN takes xapp-…",
}
FROM_OAUTH_PAGE = "install the app (again) and copy the Bot User OAuth Token of its page OAuth & Permissions"
FROM_BASIC_PAGE = "make an app-level token with connections:write on the app's page Basic Information"
REINSTALL = "paste the output of `countersign slack manifest` as the app's manifest, and reinstall it"
INVITE = "type /invite @countersign in that channel"
CHANNEL_REMEDIES = {
    "channel_not_found": "copy the id from the channel's details; in a private channel type /invite @countersign first",
    "missing_scope": REINSTALL,
}


async def examine(settings: Settings, book: Rulebook | None) -> list[Finding]:
    """Return every finding about Slack; without rules in force, only those about the app."""
    if settings.slack_bot_token is None:
        return [Finding("fail", "slack", "not set up: COUNTERSIGN_SLACK_BOT_TOKEN is missing", HOW)]
    async with open_slack(settings.slack_bot_token.get_secret_value(), settings.slack_api_url) as slack:
        heard = await _hears(settings)
        try:
            told = await slack.ask("auth.test")
        except SlackTrouble as trouble:
            return [_token_fails("slack token", trouble, FROM_OAUTH_PAGE), *heard]
        roster = book.roster if book else None
        found = [_token(told.body), *_scopes(told, roster), *heard]
        if book and roster:
            found += await _places(slack, roster)
            found += await people_and_groups(slack, book, told)
        return found


def _token(body: Mapping[str, Any]) -> Finding:
    where = f"{body.get('team') or '?'} ({body.get('team_id') or body.get('enterprise_id') or '?'})"
    return Finding("ok", "slack token", f"@{body.get('user') or '?'} in {where}")


def _token_fails(what: str, trouble: SlackTrouble, remedy: str) -> Finding:
    return Finding("fail", what, trouble.detail, TOKEN_REMEDIES.get(trouble.error, remedy))


def _scopes(told: Answer, roster: Roster | None) -> list[Finding]:
    by_mail = roster is not None and roster.slack.match_email
    wanted = set(scopes(match_email=by_mail))
    lacking, more = sorted(wanted - told.scopes), sorted(told.scopes - wanted)
    if lacking:
        remedy = REINSTALL + (" (with --match-email)" if MATCH_EMAIL in lacking else "")
        return [Finding("fail", "slack scopes", f"{', '.join(lacking)} missing", remedy)]
    if more:
        words = f"more than Countersign needs: {', '.join(more)}"
        return [Finding("warn", "slack scopes", words, "take them off the app, and reinstall it")]
    return [Finding("ok", "slack scopes", "as in the manifest, and no more")]


async def _hears(settings: Settings) -> list[Finding]:
    """Say by which ways Slack's calls reach the web process."""
    found = []
    if settings.slack_app_token:
        found.append(await _socket(settings.slack_app_token.get_secret_value(), settings.slack_api_url))
    if settings.slack_signing_secret:
        found.append(_http(settings, only=not settings.slack_app_token))
    return found


async def _socket(token: str, api_url: str) -> Finding:
    """Reserve a connection, and open none: that shows that the token is one for Socket Mode."""
    try:
        async with open_slack(token, api_url) as slack:
            await slack.ask(CONNECT)
    except SlackTrouble as trouble:
        return _token_fails("slack calls", trouble, FROM_BASIC_PAGE)
    return Finding("ok", "slack calls", "come in through Socket Mode")


def _http(settings: Settings, *, only: bool) -> Finding:
    words = f"come in over HTTP, at {settings.base_url}{PATH}, and are proven by the signing secret"
    if only and urlsplit(settings.base_url).scheme != "https":
        remedy = "Slack calls https only: set COUNTERSIGN_PUBLIC_URL=https://…, or use Socket Mode"
        return Finding("warn", "slack calls", words, remedy)
    return Finding("ok", "slack calls", words)


async def _places(slack: Slack, roster: Roster) -> list[Finding]:
    found = [await _place(slack, place) for place in roster.places.values() if place.slack]
    if not found:
        words = "no place has a channel: cards go to each person directly"
        return [Finding("warn", "slack place", words, 'write slack = "C…" at a [place.…] of countersign.toml')]
    return found


async def _place(slack: Slack, place: Place) -> Finding:
    try:
        channel = (await slack.ask("conversations.info", channel=str(place.slack))).body["channel"]
    except SlackTrouble as trouble:
        remedy = CHANNEL_REMEDIES.get(trouble.error, TOKEN_REMEDIES[UNREACHABLE])
        return Finding("fail", "slack place", f"{place.name} ({place.slack}): {trouble.detail}", remedy)
    name = f"{place.name} is #{channel.get('name') or place.slack}"
    if channel.get("is_archived"):
        return Finding("fail", "slack place", f"{name}, which is archived", "name another channel")
    if not channel.get("is_member"):
        return Finding("fail", "slack place", f"{name}, where the app is no member", INVITE)
    outside = channel.get("is_ext_shared") or channel.get("is_pending_ext_shared")
    if outside and not place.shared:
        remedy = "no card goes there: name another channel, or write `shared = true` at this place"
        return Finding("fail", "slack place", f"{name}, which other organisations share", remedy)
    return Finding("ok", "slack place", name + (", shared with other organisations as allowed" if outside else ""))
