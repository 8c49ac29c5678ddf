"""Hold the keys that issuers of tokens sign with: read from the address that the roster names, kept, renewed.

A copy serves for five minutes, and is then read anew before it judges; while the issuer is away, the last good copy
serves for an hour. A key that the copy lacks is asked for at once, but at most every 30 s: made-up keys cannot make us
hammer an issuer. A token never says where its keys are.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import jwt

from approvers.roster_models import Issuer
from workers import logs

RSA = ("RS256", "RS384", "RS512")
ALGORITHMS = ("ES256", "ES384", "ES512", *RSA)
"""Every algorithm that may sign a token: asymmetric ones, whatever a token or a key says."""
RENEW_SECONDS = 300.0
STALE_SECONDS = 3600.0
GAP_SECONDS = 30.0
"""The least time between two readings for the sake of a key that nobody knows."""
EMPTY_GAP_SECONDS = 2.0
"""The least time between two readings that failed."""
READ_SECONDS = 3.0
MOST_BYTES = 256 * 1024
MOST_KEYS = 100
DISCOVERY = "/.well-known/openid-configuration"
_log = logs.get_logger(__name__)


class KeysUnavailable(Exception):
    """The keys cannot be read, and there is no copy to judge by: nobody can say whether a token is good."""


@dataclass(frozen=True)
class Key:
    """Hold one public key, and the algorithms that it may verify."""

    public: Any
    algorithms: tuple[str, ...]


class KeySet:
    """Know one issuer's keys by their ids."""

    def __init__(self, issuer: Issuer, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Read nothing yet."""
        self._issuer, self._clock = issuer, clock
        self._keys: Mapping[str, Key] = {}
        self._read_at = self._tried_at = self._asked_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._why = "not read yet"

    async def get(self, kid: str) -> Key | None:
        """Return the key with this id; None if the issuer has none such. Raises KeysUnavailable."""
        if self._due(kid):
            await asyncio.shield(self._renew())
        if self._clock() - self._read_at > STALE_SECONDS:
            raise KeysUnavailable(f"the keys of issuer {self._issuer.name} cannot be read: {self._why}")
        return self._keys.get(kid)

    async def aclose(self) -> None:
        """Stop reading."""
        if self._reading:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def _due(self, kid: str) -> bool:
        """Tell whether to read, or to join in where that is being done, before this key is judged."""
        now = self._clock()
        fresh = now - self._read_at <= RENEW_SECONDS
        if fresh and kid in self._keys:
            return False
        if self._reading is not None:
            return True
        if self._tried_at > self._read_at and now - self._tried_at < EMPTY_GAP_SECONDS:
            return False
        if fresh:
            if now - self._asked_at < GAP_SECONDS:
                return False
            self._asked_at = now
        return True

    def _renew(self) -> asyncio.Task[None]:
        if self._reading is None:
            self._tried_at = self._clock()
            self._reading = asyncio.create_task(self._read_once(self._tried_at))
        return self._reading

    async def _read_once(self, began: float) -> None:
        try:
            async with asyncio.timeout(READ_SECONDS):
                self._keys = await self._read()
            self._read_at = began
        except Exception as error:  # whatever an issuer answers: the copy stays as it is, and ages
            plain = isinstance(error, ValueError) and not isinstance(error, json.JSONDecodeError)
            self._why = str(error) if plain else type(error).__name__  # other words may quote what was answered
            _log.warning("issuer.keys_not_read", issuer=self._issuer.name, why=self._why)
        finally:
            self._reading = None

    async def _read(self) -> dict[str, Key]:
        async with aiohttp.ClientSession() as http:
            address = self._issuer.keys or await self._discovered(http)
            published = (await _json(http, address))["keys"]
        if not isinstance(published, list) or len(published) > MOST_KEYS:
            raise ValueError("no list of keys")
        keys = {one["kid"]: key for one in published if _is_named(one) and (key := _key(one)) is not None}
        if not keys:
            raise ValueError("no key that can be used")
        return keys

    async def _discovered(self, http: aiohttp.ClientSession) -> str:
        """Return where the issuer says its keys are; only its own host is believed."""
        told = await _json(http, self._issuer.url.rstrip("/") + DISCOVERY)
        if told["issuer"] != self._issuer.url:
            raise ValueError("the metadata names another issuer")
        address = told["jwks_uri"]
        if not isinstance(address, str) or urlsplit(address)[:2] != urlsplit(self._issuer.url)[:2]:
            raise ValueError("jwks_uri is on another host; write it as keys, if that is right")
        return address


def _is_named(one: Any) -> bool:
    return isinstance(one, dict) and isinstance(one.get("kid"), str)


def _key(one: dict[str, Any]) -> Key | None:
    """Return a key that may verify; None for any other kind."""
    if one.get("kty") not in ("RSA", "EC") or one.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.PyJWK.from_dict(one)
    except Exception:  # whatever else an issuer publishes must not cost us its good keys
        return None
    if key.algorithm_name not in ALGORITHMS:
        return None
    return Key(key.key, RSA if one["kty"] == "RSA" and "alg" not in one else (key.algorithm_name,))


async def _json(http: aiohttp.ClientSession, url: str) -> Any:
    async with http.get(url, allow_redirects=False) as answer:
        return json.loads(await read_small(answer, MOST_BYTES))


async def read_small(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the body of a 200 answer. Raises ValueError for any other status, and for a body that is too long."""
    if answer.status != 200:
        raise ValueError(f"HTTP {answer.status}")
    body = bytearray()
    async for chunk in answer.content.iter_chunked(16_384):
        body += chunk
        if len(body) > most:
            raise ValueError(f"more than {most} bytes")
    return bytes(body)
