"""Say who is calling: an API key is looked up by its hash and becomes an `Identity`, or nothing (token: `bot.issuers`).

Keys are cached for a moment, so that intake costs one round trip; every commit names the key's version, so that a
revoked key decides nothing even where the cache has not heard of it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict

from approvers.audit import By
from approvers.times import Moment
from workers.stores.port import Records
from workers.vault import hash_key

Scope = Literal["request", "review", "operate", "read"]
SCOPES: tuple[Scope, ...] = ("request", "review", "operate", "read")
CACHED_SECONDS = 5.0
CACHE_SIZE = 10_000


class ApiKey(BaseModel):
    """One key, as stored under the hash of its secret."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    v: Literal[1] = 1
    id: str
    principal: str
    scopes: tuple[Scope, ...]
    made_at: Moment
    expires_at: Moment | None = None
    revoked_at: Moment | None = None


@dataclass(frozen=True)
class Identity:
    """A proven identity: the principal, how it was proven, what it may do, and the records that prove it.

    Attributes:
        proof: record key → version that a commit made in this name must still find.
        claims: what the caller's own token proves (`issuer`, `repository_id`, `ref`, `workflow`, and what is only
            recorded, such as `actor_id`); empty for a key.
    """

    principal: str
    scopes: frozenset[str]
    by: By
    via: str
    proof: Mapping[str, int] = field(default_factory=dict)
    claims: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_person(self) -> bool:
        """Tell whether this is a human."""
        return self.principal.startswith("user:")


class Keys:
    """Turn API keys into identities."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._cache: dict[str, tuple[float, ApiKey, Identity]] = {}

    async def identify(self, secret: str) -> Identity | None:
        """Return who holds this key; None if nobody does, or not any more."""
        hashed = hash_key(secret)
        cached = self._cache.get(hashed)
        if cached is None or time.monotonic() - cached[0] >= CACHED_SECONDS:
            cached = await self._find(hashed)
        if cached is None:
            return None
        _, key, who = cached
        if key.expires_at and await self._records.now() >= key.expires_at:
            return None
        return who

    def forget(self) -> None:
        """Read every key again before the next use."""
        self._cache.clear()

    async def _find(self, hashed: str) -> tuple[float, ApiKey, Identity] | None:
        """Read a key, and keep it for a moment; strangers' guesses and revoked keys do not fill the cache."""
        name = f"key:{hashed}"
        seen = (await self._records.read([name])).records[name]
        self._cache.pop(hashed, None)
        if not seen.version:
            return None
        key = ApiKey.model_validate(json.loads(seen.json))
        if key.revoked_at:
            return None
        if len(self._cache) >= CACHE_SIZE:
            self._cache.clear()
        by = By(key.principal, "api-key", key.id)
        who = Identity(key.principal, frozenset(key.scopes), by, "api", {name: seen.version})
        self._cache[hashed] = found = (time.monotonic(), key, who)
        return found
