"""Hold the keys that Teams' calls are signed with, as the Bot Framework publishes them. Read anew, never guessed.

A copy serves while it is renewed behind it. A key that nobody knows is asked for once, at most once a minute. While the
issuer is away, the last good copy serves for a day.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import jwt

from workers import logs

ISSUERS = frozenset({"https://api.botframework.com", "https://api.botframework.us"})
"""Who may sign: the public cloud's Bot Framework, and the United States government's."""
METADATA = "https://login.botframework.com/v1/.well-known/openidconfiguration"
RENEW_SECONDS = 3600.0
GAP_SECONDS = 60.0
"""The least time between two readings: calls with made-up keys cannot make us hammer the issuer."""
EMPTY_GAP_SECONDS = 2.0
"""The same, as long as there is no copy to judge by."""
STALE_SECONDS = 86_400.0
READ_SECONDS = 5.0
MOST_BYTES = 1024 * 1024
_log = logs.get_logger(__name__)


class KeysUnavailable(Exception):
    """The keys cannot be read, and there is no copy to judge by: nobody can say whether a call is Teams'."""


@dataclass(frozen=True)
class Key:
    """Hold one public key, the issuer it belongs to, and the channels that it may sign for."""

    key: Any
    issuer: str
    endorsements: frozenset[str]


class KeySet:
    """Know the keys by their ids."""

    def __init__(self, url: str = METADATA, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Read nothing yet; `url` is that of the OpenID metadata."""
        self._url, self._clock = url, clock
        self._keys: Mapping[str, Key] = {}
        self._read_at = self._tried_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def get(self, kid: str) -> Key | None:
        """Return the key with this id; None if the issuer has none such. Raises KeysUnavailable."""
        known = self._keys.get(kid) if self._usable() else None
        if self._due(kid) or (known is None and self._reading is not None):
            reading = self.renew()
            if known is None:
                await asyncio.shield(reading)
        if not self._usable():
            raise KeysUnavailable("the Bot Framework's keys cannot be read")
        return self._keys.get(kid)

    def renew(self) -> asyncio.Task[None]:
        """Read the keys now, or join in where they are being read; what fails is logged."""
        if self._reading is None:
            self._tried_at = self._clock()
            self._reading = asyncio.create_task(self._renew())
        return self._reading

    async def aclose(self) -> None:
        """Stop reading."""
        if self._reading:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def _usable(self) -> bool:
        return self._clock() - self._read_at <= STALE_SECONDS

    def _due(self, kid: str) -> bool:
        now = self._clock()
        wanted = now - self._read_at > RENEW_SECONDS or kid not in self._keys
        return wanted and now - self._tried_at >= (GAP_SECONDS if self._usable() else EMPTY_GAP_SECONDS)

    async def _renew(self) -> None:
        try:
            async with asyncio.timeout(READ_SECONDS):
                self._keys = await self._read()
            self._read_at = self._clock()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _log.warning("teams.keys_not_read", why=type(error).__name__)
        finally:
            self._reading = None

    async def _read(self) -> dict[str, Key]:
        async with aiohttp.ClientSession() as http:
            told = await _json(http, self._url)
            issuer, address = told["issuer"], str(told["jwks_uri"])
            if issuer not in ISSUERS:
                raise ValueError("the metadata names another issuer")
            if urlsplit(address).scheme != urlsplit(self._url).scheme:
                raise ValueError("the keys would come by another scheme than the metadata")
            published = (await _json(http, address))["keys"]
        keys = {one["kid"]: _key(one, issuer) for one in published if _is_rsa(one)}
        if not keys:
            raise ValueError("no key")
        return keys


def _is_rsa(one: Any) -> bool:
    return isinstance(one, dict) and isinstance(one.get("kid"), str) and one.get("kty") == "RSA"


def _key(one: Mapping[str, Any], issuer: str) -> Key:
    try:
        key = jwt.PyJWK.from_dict(dict(one), algorithm="RS256").key
    except jwt.PyJWTError as error:
        raise ValueError("a key that is none") from error
    listed = one.get("endorsements")
    names = listed if isinstance(listed, list) else []
    return Key(key, issuer, frozenset(name for name in names if isinstance(name, str)))


async def _json(http: aiohttp.ClientSession, url: str) -> Any:
    async with http.get(url, allow_redirects=False) as answer:
        if answer.status != 200:
            raise ValueError(f"HTTP {answer.status}")
        if (answer.content_length or 0) > MOST_BYTES:
            raise ValueError("too long")
        return await answer.json(content_type=None)
