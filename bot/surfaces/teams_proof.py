"""Prove that a call is Teams': the token's signature and claims, and what the activity must agree with.

The token says nothing about the person or the tenant. Both stand in the activity, and are believed because the token
binds the app, the channel and the service's address; so the tenant and the address have lists of their own. Whatever
does not hold is `NotProven` (401) without detail; keys that nobody can read are `KeysUnavailable` (503).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

import jwt

from bot.surfaces.teams_incoming import tenant_of
from bot.surfaces.teams_keys import KeySet
from workers import logs
from workers.config import is_loopback

_log = logs.get_logger(__name__)
CHANNEL = "msteams"
LEEWAY_SECONDS = 300
LONGEST_TOKEN = 16_384
Claims = Mapping[str, Any]
UNREADABLE = (jwt.PyJWTError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)
"""What PyJWT raises for a token that does not hold, or is none."""


class NotProven(Exception):
    """The caller is not who it must be. The word is for the log and the counter; the caller hears none."""


class Proof(Protocol):
    """Say whether an activity is Teams'."""

    async def check(self, activity: Mapping[str, Any], authorization: str) -> Claims:
        """Return the token's claims. Raises NotProven or KeysUnavailable."""
        ...


class StrictProof:
    """Check every call by its token."""

    def __init__(self, app_id: str, keys: KeySet, tenants: Collection[str], serves: Callable[[str], bool]) -> None:
        """Take what must agree: our app's id, the tenants that are let in, and which service addresses are Teams'."""
        if not app_id or not tenants:
            raise ValueError("without app id and tenant, everybody would be let in")
        self._app_id, self._keys, self._serves = app_id, keys, serves
        self._tenants = frozenset(tenant.lower() for tenant in tenants)

    async def check(self, activity: Mapping[str, Any], authorization: str) -> Claims:
        """Return the token's claims, once all of it agrees."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > LONGEST_TOKEN:
            raise NotProven("no_token")
        if activity.get("channelId") != CHANNEL:  # elsewhere a client may choose the ids that it shows
            raise NotProven("channel")
        claims = await self._verified(token.strip())
        service = activity.get("serviceUrl")
        if not isinstance(service, str) or claims.get("serviceurl") != service or not self._serves(service):
            if claims.get("serviceurl") == service:  # signed, so its name may be told: an operator may have to list it
                _log.warning("teams.host_not_listed", host=_host(service))
            raise NotProven("service_url")
        if tenant_of(activity) not in self._tenants:
            raise NotProven("tenant")
        return claims

    async def _verified(self, token: str) -> Claims:
        try:
            head = jwt.get_unverified_header(token)
            kid = head.get("kid")
            if head.get("alg") != "RS256" or not isinstance(kid, str):
                raise NotProven("header")
            known = await self._keys.get(kid)
            if known is None:
                raise NotProven("unknown_key")
            if CHANNEL not in known.endorsements:
                raise NotProven("endorsement")
            claims: Claims = jwt.decode(
                token,
                known.key,
                algorithms=["RS256"],
                audience=self._app_id,
                issuer=known.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud"], "strict_aud": True},
            )
        except UNREADABLE as error:
            raise NotProven(type(error).__name__) from error
        return claims


class UnprovenPlayground:
    """Let in anybody on this machine, for the Agents Playground: nothing is proven. Development alone.

    The settings bind it to a demo on a loopback address; relayed calls are refused by the adapter.
    """

    def __init__(self, tenants: Collection[str]) -> None:
        """Let in these tenants, as the Playground's file names them."""
        self._tenants = frozenset(tenant.lower() for tenant in tenants)

    async def check(self, activity: Mapping[str, Any], authorization: str) -> Claims:
        """Return no claims, for a service on this machine and a known tenant."""
        del authorization
        service = activity.get("serviceUrl")
        if not isinstance(service, str) or not served_by(())(service) or tenant_of(activity) not in self._tenants:
            raise NotProven("playground")
        return {}


def _host(url: object) -> str:
    try:
        return urlsplit(str(url)).hostname or ""
    except ValueError:
        return ""


def served_by(hosts: Collection[str]) -> Callable[[str], bool]:
    """Return the test of a service address: https on the usual port of a listed host, no user in it.

    A loopback host in the list may be plain http, on any port; with no list at all, only loopback is served.
    """
    allowed = frozenset(host.lower() for host in hosts)

    def test(url: str) -> bool:
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            return False
        if parts.username is not None or parts.password is not None or not host:
            return False
        if is_loopback(host):
            return parts.scheme in ("http", "https") and (not allowed or host in allowed)
        return parts.scheme == "https" and port in (None, 443) and host in allowed

    return test
