"""Bring activities to the app with a token of the issuer, and tell what the person at the screen would see."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp

from tests.worlds.teams.issuer import Issuer
from tests.worlds.teams.journal import Exchange
from tests.worlds.teams.state import APP_ID

AGENT = "Microsoft-SkypeBotApi (Microsoft-BotFramework/3.0)"
CARD_ANSWER, TOAST = "application/vnd.microsoft.card.adaptive", "application/vnd.microsoft.activity.message"
UNREACHABLE, WRONG = "Unable to reach app. Please try again.", "Something went wrong. Please try again."


@dataclass(frozen=True)
class Delivery:
    """One thing that went to the app, and its answer."""

    status: int | None = None
    """None: it was not sent, or no answer came in time."""
    body: bytes = b""
    seconds: float = 0.0
    user_error: str | None = None
    """What Teams shows to the person instead of a result; None if all is well."""
    card: Mapping[str, Any] | None = None
    """The card that took the message's place for this person alone."""
    toast: str | None = None
    activity: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sent: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    answer_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    failure: str | None = None
    """timeout, connection or http_error."""

    @property
    def ok(self) -> bool:
        """The app took it in time, and the person sees no error."""
        return self.status is not None and self.failure is None and self.user_error is None

    @property
    def json(self) -> Any:
        """The answer's body as JSON, None where it is empty."""
        return json.loads(self.body) if self.body else None


class Courier:
    """Send to the address that the app gave."""

    def __init__(self, issuer: Issuer, log: list[Exchange], clock: Callable[[], float]) -> None:
        self.url: str | None = None
        self.patience = 5.0
        """Seconds that Teams waits for an answer: the shortest figure that is quoted anywhere."""
        self.touch: Callable[[], None] = lambda: None
        self.session: aiohttp.ClientSession | None = None
        self._issuer, self._log, self._clock = issuer, log, clock

    async def start(self) -> None:
        self.session = aiohttp.ClientSession()

    async def stop(self) -> None:
        if self.session is not None:
            await self.session.close()

    def bearer(self, activity: Mapping[str, Any]) -> str:
        """Return the header that Teams sends with this activity."""
        claims = self._issuer.claims(APP_ID, str(activity.get("serviceUrl")))
        return f"Bearer {self._issuer.sign(claims)}"

    async def bring(self, activity: Mapping[str, Any]) -> Delivery:
        """Deliver an activity as Teams does."""
        headers = {"Authorization": self.bearer(activity), "Content-Type": "application/json; charset=utf-8"}
        return await self.send(json.dumps(activity).encode(), headers, activity)

    async def send(
        self, body: bytes, headers: Mapping[str, str], activity: Mapping[str, Any] | None = None
    ) -> Delivery:
        """Post these bytes with these headers and nothing else."""
        assert self.url is not None, "no address to deliver to: call connect() first"
        assert self.session is not None
        said = activity or {}
        what = str(said.get("name") or said.get("type") or "raw")
        exchange = Exchange("out", "activity", what, self.url, body, at=self._clock(), headers=dict(headers))
        self._log.append(exchange)
        known, began = Delivery(activity=said, sent=body, headers=dict(headers)), time.monotonic()
        try:
            async with asyncio.timeout(self.patience):
                async with self.session.post(
                    self.url, data=body, headers={"User-Agent": AGENT, **headers}, allow_redirects=False,
                    skip_auto_headers=("Content-Type",),
                ) as answer:  # fmt: skip
                    got, status = await answer.read(), answer.status
        except TimeoutError:
            return replace(known, seconds=time.monotonic() - began, failure="timeout", user_error=UNREACHABLE)
        except aiohttp.ClientError:
            return replace(known, seconds=time.monotonic() - began, failure="connection", user_error=UNREACHABLE)
        exchange.status, exchange.answer = status, got
        self.touch()
        failed = not 200 <= status < 300
        return replace(
            known, status=status, body=got, seconds=time.monotonic() - began, answer_headers=dict(answer.headers),
            failure="http_error" if failed else None, user_error=UNREACHABLE if failed else None,
        )  # fmt: skip
