"""Put Teams beside the console: hear it at `/api/messages`, speak to it as the bot. `mount` is all of its API.

The SDK gives the turn and the connector's client; proof, routes, tokens, retries and answers are ours. Nothing here
decides: listeners ask the desk, and cards are told from the outbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

from aiohttp import web
from botbuilder.core import CloudAdapterBase, TurnContext
from botbuilder.schema import Activity
from msrest.exceptions import DeserializationError

from bot.claims import Claims
from bot.deps import Deps
from bot.keeping import kept_up
from bot.postings import Postings
from bot.surfaces.port import Surface, SurfaceError
from bot.surfaces.teams_auth import Connector, GuardedConnectors, ProvenOutside
from bot.surfaces.teams_ingress import KEPT, PATH, TeamsIngress, Turn
from bot.surfaces.teams_keys import METADATA, KeySet
from bot.surfaces.teams_parts import TeamsParts
from bot.surfaces.teams_people import People
from bot.surfaces.teams_proof import Proof, StrictProof, UnprovenPlayground, served_by
from bot.surfaces.teams_routes import Routes
from bot.surfaces.teams_surface import NAME, TeamsSurface
from bot.surfaces.teams_tokens import ClientSecret, Token, TokenCache
from bot.tally import Tally
from bot.tasks import Tasks
from workers import logs
from workers.alerts import Alert
from workers.config import Settings
from workers.stores.port import StoreError

TOKEN_URL = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"  # noqa: S105 an address
ASK_AGAIN = timedelta(seconds=10)
BROKEN = (ValueError, TypeError, AttributeError, KeyError, RecursionError, DeserializationError)
"""What the SDK raises for an activity whose fields have strange types."""
_log = logs.get_logger(__name__)


def mount(app: web.Application, deps: Deps, postings: Postings, surfaces: dict[str, Surface]) -> None:
    """Add Teams to the application and to the surfaces that cards are posted on; if it is set up."""
    settings = deps.settings
    if settings.teams_app_id is None:
        return
    tally = Tally(deps.store.records, NAME)
    keys, tokens = KeySet(settings.teams_issuer_url or METADATA), TokenCache(_source(settings))
    hosts = () if settings.teams_playground else settings.teams_service_hosts
    connectors = GuardedConnectors(tokens, served_by(hosts))
    api = Connector(connectors, failed=tally.note)
    routes, people = Routes(deps.store.records, settings.teams_tenant_id), People(api, deps.policies, settings.tenants)
    parts = TeamsParts(deps, api, people, routes, postings, Tasks())
    surfaces[NAME] = TeamsSurface(api, routes, settings.base_url)
    ingress = TeamsIngress(
        _proof(settings, keys),
        parts,
        Claims(deps.store.records, NAME, KEPT),
        turns(Adapter(ProvenOutside(connectors))),
        count=tally.note,
        on_this_machine=settings.teams_playground,
    )
    app.router.add_post(PATH, ingress.handle)
    app.cleanup_ctx.append(_life(parts, tally, keys, tokens, connectors))


class Adapter(CloudAdapterBase):  # type: ignore[misc] # the SDK is untyped
    """Run the SDK's turns. Without `on_turn_error` they raise, so that a failed send is no success."""


def turns(adapter: Adapter) -> Turn:
    """Return what runs work as one turn of the SDK, for a call that was proven."""
    proven: ProvenOutside = adapter.bot_framework_authentication

    async def turn(
        activity: Mapping[str, Any],
        claims: Mapping[str, Any],
        work: Callable[[], Awaitable[Mapping[str, Any] | None]],
    ) -> Mapping[str, Any] | None:
        try:
            read = Activity().deserialize(dict(activity))
        except BROKEN:
            raise web.HTTPBadRequest from None
        body: list[Mapping[str, Any] | None] = []

        async def logic(_turn: TurnContext) -> None:
            body.append(await work())

        await adapter.process_activity(proven.passed(claims), read, logic)
        return body[0] if body else None

    return turn


def _proof(settings: Settings, keys: KeySet) -> Proof:
    if settings.teams_playground:
        _log.warning("teams.playground", what="calls from this machine are taken unproven, for the Agents Playground")
        return UnprovenPlayground(settings.tenants)
    return StrictProof(settings.teams_app_id or "", keys, settings.tenants, served_by(settings.teams_service_hosts))


def _source(settings: Settings) -> Callable[[], Awaitable[Token]]:
    if settings.teams_playground:
        return _playground_token
    url = settings.teams_token_url or TOKEN_URL.format(tenant=settings.teams_tenant_id)
    secret = settings.teams_app_secret.get_secret_value() if settings.teams_app_secret else ""
    return ClientSecret(settings.teams_app_id or "", secret, url)


async def _playground_token() -> Token:
    """Return a word that the Playground takes for a token."""
    return Token("playground", 3600.0)


def _life(
    parts: TeamsParts, tally: Tally, keys: KeySet, tokens: TokenCache, connectors: GuardedConnectors
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return what runs beside the application, and ends with it."""

    async def life(_app: web.Application) -> AsyncIterator[None]:
        greeting = asyncio.create_task(_greet(parts, keys, tokens))
        async with kept_up({"teams.tally": tally.run}):
            yield
        greeting.cancel()
        await asyncio.gather(greeting, return_exceptions=True)
        await parts.tasks.aclose()
        await tally.flush()
        await asyncio.gather(keys.aclose(), tokens.aclose(), connectors.aclose())

    return life


async def _greet(parts: TeamsParts, keys: KeySet, tokens: TokenCache, *, again: timedelta = ASK_AGAIN) -> None:
    """Fetch keys and a token before they are needed, until there is one. Nothing waits for that."""
    await keys.renew()
    raised: Alert | None = None
    while True:
        try:
            await tokens.get()
            _log.info("teams.ready")
            if raised:
                await parts.deps.alerts.send(raised.clear(await parts.deps.store.records.now()))
            return
        except (SurfaceError, StoreError) as error:
            _log.warning("teams.waits", why=str(error))
            raised = await _refused(parts, tokens.refused) or raised
        await asyncio.sleep(again.total_seconds())


async def _refused(parts: TeamsParts, why: str) -> Alert | None:
    """Tell on-call that the app's secret is not taken; None where that is not the trouble."""
    if not why:
        return None
    summary = f"Microsoft will not sign Countersign in ({why}). No card reaches Teams: set a valid app secret."
    try:
        alert = Alert("teams.token", "critical", summary, await parts.deps.store.records.now())
    except StoreError:
        return None
    await parts.deps.alerts.send(alert)
    return alert
