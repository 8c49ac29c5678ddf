"""An issuer of tokens over HTTP on loopback: discovery, a key set that can rotate, tokens good and bad, troubles.

    async with issuer_world() as github:
        token = github.token(repository_id="456789")
        github.rotate(); github.trouble = "html"

`github.calls` counts what was read. A strict server: any other path, method or query is a 404 and stands in `strange`.
"""

from __future__ import annotations

import asyncio
import functools
import json
import time
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.warnings import InsecureKeyLengthWarning

AUDIENCE = "https://countersign.example.com"
DISCOVERY, KEYS = "/.well-known/openid-configuration", "/keys"


@functools.cache
def rsa_key(number: int, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return the process's n-th key: making one takes long, so that worlds share them."""
    del number
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@dataclass
class Key:
    """One signing key, and what the key set says of it."""

    kid: str
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    algorithm: str = "RS256"
    published: bool = True

    def jwk(self) -> dict[str, Any]:
        public = self.private.public_key()
        shown = RSAAlgorithm.to_jwk(public) if isinstance(public, rsa.RSAPublicKey) else ECAlgorithm.to_jwk(public)
        return {**json.loads(shown), "kid": self.kid, "alg": self.algorithm, "use": "sig"}

    def public_pem(self) -> bytes:
        kind = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.private.public_key().public_bytes(serialization.Encoding.PEM, kind)


class IssuerWorld:
    """Publish keys and sign. The newest key signs.

    Attributes:
        trouble: None, or what the server does: a status (`500`), `html`, `huge`, `hang`, `redirect`, `deep`.
        metadata: what discovery says beyond the truth.
        extra: further entries of the key set.
    """

    def __init__(self) -> None:
        self.url = ""
        self.keys = [Key("key-1", rsa_key(1))]
        self.trouble: str | int | None = None
        self.metadata: dict[str, Any] = {}
        self.extra: list[Any] = []
        self.calls: Counter[str] = Counter()
        self.strange: list[str] = []
        self.gate, self.hung = asyncio.Event(), asyncio.Event()

    @property
    def signing(self) -> Key:
        return self.keys[-1]

    def rotate(self, key: Key | None = None) -> Key:
        """Sign with a new key from now on; the old ones stay published."""
        number = len(self.keys) + 1
        self.keys.append(key or Key(f"key-{number}", rsa_key(number)))
        return self.signing

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return a job's claims, with some changed; None leaves one out."""
        now = int(time.time())
        said = {
            "iss": self.url, "aud": AUDIENCE, "sub": "repo:acme@1/shop@456789:ref:refs/heads/main", "iat": now,
            "nbf": now - 5, "exp": now + 300, "jti": "j-1", "repository": "acme/shop", "repository_id": "456789",
            "repository_owner_id": "1", "ref": "refs/heads/main", "run_id": "77", "run_attempt": "1", "sha": "0" * 40,
            "job_workflow_ref": "acme/shop/.github/workflows/ship.yml@refs/heads/main", "event_name": "push",
            "actor": "octo", "actor_id": "583231",
        }  # fmt: skip
        return {name: value for name, value in {**said, **changes}.items() if value is not None}

    def token(self, *, key: Key | None = None, head: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """Return a signed token; `head` changes the header (None leaves out)."""
        key = key or self.signing
        said = {"kid": key.kid, **(head or {})}
        headers = {name: value for name, value in said.items() if value is not None}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InsecureKeyLengthWarning)  # small keys are there to be refused
            return jwt.encode(self.claims(**changes), key.private, key.algorithm, headers=headers)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.calls[request.path] += 1
        if request.method != "GET" or request.query_string or request.path not in (DISCOVERY, KEYS):
            self.strange.append(f"{request.method} {request.path_qs}")
            return web.Response(status=404)
        match self.trouble:
            case None:
                pass
            case "hang":
                self.hung.set()
                await self.gate.wait()
                raise ConnectionAbortedError
            case "html":
                return web.Response(text="<html>maintenance</html>", content_type="text/html")
            case "huge":
                return web.json_response({**self.says(request.path), "pad": "x" * 2_000_000})
            case "deep":
                return web.Response(text="[" * 100_000)
            case "redirect":
                return web.Response(status=302, headers={"Location": "/elsewhere"})
            case code:
                return web.Response(status=int(code))
        return web.json_response(self.says(request.path))

    def says(self, path: str) -> dict[str, Any]:
        if path == DISCOVERY:
            return {"issuer": self.url, "jwks_uri": self.url + KEYS, **self.metadata}
        return {"keys": [*self.extra, *(one.jwk() for one in self.keys if one.published)]}


@asynccontextmanager
async def issuer_world() -> AsyncIterator[IssuerWorld]:
    """Serve one until the block ends."""
    world = IssuerWorld()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", world.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        world.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield world
    finally:
        world.gate.set()
        await runner.cleanup()
