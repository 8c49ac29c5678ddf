"""Call Slack's Web API: one client over one HTTP session, and every failure as one of the surface's three errors.

Nothing is tried twice here: whether a post may be repeated is for the outbox to decide, and the SDK's own retries would
post a card twice after a lost answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.surfaces import slack_faults
from bot.surfaces.port import SurfaceError
from bot.surfaces.slack_faults import SlackRefused
from workers import logs
from workers.config import is_loopback

TIMEOUT = aiohttp.ClientTimeout(total=8, sock_connect=3)
"""On the session: beside one, the SDK ignores its own `timeout`."""
Json = Mapping[str, Any]
_log = logs.get_logger(__name__)
quiet = logging.getLogger("bot.surfaces.slack_sdk")
"""What the SDK logs to: its lines below INFO hold whole messages."""
quiet.setLevel(logging.WARNING)


class Method(NamedTuple):
    """Say how a method is called, which scope the app needs for it, and whether doing it twice would show."""

    verb: str
    scope: str | None = None
    once: bool = False


METHODS: Mapping[str, Method] = {
    "auth.test": Method("POST"),
    "chat.postEphemeral": Method("POST", "chat:write"),
    "chat.postMessage": Method("POST", "chat:write", once=True),
    "chat.update": Method("POST", "chat:write"),
    "conversations.info": Method("GET", "channels:read"),
    "usergroups.users.list": Method("GET", "usergroups:read"),
    "users.info": Method("GET", "users:read"),
    "views.open": Method("POST"),
    "views.publish": Method("POST"),
    "views.update": Method("POST"),
}
"""Every method that the product calls. Some are answered only to GET."""


class Workspace(NamedTuple):
    """Hold where the bot token belongs, as `auth.test` says."""

    team: str
    enterprise: str
    bot_user: str


class SlackApi:
    """Speak to Slack as the bot. Every method may raise Unreachable, OutcomeUnknown or Refused (`SlackRefused`)."""

    def __init__(self, token: str, api_url: str, *, failed: Callable[[str], None] | None = None) -> None:
        """Open nothing yet; `failed` hears one word for each call that fails."""
        self._token, self._url = token, api_url
        self._failed = failed or (lambda _word: None)
        self._session: aiohttp.ClientSession | None = None
        self._client: AsyncWebClient | None = None
        self._workspace: Workspace | None = None
        self._asking = asyncio.Lock()

    async def call(self, method: str, **fields: Any) -> dict[str, Any]:
        """Call one of `METHODS`; fields that are None are left out. Returns the answer, which was `ok`."""
        how = METHODS[method]
        given = {name: value for name, value in fields.items() if value is not None}
        sent = {"params": given} if how.verb == "GET" else {"json": given}
        try:
            answer = await self.client().api_call(method, http_verb=how.verb, **sent)
        except SlackApiError as error:
            raise self._note(_told(method, error, how)) from None  # its text holds the whole answer
        except slack_faults.NO_ANSWER as error:
            raise self._note(slack_faults.of_exception(method, error, once=how.once)) from None
        return dict(answer.data)  # type: ignore[arg-type] # bytes for one method, which is none of ours

    async def workspace(self) -> Workspace:
        """Return whose token this is: asked once, and again until there is an answer."""
        async with self._asking:
            if self._workspace is None:
                told = await self.call("auth.test")
                names = (told.get(name) for name in ("team_id", "enterprise_id", "user_id"))
                self._workspace = Workspace(*(str(name or "") for name in names))
        return self._workspace

    @property
    def known(self) -> Workspace | None:
        """Return whose token this is, if that has been asked."""
        return self._workspace

    async def post(self, channel: str, message: Json, *, thread: str | None = None) -> tuple[str, str]:
        """Post a message and return its channel and `ts`; a user's id stands for the direct messages with them."""
        told = await self.call("chat.postMessage", **message, channel=channel, thread_ts=thread)
        return str(told["channel"]), str(told["ts"])

    async def post_message(self, channel: str, message: Json, thread: str | None = None) -> str:
        """Post a message and return its `ts`."""
        return (await self.post(channel, message, thread=thread))[1]

    async def update_message(self, channel: str, ts: str, message: Json) -> None:
        """Replace a message; without blocks Slack would keep the old ones, buttons included."""
        await self.call("chat.update", **{"blocks": [], **_bare(message)}, channel=channel, ts=ts)

    async def ephemeral(self, channel: str, user: str, message: Json) -> None:
        """Show a message to one member of a channel."""
        await self.call("chat.postEphemeral", **_bare(message), channel=channel, user=user)

    async def open_view(self, trigger_id: str, view: Json) -> str:
        """Open a modal within 3 s of the click; returns the view's id."""
        return str((await self.call("views.open", trigger_id=trigger_id, view=view))["view"]["id"])

    async def update_view(self, view_id: str, view: Json) -> None:
        """Replace an open modal."""
        await self.call("views.update", view_id=view_id, view=view)

    async def publish_home(self, user: str, view: Json) -> None:
        """Show one person their App Home."""
        await self.call("views.publish", user_id=user, view=view)

    async def respond(self, response_url: str, message: Json) -> None:
        """Answer by a call's own URL, which is a secret. It must be https, or on the API's own host."""
        method, parts = "response_url", urlsplit(response_url)
        if parts.scheme != "https" and (parts.scheme, parts.netloc) != urlsplit(self._url)[:2]:
            raise self._note(SlackRefused(method, "strange_address"))
        try:
            async with self.session().post(response_url, json=_bare(message), allow_redirects=False) as answer:
                if answer.status != 200:
                    wait = answer.headers.get("Retry-After")
                    raise self._note(slack_faults.of_answer(method, answer.status, None, wait, once=False))
        except slack_faults.NO_ANSWER as error:
            raise self._note(slack_faults.of_exception(method, error, once=False)) from None

    def client(self) -> AsyncWebClient:
        """Return the SDK's client over our session."""
        if self._client is None:
            self._client = web_client(self._token, self._url, self.session())
        return self._client

    def session(self) -> aiohttp.ClientSession:
        """Return the one HTTP session, opened at the first call."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        return self._session

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()

    def _note(self, error: SurfaceError) -> SurfaceError:
        self._failed(type(error).__name__)
        _log.warning("slack.call_failed", why=str(error))
        return error


def web_client(token: str, api_url: str, session: aiohttp.ClientSession) -> AsyncWebClient:
    """Make an SDK client that tries nothing twice, and calls this machine without the environment's proxy."""
    client = AsyncWebClient(token, base_url=f"{api_url.rstrip('/')}/", session=session, retry_handlers=[], logger=quiet)
    if is_loopback(urlsplit(api_url).hostname or ""):
        client.proxy = None
    return client


def _bare(message: Json) -> dict[str, Any]:
    """Return the message without the flags that only a new post takes."""
    return {name: value for name, value in message.items() if not name.startswith("unfurl_")}


def _told(method: str, error: SlackApiError, how: Method) -> SurfaceError:
    """Sort an answer that is not `ok`; one that is no JSON comes without its parts."""
    answer: Any = error.response
    status: Any = getattr(answer, "status_code", None) or getattr(answer, "status", 500)
    headers = {str(name).lower(): value for name, value in (getattr(answer, "headers", None) or {}).items()}
    data = getattr(answer, "data", None)
    word = data.get("error") if isinstance(data, dict) else None
    wait = headers.get("retry-after")
    return slack_faults.of_answer(method, int(status), word, wait, once=how.once)
