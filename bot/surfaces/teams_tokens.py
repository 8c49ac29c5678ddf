"""Hold the token that Teams is spoken to with: one for the process, renewed early, asked for once at a time.

Nobody waits behind a renewal while the old token lives, and a sign-in service that hangs holds up no click: only what
is sent needs a token.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import aiohttp

from bot.surfaces.port import Unreachable
from workers import logs

SCOPE = "https://api.botframework.com/.default"
TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=3)
EARLY_SECONDS = 300.0
AGAIN_SECONDS = 2.0
"""How long a failure is believed: until then nobody asks again."""
_log = logs.get_logger(__name__)


class TokenRefused(Exception):
    """The sign-in service says no, in one word: the secret is wrong or over, or the app is gone."""


class TokenUnavailable(Unreachable):
    """There is no token to be had just now: nothing was sent."""


class Token(NamedTuple):
    """Hold a token, and for how many seconds it is good."""

    text: str
    seconds: float


Source = Callable[[], Awaitable[Token]]


class ClientSecret:
    """Ask for a token as the app: OAuth 2.0 client credentials with a secret."""

    def __init__(self, app_id: str, secret: str, url: str) -> None:
        """Ask `url`: the tenant's token endpoint."""
        self._form = {"grant_type": "client_credentials", "client_id": app_id, "client_secret": secret, "scope": SCOPE}
        self._url = url

    async def __call__(self) -> Token:
        """Return a new token. Raises TokenRefused, or what aiohttp raises; never with the secret in it."""
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as http,
            http.post(self._url, data=self._form, allow_redirects=False) as answer,
        ):
            told = await answer.json(content_type=None)
            if answer.status != 200:
                word = told.get("error") if isinstance(told, dict) else None
                if answer.status in (400, 401, 403) and isinstance(word, str) and word.replace("_", "").isalnum():
                    raise TokenRefused(word[:60])
                raise ValueError(f"HTTP {answer.status}")
            return Token(str(told["access_token"]), float(told["expires_in"]))


class TokenCache:
    """Give everybody the same token."""

    def __init__(self, source: Source, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Ask the source when there is need, and not before."""
        self._source, self._clock = source, clock
        self._text, self._until, self._again_at = "", float("-inf"), float("-inf")
        self._why = ""
        self._asking: asyncio.Task[None] | None = None
        self.refused: str = ""
        """The sign-in service's word, while its last answer was no."""

    async def get(self) -> str:
        """Return a token. Raises TokenUnavailable."""
        now = self._clock()
        if now >= self._until - EARLY_SECONDS and now >= self._again_at and self._asking is None:
            self._asking = asyncio.create_task(self._renew())
        if now >= self._until and self._asking:
            await asyncio.shield(self._asking)
        if self._clock() >= self._until:
            raise TokenUnavailable(f"no token for Teams: {self._why}", after_seconds=AGAIN_SECONDS)
        return self._text

    def reject(self, token: str) -> None:
        """Forget a token that Teams would not take: the next call fetches another one."""
        if token == self._text:
            self._until = float("-inf")

    async def aclose(self) -> None:
        """Stop asking."""
        if self._asking:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _renew(self) -> None:
        began = self._clock()
        try:
            token = await self._source()
            self._text, self._until, self.refused = token.text, began + max(0.0, token.seconds), ""
            if self._until - EARLY_SECONDS <= began:  # a token that lives shorter is not asked for at every call
                self._again_at = began + AGAIN_SECONDS
        except TokenRefused as error:
            self._failed(str(error))
            self.refused = str(error)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self._failed(type(error).__name__)
        finally:
            self._asking = None

    def _failed(self, why: str) -> None:
        self._why, self._again_at = why, self._clock() + AGAIN_SECONDS
        _log.warning("teams.no_token", why=why)
