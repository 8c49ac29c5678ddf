"""Take Slack's calls over HTTP: events, clicks and commands on one route, each proven and new before it is read.

In this order: the shape of the signature's headers, before the body is taken in; the HMAC over the bytes as they came,
before anything parses them; the claim of the signature, so that nothing is done twice; then the body, parsed here and
handed on as a dictionary. Headers are not signed: none of them is passed on.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response
from slack_bolt.response import BoltResponse

from bot.surfaces.slack_claims import Claims
from workers import logs
from workers.stores.port import StoreError

PATH = "/slack/events"
MAX_BODY = 1024 * 1024
"""Bytes. A click in a modal brings the whole view along: 250 kB, and more in a form's encoding."""
VALID_SECONDS = 300
READ_SECONDS = 3.0
"""How long a body may take to come: Slack itself gives up then."""
RETRY = ("X-Slack-Retry-Num", "X-Slack-Retry-Reason")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")
_log = logs.get_logger(__name__)
Serve = Callable[[Mapping[str, Any]], Awaitable[BoltResponse]]
Sorry = Callable[[Mapping[str, Any]], Awaitable[None]]


class SlackIngress:
    """Answer `POST /slack/events`."""

    def __init__(
        self,
        secret: str,
        claims: Claims,
        serve: Serve,
        sorry: Sorry,
        *,
        count: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the parts.

        Args:
            secret: the app's signing secret.
            claims: where signatures are claimed.
            serve: gets each proven and new body.
            sorry: gets a proven body that cannot be taken now, to tell its sender.
            count: hears one word for each refusal.
            clock: seconds since 1970, as Slack's timestamps count them.
        """
        if not secret:
            raise ValueError("a signing secret is needed: without one, anybody could sign")
        self._secret, self._claims, self._serve, self._sorry = secret.encode(), claims, serve, sorry
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
        try:
            fresh = await self._claims.take("call", signature)
        except StoreError as error:
            _log.warning("slack.no_store", why=type(error).__name__)
            await self._apologise(raw, request.content_type)
            return self._refuse(503, "no_store")
        if not fresh:
            self._count("replayed")
            return web.Response()  # taken before: say so, and do nothing
        return await self._parsed(raw, request.content_type, signature)

    def _authentic(self, raw: bytes, timestamp: str, signature: str) -> bool:
        """Check age and HMAC of the bytes as they came."""
        if abs(self._clock() - int(timestamp)) > VALID_SECONDS:
            return False
        digest = hmac.new(self._secret, b"v0:" + timestamp.encode() + b":" + raw, hashlib.sha256).hexdigest()
        return hmac.compare_digest(f"v0={digest}", signature)

    async def _parsed(self, raw: bytes, content_type: str, signature: str) -> web.Response:
        try:
            body = parse_body(raw, content_type)
        except (ValueError, RecursionError):
            return self._refuse(400, "unreadable")
        try:
            response = await self._serve(body)
        except BaseException:
            await self._claims.release("call", signature)
            raise
        if response.status >= 500:
            await self._claims.release("call", signature)
        return await to_aiohttp_response(response)

    async def _apologise(self, raw: bytes, content_type: str) -> None:
        try:
            await self._sorry(parse_body(raw, content_type))
        except (ValueError, RecursionError):
            return

    def _refuse(self, status: int, why: str) -> web.Response:
        """Refuse without repeating, or logging, anything that the sender wrote."""
        self._count(why)
        _log.warning("slack.refused", status=status, why=why)
        return web.json_response({"error": "request refused"}, status=status)


def parse_body(raw: bytes, content_type: str) -> dict[str, Any]:
    """Decode a proven body. Raises ValueError if it is not one of Slack's.

    Events are JSON; clicks are a form with one field `payload`, which is JSON; commands are a plain form, any value of
    which may hold the word "payload": so it is the field's name that counts, never the text.
    """
    text = raw.decode("utf-8")
    if content_type == "application/json":
        body = _load(text)
    elif content_type == "application/x-www-form-urlencoded":
        form = dict(parse_qsl(text, keep_blank_values=True, errors="strict"))
        body = _load(form["payload"]) if "payload" in form else form
    else:
        raise ValueError("unexpected content type")
    if not isinstance(body, dict):
        raise ValueError("not an object")
    return body


def _load(text: str) -> Any:
    """Read JSON, but no half of a character (a lone surrogate): it could not be stored."""
    value = json.loads(text)
    if "\\ud" in text.lower():
        json.dumps(value, ensure_ascii=False).encode()
    return value


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
