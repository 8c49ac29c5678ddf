"""The Bot Framework's issuer: OpenID metadata, a key set that can rotate, and the tokens on what Teams sends."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

ISSUER = "https://api.botframework.com"
METADATA, KEYS = "/v1/.well-known/openidconfiguration", "/v1/.well-known/keys"
ENDORSED = ("msteams", "webchat", "directline")


@functools.cache
def private_key(number: int) -> rsa.RSAPrivateKey:
    """Return the process's n-th key: making one takes long, so that worlds share them."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Key:
    """One signing key and what the key set says of it."""

    kid: str
    private: rsa.RSAPrivateKey
    endorsements: list[str] | None = field(default_factory=lambda: list(ENDORSED))
    published: bool = True

    def jwk(self) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(self.private.public_key()))
        shown |= {"kid": self.kid, "x5t": self.kid, "use": "sig"}
        shown.pop("key_ops", None)
        return shown | ({} if self.endorsements is None else {"endorsements": self.endorsements})

    def public_pem(self) -> bytes:
        kind = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(serialization.Encoding.PEM, kind)


class Issuer:
    """Publish keys and sign. The newest key signs."""

    def __init__(self) -> None:
        self.origin = ""
        self.issuer = ISSUER
        """What the metadata calls itself."""
        self.keys = [Key("key-1", private_key(0))]
        self.reads = 0
        """How often the key set was read."""
        self.metadata_reads = 0
        self._trouble: str | None = None
        self._slow = 0.0
        self._gate = asyncio.Event()

    @property
    def signing(self) -> Key:
        return self.keys[-1]

    @property
    def foreign(self) -> Key:
        """Return a key that is nobody's, under the signing key's name."""
        return Key(self.signing.kid, private_key(99))

    def rotate(self, *, published: bool = True) -> Key:
        """Sign with a new key from now on; the old ones stay published until `retire`."""
        self.keys.append(Key(f"key-{len(self.keys) + 1}", private_key(len(self.keys)), published=published))
        return self.signing

    def retire(self, kid: str | None = None) -> None:
        """Take a key (the oldest published) out of the key set."""
        key = next(it for it in self.keys if (it.published if kid is None else it.kid == kid))
        key.published = False

    def outage(self) -> None:
        """Drop every connection until `up`."""
        self._trouble = "outage"

    def html(self) -> None:
        """Answer 200 with a page until `up`."""
        self._trouble = "html"

    def status(self, code: int) -> None:
        """Answer with this status until `up`."""
        self._trouble = str(code)

    def hang(self) -> None:
        """Answer nothing until `up`."""
        self._trouble = "hang"

    def slow(self, seconds: float) -> None:
        """Take so long before each answer (real seconds)."""
        self._slow = seconds

    def up(self) -> None:
        """End every trouble; what hangs is let go."""
        self._trouble, self._slow = None, 0.0
        self._gate.set()
        self._gate = asyncio.Event()

    # --- tokens

    def claims(self, audience: str, service_url: str) -> dict[str, Any]:
        now = int(time.time())
        return {"iss": ISSUER, "aud": audience, "serviceurl": service_url, "nbf": now - 60, "iat": now,
                "exp": now + 3600}  # fmt: skip

    def sign(self, claims: Mapping[str, Any], *, key: Key | None = None, head: Mapping[str, Any] | None = None) -> str:
        """Return a token. A claim or header that is None is left out."""
        key = key or self.signing
        said = {"kid": key.kid, "x5t": key.kid, **(head or {})}
        return jwt.encode(_given(claims), key.private, "RS256", headers=_given(said))

    # --- HTTP

    async def metadata(self, _request: web.Request) -> web.Response:
        self.metadata_reads += 1
        return await self._answer({
            "issuer": self.issuer, "jwks_uri": self.origin + KEYS,
            "authorization_endpoint": "https://invalid.botframework.com",
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        })  # fmt: skip

    async def key_set(self, _request: web.Request) -> web.Response:
        self.reads += 1
        return await self._answer({"keys": [it.jwk() for it in self.keys if it.published]})

    async def _answer(self, body: Mapping[str, Any]) -> web.Response:
        if self._slow:
            await asyncio.sleep(self._slow)
        match self._trouble:
            case "html":
                return web.Response(text="<html>maintenance</html>", content_type="text/html")
            case "outage":
                raise ConnectionAbortedError
            case "hang":
                await self._gate.wait()
                raise ConnectionAbortedError
            case None:
                return web.json_response(body)
            case code:
                return web.Response(status=int(code), text="<html>no</html>", content_type="text/html")


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def forged(head: Mapping[str, Any], claims: Mapping[str, Any], signature: bytes = b"") -> str:
    """Return a token put together by hand, whatever its header says."""
    parts = [json.dumps(_given(head)).encode(), json.dumps(_given(claims)).encode(), signature]
    return ".".join(jwt.utils.base64url_encode(part).decode() for part in parts)


def hs256(claims: Mapping[str, Any], secret: bytes, kid: str) -> str:
    """Return a token signed with HMAC over a public key, as in the classic confusion of algorithms."""
    unsigned = forged({"alg": "HS256", "typ": "JWT", "kid": kid}, claims).rpartition(".")[0]
    digest = hmac.new(secret, unsigned.encode(), hashlib.sha256).digest()
    return f"{unsigned}.{jwt.utils.base64url_encode(digest).decode()}"
