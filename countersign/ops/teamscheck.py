"""Look at Microsoft Teams for the doctor: the app's sign-in, the keys that calls are proven by, how calls come in.

Channels, people and seats follow in `teamspeople`. It reads, and changes nothing; what cannot be looked at because
something before it failed is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, NoReturn
from urllib.parse import urlsplit

import aiohttp
import structlog

from approvers.errors import CountersignError
from bot.surfaces.teams import TOKEN_URL
from bot.surfaces.teams_auth import GuardedConnectors
from bot.surfaces.teams_keys import METADATA, KeySet, KeysUnavailable
from bot.surfaces.teams_proof import served_by
from bot.surfaces.teams_tokens import ClientSecret, Token, TokenCache, TokenRefused
from countersign.ops.findings import Finding
from countersign.ops.teamsapp import PATH
from countersign.ops.teamspeople import Members, places_and_people
from workers.policies import Policies
from workers.settings import Settings
from workers.stores.port import Store

HOW = "docs/teams.md says how, step by step"
NEW_SECRET = "make a new client secret on the registration's page Certificates & secrets, and copy its Value"  # noqa: S105 words
TOKEN_REMEDIES = {
    "invalid_client": NEW_SECRET,
    "unauthorized_client": "compare COUNTERSIGN_TEAMS_APP_ID with the registration's Application (client) ID",
    "invalid_request": "compare COUNTERSIGN_TEAMS_TENANT_ID with the registration's Directory (tenant) ID",
}
HTTPS = "Teams calls https only: set COUNTERSIGN_PUBLIC_URL=https://…, and make it the bot's messaging endpoint"
PLAYGROUND = "unset COUNTERSIGN_TEAMS_PLAYGROUND wherever people really decide"
NO_TOKEN = (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError, AttributeError)
"""What is raised where there was no answer, or none that is one."""


async def examine(settings: Settings, store: Store) -> list[Finding]:
    """Return every finding about Teams; without rules in force, only those about the app. Raises StoreError."""
    if settings.teams_app_id is None:
        return [Finding("fail", "teams", "not set up: COUNTERSIGN_TEAMS_APP_ID is missing", HOW)]
    if settings.teams_playground:
        return [Finding("warn", "teams", "is the Agents Playground on this machine: calls are UNPROVEN", PLAYGROUND)]
    with _unlogged():
        signed_in, token = await _sign_in(settings)
        found = [signed_in, await _keys(settings), _calls(settings)]
        policies = Policies(store.records, store.signals)
        try:
            await policies.refresh()
            policies.current  # noqa: B018 raises while there are none
        except CountersignError:  # the doctor has told it already
            return found
        return found if token is None else found + await _inside(settings, store, policies, token)


async def _sign_in(settings: Settings) -> tuple[Finding, Token | None]:
    """Get the app's own token, as every card needs one."""
    url = settings.teams_token_url or TOKEN_URL.format(tenant=settings.teams_tenant_id)
    secret = settings.teams_app_secret.get_secret_value() if settings.teams_app_secret else ""
    app = f"app {settings.teams_app_id} in tenant {settings.teams_tenant_id}"
    try:
        token = await ClientSecret(str(settings.teams_app_id), secret, url)()
    except TokenRefused as error:
        words = f"{app}: Microsoft refuses to sign it in: {error}"
        return Finding("fail", "teams token", words, TOKEN_REMEDIES.get(str(error), HOW)), None
    except NO_TOKEN as error:  # its text may hold what was sent
        words = f"{app}: no token from {urlsplit(url).hostname} ({type(error).__name__})"
        return Finding("fail", "teams token", words, "check this machine's way out to it, by https"), None
    return Finding("ok", "teams token", app), token


async def _keys(settings: Settings) -> Finding:
    """Read the keys that prove a call to be Teams'."""
    url = settings.teams_issuer_url or METADATA
    keys = KeySet(url)
    try:
        await keys.renew()
        await keys.get("")
    except KeysUnavailable:
        remedy = "check this machine's way out to it, by https: until it is read, every click gets 503"
        return Finding("fail", "teams keys", f"no keys from {urlsplit(url).hostname}", remedy)
    finally:
        await keys.aclose()
    return Finding("ok", "teams keys", f"read from {urlsplit(url).hostname}")


def _calls(settings: Settings) -> Finding:
    """Say where Teams' calls are taken; whether they arrive is seen by the routes that they leave."""
    words = f"come in over HTTP, at {settings.base_url}{PATH}, from {_listed(settings.tenants)}"
    https = urlsplit(settings.base_url).scheme == "https"
    return Finding("ok" if https else "warn", "teams calls", words, "" if https else HTTPS)


def _listed(tenants: tuple[str, ...]) -> str:
    return "your own tenant alone" if len(tenants) == 1 else f"the tenants {', '.join(tenants)}"


async def _inside(settings: Settings, store: Store, policies: Policies, token: Token) -> list[Finding]:
    """Look at places and people with the token that is there."""

    async def given() -> Token:
        return token

    tokens = TokenCache(given)
    connectors = GuardedConnectors(tokens, served_by(settings.teams_service_hosts))
    try:
        return await places_and_people(settings, store.records, policies, Members(connectors))
    finally:
        await connectors.aclose()
        await tokens.aclose()


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep log lines off the terminal: what they would say is in the findings."""
    before = structlog.get_config()
    structlog.configure(processors=[_drop])
    try:
        yield
    finally:
        structlog.configure(**before)


def _drop(_logger: object, _method: str, _event: MutableMapping[str, Any]) -> NoReturn:
    raise structlog.DropEvent
