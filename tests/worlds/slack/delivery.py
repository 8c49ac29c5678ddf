"""Bring things to the app, signed over HTTP or through a socket, and tell what the person at the screen would see."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import aiohttp

from tests.worlds.slack.journal import Exchange
from tests.worlds.slack.sockets import Sockets

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
AGENT = "Slackbot 1.0 (+https://api.slack.com/robots)"
RETRIES = 3


@dataclass(frozen=True)
class Delivery:
    """One thing that went to the app, and its answer."""

    status: int | None = None
    """None: it was not sent, or no answer came in time."""
    body: bytes = b""
    seconds: float = 0.0
    user_error: str | None = None
    """What Slack shows to the person instead of a result; None if all is well."""
    payload: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sent: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    answer_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    failure: str | None = None
    """http_timeout, connection_failed or http_error, as X-Slack-Retry-Reason names them."""
    dialog: str | None = None
    """The words of the confirm dialog that was answered."""
    attempts: tuple[Delivery, ...] = ()
    """Of an event: every attempt, the first included."""

    @property
    def ok(self) -> bool:
        """The app took it in time, and the person sees no error."""
        return self.status is not None and self.failure is None and self.user_error is None

    @property
    def json(self) -> Any:
        """The answer's body as JSON, None where it is empty."""
        return json.loads(self.body) if self.body else None

    @property
    def trigger_id(self) -> str:
        return str(self.payload["trigger_id"])

    @property
    def response_url(self) -> str:
        return str(self.payload["response_url"])


class Courier:
    """Send to the address that the app gave, or through its sockets if it gave none."""

    def __init__(self, secret: str, sockets: Sockets, log: list[Exchange], clock: Callable[[], float]) -> None:
        self.secret = secret
        self.url: str | None = None
        self.wall: Callable[[], float] = time.time
        """The clock of signatures: the real one, whatever the world's own clock says."""
        self.patience = 3.0
        """Seconds that Slack waits for an answer."""
        self._sockets, self._log, self._clock = sockets, log, clock
        self._session: aiohttp.ClientSession | None = None
        self.touch: Callable[[], None] = lambda: None

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()

    def sign(self, body: bytes, ts: float | None = None) -> dict[str, str]:
        """Return the two signature headers over this body; `ts` in seconds since 1970 (now)."""
        stamp = str(int(self.wall() if ts is None else ts))
        digest = hmac.new(self.secret.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
        return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest}"}

    async def interactive(self, payload: Mapping[str, Any], *, accepts: bool = False) -> Delivery:
        """Deliver an interaction (a click, a submit, a shortcut)."""
        if self.url is None:
            return await self._through_socket("interactive", str(payload["type"]), payload, accepts=accepts)
        body = urlencode({"payload": json.dumps(payload)}).encode()
        return await self._post(str(payload["type"]), payload, body, FORM)

    async def command(self, form: Mapping[str, str]) -> Delivery:
        """Deliver a slash command."""
        if self.url is None:
            return await self._through_socket("slash_commands", "command", form, accepts=True)
        return await self._post("command", form, urlencode(form).encode(), FORM)

    async def event(self, payload: Mapping[str, Any], *, retries: int = RETRIES) -> Delivery:
        """Deliver an event, again up to 3 times while it fails, each with a signature of its own; no time passes."""
        attempts: list[Delivery] = []
        for number in range(retries + 1):
            reason = attempts[-1].failure or "" if attempts else ""
            attempts.append(await self._event(payload, number, reason))
            refused = attempts[-1].answer_headers.get("X-Slack-No-Retry") == "1"
            if attempts[-1].failure is None or refused:
                break
        return replace(attempts[-1], attempts=tuple(attempts))

    async def _event(self, payload: Mapping[str, Any], number: int, reason: str) -> Delivery:
        what = str(payload.get("event", payload).get("type"))
        if self.url is None:
            return await self._through_socket(
                "events_api", what, payload, accepts=False, attempt=number, reason="timeout" if reason else ""
            )
        body = json.dumps(payload).encode()
        again = {"X-Slack-Retry-Num": str(number), "X-Slack-Retry-Reason": reason} if number else {}
        # Attempts lie minutes apart in Slack, so no two have the same timestamp.
        return await self._post(what, payload, body, JSON, again, self.sign(body, self.wall() + number))

    async def send_raw(self, body: bytes, headers: Mapping[str, str]) -> Delivery:
        """Post these bytes with these headers and nothing else."""
        assert self.url is not None and self._session is not None, "no address to deliver to: call connect() first"
        exchange = Exchange("out", "http", "raw", {}, at=self._clock(), headers=dict(headers), body=body)
        return await self._exchange(exchange, {})

    async def replay(self, delivery: Delivery) -> Delivery:
        """Send the very same bytes and headers once more."""
        return await self.send_raw(delivery.sent, delivery.headers)

    async def _post(
        self,
        what: str,
        payload: Mapping[str, Any],
        body: bytes,
        kind: str,
        more: Mapping[str, str] | None = None,
        signature: Mapping[str, str] | None = None,
    ) -> Delivery:
        headers = {"Content-Type": kind, "User-Agent": AGENT, **(signature or self.sign(body)), **(more or {})}
        exchange = Exchange("out", "http", what, payload, at=self._clock(), headers=headers, body=body)
        return await self._exchange(exchange, payload)

    async def _exchange(self, exchange: Exchange, payload: Mapping[str, Any]) -> Delivery:
        assert self.url is not None and self._session is not None
        self._log.append(exchange)
        began = time.monotonic()
        known = Delivery(payload=payload, sent=exchange.body, headers=exchange.headers)
        try:
            async with asyncio.timeout(self.patience):
                async with self._session.post(
                    self.url, data=exchange.body, headers=exchange.headers, allow_redirects=False
                ) as answer:
                    body, status = await answer.read(), answer.status
        except TimeoutError:
            return replace(known, seconds=time.monotonic() - began, failure="http_timeout")
        except aiohttp.ClientError:
            return replace(known, seconds=time.monotonic() - began, failure="connection_failed")
        exchange.status, exchange.answer = status, body
        self.touch()
        return replace(
            known,
            status=status,
            body=body,
            seconds=time.monotonic() - began,
            answer_headers=dict(answer.headers),
            failure=None if 200 <= status < 300 else "http_error",
        )

    async def _through_socket(
        self, kind: str, what: str, payload: Mapping[str, Any], *, accepts: bool, attempt: int = 0, reason: str = ""
    ) -> Delivery:
        exchange = Exchange("out", "socket", what, payload, at=self._clock())
        self._log.append(exchange)
        began = time.monotonic()
        try:
            said = await self._sockets.send(
                kind, payload, accepts=accepts, timeout=self.patience, attempt=attempt, reason=reason
            )
        except TimeoutError:
            return Delivery(payload=payload, seconds=time.monotonic() - began, failure="http_timeout")
        except (ConnectionError, aiohttp.ClientError):
            return Delivery(payload=payload, seconds=time.monotonic() - began, failure="connection_failed")
        exchange.status, exchange.answer = 200, said
        self.touch()
        inner = said.get("payload")
        if inner and not accepts:
            self._sockets.stray.append(f"{what} accepts no payload")
            inner = None
        body = inner.encode() if isinstance(inner, str) else json.dumps(inner).encode() if inner else b""
        return Delivery(200, body, time.monotonic() - began, payload=payload)
