"""Carry one call over HTTP and back: patient with an absent server, honest about what came back.

Resending is safe because every call reads, or names what it does (an idempotency key, a terminal state). The ones that
do not, `consume` and a review, are not resent once their bytes may have arrived: then nobody knows, and it is no yes.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp

from approvers.errors import CountersignError, Malformed
from countersign.address import check_key, check_url
from countersign.clock import clock_ahead
from countersign.errors import BadAnswer, ProblemError, Unreachable, problem

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 15.0
FIRST_CONTACT_SECONDS = 15.0
"""A server that never answered is given less time than one that restarts: most often the address is wrong."""
PAUSES = (0.1, 0.3, 1.0, 2.0, 3.0, 5.0)
UNAVAILABLE = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class Call:
    """Describe one call. `held` is for how long the server may hold it open, in seconds."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None
    held: float = 0.0
    resend: bool = True


class _Later(Exception):
    """Say that the same call may go through later: the error to raise if not, and the pause the server asked for."""

    def __init__(self, error: CountersignError, pause: float | None = None) -> None:
        super().__init__(error.detail)
        self.error, self.pause = error, pause


class Transport:
    """Own the connection pool, the address and the key. `ahead`: how much the server's clock is ahead of ours."""

    def __init__(self, base_url: str, api_key: str, patience_seconds: float) -> None:
        """Check address and key; nothing is opened before the first call."""
        self.base_url = check_url(base_url)
        self._authorization = f"Bearer {check_key(api_key)}"
        self._patience = patience_seconds
        self._heard = False
        self.ahead = timedelta()
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, call: Call, patience_seconds: float | None = None) -> dict[str, Any]:
        """Return the JSON of a successful answer, after as many tries as patience allows.

        Raises:
            Unreachable, BadAnswer: nobody knows what happened, or the answer is not Countersign's.
            ProblemError: the server refused.
        """
        loop = asyncio.get_running_loop()
        began, data = loop.time(), encode(call.body)
        tries = itertools.count()
        while True:
            try:
                return await self._once(call, data)
            except _Later as later:
                pause = _pause(next(tries)) if later.pause is None else later.pause
                if loop.time() - began + pause > self._allowed(patience_seconds):
                    raise later.error from later.__cause__
            await asyncio.sleep(pause)

    def _allowed(self, patience: float | None) -> float:
        seconds = self._patience if patience is None else patience
        return seconds if self._heard else min(seconds, FIRST_CONTACT_SECONDS)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(headers={"User-Agent": "countersign", "Accept": "application/json"})
        return self._session

    async def _once(self, call: Call, data: bytes | None) -> dict[str, Any]:
        headers = {"Authorization": self._authorization, **(call.headers or {})}
        if data is not None:
            headers["Content-Type"] = "application/json"
        timeout = aiohttp.ClientTimeout(total=call.held + ANSWER_SECONDS, sock_connect=CONNECT_SECONDS)
        try:
            async with self._open().request(
                call.method,
                self.base_url + call.path,
                params=call.query,
                data=data,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,  # the key goes to the configured address and nowhere else
            ) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            lost = Unreachable(
                f"{self.base_url} does not answer ({_why(error)}). Check COUNTERSIGN_URL and the server."
            )
            if call.resend or isinstance(error, aiohttp.ClientConnectorError):
                raise _Later(lost) from error
            raise Unreachable(f"{lost.detail} Whether the call arrived is unknown; take it as a no.") from error
        self._heard = self._heard or response.status not in UNAVAILABLE
        self.ahead = clock_ahead(response.headers.get("Date"), self.ahead)
        return _read(response, body)


def encode(body: Mapping[str, Any] | None) -> bytes | None:
    """Return the body's bytes. Raises Malformed for what has no JSON form: NaN, a lone surrogate, other types."""
    if body is None:
        return None
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (ValueError, TypeError) as error:
        raise Malformed(f"the body has no JSON form: {error}") from error


def _read(response: aiohttp.ClientResponse, body: bytes) -> dict[str, Any]:
    answer = _json(body)
    if response.status in UNAVAILABLE or (response.status == 409 and "Retry-After" in response.headers):
        raise _Later(_problem(response.status, answer), _retry_after(response))
    if response.status >= 400:
        raise _problem(response.status, answer)
    if not 200 <= response.status < 300:
        raise BadAnswer(f"HTTP {response.status} from {response.url.host}; set COUNTERSIGN_URL to the final address.")
    if not isinstance(answer, dict):
        raise BadAnswer(f"{response.url.host} answered with something that is not Countersign's JSON.")
    return answer


def _problem(status: int, answer: object) -> ProblemError:
    if not isinstance(answer, dict) or not isinstance(answer.get("code"), str):
        return problem(status, "no_problem_document", f"HTTP {status}, without words from Countersign.")
    named = {name: answer[name] for name in ("field", "rule") if isinstance(answer.get(name), str)}
    return problem(status, answer["code"], str(answer.get("detail") or answer["code"]), **named)


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


def _pause(tries: int) -> float:
    """Return the pause after the nth try, in seconds, spread by half so that many clients do not come back as one."""
    return PAUSES[min(tries, len(PAUSES) - 1)] * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, hides nothing


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    os_error = getattr(error, "os_error", None)
    text = getattr(os_error, "strerror", None) or str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
