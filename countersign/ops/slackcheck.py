"""Ask Slack's Web API for operators' commands: read-only, patient with its rate limits, and with its own words for no.

The web process has a client of its own, which tries nothing twice and never waits; a command has the time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from approvers.errors import CountersignError
from bot.surfaces.slack_api import web_client
from bot.surfaces.slack_faults import wait_seconds

METHODS: Mapping[str, tuple[str, str | None]] = {
    "auth.test": ("POST", None),
    "conversations.info": ("GET", "channels:read"),
    "conversations.list": ("GET", "channels:read"),
    "conversations.members": ("GET", "channels:read"),
    "usergroups.list": ("GET", "usergroups:read"),
    "users.info": ("GET", "users:read"),
    "users.lookupByEmail": ("GET", "users:read.email"),
}
"""Every method that these commands call with the bot token: how, and the scope that it needs."""
CONNECT = "apps.connections.open"
"""The one that takes the app-level token; it only reserves an address."""
PAGE, PAGES = 1_000, 20
TRIES, LONGEST_WAIT_SECONDS = 3, 60.0
TIMEOUT = aiohttp.ClientTimeout(total=15, sock_connect=5)
Json = Mapping[str, Any]


class SlackTrouble(CountersignError):
    """Slack said no, or nothing; `error` is its own word for it, such as `invalid_auth`, or `unreachable`."""

    code = "slack"

    def __init__(self, error: str, method: str) -> None:
        """Keep the word."""
        words = "Slack cannot be reached" if error == UNREACHABLE else f"Slack refuses {method}: {error}"
        super().__init__(words)
        self.error = error


UNREACHABLE = "unreachable"


class Answer(NamedTuple):
    """An answer that was `ok`, and the scopes that came with it."""

    body: Json
    scopes: frozenset[str]


class Slack:
    """Speak to Slack with one token. Every method may raise SlackTrouble."""

    def __init__(self, client: AsyncWebClient) -> None:
        """Use this client; `open_slack` makes one."""
        self._client = client

    async def ask(self, method: str, **fields: Any) -> Answer:
        """Call one method and return its answer; a rate limit is waited for, a few times."""
        verb = "POST" if method == CONNECT else METHODS[method][0]
        sent: dict[str, Any] = {"params": fields} if verb == "GET" else {"json": fields}
        for left in reversed(range(TRIES)):
            try:
                answer = await self._client.api_call(method, http_verb=verb, **sent)
            except SlackApiError as error:
                wait = _wait(error)
                if wait is None or not left:
                    raise SlackTrouble(_word(error), method) from None  # its text holds the whole answer
                await asyncio.sleep(wait)
                continue
            except (aiohttp.ClientError, TimeoutError, OSError, AttributeError, json.JSONDecodeError):
                raise SlackTrouble(UNREACHABLE, method) from None  # its text may hold an address with a token
            scopes = str(answer.headers.get("x-oauth-scopes", ""))
            return Answer(dict(answer.data), frozenset(filter(None, (one.strip() for one in scopes.split(",")))))  # type: ignore[arg-type] # bytes for one method, which is none of ours
        raise AssertionError("unreachable")

    async def every(self, method: str, name: str, **fields: Any) -> list[Any]:
        """Return a list in all its pages, up to a bound that no sensible answer reaches."""
        found: list[Any] = []
        cursor = ""
        for _ in range(PAGES):
            body = (await self.ask(method, **fields, limit=PAGE, **({"cursor": cursor} if cursor else {}))).body
            found += body.get(name) or []
            cursor = str((body.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                break
        return found


@asynccontextmanager
async def open_slack(token: str, api_url: str) -> AsyncIterator[Slack]:
    """Open a client with this token, and close its connections at the end."""
    async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
        yield Slack(web_client(token, api_url, session))


def _word(error: SlackApiError) -> str:
    data = getattr(error.response, "data", None)
    word = data.get("error") if isinstance(data, dict) else None
    return str(word or "no answer that can be read")


def _wait(error: SlackApiError) -> float | None:
    """Return how long Slack asks to wait; None if it does not."""
    if _word(error) != "ratelimited" and getattr(error.response, "status_code", None) != 429:
        return None
    headers = {str(name).lower(): value for name, value in (getattr(error.response, "headers", None) or {}).items()}
    return min(wait_seconds(headers.get("retry-after")), LONGEST_WAIT_SECONDS)
