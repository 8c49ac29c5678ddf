"""Hear Slack through Socket Mode: a connection that we open, so that nobody needs to reach this process.

There is no signature here; trust is the app-level token that opens the connection. Each call goes to any one of the
connections of an app, so nothing is kept between calls.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from slack_bolt.response import BoltResponse
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from bot.surfaces.slack_api import web_client
from workers import logs
from workers.config import is_loopback

PING_SECONDS = 10.0
Serve = Callable[[Mapping[str, Any]], Awaitable[BoltResponse]]
_SECRET = re.compile(r"(?:xox[a-z]|xapp)-[A-Za-z0-9-]+|(?<=ticket=)[^&\s'\"]+")
_log = logs.get_logger(__name__)


class _Discreet(logging.Filter):
    """Keep the address of a connection, which is a secret, out of the SDK's log lines."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = _SECRET.sub(logs.WITHHELD, record.getMessage()), ()
        record.exc_info = record.exc_text = None
        return True


_quiet = logging.getLogger("bot.surfaces.slack_socket.sdk")
_quiet.setLevel(logging.INFO)
_quiet.addFilter(_Discreet())


class SlackSocket:
    """Hold one connection for as long as the process runs."""

    def __init__(
        self, token: str, api_url: str, session: aiohttp.ClientSession, serve: Serve, *, ping: float = PING_SECONDS
    ) -> None:
        """Open nothing yet; `serve` gets each body, `ping` is the seconds between two signs of life."""
        self._token, self._url, self._session, self._serve, self._ping = token, api_url, session, serve, ping

    async def run(self) -> None:
        """Connect, again whenever the connection is lost, until cancelled."""
        client = SocketModeClient(
            self._token,
            logger=_quiet,
            web_client=web_client(self._token, self._url, self._session),
            ping_interval=self._ping,
        )
        if is_loopback(urlsplit(self._url).hostname or ""):
            client.proxy = None
        client.socket_mode_request_listeners.append(self._take)
        try:
            await client.connect()  # type: ignore[no-untyped-call]
            await asyncio.Event().wait()
        finally:
            await _close(client)

    async def _take(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        """Serve one call, and acknowledge it; one that was not served is not, and Slack says so to its sender."""
        response = await self._serve(request.payload)
        if response.status != 200:
            _log.warning("slack.socket_not_served", status=response.status)
            return
        payload = json.loads(response.body) if response.body else None
        await client.send_socket_mode_response(SocketModeResponse(request.envelope_id, payload))


async def _close(client: SocketModeClient) -> None:
    """Close it and see its tasks end, which the SDK only cancels."""
    await client.close()  # type: ignore[no-untyped-call]
    ending = (client.message_processor, client.current_session_monitor, client.message_receiver)
    await asyncio.gather(*(task for task in ending if task), return_exceptions=True)
