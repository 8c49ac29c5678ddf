"""Take Slack's calls over HTTP: events, clicks and commands on one route, each proven and new before it is read.

In this order: the shape of the signature's headers, before the body is taken in; the HMAC over the bytes as they came,
before anything parses them; the claim of the signature, so that nothing is done twice. While the store answers, the
body is parsed and what it calls for is found; that runs once the claim is ours. Headers are not signed: none of them is
passed on.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.response import BoltResponse

from bot.surfaces.slack_body import parse_body
from bot.surfaces.slack_claims import Claims
from workers import logs
from workers.stores.port import StoreError

PATH = "/slack/events"
MAX_BODY = 1024 * 1024
"""Bytes. A click in a modal brings the whole view along: 250 kB, and more in a form's encoding."""
VALID_SECONDS = 300
READ_SECONDS = 3.0
"""How long a body may take to come: Slack itself gives up then."""
UNDER_WAY = 2
"""How many turns of the loop it takes until a claim is on its way to the store."""
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")
_log = logs.get_logger(__name__)
Run = Callable[[], Awaitable[BoltResponse]]
Find = Callable[[Mapping[str, Any]], Awaitable[Run]]
Sorry = Callable[[Mapping[str, Any]], Awaitable[None]]


class SlackIngress:
    """Answer `POST /slack/events`."""

    def __init__(
        self,
        secret: str,
        claims: Claims,
        find: Find,
        sorry: Sorry,
        *,
        count: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the parts.

        Args:
            secret: the app's signing secret.
            claims: where signatures are claimed.
            find: says of a proven body what is to be run for it, and runs nothing itself.
            sorry: gets a proven body that cannot be taken now, to tell its sender.
            count: hears one word for each refusal.
            clock: seconds since 1970, as Slack's timestamps count them.
        """
        if not secret:
            raise ValueError("a signing secret is needed: without one, anybody could sign")
        self._secret, self._claims, self._find, self._sorry = secret.encode(), claims, find, sorry
        self._count, self._clock = count, clock

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request from Slack, or from somebody posing as Slack."""
        timestamp = request.headers.get("X-Slack-Request-Timestamp", "")
        signature = request.headers.get("X-Slack-Signature", "")
        if not (_TIMESTAMP.fullmatch(timestamp) and _SIGNATURE.fullmatch(signature)):
            return self._refuse(401, "unsigned")
        raw = await _read(request)
        if raw is None:
            return self._refuse(400, "cut_off")
        if not self._authentic(raw, timestamp, signature):
            return self._refuse(401, "bad_signature")
        claim = asyncio.create_task(self._claims.take("call", signature))
        for _ in range(UNDER_WAY):
            await asyncio.sleep(0)
        body = _parsed(raw, request.content_type)
        run = None if body is None else await self._find(body)
        try:
            fresh = await claim
        except StoreError as error:
            _log.warning("slack.no_store", why=type(error).__name__)
            if body is not None:
                await self._sorry(body)
            return self._refuse(503, "no_store")
        if not fresh:
            self._count("replayed")
            return web.Response()  # taken before: say so, and do nothing
        return self._refuse(400, "unreadable") if run is None else await self._answered(run, signature)

    def _authentic(self, raw: bytes, timestamp: str, signature: str) -> bool:
        """Check age and HMAC of the bytes as they came."""
        if abs(self._clock() - int(timestamp)) > VALID_SECONDS:
            return False
        digest = hmac.new(self._secret, b"v0:" + timestamp.encode() + b":" + raw, hashlib.sha256).hexdigest()
        return hmac.compare_digest(f"v0={digest}", signature)

    async def _answered(self, run: Run, signature: str) -> web.Response:
        try:
            response = await run()
        except BaseException:
            await self._claims.release("call", signature)
            raise
        if response.status >= 500:
            await self._claims.release("call", signature)
        return await to_aiohttp_response(response)

    def _refuse(self, status: int, why: str) -> web.Response:
        """Refuse without repeating, or logging, anything that the sender wrote."""
        self._count(why)
        _log.warning("slack.refused", status=status, why=why)
        return web.json_response({"error": "request refused"}, status=status)


def _parsed(raw: bytes, content_type: str) -> Mapping[str, Any] | None:
    try:
        return parse_body(raw, content_type)
    except (ValueError, RecursionError):
        return None


async def _read(request: web.Request) -> bytes | None:
    """Return the body; None if it never came whole. Raises HTTPRequestEntityTooLarge over `MAX_BODY`."""
    if (request.content_length or 0) > MAX_BODY:
        raise web.HTTPRequestEntityTooLarge(MAX_BODY, request.content_length or 0)
    raw = bytearray()
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for chunk in request.content.iter_any():
                raw += chunk
                if len(raw) > MAX_BODY:
                    raise web.HTTPRequestEntityTooLarge(MAX_BODY, len(raw))
    except (TimeoutError, ConnectionResetError, web.RequestPayloadError):
        return None
    return bytes(raw)
